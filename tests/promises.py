"""The two promises, as every test of the fault matrix ends: off, and nothing acknowledged lost.

::

    with open_bench(...) as bench:
        seen = Witness(bench)
        ...
    seen.promises_kept()
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.bench import Bench
from orchestrator.records.encoding import decode_line, encode_line
from orchestrator.records.reading import JournalContent, read_journal


class Witness:
    """Sees every document that a bench has recorded, and the cell itself.

    Args:
        bench: Open and simulated; its instruments are asked themselves, not over their wires, on
            which something may be wrong.

    Attributes:
        documents: What was recorded, as a journal gives it back.
        refused: Numbers of those whose recording raised; they may be in the journal, too (of a
            full disk the last document is in the place of the ballast).
    """

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.documents: list[tuple[str, dict[str, Any]]] = []
        self.refused: set[int] = set()
        self._record = bench.RE._record
        bench.RE._record = self._seen

    def _seen(self, name: str, doc: dict[str, Any]) -> None:
        self.documents.append((name, decode_line(encode_line(0, name, doc))[2]))
        try:
            self._record(name, doc)
        except Exception:
            self.refused.add(len(self.documents) - 1)
            raise

    @property
    def off(self) -> bool:
        """Whether no current flows and none can: no output is on, or its lead is open."""
        laboratory = self.bench.laboratory
        assert laboratory is not None
        with laboratory.world.lock:
            now_s = laboratory.world.catch_up()
            flows = laboratory.world.sample.terminals(np.array([now_s])).current_ma[0]
        driven = [one for one in self.bench.profile.of_kind("potentiostat") if self._drives(one)]
        return not flows and not driven

    def _drives(self, potentiostat: str) -> bool:
        """Whether an output is on and connected, by what the instruments say themselves."""
        return self._connected(f"{potentiostat}.disconnect") and self._output_on(potentiostat)

    def _output_on(self, name: str) -> bool:
        if self.bench.profile.links[name].driver == "keithley_2450":
            return self._said(name, b":OUTP?") == b"1"
        return bool(json.loads(self._said(name, b"TECH:STAT?"))["cell_on"])

    def _connected(self, name: str) -> bool:
        if name not in self.bench.profile.links:
            return True
        device, _, part = name.partition(".")
        channel = getattr(self.bench.profile.devices[device], part).channel
        return self._said(name, f":ROUT:MULT:CLOS:STAT? (@{channel})".encode()) == b"1"

    def _said(self, name: str, question: bytes) -> bytes:
        resource = self.bench.profile.links[name].resource
        answer: bytes = self.bench.laboratory.instruments[resource.removeprefix("sim://")].answer(
            question
        )
        return answer

    def promises_kept(self, *, complete: bool = True) -> JournalContent:
        """Assert both promises of the last run; returns its journal.

        Args:
            complete: Its journal ends with a stop document, and everything is acknowledged.
        """
        assert self.off, "a current can flow"
        recorder = self.bench._recorder
        content = journal_kept(recorder.directory.journal(recorder.uid), complete=complete)
        assert content.documents == self._expected(content), "the journal is not what was recorded"
        if complete:
            assert recorder.acknowledged == len(content.documents) - 1, "not all is acknowledged"
        return content

    def _expected(self, content: JournalContent) -> list[tuple[str, dict[str, Any]]]:
        """What was recorded in the last run; of what was refused, what the journal kept."""
        begins = max(k for k, (name, _) in enumerate(self.documents) if name == "start")
        return [
            document
            for number, document in enumerate(self.documents[begins:], start=begins)
            if number not in self.refused or document in content.documents
        ]


def journal_kept(path: Path, *, complete: bool = True) -> JournalContent:
    """Assert that a journal can be read whole; returns it.

    Args:
        path: The journal.
        complete: It ends with a stop document.
    """
    content = read_journal(path)
    assert not content.bad
    assert not content.missing
    assert content.complete or not complete, "the run has no stop document"
    return content
