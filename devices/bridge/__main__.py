"""``python -m devices.bridge``: runs the agent on a vendor's PC."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from pathlib import Path

from devices.bridge.agent import Agent, Plugin
from devices.bridge.authentication import TOKEN_VARIABLE, read_token
from devices.bridge.watched_folder import WatchedFolderConsole
from devices.errors import DeviceError


def _watched_folder(options: Mapping[str, str]) -> Plugin:
    known = {"folder", "identity"}
    if "folder" not in options or not set(options) <= known:
        raise DeviceError(
            "bridge agent",
            f"watched_folder: got options {sorted(options)}, expected folder and maybe identity",
            remedy="give --option folder=PATH",
        )
    identity = options.get("identity", "Operando,Watched folder,0,1.0")
    return WatchedFolderConsole(Path(options["folder"]), identity=identity)


PLUGINS: Mapping[str, Callable[[Mapping[str, str]], Plugin]] = {"watched_folder": _watched_folder}
"""Plug-ins by name; installed packages add theirs as entry points ``operando.bridge``."""


def make_plugin(name: str, options: Mapping[str, str]) -> Plugin:
    """A plug-in from the written table or from an entry point.

    Raises:
        DeviceError: No plug-in has this name.
    """
    if name in PLUGINS:
        return PLUGINS[name](options)
    for entry in entry_points(group="operando.bridge"):
        if entry.name == name:
            plugin: Plugin = entry.load()(options)
            return plugin
    raise DeviceError(
        "bridge agent",
        f"plug-in: got {name!r}, expected one of {', '.join(sorted(PLUGINS))}",
        remedy="install the package that brings it",
    )


def read_options(given: list[str]) -> dict[str, str]:
    """Options of a plug-in from ``KEY=VALUE``.

    Raises:
        DeviceError: One is not of this form, or a key is given twice.
    """
    options: dict[str, str] = {}
    for option in given:
        key, equals, value = option.partition("=")
        if not (key and equals) or key in options:
            raise DeviceError(
                "bridge agent",
                f"--option: got {option!r}, expected KEY=VALUE, each key once",
                remedy="for example --option folder=PATH",
            )
        options[key] = value
    return options


def _arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m devices.bridge", description=__doc__)
    parser.add_argument("--plugin", required=True, help="for example watched_folder")
    parser.add_argument("--option", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=5026, help="0 takes a free one")
    parser.add_argument("--token-file", type=Path, help=f"else ${TOKEN_VARIABLE}")
    parser.add_argument(
        "--behind-tunnel", action="store_true", help="something else encrypts what goes to --host"
    )
    parser.add_argument("--lost-client-s", type=float, default=120.0)
    parser.add_argument("--silent-client-s", type=float, default=None)
    return parser.parse_args(arguments)


async def _run(agent: Agent, host: str) -> None:
    """Serve until a signal comes; Windows knows only Ctrl-C, which cancels."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        if os.name == "posix":
            loop.add_signal_handler(number, ended.set)
    port = await agent.start()
    sys.stdout.write(f"listening on {host}:{port}\n")
    sys.stdout.flush()
    try:
        await ended.wait()
    finally:
        await agent.stop()


def main(arguments: list[str]) -> int:
    """Run the agent until it is told to end; returns the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    given = _arguments(arguments)
    try:
        agent = Agent(
            make_plugin(given.plugin, read_options(given.option)),
            host=given.host,
            port=given.port,
            token=read_token(given.token_file, os.environ),
            lost_client_s=given.lost_client_s,
            silent_client_s=given.silent_client_s,
            tunnel=given.behind_tunnel,
        )
        asyncio.run(_run(agent, given.host))
    except KeyboardInterrupt:
        return 130
    except (DeviceError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
