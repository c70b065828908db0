"""What bluesky-queueserver's worker imports: an open bench, its devices, and the named plans.

    start-re-manager --startup-module orchestrator.queueserver.startup ...

The bench is that of ``$OPERANDO_BENCH``, its records go to ``$OPERANDO_DATA``. The worker finds the
engine as ``RE``: documents are journaled, the watchdog of a bench with hardware is started, and
every exit from a plan leaves the cell off, as in every other session. When the environment is
closed the bench is closed, and switches everything off.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps
from multiprocessing.util import Finalize
from typing import Any

from bluesky.utils import MsgGenerator

import plans
from orchestrator.bench import Bench, open_bench
from orchestrator.errors import ProfileError

_CLOSES_FIRST = 100


def asked_bench() -> str:
    """The bench that the environment names.

    Raises:
        ProfileError: It names none.
    """
    name = os.environ.get("OPERANDO_BENCH", "")
    if not name:
        raise ProfileError(
            "queue server", "OPERANDO_BENCH is not set", remedy="set it to a bench's name or path"
        )
    return name


def plain(plan: Callable[..., MsgGenerator[Any]]) -> Callable[..., MsgGenerator[Any]]:
    """A named plan without annotations.

    bluesky-queueserver checks arguments by annotations of its own kind and knows nothing of ours;
    the plan checks them itself, before its first message. A device is given by its name.
    """

    @wraps(plan)
    def begun(*args: Any, **kwargs: Any) -> MsgGenerator[Any]:
        return (yield from plan(*args, **kwargs))

    signature = inspect.signature(plan)
    parameters = [
        one.replace(annotation=inspect.Parameter.empty) for one in signature.parameters.values()
    ]
    begun.__signature__ = signature.replace(  # type: ignore[attr-defined]  # read by inspect
        parameters=parameters, return_annotation=inspect.Signature.empty
    )
    begun.__annotations__ = {}
    del begun.__wrapped__  # set by wraps; it leads to the annotations
    return begun


def names(bench: Bench) -> dict[str, Any]:
    """What the worker is to find: the engine, devices by name, named plans."""
    return {
        "RE": bench.RE,
        **bench.devices,
        **{name: plain(plan) for name, plan in plans.PLANS.items()},
    }


def opened() -> Bench:
    """The bench, open until the worker's process ends.

    Raises:
        ProfileError: The environment names no bench, or a wrong one.
        DeviceError: An instrument is absent or another one answers.
    """
    stack = ExitStack()
    bench = stack.enter_context(
        open_bench(asked_bench(), data=os.environ.get("OPERANDO_DATA") or None)
    )
    bench.RE.attended = False  # a signal to the worker ends the run in the safe state
    # the worker is a child of multiprocessing, which runs this but not what atexit was given
    Finalize(None, stack.close, exitpriority=_CLOSES_FIRST)
    return bench


bench = opened()
globals().update(names(bench))
