"""Write SIMULATED files of the kinds that `operando analyse` reads, to try it without a microscope.

python files_to_analyse.py [FOLDER]
"""

import sys
from pathlib import Path

import h5py
import numpy as np
import tifffile

from sim.images import ebic
from sim.images.mri import PUBLISHED_2D, FlashImager
from sim.images.sem import FilamentOutline, SemImager, VoidOutline
from sim.samples.impedance import impedance_ohm, with_noise
from sim.samples.llzo_cell import LlzoCell
from sim.samples.llzto_pellet import LlztoPellet
from sim.samples.void_cell import VoidCell
from sim.samples.void_composition import stripped_magnesium
from sim.samples.void_parameters import find_preset

SAYS_SO = "SIMULATED, not measured"


def tiff(path: Path, frames: np.ndarray, pixel_um: float) -> None:
    """Write frames as ImageJ does, with the size of a pixel."""
    tifffile.imwrite(
        path,
        frames.astype(np.float32),
        imagej=True,
        resolution=(1 / pixel_um, 1 / pixel_um),
        metadata={"unit": "um", "Info": SAYS_SO},
    )


def table(path: Path, titles: list[str], *columns: np.ndarray) -> None:
    """Write columns below a header with units."""
    rows = (",".join(f"{value:.8g}" for value in row) for row in zip(*columns, strict=True))
    path.write_text("\n".join([f"# {SAYS_SO}", ",".join(titles), *rows]) + "\n")


def micrographs(folder: Path) -> None:
    """Lithium-magnesium while it is stripped, and lithium with filaments while it is plated."""
    alloy = VoidCell.from_preset("limg_lpscl", seed=2)
    alloy.apply_current(0.0, 0.5 * alloy.area_cm2)
    imager, frames = SemImager(2), []
    for index in range(6):
        face = alloy.geometry(900.0 * (index + 1))
        edges = zip(face.left_um, face.right_um, face.height_um, strict=True)
        frames.append(imager.frame([VoidOutline(*map(float, each)) for each in edges], index))
    tiff(folder / "stripping.tif", np.array(frames), 0.1)

    lithium = VoidCell.from_preset("li_lpscl", seed=1)
    lithium.apply_current(0.0, 0.5 * lithium.area_cm2)
    lithium.apply_current(9000.0, -0.5 * lithium.area_cm2)
    face = lithium.geometry(9720.0)
    places = zip(
        face.filament_places_um, face.filament_diameters_um, face.filament_lengths_um, strict=True
    )
    grown = [FilamentOutline(*map(float, each)) for each in places]
    tiff(folder / "plating.tif", SemImager(1).frame([], 0, grown)[None], 0.1)


def pellet(folder: Path) -> None:
    """A lithiophobic garnet pellet at its short: induced current, and a spectrum before it."""
    cell = LlztoPellet.from_preset("lithiophobic", seed=1)
    cell.apply_current(0.0, 0.5 * cell.area_cm2)
    axis_um = np.arange(-400.0, 400.0)
    clean = ebic.ebic_map_na(cell.spallations(1200.0), axis_um, axis_um)
    tiff(folder / "ebic.tif", ebic.with_noise(clean, seed=1, frame_index=0)[None], 1.0)

    hertz = np.geomspace(7e6, 0.5, 73)
    ohm = with_noise(impedance_ohm(hertz, cell.resistances(3600.0)), seed=1, spectrum_index=0)
    titles = ["freq/Hz", "Re(Z)/Ohm", "-Im(Z)/Ohm"]
    table(folder / "spectrum.csv", titles, hertz, ohm.real, -ohm.imag)


def lithium_in_garnet(folder: Path) -> None:
    """Two-dimensional MRI of a cell that is cycled for four frames, half a week apart."""
    cell, t_s = LlzoCell.from_preset("small_4p8"), 0.0
    while t_s < 7 * 86_400.0:
        for sign, duration_s in ((1, 1800.0), (0, 300.0), (-1, 1800.0), (0, 300.0)):
            cell.apply_current(t_s, sign * 0.1 * cell.area_cm2)
            t_s += duration_s
    imager = FlashImager(cell.geometry, PUBLISHED_2D, 1)
    days = (0.0, 2.0, 4.0, 6.5)
    layers = [cell.layers_umol_per_cm2(day * 86_400.0) for day in days]
    with h5py.File(folder / "mri.h5", "w") as file:
        data = np.array([imager.frame(each, k) for k, each in enumerate(layers)])
        file["entry/data/data"] = data
        file["entry/data/data"].attrs["simulated"] = "true"


def stripping_records(folder: Path) -> None:
    """Voltage of lithium that loses contact, and magnesium along a line in the alloy."""
    cell = VoidCell.from_preset("li_lpscl", seed=1)
    cell.apply_current(0.0, 0.5 * cell.area_cm2)
    t_s = np.arange(30.0, 9000.0, 30.0)
    seen = cell.terminals(t_s)
    titles = ["time/s", "Ewe/V", "I/mA"]
    table(folder / "records.csv", titles, t_s, seen.voltage_v, seen.current_ma)

    alloy = find_preset("limg_lpscl").parameters
    depth_um = np.arange(0.25, 70.0, 0.5)
    expected = stripped_magnesium(depth_um, 4.0, alloy) * 1e5
    counts = np.random.default_rng(1).poisson(expected)
    table(folder / "line.csv", ["depth/um", "Mg counts"], depth_um, counts)


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    target.mkdir(parents=True, exist_ok=True)
    for write in (micrographs, pellet, lithium_in_garnet, stripping_records):
        write(target)
    print(f"{len(list(target.iterdir()))} files in {target}: {SAYS_SO}")
