"""Tokens: shown once, kept as hashes, for their owner's eyes, revocable."""

from __future__ import annotations

import json
import stat

import pytest

from orchestrator.cli.main import main
from orchestrator.errors import ControlError
from orchestrator.http.tokens import Role, TokenFile
from orchestrator.records.audit import read_audit


@pytest.fixture
def tokens(tmp_path):
    return TokenFile(tmp_path / "http" / "tokens.json")


def test_a_token_is_known_until_it_is_revoked(tokens):
    token = tokens.make("alice", Role.OPERATE)
    caller = tokens.caller(token)
    assert (caller.name, caller.role) == ("alice", Role.OPERATE)
    again = TokenFile(tokens.path)  # another process
    assert again.caller(token) == caller
    tokens.revoke("alice")
    assert (tokens.caller(token), again.caller(token)) == (None, None)


def test_only_the_hash_is_kept_and_only_its_owner_reads_it(tokens):
    token = tokens.make("alice", Role.READ)
    kept = tokens.path.read_text()
    assert token.split("_", 2)[2] not in kept
    assert stat.S_IMODE(tokens.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(tokens.path.parent.stat().st_mode) == 0o700
    tokens.path.chmod(0o640)
    with pytest.raises(ControlError, match="expected 600"):
        TokenFile(tokens.path).caller(token)


def test_almost_a_token_is_none(tokens):
    token = tokens.make("alice", Role.READ)
    head, secret = token[:12], token[12:]
    other = tokens.make("bob", Role.OPERATE)
    for wrong in (
        "", "op_", token[:-1], token + "a", token.upper(), f" {token}", f"{token}\n", secret,
        head + secret[::-1], other[:12] + secret, "op_" + "0" * 8 + "_" + secret, token + "\0",
    ):  # fmt: skip
        assert tokens.caller(wrong) is None, wrong


def test_a_token_ends_when_it_was_told_to(tokens):
    assert tokens.caller(tokens.make("alice", Role.READ, life_s=3600.0)) is not None
    assert tokens.caller(tokens.make("bob", Role.READ, life_s=-1.0)) is None


def test_two_tokens_differ_and_two_names_do_not_clash(tokens):
    assert len({tokens.make(f"n{k}", Role.READ) for k in range(20)}) == 20
    for wrong in ("n1", "", "a b", "x" * 65, "a\n", "../a", "a\0"):
        with pytest.raises(ControlError):
            tokens.make(wrong, Role.READ)


def test_a_damaged_file_lets_nobody_in(tokens):
    token = tokens.make("alice", Role.READ)
    tokens.path.write_text("{")
    with pytest.raises(ControlError, match="cannot be read"):
        TokenFile(tokens.path).caller(token)


def test_tokens_may_be_kept_elsewhere(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OPERANDO_TOKENS_FILE", str(tmp_path / "elsewhere.json"))
    assert main(["token", "new", "alice", "--data", str(tmp_path / "data")]) == 0
    token = capsys.readouterr().out.split()[0]
    assert TokenFile(tmp_path / "elsewhere.json").caller(token).name == "alice"


def test_the_verb_makes_lists_and_revokes(tmp_path, capsys):
    data = ["--data", str(tmp_path / "data")]
    place = tmp_path / "alice.token"
    assert main(["token", "new", "alice", "--role", "operate", "--to", str(place), *data]) == 0
    assert main(["token", "new", "bob", "--days", "3", *data, "--json"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert place.read_text().strip() not in str(said)
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert main(["token", "list", *data]) == 0
    listed = capsys.readouterr().out
    assert listed.split()[:2] == ["alice", "operate"]
    assert said["token"][12:] not in listed
    assert main(["token", "revoke", "bob", *data]) == 0
    tokens = TokenFile(tmp_path / "data" / "http" / "tokens.json")
    assert tokens.caller(said["token"]) is None
    assert tokens.caller(place.read_text().strip()).role is Role.OPERATE
    lines = read_audit(tmp_path / "data" / "audit.jsonl")
    assert [line["kind"] for line in lines] == ["token-new", "token-new", "token-revoked"]
    assert said["token"][12:] not in str(lines)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["new", "a b"], "expected up to 64 letters"),
        (["new", "a", "--days", "0"], "give a number above 0"),
        (["new", "a", "--to", "."], "cannot be made"),
        (["revoke", "nobody"], "there is none"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, capsys, words, said):
    assert main(["token", *words, "--data", str(tmp_path / "data")]) == 2
    assert said in capsys.readouterr().err
    assert not TokenFile(tmp_path / "data" / "http" / "tokens.json").all()
