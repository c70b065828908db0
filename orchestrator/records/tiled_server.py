"""Tiled in a process of its own, for one data directory: ``python -m`` this module ``DATA``.

SQLite catalogue, SQLite tables, files under the data directory only, loopback, a port that the
system chooses, a key from a file that only its owner reads. When it serves it writes its address
to `store/server.json`; when nobody uses the store any more (`locks.Users`) it ends, however its
users ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
import sqlite3
import sys
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from orchestrator.records.directory import DataDirectory
from orchestrator.records.locks import FileLock, Users
from orchestrator.records.uploads import (
    address_file,
    api_key_file,
    server_lock,
    uploads_file,
    users_lock,
)

CATALOG_SPEC = {"name": "CatalogOfBlueskyRuns", "version": "3.0"}
_END_TIMEOUT_S = 3


def import_tiled_server() -> None:
    """Import Tiled's server without two packages that it imports and that nothing here uses.

    Tiled 0.2.20 imports ``sparse`` for two type annotations, and with it numba and LLVM (210 MB),
    and ``hdf5plugin`` for compression filters, which our files do not use. Placeholders stand in
    while Tiled's modules are read and are gone afterwards, so that Tiled sees what is not here
    (it asks `modules_available`). A package that is installed is used.
    """
    import dask.array  # noqa: F401 - it tries to import sparse too and must see that it is absent

    with _stand_in("sparse", COO=type("COO", (), {})):
        import tiled.adapters.protocols
    with _stand_in("hdf5plugin"):
        import tiled.adapters.hdf5  # noqa: F401


@contextlib.contextmanager
def _stand_in(name: str, **attributes: Any) -> Iterator[None]:
    """Let ``import name`` succeed although the package is not installed."""
    if find_spec(name) is not None:
        yield
        return
    placeholder: Any = ModuleType(name)
    vars(placeholder).update(attributes)
    sys.modules[name] = placeholder
    try:
        yield
    finally:
        del sys.modules[name]


async def prepare_catalog(uri: str) -> bool:
    """Make the catalogue's tables if it is new; returns whether it was.

    Raises:
        tiled.alembic_utils.DatabaseUpgradeNeeded: Another version of Tiled made it.
    """
    from sqlalchemy.ext.asyncio import create_async_engine
    from tiled.alembic_utils import UninitializedDatabase, check_database
    from tiled.catalog.core import ALL_REVISIONS, REQUIRED_REVISION, initialize_database

    engine = create_async_engine(uri)
    try:
        await check_database(engine, REQUIRED_REVISION, ALL_REVISIONS)
    except UninitializedDatabase:
        await initialize_database(engine)
        return True
    finally:
        await engine.dispose()
    return False


def build_app(directory: DataDirectory, api_key: str) -> Any:
    """The ASGI application that serves a data directory."""
    from bluesky_tiled_plugins.exporters import json_seq_exporter
    from tiled.alembic_utils import stamp_head
    from tiled.catalog import from_uri
    from tiled.catalog.alembic_constants import ALEMBIC_DIR, ALEMBIC_INI_TEMPLATE_PATH
    from tiled.config import Authentication
    from tiled.media_type_registration import default_serialization_registry
    from tiled.server.app import build_app as build_tiled

    files, frames = directory.store / "files", directory.root / "frames"
    files.mkdir(parents=True, exist_ok=True)
    frames.mkdir(parents=True, exist_ok=True)
    uri = f"sqlite+aiosqlite:///{_catalog(directory)}"
    if asyncio.run(prepare_catalog(uri)):
        stamp_head(ALEMBIC_INI_TEMPLATE_PATH, ALEMBIC_DIR, uri)
    # databroker's .documents() asks for this form, and nobody else registers it
    default_serialization_registry.register("BlueskyRun", "application/json-seq", json_seq_exporter)
    tree = from_uri(
        uri,
        writable_storage=[str(files), f"sqlite:///{_tables(directory)}"],
        readable_storage=[str(frames)],
        specs=[dict(CATALOG_SPEC)],
    )
    only_inside_readable_storage()
    return build_tiled(
        tree,
        authentication=Authentication(single_user_api_key=api_key),
        server_settings={"expose_raw_assets": False},  # those are not held to readable storage
    )


def only_inside_readable_storage() -> None:
    """Let Tiled serve what lies in its readable storage, and not what only begins so.

    Tiled 0.2.20 compares a file's address with its folders as text: one with ``..`` in it, or a
    symbolic link, leads out. Here the address is resolved first. Idempotent.
    """
    from tiled.catalog.adapter import CatalogNodeAdapter
    from tiled.utils import path_from_uri

    own: Any = CatalogNodeAdapter._ensure_uri_within_readable_storage  # noqa: SLF001 - no other way
    if getattr(own, "resolves", False):
        return

    def resolved(self: Any, data_uri: str) -> None:
        if urlsplit(data_uri).scheme == "file":
            data_uri = f"file://localhost{path_from_uri(data_uri).resolve()}"
        own(self, data_uri)

    vars(resolved)["resolves"] = True
    CatalogNodeAdapter._ensure_uri_within_readable_storage = resolved  # noqa: SLF001


def discard_unusable(directory: DataDirectory) -> bool:
    """Delete a damaged catalogue or one of another version of Tiled; returns whether it was one.

    It is derived: the uploader fills the new one from the journals.
    """
    catalog = _catalog(directory)
    databases = (catalog, _tables(directory))
    if all(_is_sound(path) for path in databases) and _is_current(catalog):
        return False
    for path in databases:
        for suffix in ("", "-wal", "-shm", "-journal"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
    shutil.rmtree(directory.store / "files", ignore_errors=True)
    uploads_file(directory).unlink(missing_ok=True)
    return True


def _catalog(directory: DataDirectory) -> Path:
    return directory.store / "catalog.db"


def _tables(directory: DataDirectory) -> Path:
    return directory.store / "tables.db"


def _is_sound(database: Path) -> bool:
    if not database.exists():
        return True
    try:
        with contextlib.closing(sqlite3.connect(database)) as connection:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    except sqlite3.DatabaseError:
        return False


def _is_current(catalog: Path) -> bool:
    """Whether this version of Tiled made the catalogue, or nobody did yet."""
    from tiled.catalog.core import REQUIRED_REVISION

    if not catalog.exists():
        return True
    try:
        with contextlib.closing(sqlite3.connect(catalog)) as connection:
            return bool(
                connection.execute("SELECT version_num FROM alembic_version").fetchone()
                == (REQUIRED_REVISION,)
            )
    except sqlite3.DatabaseError:
        return False


def serve(directory: DataDirectory, ended: threading.Event) -> None:
    """Serve until told to end, or until asked to by a signal."""
    import uvicorn

    discard_unusable(directory)
    app = build_app(directory, api_key_file(directory).read_text().strip())
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            loop="asyncio",
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=_END_TIMEOUT_S,
        )
    )

    def end() -> None:
        ended.wait()
        address_file(directory).unlink(missing_ok=True)
        server.should_exit = True

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        threading.Thread(target=_announce, args=(server, directory, listening), daemon=True).start()
        threading.Thread(target=end, daemon=True).start()
        try:
            server.run(sockets=[listening])
        finally:
            address_file(directory).unlink(missing_ok=True)


def _announce(server: Any, directory: DataDirectory, listening: socket.socket) -> None:
    """Say where the server is, once it answers."""
    import httpx

    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    waiting = threading.Event()
    with httpx.Client(trust_env=False, timeout=5.0) as client:
        while not server.should_exit:
            with contextlib.suppress(httpx.TransportError):
                if client.get(f"{url}/healthz").status_code == httpx.codes.OK:
                    break
            waiting.wait(0.05)
    temporary = address_file(directory).with_suffix(".tmp")
    temporary.write_text(json.dumps({"url": url, "pid": os.getpid()}))
    temporary.replace(address_file(directory))


def main(argv: list[str]) -> int:
    """Serve the data directory named on the command line."""
    directory = DataDirectory(Path(argv[0]).resolve())
    lock = FileLock(server_lock(directory))
    if not lock.try_acquire():
        return 0
    address_file(directory).unlink(missing_ok=True)
    ended = threading.Event()
    serving = threading.Event()

    def end_when_unused() -> None:
        Users(users_lock(directory)).wait_until_unused()
        if not serving.is_set():
            os._exit(0)  # nobody waits any more for the imports to be over
        ended.set()

    threading.Thread(target=end_when_unused, daemon=True).start()
    os.environ.setdefault("TILED_HDF5_SWMR_DEFAULT", "1")
    import_tiled_server()
    serving.set()
    serve(directory, ended)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
