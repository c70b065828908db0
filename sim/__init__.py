"""A laboratory without hardware: one physical sample behind simulated instruments.

Nothing here knows bluesky, ophyd or PyMeasure: only bytes, time and physics.
"""
