"""A potentiostat's work whose running step may be changed: other ends, limits, records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devices.cell_face import Phase
from devices.cell_run import CellRun
from devices.cell_runner import CellRunner
from devices.errors import DeviceError, LimitError
from devices.roles import Program
from devices.technique import Amendment, Technique, remainder

_TRIES = 3
_ENDED = "the step has ended"


class Amendments:
    """Changes of the running step that wait until what is left of it is loaded again."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Amendment, Callable[[], None]]] = []

    def add(self, amendment: Amendment, told: Callable[[], None]) -> None:
        """Let one wait; `told` is called once it is settled."""
        self._waiting.append((amendment, told))

    def apply(
        self, technique: Technique, left: Program, load: Callable[[Program], None]
    ) -> tuple[Technique, Program | None]:
        """The step and what is left of it with every change that the instrument takes.

        Args:
            technique: The step.
            left: What is left of it.
            load: Has the instrument check and load a program; raises `LimitError`.
        """
        rest: Program | None = left
        while self._waiting and rest is not None:
            amendment, told = self._waiting[0]
            changed = amendment.rest(rest)
            try:
                if changed is not None:
                    load(changed)
            except LimitError as error:
                amendment.refused = str(error)
            else:
                technique, rest = amendment.technique, changed
            self._waiting.pop(0)
            told()
        return technique, rest

    def refuse_all(self, reason: str) -> None:
        """None of them comes to hold."""
        waiting, self._waiting = self._waiting, []
        for amendment, told in waiting:
            amendment.refuse(reason, told)


class AmendableRunner(CellRunner):
    """The work of a potentiostat, the running step of which may be changed.

    Args:
        *args: As for `CellRunner`.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._amendments = Amendments()

    @property
    def left(self) -> Program | None:
        """What is left of the step at this moment; None where none runs."""
        if self.phase not in (Phase.RUNNING, Phase.PAUSED) or self._left is None:
            return None
        if self.run is None or self.run.apart:  # it stands still
            return self._left
        return remainder(self._left, self.run.elapsed_s(self._clock.time()))

    def amend(self, amendment: Amendment, told: Callable[[], None]) -> None:
        """Go on with a changed step: its program is ended, and what is left loaded anew.

        Args:
            amendment: The change; says itself if the instrument refuses it.
            told: Called once it is settled: it holds, is refused, or the step had ended.
        """
        if self._technique is not amendment.of or self.phase is not Phase.RUNNING:
            amendment.refuse(_ENDED, told)
            return
        self._amendments.add(amendment, told)
        if not self._interrupting:
            self._clock.attempt(lambda: self._interrupt(_TRIES))

    def _load_next(self) -> CellRun | None:
        if self._left is not None and self._technique is not None:
            whole = self._technique, self._left
            self._technique, self._left = self._amendments.apply(*whole, self._backend.load)
        return super()._load_next()

    def _survives(self, error: DeviceError) -> bool:
        self._amendments.refuse_all(f"the step failed: {error}")
        return super()._survives(error)

    def _end(self, reason: str) -> None:
        self._amendments.refuse_all(_ENDED)
        super()._end(reason)
