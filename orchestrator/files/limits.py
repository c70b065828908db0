"""What a file may be, before anything of it is read."""

from __future__ import annotations

import math
import stat
from collections.abc import Sequence
from pathlib import Path

from orchestrator.errors import DataFileError

MAX_IMAGE_FILE_BYTES = 4 * 2**30
"""Largest file of images."""
MAX_VALUES = 256 * 2**20
"""Most values that are read from one file: 1 GiB as single precision."""
MAX_TABLE_BYTES = 64 * 2**20
"""Largest file of delimited text."""
MAX_ROWS = 1_000_000
"""Most rows of a table."""
MAX_COLUMNS = 200
"""Most columns of a table."""


def checked_file(path: Path, *, max_bytes: int) -> int:
    """Size of a file that may be read, in bytes.

    Args:
        path: The file.
        max_bytes: Largest size.

    Raises:
        DataFileError: It is missing, no ordinary file, empty, too large, or may not be read.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise DataFileError(
            str(path), f"cannot be opened: {error.strerror}", remedy="correct the path"
        ) from error
    if not stat.S_ISREG(status.st_mode):
        raise DataFileError(
            str(path), "is not an ordinary file", remedy="give the path of a file of data"
        )
    if not 0 < status.st_size <= max_bytes:
        raise DataFileError(
            str(path),
            f"size, got {status.st_size} bytes, expected 1 to {max_bytes}",
            remedy="export a part of it, or read it in Python with a library of your own",
        )
    return status.st_size


def checked_shape(path: Path, field: str, shape: Sequence[int]) -> None:
    """Refuse an array that holds nothing or more values than are read from one file.

    Raises:
        DataFileError: It does.
    """
    values = math.prod(int(length) for length in shape)
    if not 0 < values <= MAX_VALUES:
        raise DataFileError(
            str(path),
            f"{field}: shape, got {tuple(shape)} with {values} values, expected 1 to {MAX_VALUES}",
            remedy="export fewer frames, or crop them",
        )
