"""Voids at the interface between metal and solid electrolyte, from one micrograph.

Pixels darker than a share of the metal's grey value, above the interface, are void. Each
connected object has a width along the interface, a height into the metal above the interface of
the same column, and an area; the contact loss is the share of columns with void next to the
interface.

Smoothing and threshold make a void a little narrower and smaller than it is, the more so the
flatter it is: `EdgeBias` gives that back. Errors combine the
position of an edge in the image's own noise, the scatter that the bias leaves, and, for number
and contact loss, how much they depend on the threshold.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from orchestrator.analysis.interface import Image, Interface, find_interface

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

THRESHOLD = 0.58
"""Grey value below which a pixel is void, over that of the metal: half way down to the void."""
THRESHOLDS = (0.52, 0.64)
"""Thresholds between which number and contact loss are called certain."""
CONTACT_UM, CONTACT_PX = 0.5, 4.0
"""Void this near to the interface takes contact away, um; nearer than blur shows if pixels are
coarse, hence at least so many pixels."""
MIN_AREA_PX = 15
"""Smaller objects are noise, pixels; grows with the smoothing when counts are few."""
_SMOOTHING_PX = 1.0
_BELOW_PX = 3
_OPENING = np.ones((2, 2), dtype=bool)
_BLUR_PX = 0.8
_LARGEST_RELATIVE = 0.8


@dataclass(frozen=True)
class EdgeBias:
    """What smoothing and threshold take from a void, and how much of that varies between voids.

    A half ellipse is lower than can be seen near its ends: of the width w of one of height h,
    w sqrt(1 - (t/h)^2) is left, with t the lowest height that is seen. The defaults are measured
    once on images of known voids, with pixels of 0.1 um, a blur of 0.8 px and grey values of 150,
    70 and 12 ([A], calibrated); the lengths grow with the size of a pixel, and with the smoothing
    when counts are few. Measure them again for another microscope; `EdgeBias.none()` gives the raw
    boxes.

    Attributes:
        lowest_um: Lowest height that is seen, um.
        height_um: Measured height minus true height, um.
        area_um: Measured minus true area per width, um.
        width_scatter_um: Standard deviation that remains in a width, um.
        height_scatter_um: Standard deviation that remains in a height, um.
        pixel_um: Size of the pixels with which all this was measured, um.
    """

    lowest_um: float = 0.35
    height_um: float = 0.10
    area_um: float = -0.125
    width_scatter_um: float = 0.09
    height_scatter_um: float = 0.06
    pixel_um: float = 0.10

    @classmethod
    def none(cls) -> EdgeBias:
        """No correction; the errors allow for the usual bias instead."""
        return cls(0.0, 0.0, 0.0, 0.25, 0.15)


@dataclass(frozen=True)
class MeasuredVoid:
    """One void of a micrograph; lengths in um, positions from the left border.

    Attributes:
        left_um: Its left end.
        right_um: Its right end.
        height_um: How far it reaches from the interface into the metal.
        area_um2: Its area, um2.
        width_error_um: Standard error of the width.
        height_error_um: Standard error of the height.
        area_error_um2: Standard error of the area, um2.
        cut: Whether a border of the frame cuts it: then it is wider than it seems.
        hidden_um: Part of the width that was not seen but added by `EdgeBias`.
    """

    left_um: float
    right_um: float
    height_um: float
    area_um2: float
    width_error_um: float
    height_error_um: float
    area_error_um2: float
    cut: bool
    hidden_um: float

    @property
    def width_um(self) -> float:
        """Extent along the interface, um."""
        return self.right_um - self.left_um


@dataclass(frozen=True)
class VoidMeasurement:
    """What one micrograph shows.

    Attributes:
        voids: From left to right.
        field_um: Width of the frame, um.
        number_error: Half the range of the number between two thresholds.
        contact_loss: Share of the interface without contact, 0 to 1; NaN if not measured.
        contact_loss_error: Its standard error.
        interface_um: Mean depth of the interface below the upper border, um.
        quality: ``ok`` or a reason. With few counts there are still numbers.
    """

    voids: tuple[MeasuredVoid, ...]
    field_um: float
    number_error: float
    contact_loss: float
    contact_loss_error: float
    interface_um: float
    quality: str

    @property
    def measured(self) -> bool:
        """Whether the numbers mean anything: False if there was no interface to measure from."""
        return bool(np.isfinite(self.contact_loss))

    @property
    def number(self) -> float:
        """Voids in the frame; NaN if not measured."""
        return float(len(self.voids)) if self.measured else np.nan

    @property
    def number_per_100_um(self) -> float:
        """Voids per 100 um of interface; NaN if not measured."""
        return 100.0 * self.number / self.field_um

    @property
    def widths_um(self) -> Floats:
        """Widths of the voids that no border cuts, um."""
        return np.array([void.width_um for void in self.voids if not void.cut])

    @property
    def heights_um(self) -> Floats:
        """Heights of all voids, um."""
        return np.array([void.height_um for void in self.voids])

    @property
    def area_um2(self) -> float:
        """Area of all voids, um2; NaN if not measured."""
        return float(sum(void.area_um2 for void in self.voids)) if self.measured else np.nan

    @property
    def area_error_um2(self) -> float:
        """Standard error of `area_um2`: the edges of all voids err together, so errors add."""
        errors = sum(void.area_error_um2 for void in self.voids)
        return float(errors) if self.measured else np.nan

    def without_drift(self, x_um: float, y_um: float) -> VoidMeasurement:
        """The same, with positions in the reference frame of a registered series.

        Args:
            x_um: Displacement of this frame's object to the right, um.
            y_um: Displacement down, um.
        """
        voids = tuple(
            replace(void, left_um=void.left_um - x_um, right_um=void.right_um - x_um)
            for void in self.voids
        )
        return replace(self, voids=voids, interface_um=self.interface_um - y_um)


def five_numbers(values: npt.ArrayLike) -> Floats:
    """Minimum, lower quartile, median, upper quartile and maximum; NaN without values."""
    values = np.asarray(values, dtype=np.float64)
    if not values.size:
        return np.full(5, np.nan)
    return np.asarray(np.percentile(values, (0, 25, 50, 75, 100)), dtype=np.float64)


def measure_voids(
    image: npt.ArrayLike, pixel_um: float, *, bias: EdgeBias | None = None
) -> VoidMeasurement:
    """Find and measure the voids of one micrograph.

    Args:
        image: Grey values, shape (lines, columns), metal above and electrolyte below.
        pixel_um: Size of a pixel, um.
        bias: What the measurement adds; the default `EdgeBias` if None.

    Returns:
        The voids, contact loss and quality. An image that is dark or shows no interface gives no
        voids, NaN and the reason.

    Raises:
        ValueError: The image is not two-dimensional or the pixel size not positive.
    """
    grey = np.asarray(image, dtype=np.float32)
    interface = find_interface(grey, pixel_um)
    field_um = grey.shape[-1] * pixel_um
    if not interface.found:
        return VoidMeasurement((), field_um, np.nan, np.nan, np.nan, np.nan, interface.quality)
    last = min(int(np.ceil(interface.line.max())) + _BELOW_PX + 1, len(grey))
    sigma_px = _SMOOTHING_PX * interface.widening
    seen = grey[: last + int(np.ceil(5 * sigma_px))]
    smooth = ndimage.gaussian_filter(seen, sigma_px)[:last]
    scene = _Scene(smooth, interface, pixel_um, bias or EdgeBias())
    mask = scene.mask(THRESHOLD)
    voids = scene.voids(mask)
    others = [scene.mask(threshold) for threshold in THRESHOLDS]
    numbers = [ndimage.label(each)[1] for each in others]
    loss = scene.contact_loss(mask, voids)
    return VoidMeasurement(
        voids,
        field_um,
        0.5 * float(np.ptp([*numbers, len(voids)])),
        loss,
        scene.contact_loss_error([mask, *others], voids),
        float(interface.line.mean()) * pixel_um,
        interface.quality,
    )


@dataclass(frozen=True)
class _Scene:
    """Smoothed metal of one micrograph and its interface."""

    smooth: Image
    interface: Interface
    pixel_um: float
    bias: EdgeBias

    @property
    def depth_px(self) -> Floats:
        """Position of each pixel below the interface of its column, pixels."""
        return np.asarray(np.arange(len(self.smooth))[:, None] + 0.5 - self.interface.line)

    @property
    def blur_px(self) -> float:
        """Standard deviation of the beam's blur and the smoothing together, pixels."""
        return float(np.hypot(_SMOOTHING_PX * self.interface.widening, _BLUR_PX))

    @property
    def growth(self) -> float:
        """Blur in um over that for which `EdgeBias` is measured."""
        scale = self.pixel_um / self.bias.pixel_um
        return float(scale * self.blur_px / np.hypot(_SMOOTHING_PX, _BLUR_PX))

    @property
    def edge_error_um(self) -> float:
        """Error of an edge: a pixel's step, and noise over the slope of a blurred step."""
        sigma_px = _SMOOTHING_PX * self.interface.widening
        noise = self.interface.noise * self.interface.metal / (2 * np.sqrt(np.pi) * sigma_px)
        step = 2.0 * (1.0 - THRESHOLD) * self.interface.metal
        slope = step / (np.sqrt(2 * np.pi) * self.blur_px)
        return float(np.hypot(noise / slope, 12**-0.5)) * self.pixel_um

    def mask(self, threshold: float) -> Mask:
        """Void pixels: dark, opened, in objects that are large enough."""
        dark = self.smooth < threshold * self.interface.metal
        dark &= self.depth_px <= _BELOW_PX
        # voids lie at the interface: the lines of metal above the first dark one say nothing
        lines = np.flatnonzero(dark.any(axis=1))
        first = max(int(lines[0]) - len(_OPENING), 0) if len(lines) else len(dark)
        labels, count = ndimage.label(ndimage.binary_opening(dark[first:], _OPENING))
        smallest_px = MIN_AREA_PX * self.interface.widening
        large = np.bincount(labels.ravel(), minlength=count + 1) >= smallest_px
        large[0] = False
        mask = np.zeros(dark.shape, dtype=bool)
        mask[first:] = large[labels]
        return mask

    def voids(self, mask: Mask) -> tuple[MeasuredVoid, ...]:
        """Objects of the mask from left to right."""
        labels, count = ndimage.label(mask)
        boxes = enumerate(ndimage.find_objects(labels, count), start=1)
        found = [self._void(box, labels[box] == label) for label, box in boxes]
        return tuple(sorted(found, key=lambda void: void.left_um))

    def _void(self, box: tuple[slice, slice], pixels: Mask) -> MeasuredVoid:
        lines, columns = box
        at_left, at_right = columns.start == 0, columns.stop == self.smooth.shape[1]
        rise_px = self.interface.line[columns] - lines.start - pixels.argmax(axis=0)
        height_um = float(rise_px.max()) * self.pixel_um - self.growth * self.bias.height_um
        height_um = max(height_um, 0.0)
        seen_um = (columns.stop - columns.start) * self.pixel_um
        end_um = 0.5 * self._hidden_um(seen_um, height_um)
        field_um = self.smooth.shape[1] * self.pixel_um
        left_um = max(columns.start * self.pixel_um - end_um, 0.0)
        right_um = min(columns.stop * self.pixel_um + end_um, field_um)
        edge_um, width_um = self.edge_error_um, right_um - left_um
        scatter = self.pixel_um / self.bias.pixel_um
        width_error_um = float(np.hypot(np.sqrt(2) * edge_um, scatter * self.bias.width_scatter_um))
        height_error_um = float(
            np.hypot(np.sqrt(2) * edge_um, scatter * self.bias.height_scatter_um)
        )
        area_um2 = int(pixels.sum()) * self.pixel_um**2
        return MeasuredVoid(
            left_um=left_um,
            right_um=right_um,
            height_um=height_um,
            area_um2=area_um2 - self.growth * self.bias.area_um * width_um,
            width_error_um=width_error_um,
            height_error_um=height_error_um,
            area_error_um2=edge_um * width_um,
            cut=at_left or at_right,
            hidden_um=right_um - left_um - seen_um,
        )

    def _hidden_um(self, seen_um: float, height_um: float) -> float:
        """Part of a half ellipse's width that is too low to be seen, um; see `EdgeBias`."""
        lowest_um = self.growth * self.bias.lowest_um
        relative = min(lowest_um / max(height_um, lowest_um, 1e-9), _LARGEST_RELATIVE)
        return float(seen_um * ((1.0 - relative**2) ** -0.5 - 1.0))

    def _lost(self, mask: Mask) -> float:
        """Share of columns with void next to the interface."""
        near = self.depth_px >= -max(CONTACT_UM / self.pixel_um, CONTACT_PX)
        return float((mask & near).any(axis=0).mean())

    def contact_loss(self, mask: Mask, voids: tuple[MeasuredVoid, ...]) -> float:
        """Columns with void next to the interface, and what the bias of the ends hides."""
        hidden_um = sum(void.hidden_um for void in voids)
        return float(min(self._lost(mask) + hidden_um / (mask.shape[1] * self.pixel_um), 1.0))

    def contact_loss_error(self, masks: list[Mask], voids: tuple[MeasuredVoid, ...]) -> float:
        """Half the range between thresholds, with the scatter of the voids' ends."""
        field_um = masks[0].shape[1] * self.pixel_um
        ends_um = float(np.sqrt(sum(void.width_error_um**2 for void in voids)))
        half_range = 0.5 * float(np.ptp([self._lost(mask) for mask in masks]))
        return float(np.hypot(half_range, ends_um / field_um))
