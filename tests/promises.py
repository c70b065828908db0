"""The two promises, as every test of the fault matrix ends: off, and nothing acknowledged lost.

::

    with open_bench(...) as bench:
        seen = Witness(bench)
        ...
    seen.promises_kept()
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestrator.bench import Bench
from orchestrator.records.encoding import decode_line, encode_line
from orchestrator.records.reading import JournalContent, read_journal


class Witness:
    """Sees every document that a bench has recorded, and the cell itself.

    Args:
        bench: Open and simulated; its instruments are asked themselves, not over their wires, on
            which something may be wrong.

    Attributes:
        documents: What was recorded without an error, as a journal gives it back.
    """

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.documents: list[tuple[str, dict[str, Any]]] = []
        self._record = bench.RE._record
        bench.RE._record = self._seen

    def _seen(self, name: str, doc: dict[str, Any]) -> None:
        self._record(name, doc)
        self.documents.append((name, decode_line(encode_line(0, name, doc))[2]))

    @property
    def off(self) -> bool:
        """Whether no current can flow: no output is on, or its lead is open."""
        laboratory = self.bench.laboratory
        assert laboratory is not None
        return laboratory.truth()["current_ma"] == 0.0 and not self._outputs_on()

    def _outputs_on(self) -> list[str]:
        """Potentiostats whose output is on, by what they say themselves."""
        laboratory, profile = self.bench.laboratory, self.bench.profile
        on = []
        for name in profile.of_kind("potentiostat"):
            link = profile.links[name]
            instrument = laboratory.instruments[link.resource.removeprefix("sim://")]
            question = b":OUTP?" if "2450" in link.driver else b"TECH:STAT?"
            said = instrument.answer(question)
            on += [name] if said.endswith(b"1") else []
        return on

    def promises_kept(self, *, complete: bool = True) -> JournalContent:
        """Assert both promises of the last run; returns its journal.

        Args:
            complete: Its journal ends with a stop document, and everything is acknowledged.
        """
        assert self.off, "a current can flow"
        recorder = self.bench._recorder
        content = journal_kept(recorder.directory.journal(recorder.uid), complete=complete)
        mine = self.documents[-len(content.documents) :]
        assert content.documents == mine, "the journal is not what was recorded"
        if complete:
            assert recorder.acknowledged == len(mine) - 1, "not everything is acknowledged"
        return content


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
