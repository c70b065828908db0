"""Space kept back on the disk for the last documents of a run."""

from __future__ import annotations

import os
from pathlib import Path

SIZE_BYTES = 4 * 2**20
"""Enough for the last page of each stream and the stop documents of a run."""

_BLOCK_BYTES = 64 * 1024


class Ballast:
    """A file that is made shorter when a journal finds the disk full.

    Args:
        path: The file; it is written out in full, since a sparse file keeps nothing back.
        size_bytes: Its size.

    Raises:
        OSError: The disk is too full for it: a run must not begin.
    """

    def __init__(self, path: Path, size_bytes: int = SIZE_BYTES) -> None:
        self._path = path
        self._left_bytes = size_bytes
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            os.posix_fallocate(fd, 0, size_bytes)
            os.fsync(fd)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(fd)

    @property
    def left_bytes(self) -> int:
        """What can still be given."""
        return self._left_bytes

    def give(self, size_bytes: int) -> bool:
        """Give at least `size_bytes` back to the disk; False if so much is not left."""
        size_bytes = -(-size_bytes // _BLOCK_BYTES) * _BLOCK_BYTES
        if size_bytes > self._left_bytes:
            return False
        self._left_bytes -= size_bytes
        os.truncate(self._path, self._left_bytes)
        return True

    def drop(self) -> None:
        """Give everything back; idempotent."""
        self._left_bytes = 0
        self._path.unlink(missing_ok=True)
