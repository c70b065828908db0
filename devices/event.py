"""What happened during a run, as readings of a soft device: the stream ``events``."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ophyd import Component as Cpt
from ophyd import Device

from devices.clock import Clock
from devices.signals import ReadbackSignal


class EventNote(Device):
    """One occurrence: its kind, a sentence, and a number where there is one.

    Args:
        prefix: Not used; ophyd passes it.
        name: Prefix of the data keys.
        clock: The experiment's clock.
        **kwargs: As for `ophyd.Device`.

    Attributes:
        known: Occurrences by kind and text that are recorded already, and how often.
    """

    what = Cpt(ReadbackSignal, value="", dtype="string")
    text = Cpt(ReadbackSignal, value="", dtype="string")
    value = Cpt(ReadbackSignal, value=float("nan"), precision=6)
    origin = Cpt(ReadbackSignal, value="", dtype="string")

    def __init__(
        self, prefix: str = "", *, name: str = "event", clock: Clock, **kwargs: Any
    ) -> None:
        self.clock = clock
        self.known: Counter[tuple[str, str]] = Counter()
        super().__init__(prefix, name=name, **kwargs)
        self.what.name = f"{name}_kind"  # ophyd keeps the attribute `kind` for itself

    def forget(self, kind: str, beginning: str, end: str = "") -> bool:
        """Whether one that is recorded already is of this kind and begins and ends so, once."""
        for known, times in list(self.known.items()):
            if times > 0 and known[0] == kind and _is(known[1], beginning, end):
                self.known[known] -= 1
                return True
        return False

    def note(self, kind: str, text: str, value: float = float("nan"), *, origin: str = "") -> None:
        """Set what the next reading says.

        Args:
            kind: ``condition``, ``frame_missing``, ``pause``, ``note``, ...
            text: A sentence for a person.
            value: A number that belongs to it, in the unit that the text names.
            origin: Who asked for it, and the id of the request; empty where the plan itself notes.
        """
        self.what.update(kind)
        self.text.update(text)
        self.value.update(value)
        self.origin.update(origin)


def _is(text: str, beginning: str, end: str) -> bool:
    return text.startswith(beginning) and text.endswith(end)
