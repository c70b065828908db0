"""Going on with a run that was cut off, inside the step where it stood.

`keeper` writes the checkpoint of a run while it goes on, `interrupted` finds out whether one may
be resumed and what its journal says beyond the checkpoint, `resume` reads the instrument and goes
on. docs/explanation/resume.md says why in this order.
"""
