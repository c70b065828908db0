"""IPython on a bench: completion, short errors, readable results, magics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bluesky.run_engine import RunEngineResult
from bluesky.utils import FailedStatus, RunEngineInterrupted
from IPython.utils.generics import complete_object
from ophyd import Device

from devices.errors import ExplainedError
from orchestrator.bench import Bench
from orchestrator.session.magics import BenchMagics
from orchestrator.session.paused import paused_text
from orchestrator.session.screen import Screen

_OURS = ("devices", "orchestrator")
_OF_OPHYD = (
    "name", "read", "describe", "read_configuration", "describe_configuration", "configure",
    "stage", "unstage", "trigger", "stop", "component_names", "summary",
)  # fmt: skip
_FOR_DEVICES = frozenset({
    "EXAMPLES", "FREE", "STAGEABLE", "getdoc", "callback_failed", "show_records", "show_cell",
    "show_end", "spectrum_dropped", "configure_imager", "configure_console", "has_started",
    "header_scalars", "check_waiting", "judged", "start_scan",
})  # fmt: skip
"""Public for other devices, not for a person."""


def install(shell: Any, bench: Bench, screen: Screen) -> None:
    """Make a running IPython know the bench.

    Args:
        shell: IPython's InteractiveShell.
        bench: The open bench.
        screen: What is shown while a plan runs.
    """
    shell.register_magics(BenchMagics(shell, bench, screen))
    shell.set_custom_exc(
        (RunEngineInterrupted, ExplainedError, FailedStatus),
        _without_traceback(lambda error: _said(error, bench)),
    )
    text: Any = shell.display_formatter.formatters["text/plain"]
    text.for_type(RunEngineResult, _result)


@complete_object.register(Device)
def _complete_device(device: Device, words: list[str]) -> list[str]:
    """What a person wants of a device; ``dir(device)`` has the rest."""
    wanted = {*device.component_names, *_OF_OPHYD}
    for one in type(device).__mro__:
        if one.__module__.partition(".")[0] in _OURS or one.__module__.startswith("__"):
            wanted.update(name for name in vars(one) if not name.startswith("_"))
    wanted -= _FOR_DEVICES
    return sorted(word for word in words if word in wanted)


def _without_traceback(say: Callable[[BaseException], str]) -> Callable[..., None]:
    """Print what an error says; ``%tb`` still shows where it came from."""

    def show(_shell: Any, _kind: Any, error: BaseException, *_: Any, **__: Any) -> None:
        print(say(error))

    return show


def _after(bench: Bench) -> str:
    if str(bench.RE.state) == "paused":
        return paused_text(bench)
    return "The plan was ended; the cell is off."


def _said(error: BaseException, bench: Bench) -> str:
    if isinstance(error, RunEngineInterrupted):
        return _after(bench)
    cause = error.__cause__ if isinstance(error, FailedStatus) else error
    told = cause if cause is not None else error
    return f"{type(told).__name__}: {told}\n(%tb shows where it happened)"


def _result(result: RunEngineResult, printer: Any, _cycle: Any) -> None:
    """A result in one line; ``tuple(_)`` has all of it."""
    runs = ", ".join(uid[:8] for uid in result.run_start_uids) or "no run"
    said = [result.exit_status]
    if isinstance(result.plan_result, str) and result.plan_result not in result.run_start_uids:
        said.append(result.plan_result)
    if result.reason:
        said.append(result.reason)
    printer.text(f"<{': '.join(dict.fromkeys(said))} ({runs})>")
