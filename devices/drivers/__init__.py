"""Drivers: PyMeasure instruments (bytes in, numbers out) and the backends built on them."""
