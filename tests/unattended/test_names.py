"""Names that are no file names: refused where they have a use, escaped where they are only said."""

from __future__ import annotations

import re
from uuid import UUID

import pytest
import yaml

from orchestrator.cli import main
from orchestrator.records.directory import DataDirectory
from orchestrator.records.runs import find_run, load_run
from tests.command import EXAMPLES
from tests.promises import journal_kept

NASTY = ("ünï 中 名", "../../x", "a.b", "-rf", "<b>&", "=1+1")
SAID = ("a\0b", "\x1b[31mred", "a\nb", "x" * 5000, *NASTY)
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")


def written(folder, **names):
    """The quick look with other names; returns its file."""
    document = yaml.safe_load((EXAMPLES / "quick_look.yaml").read_text(encoding="utf-8"))
    document["images"][0]["when"] = {"at": ["start"]}
    document |= {key: value for key, value in names.items() if key != "name"}
    document["sample"]["name"] = names.get("name", "S")
    path = folder / "names.yaml"
    path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    return path


@pytest.mark.parametrize("key", ["experiment", "name"])
@pytest.mark.parametrize("text", ["a\0b", "\x1b[31m", "a\nb", "$x", "x" * 5000, "", "  "])
def test_what_no_name_may_be_is_refused(tmp_path, capsys, key, text):
    """Row 35: NUL, escapes, line ends, a variable, very long, empty; nothing is made."""
    data = tmp_path / "data"
    assert main(["run", str(written(tmp_path, **{key: text})), "--data", str(data)]) == 2
    said = capsys.readouterr().err
    assert re.search(r"names\.yaml:\d+:\d+: ", said)
    assert not _CONTROL.search(said)
    assert not data.exists()


def test_files_are_named_by_uids_and_what_is_said_is_escaped(tmp_path, capsys):
    """Row 35: everything else is recorded as it is."""
    data, md = tmp_path / "deep" / "data", {f"n{k}": text for k, text in enumerate(SAID)}
    for text in NASTY:
        file = written(tmp_path, experiment=text, name=text, md=md)
        assert main(["run", str(file), "--data", str(data), "-q", "--no-report"]) == 0
        journal = find_run(data, "-1")
        journal_kept(journal)
        start = load_run(journal).start
        assert (start["plan_name"], start["sample"]["name"]) == (text, text)
        assert [start[f"n{k}"] for k in range(len(SAID))] == list(SAID)
    capsys.readouterr()
    uids = set(DataDirectory(data).runs())
    assert len(uids) == len(NASTY)
    assert all(str(UUID(uid)) == uid for uid in uids)
    for folder in ("journals", "frames"):
        assert {path.name.partition(".")[0] for path in (data / folder).iterdir()} == uids
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "names.yaml"]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["data"]
    for words in (["runs"], ["show", "-1"]):
        assert main([*words, "--data", str(data)]) == 0
        printed = capsys.readouterr()
        assert not _CONTROL.search(printed.out + printed.err), words
