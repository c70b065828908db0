"""Tiled in a process of its own, for one data directory: ``python -m`` this module ``DATA``.

SQLite catalogue, SQLite tables, files under the data directory only, loopback, a port that the
system chooses, a key from a file that only its owner reads. When it serves it writes its address
to `store/server.json` and one line to standard output; when nobody uses the store any more
(`locks.Users`) it ends, however its users ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import threading
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from orchestrator.records.directory import DataDirectory
from orchestrator.records.locks import Users, lock_path

API_KEY_FILE = "api_key"
ADDRESS_FILE = "server.json"
CATALOG_SPEC = {"name": "CatalogOfBlueskyRuns", "version": "3.0"}

OUTDATED = 3
"""Exit code when the catalogue was made by another version of Tiled and must be rebuilt."""


def import_tiled_server() -> None:
    """Import Tiled's server where the package ``sparse`` is not installed.

    Tiled 0.2.20 imports it for two type annotations, and with it numba and LLVM (210 MB). A
    placeholder stands in while those annotations are read, and is gone afterwards, so that Tiled
    sees that there are no sparse arrays here (it asks `modules_available`).
    """
    if find_spec("sparse") is not None:
        return
    import dask.array  # noqa: F401 - it tries to import sparse too and must see that it is absent

    placeholder: Any = ModuleType("sparse")
    placeholder.COO = type("COO", (), {})
    sys.modules["sparse"] = placeholder
    try:
        import tiled.adapters.protocols  # noqa: F401
    finally:
        del sys.modules["sparse"]


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
    uri = f"sqlite+aiosqlite:///{directory.store / 'catalog.db'}"
    if asyncio.run(prepare_catalog(uri)):
        stamp_head(ALEMBIC_INI_TEMPLATE_PATH, ALEMBIC_DIR, uri)
    # databroker's .documents() asks for this form, and nobody else registers it
    default_serialization_registry.register("BlueskyRun", "application/json-seq", json_seq_exporter)
    tree = from_uri(
        uri,
        writable_storage=[str(files), f"sqlite:///{directory.store / 'tables.db'}"],
        readable_storage=[str(frames)],
        specs=[dict(CATALOG_SPEC)],
    )
    return build_tiled(tree, authentication=Authentication(single_user_api_key=api_key))


def serve(directory: DataDirectory) -> None:
    """Serve until nobody uses the store, or until asked to end by a signal."""
    import uvicorn

    api_key = (directory.store / API_KEY_FILE).read_text().strip()
    app = build_app(directory, api_key)
    server = uvicorn.Server(
        uvicorn.Config(app, loop="asyncio", log_level="warning", access_log=False)
    )
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    threading.Thread(target=_announce, args=(server, directory, listening), daemon=True).start()
    threading.Thread(target=_end_when_unused, args=(server, directory), daemon=True).start()
    try:
        server.run(sockets=[listening])
    finally:
        (directory.store / ADDRESS_FILE).unlink(missing_ok=True)


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
    address = directory.store / ADDRESS_FILE
    temporary = address.with_suffix(".tmp")
    temporary.write_text(json.dumps({"url": url, "pid": os.getpid()}))
    temporary.replace(address)
    os.write(1, b"serving\n")


def _end_when_unused(server: Any, directory: DataDirectory) -> None:
    """Block until the last user is gone (the system releases a dead one's lock), then end."""
    Users(lock_path(directory)).wait_until_unused()
    (directory.store / ADDRESS_FILE).unlink(missing_ok=True)
    server.should_exit = True


def main(argv: list[str]) -> int:
    """Serve the data directory named on the command line."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program at the terminal
    os.environ.setdefault("TILED_HDF5_SWMR_DEFAULT", "1")
    import_tiled_server()
    from tiled.alembic_utils import DatabaseUpgradeNeeded, UnrecognizedDatabase

    try:
        serve(DataDirectory(Path(argv[0]).resolve()))
    except (DatabaseUpgradeNeeded, UnrecognizedDatabase):
        return OUTDATED
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
