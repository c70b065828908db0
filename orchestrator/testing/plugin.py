"""pytest plugin: a simulated bench in virtual time for every test that asks for one.

Registered as ``operando`` (entry point ``pytest11``), so every pytest of an environment in which
this package is installed loads it: it imports nothing but pytest until a fixture is used, and
``-p no:operando`` leaves it out. `docs/how-to/test-your-own-plans.md` shows its use.

No test of a laboratory's plans may reach its hardware: the fixture `bench` refuses every profile
with a device that is not simulated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from orchestrator.bench import Bench
    from orchestrator.engine import Engine
    from orchestrator.testing.documents import Documents

MARKER = "operando"
"""Marker that says which bench a test wants."""

_KEYS = ("profile", "sample", "faults", "transport", "may_stay_on")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(profile=..., sample=..., faults=[...], transport=..., may_stay_on=False): the "
        "simulated bench of the test, what lies on it and what goes wrong",
    )


@pytest.fixture
def bench_profile(request: pytest.FixtureRequest) -> str | Path:
    """Name or path of the bench's profile; by default of the shipped ``sim-mri``. Override it."""
    chosen: str | Path = _marked(request, "profile", "sim-mri")
    return chosen


@pytest.fixture
def bench_sample(request: pytest.FixtureRequest) -> Mapping[str, Any] | None:
    """What lies on the bench, as an experiment's ``simulate_as``. Override it."""
    chosen: Mapping[str, Any] | None = _marked(request, "sample", None)
    return chosen


@pytest.fixture
def bench_faults(request: pytest.FixtureRequest) -> Sequence[Any]:
    """What goes wrong from the opening of the bench on, texts or mappings. Override it."""
    chosen: Sequence[Any] = _marked(request, "faults", ())
    return chosen


@pytest.fixture
def bench(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    bench_profile: str | Path,
    bench_sample: Mapping[str, Any] | None,
    bench_faults: Sequence[Any],
) -> Iterator[Bench]:
    """An open simulated bench in virtual time, with its records in ``tmp_path``.

    After the test the cell must be off, and nothing may be left that could not be switched off
    (unless the marker says ``may_stay_on=True``).
    """
    from orchestrator.bench import open_bench
    from orchestrator.profile.loading import load_profile
    from orchestrator.profile.models import BenchProfile

    given: Any = bench_profile
    profile = given if isinstance(given, BenchProfile) else load_profile(given)
    if not profile.simulated:
        pytest.fail(f"bench {profile.bench} has real devices: tests run on simulated ones only")
    transport = _marked(request, "transport", "process")
    with open_bench(
        profile,
        data=tmp_path / "operando-data",
        sample=bench_sample,
        faults=bench_faults,
        transport=transport,
    ) as opened:
        opened.RE.attended = False
        yield opened
        left_on = _left_on(opened)
    unsafe = [f"{name}: {why}" for name, why in opened.RE.unsafe.items()]
    if (left_on or unsafe) and not _marked(request, "may_stay_on", default=False):
        pytest.fail(f"after the test: {'; '.join([*left_on, *unsafe])}")


@pytest.fixture(name="RE")
def engine(bench: Bench) -> Engine:
    """The engine of the bench: ``RE(plan)``."""
    return bench.RE


@pytest.fixture
def documents(bench: Bench) -> Iterator[Documents]:
    """Every document that the engine emits during the test."""
    from orchestrator.testing.documents import Documents

    seen = Documents(bench.data)
    token = bench.RE.subscribe(seen)
    yield seen
    bench.RE.unsubscribe(token)


@pytest.fixture
def inject(bench: Bench) -> Callable[..., str]:
    """Let something go wrong: ``inject("short", "cell", at_s=600, for_s=60, ohm=10)``.

    `at_s` counts from now, so from the beginning of the run that follows; without `for_s` it
    lasts. Returns the fault in one word. The kinds are those of
    `docs/reference/injectable-faults.md`.
    """

    def let(
        kind: str, device: str, *, at_s: float = 0.0, for_s: float | None = None, **options: Any
    ) -> str:
        start_s = bench.elapsed_s + at_s
        end = {} if for_s is None else {"end_s": start_s + for_s}
        return bench.inject({"kind": kind, "device": device, "start_s": start_s, **end, **options})

    return let


def _left_on(bench: Bench) -> list[str]:
    """What drives the cell after the test, as the devices say and as the cell itself is."""
    left = [f"{name} is still on" for name in bench.RE.energised]
    if str(bench.RE.state) != "idle":
        left.append(f"the engine is {bench.RE.state}")
    truth = bench.laboratory.truth() if bench.laboratory is not None else {}
    current_ma = truth.get("current_ma") or 0.0
    if current_ma and not left:
        left.append(f"{current_ma:g} mA flow through the cell")
    return left


def _marked(request: pytest.FixtureRequest, key: str, default: Any) -> Any:
    """What the closest marker says, else the default."""
    for marker in request.node.iter_markers(MARKER):
        unknown = sorted(set(marker.kwargs) - set(_KEYS))
        if unknown or marker.args:
            pytest.fail(f"marker {MARKER}: got {unknown or marker.args}, expected {_KEYS} by name")
        if key in marker.kwargs:
            return marker.kwargs[key]
    return default
