"""Lines of defence that have no test elsewhere, and the page that lists them all."""

from __future__ import annotations

import argparse
import ast
import csv
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from devices.drivers.bridge_lines import MAX_OBJECT_CHARACTERS, parse_object
from devices.errors import DeviceError, IdentityError
from devices.link import open_link
from devices.link_numbers import GarbledReplyError
from orchestrator.cli.main import VERBS, _parser
from orchestrator.equipment import Supplies
from orchestrator.errors import DataFileError
from orchestrator.experiment.model import Experiment
from orchestrator.files.images import read_images
from orchestrator.profile.loading import load_profile
from orchestrator.profile.models import BenchProfile
from orchestrator.records.runs import load_run
from orchestrator.report import per_cycle
from tests.sample_run import record_run
from tests.wire.test_console_driver import TOKEN, agent_on_tcp

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "security.md"

PACKAGES = ("orchestrator", "plans", "devices", "sim")
SECRET = re.compile(r"token|passw|secret|credential|api.?key", re.IGNORECASE)


# --- secrets ------------------------------------------------------------------------------------


def options(parser):
    """Every option and argument of a parser and of those below it."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in {id(one): one for one in action.choices.values()}.values():
                yield from options(sub)
        else:
            yield action


@pytest.mark.parametrize("verb", VERBS)
def test_no_verb_takes_a_secret_as_an_argument(verb):
    """What is in argv every user of the machine can read."""
    named = [
        word
        for action in options(_parser(verb))
        for word in (*action.option_strings, action.dest)
        if SECRET.search(word)
    ]
    assert not named


@pytest.mark.parametrize("model", [BenchProfile, Experiment])
def test_no_file_that_is_recorded_has_a_place_for_a_secret(model):
    """Profiles and experiments are in every start document: unknown keys are refused, and none
    of those that are known is one for a secret."""
    schema = model.model_json_schema()
    known = {
        name
        for part in (schema, *schema.get("$defs", {}).values())
        for name in part.get("properties", {})
    }
    assert len(known) > 20
    assert not {name for name in known if SECRET.search(name)}
    assert schema.get("additionalProperties") is False


def test_a_bench_takes_the_token_of_an_agent_from_the_environment(tmp_path, monkeypatch):
    """And neither from its profile nor into it, a record or a transcript."""
    for name in ("", "_FILE", "_MRI_CONSOLE", "_MRI_CONSOLE_FILE"):
        monkeypatch.delenv(f"OPERANDO_BRIDGE_TOKEN{name}", raising=False)
    nothing = dict.fromkeys(("clock", "open_link", "frames", "worker", "guard", "watch_records"))
    supplies = Supplies(profile=load_profile("sim-mri"), **nothing)
    transcript = tmp_path / "transcript.jsonl"
    with agent_on_tcp(tmp_path / "watched", token=TOKEN) as resource:
        link = open_link(resource, who="mri", transcript=transcript)
        try:
            with pytest.raises(IdentityError, match="wants a token"):
                supplies.driver("mri", "console")(link)
            monkeypatch.setenv("OPERANDO_BRIDGE_TOKEN", "that of another agent")
            kept = tmp_path / "token"
            kept.write_text(f"{TOKEN}\n")
            monkeypatch.setenv("OPERANDO_BRIDGE_TOKEN_MRI_CONSOLE_FILE", str(kept))
            kept.chmod(0o640)
            with pytest.raises(DeviceError, match="others may use it"):
                supplies.driver("mri", "console")
            kept.chmod(0o600)
            supplies.driver("mri", "console")(link).status()
        finally:
            link.close()
    said = transcript.read_text()
    assert "AUTH:RESP?" in said
    assert TOKEN not in said
    assert TOKEN not in str(supplies.profile.to_document())


# --- what comes in ------------------------------------------------------------------------------


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE OME [<!ENTITY a "aaaaaaaaaa">'
    + "".join(
        f'<!ENTITY {new} "{10 * f"&{old};"}">'
        for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    + "]><OME>&i;</OME>"
)
OTHER_FILE = (
    '<?xml version="1.0"?><!DOCTYPE OME [<!ENTITY x SYSTEM "file:///etc/passwd">]><OME>&x;</OME>'
)


@pytest.mark.parametrize("xml", [BOMB, OTHER_FILE, f"\ufeff  {OTHER_FILE}"])
def test_xml_in_an_image_that_grows_or_reads_files_is_refused(tmp_path, xml):
    path = tmp_path / "image.ome.tif"
    tifffile.imwrite(path, np.zeros((8, 8), np.uint8), description=xml.encode(), metadata=None)
    with pytest.raises(DataFileError, match="entities or a document type"):
        read_images(path)


def test_xml_that_only_describes_is_read(tmp_path):
    path = tmp_path / "image.tif"
    xml = b"<?xml version='1.0'?><note>a &amp; b</note>"
    tifffile.imwrite(path, np.ones((8, 8), np.uint8), description=xml, metadata=None)
    assert read_images(path).frames.shape == (1, 8, 8)
    tifffile.imwrite(path, np.ones((8, 8), np.uint8), description=b"<no xml", metadata=None)
    assert read_images(path).frames.shape == (1, 8, 8)


@pytest.mark.parametrize(
    "reply",
    ["[" * 200_000, '{"a":' * 200_000, '{"a": "' + "x" * MAX_OBJECT_CHARACTERS + '"}', '{"a": NaN}',
     "[1]", ""],
)  # fmt: skip
def test_json_of_an_instrument_is_capped_and_strict(reply):
    with pytest.raises(GarbledReplyError):
        parse_object(reply)


def test_no_archive_is_unpacked():
    """There is nothing that could write outside the data directory by the names in one."""
    unpacks = re.compile(r"\b(zipfile|tarfile|unpack_archive)\b")
    files = [path for one in PACKAGES for path in (ROOT / one).rglob("*.py")]
    assert len(files) > 300
    assert not [path for path in files if unpacks.search(path.read_text())]


def test_frames_are_those_beside_the_journal_wherever_it_says_they_are(tmp_path):
    """A journal that came from elsewhere leads into no other file."""
    uid = record_run(tmp_path, frames=1)
    run = load_run(tmp_path / "journals" / f"{uid}.jsonl")
    led = {key: {**doc, "uri": "file://localhost/etc/passwd"} for key, doc in run.resources.items()}
    assert replace(run, resources=led).frames("mri").path == tmp_path / "frames" / uid / "mri.h5"


# --- what goes out ------------------------------------------------------------------------------


class Remarks:
    """A table of cycles whose remarks came from somebody."""

    def __init__(self, *remarks):
        self.remarks = remarks

    def columns(self):
        return {"cycle": range(len(self.remarks)), "charge": [-1.5] * len(self.remarks),
                "remark": list(self.remarks)}  # fmt: skip


@pytest.mark.parametrize("begin", "=+-@\t\r")
def test_no_cell_of_a_csv_file_is_a_formula(begin):
    text = per_cycle.csv_text(Remarks(f'{begin}HYPERLINK("http://evil.example")', "ok", None))
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert rows[0]["remark"].startswith("'")
    assert [row["remark"] for row in rows[1:]] == ["ok", ""]
    assert rows[0]["charge"] == "-1.5"  # a number is one


def test_the_page_puts_nothing_into_itself_but_text():
    """What a run is called cannot become markup, a script or an address."""
    folder = ROOT / "orchestrator" / "http" / "page"
    script = (folder / "page.js").read_text()
    for word in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "Function(",
                 "setAttribute(\"on", "srcdoc", "javascript:", "postMessage"):  # fmt: skip
        assert word not in script, word
    page = (folder / "index.html").read_text()
    assert not re.search(r"https?:|//|style=|\son\w+=|<script>", page)
    assert "localStorage" not in script


# --- the page -----------------------------------------------------------------------------------


def listed():
    """(line, how, tests) of each row of the page."""
    cells = [
        [cell.strip() for cell in line.strip("|\n").split("|")]
        for line in PAGE.read_text().splitlines()
        if line.startswith("| ") and not line.startswith("| line")
    ]
    return [
        (line, how, re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", tests)) for line, how, tests in cells
    ]


def test_every_line_names_tests_that_exist():
    lines = listed()
    assert len(lines) >= 20
    for line, _, tests in lines:
        assert tests, line
        for file, name in tests:
            tree = ast.parse((ROOT / file).read_text())
            functions = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
            assert name in functions, f"{line}: {file}::{name}"
