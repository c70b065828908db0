"""What goes wrong in a simulated laboratory, as values with a start and an end.

Times are seconds since the laboratory began, so that a fault in virtual time lasts as long as it
says. `sim.wire.faults` has those of a wire, `sim.faults.cell` those of the cell, and
`sim.faults.upsets` those inside an instrument.
"""
