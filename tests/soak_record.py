"""What `make soak` has measured last, with the date and the machine: `docs/reference/soak.json`."""

from __future__ import annotations

import datetime
import os
import platform
from typing import Any

import orjson

from tests.command import ROOT

RESULTS = ROOT / "docs" / "reference" / "soak.json"


def machine() -> str:
    """The machine that the tests run on, in words."""
    return (
        f"{platform.system()} {platform.release()}, {platform.machine()}, "
        f"{os.cpu_count()} processors, Python {platform.python_version()}"
    )


def kept(what: str, figures: dict[str, Any]) -> None:
    """Print figures and write them down in place of the last ones of the same name."""
    print(f"{what}: {figures}")
    results = orjson.loads(RESULTS.read_bytes()) if RESULTS.exists() else {}
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    results[what] = {"date": today, "machine": machine(), **figures}
    options = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS
    RESULTS.write_bytes(orjson.dumps(results, option=options) + b"\n")
