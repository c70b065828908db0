"""Finds and reads bench profiles."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from orchestrator.inputs.invalid import ProfileFileError
from orchestrator.inputs.models import validated
from orchestrator.inputs.problems import (
    Finding,
    InvalidInput,
    Problem,
    described,
    name_remedy,
    printable,
)
from orchestrator.inputs.source import is_readable_file, printable_path, read_source, top_mapping
from orchestrator.profile.models import NAME, BenchProfile

FOLDERS_VARIABLE = "OPERANDO_BENCHES"
"""Environment variable with folders of profiles, separated as in PATH."""

_SUFFIXES = (".yaml", ".yml")


def load_profile(
    name_or_path: str | Path,
    *,
    beside: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> BenchProfile:
    """Read and check a bench profile.

    A text with a slash or ending in ``.yaml`` is a path; anything else is a name, looked for in
    the working directory, in the folders of $OPERANDO_BENCHES, and among the shipped profiles.

    Args:
        name_or_path: ``sim-mri`` or ``benches/mine.yaml``.
        beside: Folder that relative paths start from, and that names are looked for in first;
            None is the working directory.
        environ: Environment; None is the process's.

    Raises:
        ProfileError: With every error of the file, at file:line:column.
    """
    try:
        path = find_profile(name_or_path, beside=beside, environ=environ)
        return read_profile(path, name=None if _is_path(name_or_path) else str(name_or_path))
    except InvalidInput as error:
        raise ProfileFileError(error.problems) from None


def read_profile(path: Path, *, name: str | None = None) -> BenchProfile:
    """Read the profile at a path.

    Args:
        path: The file.
        name: The name it was found by, which it must have itself; None does not matter.

    Raises:
        InvalidInput: With every problem.
    """
    source = read_source(path)
    top_mapping(source, "a bench profile")
    profile, found = validated(BenchProfile, source.data)
    if profile is not None and name is not None and profile.bench != name:
        what = f"got '{profile.bench}', expected '{name}' as the file is called"
        found.append(Finding(("bench",), what, "rename the file or the bench"))
    if profile is None or found:
        raise InvalidInput([source.place(finding) for finding in found])
    return profile


def find_profile(
    name_or_path: str | Path,
    *,
    beside: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Path:
    """The file of a profile; see `load_profile`.

    Raises:
        InvalidInput: There is none.
    """
    start = beside if beside is not None else Path()
    if _is_path(name_or_path):
        return start / name_or_path
    name = str(name_or_path)
    if re.fullmatch(NAME, name) is None:
        what = f"got {described(name)}, expected the name of a bench profile or a path to one"
        raise _not_found(name, what, "use letters, digits, '_', '-', '.', or give a path")
    folders = list(_folders(start, os.environ if environ is None else environ))
    for folder in folders:
        for suffix in _SUFFIXES:
            path = folder / f"{name}{suffix}"
            if is_readable_file(path):
                return path
    looked = ", ".join(printable_path(folder) for folder in folders)
    what = f"got '{name}', found no such bench profile in {looked}"
    raise _not_found(name, what, name_remedy(name, profile_names(environ)))


def profile_names(environ: Mapping[str, str] | None = None) -> list[str]:
    """Names of the profiles that can be given by name, from the search folders."""
    folders = _folders(Path(), os.environ if environ is None else environ)
    found = {
        path.stem
        for folder in list(folders)[1:]
        for path in (sorted(folder.iterdir()) if folder.is_dir() else ())
        if path.suffix in _SUFFIXES
    }
    return sorted(found)


def shipped_folder() -> Path | None:
    """Where the shipped profiles of simulated benches lie; None without the simulator.

    The package is located, not imported: only the laboratory knows the simulator.
    """
    spec = importlib.util.find_spec("sim")
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    return Path(places[0]) / "benches" if places else None


def _folders(start: Path, environ: Mapping[str, str]) -> Iterator[Path]:
    yield start
    for folder in environ.get(FOLDERS_VARIABLE, "").split(os.pathsep):
        if folder:
            yield Path(folder)
    shipped = shipped_folder()
    if shipped is not None:
        yield shipped


def _is_path(name_or_path: str | Path) -> bool:
    text = str(name_or_path)
    return isinstance(name_or_path, Path) or "/" in text or "\\" in text or text.endswith(_SUFFIXES)


def _not_found(name: str, what: str, remedy: str) -> InvalidInput:
    return InvalidInput([Problem(printable(name), 1, 1, Finding((), what, remedy))])
