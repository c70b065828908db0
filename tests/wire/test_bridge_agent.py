"""The bridge agent on real sockets: who may speak, who is lost, what it survives."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from devices.bridge.__main__ import main, make_plugin, read_options, read_token
from devices.bridge.agent import MAX_CONNECTIONS, Agent
from devices.bridge.authentication import agent_mac, client_mac, new_nonce
from devices.bridge.protocol import Command, Refusal
from devices.errors import DeviceError

TOKEN = "correct horse battery staple"


class Relay:
    """A plug-in with one output."""

    identity = "Test,Relay,0,1"

    def __init__(self):
        self.on, self.reasons, self.broken = False, [], 0

    def commands(self):
        return {
            "OUTPut": Command(self._set, takes=int),
            "OUTPut?": Command(lambda: int(self.on)),
            "PICTure?": Command(lambda: bytes(range(256))),
            "FAULt?": Command(self._fault),
            "FAULt": Command(self._fault),
        }

    def _set(self, value):
        if value not in (0, 1):
            raise Refusal(-222, f"output: got {value}, expected 0 or 1")
        self.on = bool(value)

    def _fault(self):
        raise RuntimeError('the "driver" is\ngone')

    def active(self):
        return self.on

    def make_safe(self, reason):
        if self.broken:
            self.broken -= 1
            raise OSError("relay is stuck")
        self.on = False
        self.reasons.append(reason)


class Client:
    """A line client with a deadline on everything."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, port):
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(self, line):
        await self.tell(line)
        return await self.line()

    async def line(self):
        async with asyncio.timeout(5):
            return (await self.reader.readline()).decode().rstrip("\n")

    async def ended(self):
        """Whether the agent closed the connection, with or without a reset."""
        async with asyncio.timeout(5):
            with contextlib.suppress(ConnectionError):
                return await self.reader.read() == b""
        return True

    async def tell(self, line):
        self.writer.write(line.encode() + b"\n")
        await self.writer.drain()

    async def log_in(self, token=TOKEN):
        nonce = json.loads(await self.ask("AUTH:CHAL?"))["nonce"]
        mine = new_nonce()
        response = {"client_nonce": mine, "mac": client_mac(token, nonce, mine)}
        return await self.ask("AUTH:RESP? " + json.dumps(response)), nonce, mine

    async def close(self):
        self.writer.close()
        await self.writer.wait_closed()


def with_agent(scenario, **options):
    """Run `scenario(agent's plug-in, port)` against an agent on a free port."""

    async def run():
        relay = Relay()
        agent = Agent(relay, **options)
        port = await agent.start()
        try:
            async with asyncio.timeout(10):
                await scenario(relay, port)
        finally:
            await agent.stop()
        return relay

    return asyncio.run(run())


async def until(condition):
    """Wait for something that the agent does by itself."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


def test_it_serves_lines_and_blocks():
    async def scenario(relay, port):
        client = await Client.connect(port)
        assert await client.ask("*IDN?") == "Test,Relay,0,1"
        await client.tell("OUTP 1")
        assert await client.ask("OUTP?") == "1"
        await client.tell("PICT?")
        assert await client.reader.readexactly(5 + 256 + 1) == b"#3256" + bytes(range(256)) + b"\n"
        await client.tell("OUTP 3")
        assert await client.ask("SYST:ERR?") == (
            '-222,"Data out of range;output: got 3, expected 0 or 1"'
        )
        await client.close()

    with_agent(scenario)


def test_each_client_has_its_own_error_queue():
    async def scenario(relay, port):
        one, other = await Client.connect(port), await Client.connect(port)
        await one.tell("FOO")
        assert (await one.ask("SYST:ERR?")).startswith("-113")
        assert await other.ask("SYST:ERR?") == '0,"No error"'
        await one.close()
        await other.close()

    with_agent(scenario)


def test_a_plugin_that_raises_is_an_error_and_the_connection_lives():
    async def scenario(relay, port):
        client = await Client.connect(port)
        expected = "-240,\"Hardware error;plug-in: RuntimeError: the 'driver' is gone\""
        assert await client.ask("FAUL?") == "!" + expected
        await client.tell("FAUL")
        assert await client.ask("SYST:ERR?") == expected
        await client.close()

    with_agent(scenario)


def test_an_endless_line_is_cut_off():
    async def scenario(relay, port):
        client = await Client.connect(port)
        client.writer.write(b"a" * 200_000)
        assert (await client.line()).startswith('!-223,"Too much data')
        assert await client.ended()
        again = await Client.connect(port)
        assert await again.ask("*OPC?") == "1"
        client.writer.close()
        await again.close()

    with_agent(scenario)


def test_one_client_too_many_is_let_go():
    async def scenario(relay, port):
        clients = [await Client.connect(port) for _ in range(MAX_CONNECTIONS)]
        for client in clients:
            assert await client.ask("*OPC?") == "1"
        extra = await Client.connect(port)
        assert await extra.line() == ""
        await clients[0].close()
        for client in clients[1:]:
            assert await client.ask("*OPC?") == "1"
            await client.close()
        extra.writer.close()

    with_agent(scenario)


def test_without_the_token_only_the_identity_is_told():
    async def scenario(relay, port):
        client = await Client.connect(port)
        assert await client.ask("*IDN?") == "Test,Relay,0,1"
        assert (await client.ask("OUTP?")).startswith('!-203,"Command protected')
        assert (await client.ask("FOO?")).startswith("!-203")
        await client.tell("OUTP 1")
        assert (await client.ask("SYST:ERR?")).startswith("-203")
        assert not relay.on
        await client.close()

    with_agent(scenario, token=TOKEN)


def test_both_sides_prove_the_token():
    async def scenario(relay, port):
        client = await Client.connect(port)
        reply, nonce, mine = await client.log_in()
        assert json.loads(reply) == {"mac": agent_mac(TOKEN, nonce, mine)}
        assert await client.ask("OUTP?") == "0"
        await client.close()

    with_agent(scenario, token=TOKEN)


def test_a_wrong_token_is_refused_and_guessing_ends():
    async def scenario(relay, port):
        client = await Client.connect(port)
        for _ in range(3):
            reply, _, _ = await client.log_in(token="another token, as long")
            assert reply.startswith("!-203")
        assert await client.line() == ""
        await client.close()

    with_agent(scenario, token=TOKEN)


def test_who_does_not_log_in_in_time_is_let_go_however_much_he_says():
    async def scenario(relay, port):
        loop = asyncio.get_running_loop()
        client, begun_s = await Client.connect(port), loop.time()
        with contextlib.suppress(ConnectionError):
            while await client.ask("*IDN?"):
                await asyncio.sleep(0.02)
        assert 0.2 <= loop.time() - begun_s < 4.0
        client.writer.close()

    with_agent(scenario, token=TOKEN, login_s=0.2)


def test_a_recorded_response_is_worth_nothing():
    async def scenario(relay, port):
        first = await Client.connect(port)
        _, nonce, mine = await first.log_in()
        recorded = "AUTH:RESP? " + json.dumps(
            {"client_nonce": mine, "mac": client_mac(TOKEN, nonce, mine)}
        )
        second = await Client.connect(port)
        assert (await second.ask(recorded)).startswith("!-203")
        await second.ask("AUTH:CHAL?")
        assert (await second.ask(recorded)).startswith("!-203")
        assert (await second.ask("OUTP?")).startswith("!-203")
        await first.close()
        await second.close()

    with_agent(scenario, token=TOKEN)


@pytest.mark.parametrize("response", [{}, {"client_nonce": 1, "mac": "x"}, {"mac": "µ"}])
def test_malformed_responses_are_refused(response):
    async def scenario(relay, port):
        client = await Client.connect(port)
        await client.ask("AUTH:CHAL?")
        assert (await client.ask("AUTH:RESP? " + json.dumps(response))).startswith("!-203")
        await client.close()

    with_agent(scenario, token=TOKEN)


def test_a_client_that_goes_away_takes_the_output_with_it():
    async def scenario(relay, port):
        client = await Client.connect(port)
        await client.tell("OUTP 1")
        await client.ask("*OPC?")
        await client.close()
        await until(lambda: relay.reasons)

    relay = with_agent(scenario, lost_client_s=0.1)
    assert relay.reasons == ["client lost for more than 0.1 s"]


def test_a_client_that_comes_back_in_time_keeps_it():
    async def scenario(relay, port):
        for _ in range(3):
            client = await Client.connect(port)
            await client.tell("OUTP 1")
            await client.ask("*OPC?")
            await client.close()
            await asyncio.sleep(0.05)
        assert relay.on

    with_agent(scenario, lost_client_s=5.0)


def test_a_silent_client_that_is_connected_keeps_it_unless_told_otherwise():
    async def scenario(relay, port):
        client = await Client.connect(port)
        await client.tell("OUTP 1")
        await client.ask("*OPC?")
        await asyncio.sleep(0.3)
        assert relay.on == (not relay.reasons)
        assert await client.ask("OUTP?") == ("0" if relay.reasons else "1")
        await client.close()

    assert with_agent(scenario, lost_client_s=0.1).reasons == ["the bridge agent stopped"]
    relay = with_agent(scenario, lost_client_s=5.0, silent_client_s=0.1)
    assert relay.reasons == ["client lost for more than 0.1 s"]


def test_a_stranger_without_the_token_does_not_count_as_client():
    async def scenario(relay, port):
        client = await Client.connect(port)
        await client.log_in()
        await client.tell("OUTP 1")
        await client.ask("*OPC?")
        stranger = await Client.connect(port)
        await client.close()
        await until(lambda: relay.reasons)
        await stranger.close()

    with_agent(scenario, token=TOKEN, lost_client_s=0.1)


def test_making_safe_is_tried_again_until_it_succeeds():
    async def scenario(relay, port):
        relay.on, relay.broken = True, 2
        await until(lambda: relay.reasons)
        assert relay.broken == 0

    with_agent(scenario, lost_client_s=0.05)


def test_an_agent_that_ends_leaves_nothing_on():
    async def scenario(relay, port):
        relay.on = True

    assert with_agent(scenario).reasons == ["the bridge agent stopped"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"host": "0.0.0.0"}, "listening on 0.0.0.0: got no token, expected one off loopback"),
        ({"host": "lab-pc"}, "got no token"),
        ({"host": "0.0.0.0", "tunnel": True}, "got no token"),
        ({"host": "0.0.0.0", "token": TOKEN}, "would pass in clear"),
        ({"token": "short"}, "token: got 5 characters, expected at least 16"),
        ({"lost_client_s": float("inf")}, "lost_client_s: got inf, expected a finite time"),
        ({"lost_client_s": float("nan")}, "lost_client_s: got nan"),
        ({"silent_client_s": 0.0}, "silent_client_s: got 0.0"),
    ],
)
def test_an_open_door_is_refused(options, message):
    with pytest.raises(DeviceError, match=message):
        Agent(Relay(), **options)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_loopback_needs_no_token(host):
    Agent(Relay(), host=host)


def test_the_token_file_must_be_its_owners_alone(tmp_path):
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    path.chmod(0o644)
    with pytest.raises(DeviceError, match="others may use it"):
        read_token(path, {})
    path.chmod(0o600)
    assert read_token(path, {"OPERANDO_BRIDGE_TOKEN": "from the environment"}) == TOKEN
    assert read_token(None, {"OPERANDO_BRIDGE_TOKEN": TOKEN}) == TOKEN
    assert read_token(None, {}) is None
    with pytest.raises(DeviceError, match="No such file"):
        read_token(tmp_path / "none", {})


def test_an_unknown_plugin_is_named(tmp_path):
    with pytest.raises(DeviceError, match="got 'gamry', expected one of watched_folder"):
        make_plugin("gamry", {})
    with pytest.raises(DeviceError, match="give --option folder=PATH"):
        make_plugin("watched_folder", {"dir": str(tmp_path)})


@pytest.mark.parametrize("options", [["folder"], ["=x"], ["a=1", "a=2"]])
def test_options_are_key_and_value(options):
    with pytest.raises(DeviceError, match="expected KEY=VALUE, each key once"):
        read_options(options)
    assert read_options(["folder=C:\\a=b"]) == {"folder": "C:\\a=b"}


def test_a_port_in_use_is_said_and_ends_with_2(tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        arguments = ["--plugin", "watched_folder", "--option", f"folder={tmp_path}"]
        assert main([*arguments, "--port", port]) == 2
    assert "address already in use" in capsys.readouterr().err.lower()


def test_the_installed_agent_runs_and_ends_on_a_signal(tmp_path):
    command = [sys.executable, "-m", "devices.bridge", "--plugin", "watched_folder"]
    command += ["--option", f"folder={tmp_path}", "--port", "0"]
    environment = {key: value for key, value in os.environ.items() if "BRIDGE_TOKEN" not in key}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            port = int(process.stdout.readline().rpartition(":")[2])

            async def ask():
                client = await Client.connect(port)
                await client.tell("ACQ:ARM")
                reply = await client.ask("ACQ:STAT?")
                await client.close()
                return json.loads(reply)

            assert asyncio.run(ask())["state"] == "armed"
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=10) == 0
        finally:
            process.kill()
    aborted = (tmp_path / "requests" / "000001.abort").read_text()
    assert aborted == "the bridge agent stopped"


def test_a_refused_start_says_why_and_ends_with_2(tmp_path):
    command = [sys.executable, "-m", "devices.bridge", "--plugin", "watched_folder"]
    command += ["--option", f"folder={tmp_path}", "--host", "0.0.0.0"]
    environment = {key: value for key, value in os.environ.items() if "BRIDGE_TOKEN" not in key}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=20, env=environment, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("bridge agent: listening on 0.0.0.0: got no token")
    assert "Traceback" not in done.stderr


def test_the_agent_needs_the_standard_library_only():
    program = (
        "import sys\n"
        "import devices.bridge.__main__\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", program],
        capture_output=True,
        text=True,
        timeout=20,
        env={**os.environ, "PYTHONPATH": os.curdir},
        check=True,
    )
    foreign = set(done.stdout.split()) - set(sys.stdlib_module_names) - {"__main__", "devices"}
    assert foreign <= {"__mp_main__"}
