"""What the simulated imaging instruments show of a cell."""
