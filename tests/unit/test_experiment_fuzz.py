"""Whatever is done to an experiment file, loading it works or raises `ExperimentError`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from orchestrator.errors import ExperimentError
from orchestrator.experiment import Experiment, load_experiment
from orchestrator.profile.loading import load_profile

ROOT = Path(__file__).parents[2]
EXAMPLE = (ROOT / "examples" / "in_situ_mri.yaml").read_text(encoding="utf-8")
PROFILE = load_profile("sim-mri", environ={})
LINE = re.compile(r"^.+?:\d+:\d+: .+ \(.+\)$")

TOKENS = [match.span() for match in re.finditer(r"[A-Za-z0-9_.\-]+|[\[\]{}:,]", EXAMPLE)]

NASTY = [
    "0", "-1", "1e400", "-.inf", ".nan", "~", "true", "on", "[]", "{}", "''", '"x"', "*a",
    "&a b", "!!int 3", "|", ">", "? x", "- ", "#", "%", "@", "`", "9" * 5000, "C/0", "{a: 1}",
    "[1, [2, [3]]]", "\t", "\x00", "\ufeff", "\U0001f600", "back_to_back", "loop", "tag", "mri",
    "---", "when:on", "[key]", "step:tag", "..", "\\", "null", "0x10", "1_0", "<<: *a", "=",
]  # fmt: skip

SCALARS = st.one_of(
    st.sampled_from(NASTY),
    st.text(max_size=8),
    st.floats().map(repr),
    st.integers().map(str),
)


@st.composite
def mutated(draw) -> str:
    """The example with a few words or signs replaced, removed, doubled or exchanged."""
    text = EXAMPLE
    spans = draw(st.lists(st.sampled_from(TOKENS), min_size=1, max_size=6, unique=True))
    for start, end in sorted(spans, reverse=True):
        word = draw(st.one_of(SCALARS, st.sampled_from(["", text[start:end] * 2])))
        text = text[:start] + word + text[end:]
    return text


def check(raw: bytes, folder: Path) -> None:
    path = folder / "exp.yaml"
    path.write_bytes(raw)
    told = None
    try:
        experiment = load_experiment(path, profile=PROFILE, environ={})
    except ExperimentError as error:
        told = error
    if told is not None:
        assert told.problems
        assert all(LINE.match(line) for line in str(told).split("\n")), str(told)
        return
    again = Experiment.model_validate(experiment.to_document())
    assert again.experiment_hash == experiment.experiment_hash
    assert experiment.lower().method


SETTINGS = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@SETTINGS
@given(text=mutated())
def test_random_mutations_of_the_example(tmp_path, text):
    check(text.encode("utf-8", "surrogatepass"), tmp_path)


@SETTINGS
@given(raw=st.binary(max_size=200))
def test_random_bytes(tmp_path, raw):
    check(raw, tmp_path)


JSON_LIKE = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@st.composite
def replaced(draw):
    """The example's content with one part, however deep, replaced by something arbitrary."""
    document = load_experiment(
        ROOT / "examples" / "in_situ_mri.yaml", profile=PROFILE, environ={}
    ).to_document()
    inner = document
    while True:
        keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
        key = draw(st.sampled_from(keys))
        if isinstance(inner[key], dict | list) and inner[key] and draw(st.booleans()):
            inner = inner[key]
            continue
        inner[key] = draw(JSON_LIKE)
        return document


@SETTINGS
@given(document=replaced())
def test_models_raise_nothing_but_validation_errors(document):
    told = ""
    try:
        Experiment.model_validate(document)
    except ValidationError as error:
        told = str(error)
    assert "Traceback" not in told


@pytest.mark.soak
@settings(max_examples=20_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=mutated())
def test_many_random_mutations(tmp_path, text):
    check(text.encode("utf-8", "surrogatepass"), tmp_path)
