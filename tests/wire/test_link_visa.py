"""Links through a VISA library that is neither PyVISA-py's socket nor the laboratory's."""

from __future__ import annotations

import numpy as np
import pytest
from pyvisa.constants import ResourceAttribute, StatusCode

from devices.errors import LinkError
from devices.link import open_link
from sim.wire.visa import SimulatedVisaLibrary

ADDRESS = "GPIB0::12::INSTR"


class Meter:
    def answer(self, message: bytes) -> bytes | None:
        replies = {
            b"*IDN?": b"ACME,Meter,SIM-1,1.0",
            b"VOLT?": b"1.5",
            b"DATA?": b"#18" + np.array([1.0, 9.91e37], "<f4").tobytes(),
            b"TWO?": b"1\n2",
            b"FRAME?": b"#7" + b"1000000" + b"\n" * 1_000_000,
        }
        return replies.get(message)


class BusLibrary(SimulatedVisaLibrary):
    """A bus with an END line: replies carry no newline, and their last piece says `success`.

    It hands out 5 bytes at a time and tells nobody how many wait, as vendors' libraries do.
    """

    bytes_waiting = None

    def read(self, session, count):
        self.timeouts_ms.append(self.get_attribute(session, ResourceAttribute.timeout_value)[0])
        data, status = super().read(session, min(count, 5))
        if not data.endswith(b"\n"):
            return data, status
        return data[:-1], StatusCode.success


@pytest.fixture
def library():
    library = BusLibrary({ADDRESS: Meter()})
    library.timeouts_ms = []
    return library


@pytest.fixture
def link(library):
    link = open_link(ADDRESS, who="dmm", visa_library=library, timeout_s=0.5)
    yield link
    link.close()


def test_the_end_line_ends_a_reply_without_newline(link):
    assert link.identity.model == "Meter"
    assert link.ask("VOLT?") == "1.5"
    assert link.counters.reconnects == 0


def test_a_block_behind_the_end_line(link):
    np.testing.assert_array_equal(link.query_binary("DATA?"), np.array([1.0, np.nan], "<f4"))
    assert link.ask("VOLT?") == "1.5"
    assert link.counters.reconnects == 0


def test_no_infinite_timeout_survives_on_the_library(link, library):
    link.adapter.connection.timeout = None
    assert link.ask("VOLT?") == "1.5"
    assert 0 < max(library.timeouts_ms) <= 500


def test_no_reply_is_late_and_the_next_question_has_a_new_connection(link):
    with pytest.raises(LinkError, match="dmm: no reply in time"):
        link.ask("SILENT?")
    assert link.ask("VOLT?") == "1.5"


def test_a_name_visa_does_not_know_is_a_link_error():
    with pytest.raises(LinkError, match="dmm: cannot open nonsense"):
        open_link("nonsense", who="dmm")


def test_a_library_that_is_not_there_is_a_link_error():
    with pytest.raises(LinkError, match="dmm: cannot open GPIB0"):
        open_link(ADDRESS, who="dmm", visa_library="/no/such/library.so@ivi")


def test_the_adapter_shows_what_upstream_drivers_look_for(link):
    assert repr(link.adapter) == f"<LinkAdapter(link='{ADDRESS}')>"
    assert link.adapter.resource_name == ADDRESS
    link.adapter.connection.chunk_size = 1024
    assert link.adapter.connection.chunk_size == 1024
    link.adapter.write_bytes(b"VOLT?\n")
    assert link.adapter.read_bytes(-1) == b"1.5\n"


class CountingLibrary(SimulatedVisaLibrary):
    """The laboratory's library, with its reads counted."""

    reads = 0

    def read(self, session, count):
        self.reads += 1
        return super().read(session, count)


def test_newlines_in_a_block_end_no_read():
    """A block of a million newline bytes takes a few reads, not a million."""
    library = CountingLibrary({"dmm": Meter()})
    link = open_link("sim://dmm", who="dmm", visa_library=library)
    before = library.reads
    assert link.query_binary("FRAME?").tobytes() == b"\n" * 1_000_000
    assert library.reads - before < 20
    assert link.ask("VOLT?") == "1.5"  # a newline ends a line again
    assert link.counters.reconnects == 0
    link.close()
