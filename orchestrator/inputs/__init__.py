"""Reading what people write: positions, caps, and every error at once in plain words."""
