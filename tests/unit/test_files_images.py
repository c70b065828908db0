"""TIFF and HDF5 files as microscopes, ImageJ and strangers write them."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.errors import DataFileError
from orchestrator.files import limits, read_images
from orchestrator.files.pixel_size import from_fei, from_ome, from_zeiss

GREY = np.arange(40 * 60, dtype=np.uint16).reshape(40, 60)


def fei(path: Path, *, tag: int = 34682, lines: int = 40) -> Path:
    """A scan of 40 lines with a data bar of 8 below, and the metadata of an FEI instrument."""
    text = (
        "[User]\r\nDate=11/26/2026\r\n[Scan]\r\nInternalScan=true\r\nPixelWidth=2.5e-008\r\n"
        f"PixelHeight=2.5e-008\r\n[Image]\r\nResolutionX=60\r\nResolutionY={lines}\r\n"
    ).encode()
    image = np.vstack([GREY, np.zeros((8, 60), np.uint16)])
    tifffile.imwrite(path, image, extratags=[(tag, 7, len(text), text, True)])
    return path


def zeiss(path: Path, unit: str = "nm") -> Path:
    text = (
        "0\r\n0\r\n0\r\n2.5e-008\r\nAP_MAG\r\nMag =  1.00 K X\r\n"
        f"AP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 25.00 {unit}\r\n"
    ).encode("latin-1")
    tifffile.imwrite(path, GREY, extratags=[(34118, 2, len(text), text, True)])
    return path


@pytest.mark.parametrize("tag", [34680, 34682])
def test_fei_files_have_their_pixel_and_lose_their_bar(tmp_path, tag):
    seen = read_images(fei(tmp_path / "a.tif", tag=tag))
    assert seen.pixel_um == pytest.approx(0.025)
    assert seen.pixel.source == "FEI Scan"
    assert (seen.frames == GREY).all()
    assert "8 lines below the scan" in seen.notes[0]


def test_zeiss_files_have_their_pixel(tmp_path):
    seen = read_images(zeiss(tmp_path / "a.tif"))
    assert (seen.pixel_um, seen.pixel.source) == (pytest.approx(0.025), "Zeiss")
    assert from_zeiss({"ap_pixel_size": ("Pixel Size", 0.1, "?m")}).x_um == 0.1
    assert from_zeiss({"ap_pixel_size": ("Pixel Size", 0.1)}) is None


@pytest.mark.parametrize(
    ("unit", "per_unit", "um"), [("um", 10, 0.1), ("micron", 4, 0.25), ("nm", 0.02, 0.05)]
)
def test_imagej_stacks(tmp_path, unit, per_unit, um):
    path = tmp_path / "a.tif"
    stack = np.stack([GREY, GREY + 1, GREY + 2])
    tifffile.imwrite(
        path, stack, imagej=True, resolution=(per_unit, per_unit), metadata={"unit": unit}
    )
    seen = read_images(path)
    assert (seen.frames == stack).all()
    assert (seen.pixel_um, seen.pixel.source) == (pytest.approx(um), "ImageJ")


def test_ome_files_in_any_unit(tmp_path):
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(
        path,
        GREY,
        metadata={"axes": "YX", "PhysicalSizeX": 50.0, "PhysicalSizeXUnit": "nm",
                  "PhysicalSizeY": 0.05, "PhysicalSizeYUnit": "µm"},
    )  # fmt: skip
    seen = read_images(path)
    assert (seen.pixel_um, seen.pixel.source) == (pytest.approx(0.05), "OME")
    assert from_ome('<OME><Pixels PhysicalSizeX="0.2" PhysicalSizeY="0.2"/></OME>').x_um == 0.2
    assert from_ome("<OME/>") is None


def test_a_printers_resolution_is_no_pixel_size(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, GREY, resolution=(72, 72), resolutionunit=2)
    seen = read_images(path)
    assert seen.pixel is None
    with pytest.raises(DataFileError, match=r"a\.tif: pixel size, got none .* --pixel-um"):
        seen.pixel_um  # noqa: B018
    given_size = seen.with_pixel_um(0.1)
    assert (given_size.pixel_um, given_size.notes) == (0.1, ())
    assert "the file says" in read_images(zeiss(tmp_path / "z.tif")).with_pixel_um(0.1).notes[0]


def test_pixels_that_are_not_square_are_refused():
    size = from_fei({"EScan": {"PixelWidth": 1e-7, "PixelHeight": 2e-7}})
    assert (size.x_um, size.y_um, size.square) == (pytest.approx(0.1), pytest.approx(0.2), False)
    assert from_fei({"Scan": {"PixelWidth": "wide"}, "Image": 3}) is None


def test_grey_saved_as_colour_is_grey_and_colour_is_refused(tmp_path):
    path = tmp_path / "a.tif"
    grey = (GREY % 256).astype(np.uint8)
    tifffile.imwrite(path, np.repeat(grey[..., None], 3, axis=2), photometric="rgb")
    assert (read_images(path).frames[0] == grey).all()
    colour = np.dstack([grey, grey + 1, grey])
    tifffile.imwrite(path, colour, photometric="rgb")
    with pytest.raises(DataFileError, match="3 different channels"):
        read_images(path)


def test_pages_of_another_shape_are_left_out(tmp_path):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        for image in (GREY, GREY + 1, GREY[:5, :5]):
            writer.write(image)
    seen = read_images(path)
    assert seen.frames.shape == (2, 40, 60)
    assert "1 of 3 pages" in seen.notes[0]


def test_compressed_files(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, GREY, compression="zlib")
    assert (read_images(path).frames[0] == GREY).all()


def test_lines_can_be_cut(tmp_path):
    seen = read_images(zeiss(tmp_path / "a.tif")).cropped(10, 30)
    assert (seen.frames[0] == GREY[10:30]).all()
    assert "lines 10 to 29 of 40" in seen.notes[0]
    with pytest.raises(DataFileError, match="lines, got 30:20"):
        seen.cropped(30, 20)
    with pytest.raises(DataFileError, match="expected a positive number"):
        seen.with_pixel_um(0.0)


def refusal(path: Path, **options: object) -> str:
    with pytest.raises(DataFileError) as caught:
        read_images(path, **options)
    assert caught.value.who == str(path)
    assert caught.value.remedy
    return str(caught.value)


def test_what_is_no_image_file_is_refused(tmp_path):
    assert "cannot be opened" in refusal(tmp_path / "none.tif")
    assert "kind of file, got '.png'" in refusal(tmp_path / "a.png")
    (tmp_path / "empty.tif").touch()
    assert "size, got 0 bytes" in refusal(tmp_path / "empty.tif")
    (tmp_path / "folder.tif").mkdir()
    assert "not an ordinary file" in refusal(tmp_path / "folder.tif")
    (tmp_path / "text.tif").write_text("not a TIFF file")
    assert "is not a TIFF file" in refusal(tmp_path / "text.tif")
    (tmp_path / "text.h5").write_text("not an HDF5 file")
    assert "is not an HDF5 file" in refusal(tmp_path / "text.h5")
    assert "got one for a TIFF file" in refusal(zeiss(tmp_path / "z.tif"), dataset="/a")
    tifffile.imwrite(tmp_path / "c.tif", GREY.astype(np.complex64))
    assert "of complex64, expected 2 or 3 of real" in refusal(tmp_path / "c.tif")


def test_an_image_that_claims_too_much_is_refused_before_memory_is_taken(tmp_path):
    """Row 22: files of others."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("huge", shape=(10**6, 10**5), dtype="f4", chunks=(100, 100))
    assert "100000000000 values" in refusal(path)
    assert limits.MAX_VALUES < 10**11


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_damaged_files_never_do_worse_than_be_refused(tmp_path, data):
    path = tmp_path / "damaged.tif"
    raw = bytearray(fei(path).read_bytes())
    for _ in range(data.draw(st.integers(1, 12))):
        # headers stand at the beginning, tags at the end
        near = data.draw(st.integers(0, 300))
        at = near if data.draw(st.booleans()) else len(raw) - 1 - near
        raw[at] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(raw[: data.draw(st.integers(1, len(raw)))]))
    try:
        seen = read_images(path)
    except DataFileError as error:
        assert error.remedy  # noqa: PT017
    else:
        assert seen.frames.ndim == 3


# --- HDF5 ---------------------------------------------------------------------------------------


def test_the_nexus_default_is_read_with_its_pixel(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["entry/data/data"] = np.stack([GREY, GREY])
        file["entry/data/data"].attrs["pixel_um"] = 0.1
        file["entry/data/data"].attrs["simulated"] = "true"
        file["other"] = GREY
    seen = read_images(path)
    assert seen.frames.shape == (2, 40, 60)
    assert (seen.pixel_um, seen.simulated) == (0.1, True)
    assert read_images(path, dataset="other").frames.shape == (1, 40, 60)
    assert "is not a dataset" in refusal(path, dataset="entry")
    assert "is not in the file" in refusal(path, dataset="entry/nothing")


def test_the_only_images_are_found_and_several_must_be_named(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["scan/frames"] = GREY
        file["scan/frames"].attrs.update({"pixel_size": [50.0, 50.0], "pixel_size_units": "nm"})
        file["scan/times"] = np.arange(3.0)
        file["scan/name"] = "words"
    assert read_images(path).pixel_um == pytest.approx(0.05)
    with h5py.File(path, "a") as file:
        file["scan/more"] = GREY
    assert "got 2 with two or three axes" in refusal(path)
    assert "real numbers" in refusal(path, dataset="scan/name")


def test_a_part_of_more_axes_is_chosen_in_brackets(tmp_path):
    path = tmp_path / "a.h5"
    four = np.arange(2 * 3 * 40 * 60.0).reshape(2, 3, 40, 60)
    with h5py.File(path, "w") as file:
        file["entry/data/data"] = four
        file.create_dataset("huge", shape=(10**6, 10, 10), dtype="f8", chunks=(1, 10, 10))
    assert "4 axes" in refusal(path)
    assert "--dataset '/entry/data/data[-1]'" in refusal(path)
    assert (read_images(path, dataset="/entry/data/data[-1]").frames == four[-1]).all()
    assert (read_images(path, dataset="[:, 1]").frames == four[:, 1]).all()
    assert read_images(path, dataset="huge[5]").frames.shape == (1, 10, 10)
    assert "got [0, 0, 0, 0, 0] of shape" in refusal(path, dataset="[0,0,0,0,0]")
    assert "got [7] of shape (2, 3, 40, 60)" in refusal(path, dataset="[7]")
    for wrong in ("a[b]", "a[1:2]", "a[1][2]", "a]"):
        assert "expected a path" in refusal(path, dataset=wrong)


def test_soft_links_are_followed_within_the_file(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["real/frames"] = GREY
        file["entry/data/data"] = h5py.SoftLink("/real/frames")
        file["real/here"] = h5py.SoftLink("frames")
        file["circle"] = h5py.SoftLink("/circle")
    assert (read_images(path).frames[0] == GREY).all()
    assert (read_images(path, dataset="real/here").frames[0] == GREY).all()
    assert "in a circle" in refusal(path, dataset="circle")


def test_nothing_outside_the_file_is_opened(tmp_path):
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["frames"] = GREY
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["entry/data/data"] = h5py.ExternalLink("secret.h5", "/frames")
        file["by_soft_link"] = h5py.SoftLink("/entry/data/data")
        layout = h5py.VirtualLayout(shape=(40, 60), dtype="u2")
        layout[:] = h5py.VirtualSource("secret.h5", "frames", shape=(40, 60))
        file.create_virtual_dataset("virtual", layout)
        (tmp_path / "raw.bin").write_bytes(GREY.tobytes())
        file.create_dataset(
            "raw", (40, 60), "u2", external=[(str(tmp_path / "raw.bin"), 0, GREY.nbytes)]
        )
    assert "links to another file, secret.h5" in refusal(path)
    assert "links to another file" in refusal(path, dataset="by_soft_link")
    assert "lie in other files" in refusal(path, dataset="virtual")
    assert "lie in other files" in refusal(path, dataset="raw")
