"""First, middle and last frame side by side, as measured and without the electrode lines."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patheffects import withStroke

from orchestrator.analysis.growth import S_PER_DAY
from orchestrator.analysis.image_model import electrode_profiles, lateral_profile
from orchestrator.analysis.layers import OK
from orchestrator.report.contents import Contents
from orchestrator.report.imaging import Imaging, LayerAnalysis
from orchestrator.report.style import MARK, WIDTH_IN, new_figure

Floats = npt.NDArray[np.float64]

_MARGIN_MM = 1.0
_SCALE_BAR_MM = 1.0
_IMAGE_WIDTH_IN, _APART_IN, _BETWEEN_IN = 2.72, 0.12, 0.18
_LEFT_IN, _ABOVE_IN, _BELOW_IN = 0.42, 0.62, 0.15
_TITLE: dict[str, Any] = {"fontsize": 10, "fontweight": "normal", "loc": "left"}


def draw_frames(contents: Contents, imaging: Imaging) -> Figure | None:
    """Three frames with a common grey scale; None if there is no image to show.

    Args:
        contents: The run.
        imaging: Its frames.
    """
    if imaging.images is None:
        return None
    chosen = chosen_frames(imaging)
    analysis = imaging.analysis
    rows = 1 if analysis is None else 2
    row_in = _IMAGE_WIDTH_IN * _aspect(imaging)
    height_in = _ABOVE_IN + rows * row_in + (rows - 1) * _BETWEEN_IN + _BELOW_IN
    figure = new_figure(contents.provenance, height_in=height_in)
    width_in = len(chosen) * (_IMAGE_WIDTH_IN + _APART_IN)
    grid = figure.add_gridspec(
        rows,
        len(chosen),
        left=_LEFT_IN / WIDTH_IN,
        right=(_LEFT_IN + width_in - _APART_IN) / WIDTH_IN,
        top=1 - _ABOVE_IN / height_in,
        bottom=_BELOW_IN / height_in,
        hspace=_BETWEEN_IN / row_in,
        wspace=_APART_IN / _IMAGE_WIDTH_IN,
    )
    images = [np.asarray(imaging.images[index], dtype=float) for index in chosen]
    sets = [("largest in y" if imaging.is_view else "as measured", images)]
    if analysis is not None:
        lines = _electrode_lines(analysis)
        sets.append(("electrodes removed", [image - lines for image in images]))
    for row, (label, shown) in enumerate(sets):
        noise = float(np.nanmedian(analysis.layers.noise)) if analysis is not None else 0.0
        high = max(float(np.nanmax(image)) for image in shown)
        for column, image in enumerate(shown):
            axes = figure.add_subplot(grid[row, column])
            drawn = _draw_frame(axes, image, imaging, limits=(-2 * noise, high))
            if column == 0:
                axes.set_ylabel(label, fontsize=10)
                _scale_bar(axes)
            if row == 0:
                axes.set_title(_title(contents, imaging, chosen[column]), **_TITLE)
            if imaging.flags[chosen[column]] != OK:
                axes.set_xlabel(imaging.flags[chosen[column]], color=MARK, fontsize=9.5)
        _grey_scale(figure, axes, drawn)
    return figure


def _grey_scale(figure: Figure, beside: Axes, drawn: AxesImage) -> None:
    box = beside.get_position()
    axes = figure.add_axes((box.x1 + 0.012, box.y0, 0.014, box.height))
    bar = figure.colorbar(drawn, cax=axes)
    bar.set_label("signal / a.u.", fontsize=9.5)
    axes.tick_params(labelsize=9)


def _window_mm(imaging: Imaging) -> tuple[float, float, float, float]:
    """Left, right, top and bottom of what is shown, mm from the centre of the field of view."""
    if imaging.analysis is None:
        width_mm, height_mm = _extent_mm(imaging)
        return -0.5 * width_mm, 0.5 * width_mm, -0.5 * height_mm, 0.5 * height_mm
    cell = imaging.analysis.layers.cell
    x_mm, radius_mm = cell.centre_mm[0], 0.5 * cell.electrode_diameter_mm
    borders_mm = cell.layer_borders_mm
    return (
        x_mm - radius_mm - _MARGIN_MM,
        x_mm + radius_mm + _MARGIN_MM,
        float(borders_mm[0]) - _MARGIN_MM,
        float(borders_mm[-1]) + _MARGIN_MM,
    )


def _aspect(imaging: Imaging) -> float:
    left, right, top, bottom = _window_mm(imaging)
    return (bottom - top) / (right - left)


def _extent_mm(imaging: Imaging) -> tuple[float, float]:
    """Field of view, or pixels where it is not known."""
    if imaging.view_fov_mm is not None:
        return imaging.view_fov_mm
    assert imaging.images is not None  # noqa: S101 - only called for images
    return float(imaging.images.shape[2]), float(imaging.images.shape[1])


def chosen_frames(imaging: Imaging) -> list[int]:
    """Indices of the first, middle and last usable frame, fewer if there are fewer."""
    usable = [index for index, flag in enumerate(imaging.flags) if flag == OK]
    usable = usable or list(range(len(imaging.flags)))
    return sorted({usable[0], usable[len(usable) // 2], usable[-1]})


def _electrode_lines(analysis: LayerAnalysis) -> Floats:
    """Model image of the two electrode lines, in units of the image."""
    cell = analysis.layers.cell
    along_z = electrode_profiles(cell) @ analysis.layers.electrodes_umol_per_cm2
    return np.outer(along_z, lateral_profile(cell)) * cell.signal_factor


def _draw_frame(
    axes: Axes, image: Floats, imaging: Imaging, *, limits: tuple[float, float]
) -> AxesImage:
    lines, columns = image.shape
    width_mm, height_mm = _extent_mm(imaging)
    dx_mm, dz_mm = width_mm / columns, height_mm / lines
    # Pixel (m, n) lies at ((n - columns // 2) dx, (m - lines // 2) dz): DFT convention.
    left, top = -(columns // 2 + 0.5) * dx_mm, -(lines // 2 + 0.5) * dz_mm
    drawn = axes.imshow(
        image,
        cmap="gray",
        vmin=limits[0],
        vmax=limits[1],
        extent=(left, left + width_mm, top + height_mm, top),
        interpolation="nearest",
    )
    axes.set_xticks([])
    axes.set_yticks([])
    shown = _window_mm(imaging)
    axes.set_xlim(shown[0], shown[1])
    axes.set_ylim(shown[3], shown[2])
    if imaging.analysis is not None:
        _borders(axes, imaging.analysis, dz_mm)
    return drawn


def _borders(axes: Axes, analysis: LayerAnalysis, dz_mm: float) -> None:
    """Mark the borders of the layers at the sides of the cell."""
    cell = analysis.layers.cell
    radius_mm = 0.5 * cell.electrode_diameter_mm
    x_mm = cell.centre_mm[0]
    # the model puts the centre of the cell half a fine voxel before a pixel's centre
    z_mm = cell.layer_borders_mm - 0.5 * dz_mm / cell.oversampling[1]
    for side in (-1.0, 1.0):
        near, far = x_mm + side * (radius_mm + 0.15), x_mm + side * (radius_mm + 0.5)
        axes.hlines(z_mm, min(near, far), max(near, far), color="#56B4E9", linewidth=1.2)
    for layer in range(4):
        axes.text(
            x_mm + radius_mm + 0.6,
            float(z_mm[layer : layer + 2].mean()),
            str(layer + 1),
            color="#56B4E9",
            fontsize=9,
            ha="left",
            va="center",
            path_effects=[withStroke(linewidth=2.5, foreground="black")],
        )


def _scale_bar(axes: Axes) -> None:
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    x_mm = left + 0.05 * (right - left)
    z_mm = bottom + 0.08 * (top - bottom)
    axes.plot([x_mm, x_mm + _SCALE_BAR_MM], [z_mm, z_mm], color="white", linewidth=3)
    axes.text(
        x_mm + 0.5 * _SCALE_BAR_MM,
        z_mm + 0.04 * (top - bottom),
        f"{_SCALE_BAR_MM:g} mm",
        color="white",
        ha="center",
        va="bottom",
        fontsize=9.5,
    )


def _title(contents: Contents, imaging: Imaging, index: int) -> str:
    """Number, time and charge that had passed by the end of the frame."""
    text = f"frame {index}, {imaging.centre_s[index] / S_PER_DAY:.2f} d"
    if contents.echem is not None:
        records = contents.echem.records
        passed_mah = np.interp(imaging.end_s[index], records.time_s, records.throughput_mah)
        text += f", {passed_mah:.2f} mAh passed"
    return text
