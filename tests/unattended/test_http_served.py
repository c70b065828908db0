"""`operando serve` as a process: asked over HTTP about a real run, which it controls to its end."""

from __future__ import annotations

import asyncio
import datetime
import json
import signal
import socket
import ssl
import stat
import threading
import time
import uuid
from contextlib import closing

import httpx
import orjson
import psutil
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from orchestrator.errors import ControlError
from orchestrator.http.app import make_app
from orchestrator.http.head import MAX_HEAD_BYTES
from orchestrator.http.listening import MOST_CONNECTIONS, Server, Where
from orchestrator.http.places import HttpFiles
from orchestrator.http.service import Service
from orchestrator.http.tokens import Role, TokenFile
from orchestrator.records.audit import read_audit, verify
from orchestrator.records.runs import find_run, load_run
from orchestrator.schedule.jobs import JobStore
from tests.command import OPERANDO, energised, environment, wait_until
from tests.e2e.test_control_processes import experiment
from tests.warm import Child

pytestmark = pytest.mark.unattended


class Serve:
    """`operando serve` on a data directory, and somebody who asks it."""

    def __init__(self, data, *options):
        self.data = data
        self.token = TokenFile(HttpFiles(data).tokens).make("alice", Role.OPERATE)
        self.reader = TokenFile(HttpFiles(data).tokens).make("bob", Role.READ)
        self.process = Child(
            [OPERANDO, "serve", "--data", data, "--life-s", "300", *options],
            cwd=data.parent, env=environment(),
        )  # fmt: skip
        try:
            address = wait_until(HttpFiles(data).address_now, what="listening", timeout_s=60.0)
        except AssertionError:
            self.process.kill()
            raise AssertionError(self.process.communicate(timeout=10)[0]) from None
        assert address.pid == self.process.pid
        self.url = address.url
        self.client = httpx.Client(base_url=self.url, trust_env=False, timeout=30.0)

    @property
    def port(self):
        return int(self.url.rsplit(":", 1)[1])

    def get(self, path, **more):
        return self.client.get(path, headers={"authorization": f"Bearer {self.token}"}, **more)

    def post(self, path, body=None):
        headers = {
            "authorization": f"Bearer {self.token}",
            "idempotency-key": uuid.uuid4().hex,
            "x-operando-time": f"{time.time():.3f}",
        }
        return self.client.post(path, json=body or {}, headers=headers)

    def close(self):
        self.client.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=10)


class Listener(threading.Thread):
    """Listens to all changes until the server ends the stream."""

    def __init__(self, serve, token=""):
        super().__init__(daemon=True, name="asyncio_listener")  # ends with its server
        self.serve, self.heard, self.token = serve, [], token or serve.reader

    def run(self):
        headers = {"authorization": f"Bearer {self.token}"}
        with (
            httpx.Client(trust_env=False, timeout=60.0) as client,
            client.stream("GET", f"{self.serve.url}/api/changes", headers=headers) as stream,
        ):
            said = {}
            for line in stream.iter_lines():
                name, _, value = line.partition(": ")
                said[name] = value
                if not line and "event" in said:
                    self.heard.append((said["event"], json.loads(said["data"])))
                    said = {}

    def of(self, kind):
        return [data for name, data in list(self.heard) if name == kind]


@pytest.fixture(scope="module")
def serve(tmp_path_factory):
    """A run in real time, and a server that knows nothing of it but its data directory."""
    folder = tmp_path_factory.mktemp("served")
    run = Child(
        [OPERANDO, "run", experiment(folder / "long.yaml"), "--real-time", "--no-report",
         "--data", folder / "data", "--no-progress"],
        cwd=folder, env=environment(),
    )  # fmt: skip
    served = None
    try:
        served = Serve(folder / "data")
        served.run = run
        wait_until(lambda: energised(folder / "data"), what="energised", timeout_s=60.0)
        yield served
    finally:
        if served is not None:
            served.close()
        if run.poll() is None:
            run.kill()
        run.communicate(timeout=10)


def test_where_it_listens_is_for_this_user_alone(serve):
    place = HttpFiles(serve.data)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (place.folder, place.address)]
    assert modes == [0o700, 0o600]
    assert serve.url.startswith("http://127.0.0.1:")
    listening = {one.laddr.ip for one in psutil.Process(serve.process.pid).net_connections("tcp")}
    assert listening == {"127.0.0.1"}


def test_a_run_is_watched_and_controlled_to_its_end(serve):
    """Row 36: each request is an event of the run and audited with the name of who asked."""
    listener = Listener(serve)
    listener.start()
    wait_until(lambda: listener.of("state"), what="everything at once")
    ((uid, live),) = listener.of("state")[0]["live"].items()
    assert (live["state"], live["simulated"], live["bench"]) == ("running", True, "sim-mri")
    status = serve.get(f"/api/runs/{uid}/status").json()
    assert (status["energised"], status["pid"]) == (["pstat"], serve.run.pid)

    run = f"/api/runs/{uid}"
    assert serve.post(f"{run}/note", {"text": "the door was open"}).json()["standing"] == "done"
    assert serve.post(f"{run}/pause").json()["text"] == "paused, the cell is off"
    paused = serve.get(f"{run}/status").json()
    assert (paused["state"], paused["energised"]) == ("paused", [])
    assert paused["reason"].startswith("by alice over http")
    wait_until(lambda: [a for a in listener.of("alert") if "paused" in a["value"]["text"]],
               what="a notice of the pause")  # fmt: skip
    assert serve.post(f"{run}/resume-now").json()["text"] == "the run goes on"
    refused = serve.post(f"{run}/set", {"path": "safety.max_voltage_V", "value": 9})
    assert (refused.status_code, "tightened" in refused.json()["what"]) == (409, True)
    assert serve.post(f"{run}/set", {"path": "record.time_s", "value": 2}).status_code == 200
    assert serve.post(f"{run}/skip-step").json()["text"].startswith("step 1 in cycle 1 ends")
    assert serve.post("/api/benches/sim-mri/off").json()["ok"] is True
    assert serve.run.wait(30) == 0

    recorded = load_run(find_run(serve.data, "-1"))
    events = recorded.streams["events"]
    origins = zip(events["event_kind"], events["event_origin"], strict=True)
    by_alice = [kind for kind, origin in origins if origin.startswith("alice over http")]
    assert by_alice == ["note", "pause", "resume", "refused", "set", "skip_step", "stop"]
    lines = read_audit(serve.data / "audit.jsonl")
    asked = [line["what"]["verb"] for line in lines if line["kind"] == "request"]
    assert asked == ["note", "pause", "resume", "set", "set", "skip_step", "stop"]
    assert all(line["who"].startswith("alice over http") for line in lines if "verb" in line)
    assert verify(serve.data / "audit.jsonl").ok
    wait_until(lambda: any(d["kind"] == "live" for d in listener.of("gone")), what="its end")
    wait_until(lambda: listener.of("rows"), what="rows")
    assert {one["kind"] for one in listener.of("event")} >= {"note", "pause", "skip_step"}
    assert serve.get(f"{run}/streams/echem").json()["rows"] > 0


def test_no_file_holds_a_token(serve):
    """Neither journals nor the audit log nor what the interface itself keeps."""
    files = [path for path in serve.data.rglob("*") if path.is_file()]
    assert {"audit.jsonl", "tokens.json", "requests.sqlite"} <= {path.name for path in files}
    for path in files:
        content = path.read_bytes()
        assert not [one for one in (serve.token, serve.reader) if one[12:].encode() in content], (
            path
        )


@pytest.mark.parametrize("beyond", [1000, 300_000])
def test_too_long_a_head_is_refused(serve, beyond):
    try:
        answer = serve.client.get("/api", headers={"x-long": "x" * (MAX_HEAD_BYTES + beyond)})
    except httpx.TransportError:
        return  # closed while it was still being sent
    assert answer.status_code in {400, 431}


def test_connections_are_bounded_and_none_may_dawdle(serve):
    sockets = []
    try:
        for _ in range(MOST_CONNECTIONS + 8):
            sockets.append(socket.create_connection(("127.0.0.1", serve.port), timeout=20.0))
            sockets[-1].sendall(b"GET /api HTTP/1.1\r\nHost: 127")  # and never the rest
        assert is_closed(sockets[-1])  # at once
        assert is_closed(sockets[0])  # after its time
    finally:
        for one in sockets:
            one.close()
    wait_until(lambda: answers(serve), what="an answer")


def is_closed(connection):
    """Whether the other side closes a connection without a word, before its timeout."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def answers(serve):
    try:
        return serve.client.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False


def test_a_websocket_is_not_begun(serve):
    with closing(socket.create_connection(("127.0.0.1", serve.port), timeout=5.0)) as caller:
        caller.sendall(
            b"GET /api/changes HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n"
            b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert caller.recv(200).split()[1] == b"401"


def test_a_revoked_token_is_refused_at_once(serve):
    tokens = TokenFile(HttpFiles(serve.data).tokens)
    carol = {"authorization": f"Bearer {tokens.make('carol', Role.READ)}"}
    assert serve.client.get("/api", headers=carol).status_code == 200
    tokens.revoke("carol")
    assert serve.client.get("/api", headers=carol).status_code == 401


def test_a_stream_ends_with_its_token(serve):
    tokens = TokenFile(HttpFiles(serve.data).tokens)
    listener = Listener(serve, tokens.make("dave", Role.READ))
    listener.start()
    wait_until(lambda: listener.of("state"), what="everything at once")
    tokens.revoke("dave")
    serve.client.get("/api")  # refused, a line of the audit log: news for everybody else
    listener.join(20)
    assert not listener.is_alive()
    assert not listener.of("audit")


def test_a_stream_that_is_open_does_not_keep_it_from_ending(serve):
    """Last of these: the server ends in order with a page connected, and says nowhere any more."""
    listener = Listener(serve)
    listener.start()
    wait_until(lambda: listener.of("state"), what="everything at once")
    serve.process.send_signal(signal.SIGTERM)
    stdout, _ = serve.process.communicate(timeout=20)
    assert serve.process.returncode == 0, stdout
    assert "SIGTERM: runs that are under way go on" in stdout
    listener.join(10)
    assert not listener.is_alive()
    assert not HttpFiles(serve.data).address.exists()
    assert orjson.dumps(serve.token) not in stdout.encode()


def test_off_loopback_only_with_tls_or_a_tunnel(tmp_path, capsys):
    from orchestrator.cli.main import main

    for address in ("0.0.0.0", "192.0.2.1", "::"):
        assert main(["serve", "--data", str(tmp_path), "--listen", address]) == 2
        assert "would pass in clear" in capsys.readouterr().err
        with pytest.raises(ControlError):
            Where(address).check()
        Where(address, tunnel=True).check()
    key = tmp_path / "key.pem"
    key.write_text("x")
    key.chmod(0o644)
    tls = ["--tls-cert", str(key), "--tls-key", str(key)]
    assert main(["serve", "--data", str(tmp_path), "--listen", "0.0.0.0", *tls]) == 2
    assert "expected 600" in capsys.readouterr().err
    key.chmod(0o600)
    assert main(["serve", "--data", str(tmp_path), "--listen", "0.0.0.0", *tls]) == 2
    assert "cannot be used" in capsys.readouterr().err
    assert main(["serve", "--data", str(tmp_path), "--tls-cert", str(key)]) == 2
    assert main(["serve", "--data", str(tmp_path), "--port", "70000"]) == 2


def certificate(folder):
    """Files of a certificate of localhost and its key, both made anew."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ))  # fmt: skip
    return cert_file, key_file


def test_tls_with_the_files_that_are_given(tmp_path):
    cert, key = certificate(tmp_path)
    service = Service(tmp_path / "data", JobStore(tmp_path / "data" / "jobs.sqlite"))
    token = TokenFile(HttpFiles(tmp_path / "data").tokens).make("alice", Role.READ)
    told = []
    server = Server(make_app(service), Where("0.0.0.0", tls=(cert, key)), told.append)

    async def asked():
        serving = asyncio.create_task(server.until_told())
        while not told:
            await asyncio.sleep(0.01)
        url = told[0].replace("0.0.0.0", "localhost")
        context = ssl.create_default_context(cafile=str(cert))
        headers = {"authorization": f"Bearer {token}", "origin": url}
        async with httpx.AsyncClient(verify=context, trust_env=False) as client:
            answer = await client.get(f"{url}/api", headers=headers)
        server.leave()
        await serving
        return url, answer

    url, answer = asyncio.run(asked())
    assert url.startswith("https://localhost:")
    assert (answer.status_code, answer.json()["caller"]["name"]) == (200, "alice")


def test_it_ends_by_itself(tmp_path, capsys):
    from orchestrator.cli.main import main

    began_s = time.monotonic()
    assert main(["serve", "--data", str(tmp_path), "--life-s", "0.3"]) == 0
    assert time.monotonic() - began_s < 10.0
    said = capsys.readouterr().out
    assert "page and interface: http://127.0.0.1:" in said
    assert "nobody may ask yet" in said
    assert not HttpFiles(tmp_path).address.exists()
