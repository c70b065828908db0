"""What a potentiostat shows of going on after a crash; see `docs/explanation/resume.md`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from ophyd.status import Status

from devices.adoption import Adoption, Journaled
from devices.cell_adopting import AdoptingRunner
from devices.errors import LinkError
from devices.impedance import ImpedanceSpectra
from devices.signals import ReadbackSignal

log = logging.getLogger(__name__)

_TRIES = 3


class Adoptable:
    """Mixin of a potentiostat: a checkpoint of its work, and going on from one."""

    name: str
    eis: ImpedanceSpectra
    end_reason: ReadbackSignal
    _runner: AdoptingRunner
    _done: Status
    _adopted = False

    @property
    def remember(self) -> Callable[[], None]:
        """Called before the instrument forgets records, before the cell is energised, and after.

        Set it to what writes a checkpoint durably. Between two steps plans do that themselves;
        spectra, exposures and amendments stop and start the cell on the clock, where no plan is.
        What it raises keeps the cell off.
        """
        return self._runner.remember

    @remember.setter
    def remember(self, write: Callable[[], None]) -> None:
        self._runner.remember = write

    def checkpoint(self) -> dict[str, Any]:
        """Where its work stands, JSON-able; asks the instrument nothing, at any moment."""
        return {
            **self._runner.checkpoint(),
            "end_reason": self.end_reason.get(),
            "eis": self.eis.checkpoint(),
        }

    def adopt(self, state: Mapping[str, Any], journaled: Journaled | None = None) -> Adoption:
        """Go on with the work of a process that is gone, before anything else touches the cell.

        The instrument is read first: who it is, what runs, what is driven, which records it has.
        A program that runs is followed again, and `prepare`, `kickoff` and `complete` of the same
        technique join it. Records that no journal has wait for the next `collect`; conditions
        that begin to watch before that are shown them too. Charge goes on counting. Nothing is
        started; what does not fit is switched off, verified. `stage` keeps what was adopted.

        What a link spoils is read again, three times in all. If it raises, it may be called again;
        so may it be by the next process.

        Args:
            state: The last `checkpoint`.
            journaled: What the journal holds, which may be more than the checkpoint knows.

        Raises:
            LinkError: The instrument did not answer; nothing was changed.
            OutputFault: What was found does not fit, and cannot be switched off.
        """
        held = journaled or Journaled()
        for tries_left in range(_TRIES - 1, -1, -1):
            self.eis.restore(state["eis"], held.spectra)
            self.end_reason.update("")
            self._done = Status(obj=self, timeout=None)
            try:
                adoption = self._runner.adopt(state, held)
                break
            except LinkError as error:
                if not tries_left:
                    raise
                log.warning("%s: read again: %s", self.name, error)
        self._adopted = True
        self._end_adoption(adoption)
        return adoption

    def _end_adoption(self, adoption: Adoption) -> None:
        """Show what was found."""
        raise NotImplementedError
