"""Simulated instruments: `answer(bytes) -> bytes | None`; strict, no I/O, no threads."""
