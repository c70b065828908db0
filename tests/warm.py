"""Processes that begin at once: forked from one that has imported everything already.

A cold interpreter needs seconds of processor time to import bluesky, ophyd, scipy and matplotlib,
twice that under coverage; a fork needs milliseconds and is as much a process of its own: signals,
exit codes, standard streams, environment, folder, locks. `Child` looks like `subprocess.Popen`.
Tests of what an interpreter does when it begins (what is imported, how fast) start a cold one.

The server runs as ``python -m tests.warm SOCKET`` and ends with the process that started it.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import io
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TextIO

ROOT = Path(__file__).parents[1]
IMPORTED = (
    "coverage",
    "coverage.collector",
    "coverage.sqldata",
    "matplotlib.backends.backend_agg",
    "orchestrator.campaign",
    "orchestrator.cli.attended",
    "orchestrator.http.app",
    "orchestrator.http.serving",
    "orchestrator.laboratory",
    "orchestrator.records.store",
    "orchestrator.records.tiled_server",
    "orchestrator.records.uploader",
    "orchestrator.report",
    "orchestrator.watchdog",
)
OF_COVERAGE = ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")


class Child:
    """A process forked from the warm one, as `subprocess.Popen` would show it.

    Args:
        argv: ``operando`` or ``python`` and its arguments (``-c``, ``-m``, a file, ``-W``).
        cwd: Folder it begins in.
        env: Its environment.
        stdin: Text to read, or `subprocess.PIPE` to write it later; None: nothing.
        terminal: Descriptor of a terminal that becomes its controlling one, instead of streams.
        ignored: Signals that it begins with ignored, as under nohup; all others have defaults.
    """

    def __init__(
        self,
        argv: Sequence[str | Path],
        *,
        cwd: Path | str,
        env: Mapping[str, str],
        stdin: str | int | None = None,
        terminal: int | None = None,
        ignored: Sequence[int] = (),
    ) -> None:
        self.returncode: int | None = None
        self.stdin: TextIO | None = None
        self.stdout: TextIO | None = None
        self.stderr: TextIO | None = None
        request = {
            "argv": [str(one) for one in argv],
            "cwd": str(cwd),
            "env": dict(env),
            "terminal": terminal is not None,
            "ignored": [int(one) for one in ignored],
        }
        with contextlib.ExitStack() as ours:
            streams = self._pipes(ours, stdin) if terminal is None else [terminal] * 3
            self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._server.connect(_server())
            socket.send_fds(self._server, [json.dumps(request).encode()], streams)
            self._server.shutdown(socket.SHUT_WR)
        self.pid = int(self._line())

    def _pipes(self, ours: contextlib.ExitStack, stdin: str | int | None) -> list[int]:
        """Descriptors for the child; the other ends are kept as `stdout` and `stderr`."""
        if stdin == subprocess.PIPE:
            given, write = os.pipe()
            ours.callback(os.close, given)
            self.stdin = os.fdopen(write, "w", encoding="utf-8")
        else:
            file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with `ours`
            ours.enter_context(file)
            file.write(str(stdin or "").encode())
            file.seek(0)
            given = file.fileno()
        out, self.stdout = _pipe(ours)
        err, self.stderr = _pipe(ours)
        return [given, out, err]

    def _line(self) -> str:
        said = b""
        while not said.endswith(b"\n"):
            byte = self._server.recv(1)
            if not byte:
                raise RuntimeError("tests.warm: the server of warm processes has ended")
            said += byte
        return said.decode()

    def poll(self) -> int | None:
        """Its exit code, minus a signal's number, or None while it runs."""
        if self.returncode is None and select.select([self._server], [], [], 0)[0]:
            self.returncode = int(self._line())
            self._server.close()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end."""
        if self.poll() is None:
            select.select([self._server], [], [], timeout)
        if self.poll() is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
        assert self.returncode is not None
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Everything it still prints, and its end."""
        deadline = time.monotonic() + (timeout or 3600.0)
        if self.stdin is not None:
            self.stdin.close()
        said: dict[str, str] = {"stdout": "", "stderr": ""}

        def read(name: str, stream: TextIO) -> None:
            said[name] = stream.read()

        named = {"stdout": self.stdout, "stderr": self.stderr}
        readers = [
            threading.Thread(target=read, args=(name, stream))
            for name, stream in named.items()
            if stream is not None and not stream.closed
        ]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(deadline - time.monotonic())
            if reader.is_alive():
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
        self.wait(deadline - time.monotonic())
        self.close()
        return said["stdout"], said["stderr"]

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def __del__(self) -> None:
        self.close()
        self._server.close()

    def close(self) -> None:
        """Close our ends of its streams."""
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream is not None:
                stream.close()


def commands() -> Path:
    """A folder with `operando`, `python` and `python3` for PATH that begin warm, for shells."""
    folder = Path(_server()).parent / "bin"
    if not folder.exists():
        folder.mkdir()
        for name in ("operando", "python", "python3"):
            file = folder / name
            file.write_text(_COMMAND.format(python=sys.executable, path=_server()))
            file.chmod(0o755)
    return folder


# What a shell starts: it lends its streams, folder and environment, and ends as the child does.
_COMMAND = """#!{python} -IS
import json, os, socket, sys
server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
server.connect({path!r})
request = {{"argv": sys.argv, "cwd": os.getcwd(), "env": dict(os.environ), "terminal": False,
           "ignored": []}}
socket.send_fds(server, [json.dumps(request).encode()], [0, 1, 2])
server.shutdown(socket.SHUT_WR)
_, code = server.makefile().read().split()
sys.exit(int(code) if int(code) >= 0 else 128 - int(code))
"""


def _pipe(ours: contextlib.ExitStack) -> tuple[int, TextIO]:
    theirs_to_read, theirs_to_write = os.pipe()
    ours.callback(os.close, theirs_to_write)
    return theirs_to_write, os.fdopen(theirs_to_read, encoding="utf-8")


# --- the warm process ---------------------------------------------------------------------------


@functools.cache
def _server() -> str:
    """Start the warm process once; the path of its socket."""
    folder = Path(tempfile.mkdtemp(prefix="operando-warm-"))
    path = str(folder / "socket")
    kept = {key: value for key, value in os.environ.items() if key not in OF_COVERAGE}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.warm", path],
        cwd=ROOT,
        env=kept,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    if process.stdout.readline() != b"warm\n":
        raise RuntimeError(f"tests.warm: no server of warm processes ({process.wait()})")

    def end() -> None:
        with process:
            process.stdin.close()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(end)
    return path


def serve(path: str) -> dict[str, Any]:
    """Fork a child for every request; returns in a child, with the request, and nowhere else."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(64)
    print("warm", flush=True)
    running: dict[int, tuple[int, socket.socket]] = {}  # by pidfd
    while True:
        for ready in select.select([0, listener, *running], [], [])[0]:
            if ready == 0:  # whoever started us has ended, in order or not
                shutil.rmtree(Path(path).parent, ignore_errors=True)
                sys.exit(0)
            if ready is not listener:
                pid, client = running.pop(ready)
                os.close(ready)
                with client, contextlib.suppress(OSError):
                    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                    client.sendall(b"%d\n" % code)
                continue
            client, _ = listener.accept()
            request, streams = _heard(client)
            pid = os.fork()
            if pid == 0:
                for one in (listener, client, *(of for _, of in running.values())):
                    one.close()
                for descriptor in running:
                    os.close(descriptor)
                _become(request, streams)
                return request
            for descriptor in streams:
                os.close(descriptor)
            running[os.pidfd_open(pid)] = (pid, client)
            client.sendall(b"%d\n" % pid)


def _heard(client: socket.socket) -> tuple[dict[str, Any], list[int]]:
    data, streams, _, _ = socket.recv_fds(client, 1 << 20, 3)
    while more := client.recv(1 << 20):
        data += more
    request: dict[str, Any] = json.loads(data)
    return request, streams


def _become(request: Mapping[str, Any], streams: Sequence[int]) -> None:
    """Take over the streams, folder, environment and signals that a new process would have."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in request["ignored"]:
        signal.signal(number, signal.SIG_IGN)
    for target, descriptor in enumerate(streams):
        os.dup2(descriptor, target)
    for descriptor in set(streams):
        os.close(descriptor)
    if request["terminal"]:
        import fcntl
        import termios

        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    sys.stdin, sys.stdout, sys.stderr = (_stream(number) for number in range(3))
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr
    if any(name in os.environ for name in OF_COVERAGE):
        import coverage

        coverage.process_startup(force=True)


def _stream(number: int) -> TextIO:
    encoding = os.environ.get("PYTHONIOENCODING", "utf-8")
    mode = "r" if number == 0 else "w"
    errors = "backslashreplace" if number == 2 else "strict"
    stream = os.fdopen(number, mode, encoding=encoding, errors=errors, closefd=False)
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(line_buffering=number == 2 or os.isatty(number))
    return stream


def execute(argv: Sequence[str]) -> object:
    """What an interpreter or the installed command would do with these arguments."""
    program, *arguments = argv
    if Path(program).name == "operando":
        sys.argv = [program, *arguments]
        return importlib.import_module("orchestrator.cli").main()
    while arguments[0] == "-W":
        warnings.filterwarnings(arguments[1])
        arguments = arguments[2:]
    if arguments[0] == "-c":
        sys.argv = ["-c", *arguments[2:]]
        sys.path.insert(0, "")
        scope = {"__name__": "__main__", "__builtins__": __builtins__}
        exec(compile(arguments[1], "<string>", "exec"), scope)  # noqa: S102
    elif arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = list(arguments)
        sys.path.insert(0, str(Path(arguments[0]).resolve().parent))
        runpy.run_path(arguments[0], run_name="__main__")
    return 0


def _main() -> object:
    for name in IMPORTED:
        importlib.import_module(name)
    cli = importlib.import_module("orchestrator.cli.main")
    for verb in cli.VERBS:
        importlib.import_module(f"orchestrator.cli.{verb.replace('-', '_')}")
    assert threading.active_count() == 1
    gc.collect()
    gc.freeze()
    return execute(serve(sys.argv[1])["argv"])


def _left(code: object) -> NoReturn:
    """End as an interpreter does, but leave the memory to the kernel: thousands of modules."""
    number = code if isinstance(code, int) else int(code is not None)
    if number != code and code is not None:
        print(code, file=sys.stderr)
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(number)


if __name__ == "__main__":
    try:
        _left(_main())
    except SystemExit as stop:
        _left(stop.code)
    except BaseException:  # noqa: BLE001 - as an interpreter does
        traceback.print_exc()
        _left(1)
