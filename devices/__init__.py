"""Instruments as the experiment sees them: clock, link, drivers and ophyd devices."""
