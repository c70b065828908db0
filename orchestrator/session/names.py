"""The names of a session."""

from __future__ import annotations

from typing import Any

from orchestrator.bench import Bench
from orchestrator.session.late import Late
from orchestrator.session.rehearsing import rehearsing
from orchestrator.session.summary import summarize


def namespace(bench: Bench) -> dict[str, Any]:
    """Names for a session: the engine, the bench, its devices, catalogues, plans and their parts.

    They are ``RE, bench, cat, db, bp, bps, plans, summarize, rehearse, CellLimits, Technique`` and
    the devices by their names.

    `cat` (Tiled) and `db` (databroker) start the store at first use and wait, with a bound, until
    the last journal is in it.

    Args:
        bench: The open bench.
    """
    import bluesky.plan_stubs as bps
    import bluesky.plans as bp

    import plans
    from devices import CellLimits, Technique

    return {
        "RE": bench.RE,
        "bench": bench,
        "cat": Late(lambda: bench.store().cat, "cat"),
        "db": Late(lambda: bench.store().db, "db"),
        "bp": bp,
        "bps": bps,
        "plans": plans,
        "summarize": summarize,
        "rehearse": rehearsing(bench),
        "CellLimits": CellLimits,
        "Technique": Technique,
        **bench.devices,
    }
