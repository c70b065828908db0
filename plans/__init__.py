"""What to do, in what order: bluesky plans that name roles, never instruments."""
