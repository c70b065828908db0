"""What is read from a potentiostat on its way to the log, to who shows it and to who watches."""

from __future__ import annotations

import numpy as np

from devices.cell_face import Face, Place
from devices.cell_records import CellLog
from devices.cell_run import CellRun
from devices.impedance import ImpedanceSpectra
from devices.roles import Page


class CellIntake:
    """Takes pages of records.

    Args:
        face: What shows them.
        log: Where they go.
        eis: Who asks for spectra, and keeps them.

    Attributes:
        place: Where the running step stands.
        last: Last current (mA) and voltage (V) of a step or a spectrum; NaN before the first.
        last_s: Experiment time of the last record of any program, Unix s.
    """

    def __init__(self, face: Face, log: CellLog, eis: ImpedanceSpectra) -> None:
        self._face, self._log, self._eis = face, log, eis
        self.place = Place()
        self.last: tuple[float, float] = (np.nan, np.nan)
        self.last_s = -np.inf

    def take(self, run: CellRun, page: Page) -> None:
        """Take what was read of a running program."""
        run.take(page)
        if not len(page.elapsed_s):
            return
        # the sum of two times may be rounded to before the record that came last
        t_s = np.maximum(run.began_s + page.elapsed_s, self.last_s)
        self.last_s = float(t_s[-1])
        if not run.apart:
            self.last = float(page.current_ma[-1]), float(page.voltage_v[-1])
        place = (self.place.step_index, self.place.cycle)
        records = self._log.add((t_s, page.current_ma, page.voltage_v), place, run.began_s)
        self._face.show_records(records)
        self._log.tell(records)

    def keep_spectrum(self, run: CellRun, page: Page) -> bool:
        """Keep a spectrum that is whole; one that the instrument ended early is none.

        Returns:
            Whether it was kept now.
        """
        if run.sweep is None or run.stored:
            return False
        points = run.points()
        if points is None:
            if page.reason not in ("", "stopped"):
                self._eis.drop(run.request, f"ended early: {page.reason}")
            return False
        run.stored = True
        if run.request in (None, self._eis.next):
            charge = self._log.charge
            self._eis.store(points, run.began_s, lambda t_s: charge.at(t_s)[0], run.request)
        return True
