"""Cells that the simulated instruments measure."""
