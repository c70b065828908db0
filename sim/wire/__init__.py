"""How a simulated instrument is reached: in process as a VISA library, or over real TCP.

Both ways carry the same bytes, and both understand the faults of `sim.wire.faults`.
"""
