"""What people are told of a run that failed: why, how the cell is, what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from devices.errors import ExplainedError
from orchestrator.bench import Bench
from orchestrator.telling import Severity, Tell, Telling, tell


@contextmanager
def failures_told(bench: Bench, *, attended: bool, tell: Tell = tell) -> Iterator[None]:
    """Tell of an error that ends what is done in a ``with`` block.

    On hardware always: who sat at the terminal may have left. On a simulated bench where nobody
    sits there.

    Args:
        bench: Open.
        attended: Somebody sits at a terminal.
        tell: Tells.
    """
    try:
        yield
    except Exception as error:
        if not (attended and bench.profile.simulated):
            tell(telling_of(bench, error))
        raise


def telling_of(bench: Bench, error: Exception) -> Telling:
    """What is told of an error that ended a run on a bench.

    That a device is not known to be off has been told by then, as UNSAFE, by the safeguards.
    """
    run, unsafe = bench.live.snapshot().run, dict(bench.RE.unsafe)
    job = str(bench.RE.md.get("job", ""))
    not_off = "; ".join(f"{name}: {why}" for name, why in unsafe.items())
    remedy = error.remedy if isinstance(error, ExplainedError) else "see its journal and its log"
    if unsafe:
        remedy = (
            f"disconnect the cell by hand; then `operando off {bench.profile.bench} --acknowledge`"
        )
    return Telling(
        "run",
        Severity.FAILURE,
        f"a run failed: {str(error) or type(error).__name__}",
        bench=bench.profile.bench,
        run=run,
        cell=f"NOT KNOWN TO BE OFF: {not_off}" if unsafe else "off, verified",
        remedy=remedy,
        data=str(bench.data.resolve()),
        simulated=bench.profile.any_simulated,
        key=job_key(job, "failed", run) if job else "",
    )


def job_key(job: str, state: str, run: str) -> str:
    """The key under which a job's end is told once, by its runner or by the scheduler."""
    return f"job:{job}:{state}:{run}"
