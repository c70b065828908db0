"""Writing a file that a person asked for, and never over another by accident."""

from __future__ import annotations

from pathlib import Path


def write_file(path: Path, content: bytes, *, force: bool) -> None:
    """Write a file; without `force` never over an existing one.

    Raises:
        ExperimentError: It exists, or cannot be written.
    """
    from orchestrator.errors import ExperimentError  # keep `--help` fast

    try:
        with path.open("wb" if force else "xb") as stream:
            stream.write(content)
    except FileExistsError:
        raise ExperimentError(
            str(path), "exists already, expected a new file", remedy="use --force to overwrite it"
        ) from None
    except OSError as error:
        raise ExperimentError(
            str(path), f"cannot be written: {error.strerror}", remedy="choose another place"
        ) from None
