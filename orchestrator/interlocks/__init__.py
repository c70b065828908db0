"""What must hold before and while a cell is energised: watched, and acted on.

A `Monitor` judges one thing, reading by reading; `feeds` bring it the readings; `Interlocks` acts
on the first trip: the cell off, then the safe state, then whoever must know. `Latches` keep a trip
until a person acknowledges it.
"""

from orchestrator.interlocks.latches import Latches, Tripped
from orchestrator.interlocks.monitor import Account
from orchestrator.interlocks.watching import BenchParts, Interlocks

__all__ = ["Account", "BenchParts", "Interlocks", "Latches", "Tripped"]
