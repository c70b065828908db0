"""Filaments that grow from the metal into the electrolyte while it is plated through few contacts.

They nucleate when the current density at what contact is left exceeds a limit at the beginning of
a plating (Zhao et al., Nature Communications 2025: several sites, 1.1 +- 0.4 um) [A, P].
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sim.samples.constants import UM_PER_MAH_PER_CM2
from sim.samples.void_parameters import VoidParameters
from sim.world import Floats

_FILAMENT_STREAM = 7


@dataclass(frozen=True)
class FilamentSites:
    """Where filaments grow in a window if they do, and how fast.

    Attributes:
        places_um: Place along the interface, um.
        diameters_um: Diameter, um.
        um_per_mah_per_cm2: Length per plated charge, um cm2/mAh.
    """

    places_um: Floats
    diameters_um: Floats
    um_per_mah_per_cm2: Floats

    def lengths_um(self, grown_mah_per_cm2: float, p: VoidParameters) -> Floats:
        """Lengths after a charge plated while growing, at most the electrolyte's thickness."""
        return np.minimum(self.um_per_mah_per_cm2 * grown_mah_per_cm2, p.electrolyte_um)

    def bridging_mah_per_cm2(self, p: VoidParameters) -> float:
        """Charge plated while growing at which the longest crosses the electrolyte, mAh/cm2."""
        return p.electrolyte_um / float(self.um_per_mah_per_cm2.max())

    def charge_mah_per_cm2(self, grown_mah_per_cm2: float, p: VoidParameters) -> float:
        """Lithium in the filaments: their number in the window squared is that of its square."""
        lengths = self.lengths_um(grown_mah_per_cm2, p)
        volume_um3 = float(np.mean(0.25 * math.pi * self.diameters_um**2 * lengths))
        per_um2 = (len(self.places_um) / p.window_um) ** 2
        return per_um2 * volume_um3 / UM_PER_MAH_PER_CM2


def draw_sites(p: VoidParameters, seed: int) -> FilamentSites:
    """The sites of one sample; the fastest rate is 1 +- 0.08 of the nominal one [A]."""
    stream = np.random.default_rng([seed, _FILAMENT_STREAM, 0])
    count = round(p.filaments_per_100_um * p.window_um / 100.0)
    rates = np.exp(p.filament_rate_sd * stream.standard_normal(count))
    fastest = max(p.filament_fastest_sd, 1.0 + p.filament_fastest_sd * stream.standard_normal())
    diameters = p.filament_um + p.filament_sd_um * stream.standard_normal(count)
    return FilamentSites(
        places_um=np.sort(stream.uniform(0.0, p.window_um, count)),
        diameters_um=np.maximum(p.filament_least_um, diameters),
        um_per_mah_per_cm2=p.filament_um_per_mah * rates * (fastest / rates.max()),
    )


def nucleates(p: VoidParameters, density_ma_per_cm2: float, contact_loss: float) -> bool:
    """Whether filaments form as plating begins at this current density, mA/cm2."""
    contact = max(1.0 - contact_loss, p.residual_contact)
    return density_ma_per_cm2 / contact > p.filament_ma_per_cm2
