"""A process of its own that switches the cell off when the engine dies or hangs.

`Watch` is the engine's side, `guardian` the process; docs/explanation/watchdog.md says what it
promises and what it cannot.
"""

from orchestrator.watchdog.watch import Watch

__all__ = ["Watch"]
