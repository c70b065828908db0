"""The JSON schemas are current, accept what we accept, and the verbs that hand them out work."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings

from orchestrator.cli.main import main
from orchestrator.errors import ExperimentError
from orchestrator.experiment import load_campaign, load_experiment
from orchestrator.experiment.templates import example_names, example_path
from orchestrator.inputs.source import parse_source, read_source
from orchestrator.schemas import SCHEMAS, schema_text
from tests.malformed import good_files, spoiled

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
VALIDATORS = {name: jsonschema.Draft202012Validator(make()) for name, make in SCHEMAS.items()}
EXPERIMENT = VALIDATORS["experiment"]
BENCHES = sorted((ROOT / "sim" / "benches").glob("*.yaml"))


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_schema_in_the_docs_is_current(name):
    kept = ROOT / "docs" / "reference" / f"{name}.schema.json"
    assert kept.read_text(encoding="utf-8") == schema_text(name), (
        f"run: operando schema {name} > {kept.relative_to(ROOT)}"
    )
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name]())


@pytest.mark.parametrize("path", [*EXAMPLES, *BENCHES], ids=lambda path: path.name)
def test_what_ships_satisfies_the_schema_it_names(path):
    first = path.read_text(encoding="utf-8").splitlines()[0]
    comment = "# yaml-language-server: $schema="
    assert first.startswith(comment)
    kept = (path.parent / first.removeprefix(comment)).resolve()
    assert kept.is_relative_to(ROOT / "docs" / "reference")
    name = kept.name.removesuffix(".schema.json")  # which is current, as tested above
    VALIDATORS[name].validate(read_source(path).data)


def test_documents_satisfy_the_schema():
    for path in EXAMPLES:
        for point in load_campaign(path, environ={}).points:
            EXPERIMENT.validate(point.experiment.to_document())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("sample", "area_cm2"), "0.1"),
        (("sample", "area_cm2"), 0),
        (("protocol", "safety", "max_voltage_V"), None),
        (("protocol", "method", 1, "current_mA_per_cm2"), 0),
        (("protocol", "method", 1, "step"), "rest"),
        (("protocol", "method", 5, "cycle_count"), 0),
        (("images", 0, "when"), {"every": 3}),
        (("images", 0, "settings", "averages"), 0),
        (("stop_when", 0), "hard_shorts"),
        (("stop_when", 0), {"voltage_above_v": "4"}),
        (("md",), {"a.b": 1}),
        (("sampel",), {}),
    ],
)
def test_the_schema_refuses_what_we_refuse(path, value):
    document = read_source(ROOT / "examples" / "in_situ_mri.yaml").data
    inner = document
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        EXPERIMENT.validate(document)


@settings(max_examples=150, deadline=None)
@given(case=spoiled())
def test_schema_and_model_refuse_the_same_words(case):
    """An editor sees every key that we do not know, and every value of a wrong kind."""
    spot, word = case
    if "nan" in word or "inf" in word or "1e400" in word or word.count(spot.word) > 1:
        return  # JSON has neither, and no key twice
    data = parse_source(spot.changed(word).encode(), spot.file).data
    free = spot.path[0] in ("md", "sweep", "variables")
    assert free or not EXPERIMENT.is_valid(data), (spot, word)


def test_the_schema_takes_what_no_example_has():
    for name in ("everything.yaml", "imaged.yaml"):
        EXPERIMENT.validate(parse_source(good_files()[name].encode(), name).data)


def test_the_example_is_the_one_of_the_reference():
    """The reference page shows the example as it is."""
    page = (ROOT / "docs" / "reference" / "experiment-file.md").read_text(encoding="utf-8")
    text = (ROOT / "examples" / "in_situ_mri.yaml").read_text(encoding="utf-8")
    assert text[text.index("experiment: ") :] in page
    bench = (ROOT / "docs" / "reference" / "bench-profile.md").read_text(encoding="utf-8")
    shipped = (ROOT / "sim" / "benches" / "sim-mri.yaml").read_text(encoding="utf-8")
    assert shipped[shipped.index("bench: ") :] in bench


# --- the verbs -----------------------------------------------------------------------------------


def test_schema_prints_the_schema(capsys):
    assert main(["schema", "bench-profile"]) == 0
    assert capsys.readouterr().out == schema_text("bench-profile")
    assert main(["schema", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == SCHEMAS["experiment"]()


def test_new_writes_every_example_anywhere(tmp_path, capsys, monkeypatch):
    """From another folder, into a third one: the copy is the example, and editors find a schema."""
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for name in example_names():
        path = tmp_path / "there" / f"my_{name}.yaml"
        assert main(["new", "--like", name, str(path), "--json"]) == 0
        said = json.loads(capsys.readouterr().out)
        assert said["file"] == str(path)
        first, *others = path.read_text(encoding="utf-8").splitlines()
        assert first == "# yaml-language-server: $schema=experiment.schema.json"
        assert others == example_path(name).read_text("utf-8").splitlines()[1:]
    assert json.loads((path.parent / "experiment.schema.json").read_text("utf-8")) == (
        SCHEMAS["experiment"]()
    )
    assert not list((tmp_path / "here").iterdir())


def test_new_never_overwrites_without_being_told_to(tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    path.write_text("precious")
    (tmp_path / "experiment.schema.json").write_text("{}")
    assert main(["new", str(path)]) == 2
    assert "exists already, expected a new file (use --force" in capsys.readouterr().err
    assert path.read_text() == "precious"
    assert (tmp_path / "experiment.schema.json").read_text() == "{}"
    assert main(["new", str(path), "--force"]) == 0
    assert path.read_text(encoding="utf-8").startswith("# yaml-language-server")


def test_new_in_a_folder_takes_the_name_of_the_example(tmp_path):
    assert main(["new", "--like", "quick_look", str(tmp_path), "-q"]) == 0
    assert load_experiment(tmp_path / "quick_look.yaml", environ={}).experiment == "quick-look"


def test_new_says_what_there_is(tmp_path, capsys):
    assert main(["new", "--like", "insitu_mri", str(tmp_path / "x.yaml")]) == 2
    assert "did you mean in_situ_mri?" in capsys.readouterr().err
    assert main(["new", str(tmp_path / "no" / "x.yaml")]) == 2
    assert "cannot be written: No such file or directory" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    with pytest.raises(ExperimentError, match="expected an example"):
        example_path("../pyproject")
    assert example_names() == [path.stem for path in EXAMPLES]
