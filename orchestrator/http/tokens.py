"""Who may ask over HTTP: named tokens with a role, of which only hashes are kept.

A token is ``op_<id>_<secret>``, the secret 32 random bytes. What is kept is its SHA-256: a secret
that long cannot be guessed from it, so that nothing slower is needed. It is shown once, when it is
made.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

import orjson

from devices.clock import wall_time
from orchestrator.errors import ControlError
from orchestrator.http.places import require_private, write_private
from orchestrator.records.locks import FileLock

_SECRET_BYTES = 32
_LOCK_S = 5.0
_FORM = re.compile(r"op_([0-9a-f]{8})_([A-Za-z0-9_-]{43})")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_NOBODY = "0" * 64


class Role(StrEnum):
    """What a token is good for: READ looks, OPERATE also changes."""

    READ = "read"
    OPERATE = "operate"


@dataclass(frozen=True)
class Caller:
    """Who asks.

    Attributes:
        id: Of the token.
        name: As it was called when it was made.
        role: What it may do.
        made_s: When it was made, Unix s.
        ends_s: When it ends, Unix s; None never.
    """

    id: str
    name: str
    role: Role
    made_s: float
    ends_s: float | None = None


@dataclass(frozen=True)
class _Kept(Caller):
    """A token as the file has it: with the hash of its secret."""

    sha256: str = _NOBODY


class TokenFile:
    """The tokens of a data directory.

    Args:
        path: The file; readable by its owner only.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None
        self._known: dict[str, _Kept] = {}

    def make(self, name: str, role: Role, *, life_s: float | None = None) -> str:
        """Make a token and return it; nobody can show it again.

        Raises:
            ControlError: The name is taken or is none, or others may read the file.
            RecordError: Another process keeps the file for itself.
        """
        if _NAME.fullmatch(name) is None:
            what = f"got {name[:70]!r}, expected up to 64 letters, digits and . _ @ -"
            raise ControlError("token", what, remedy="choose another name")
        with self._changing() as tokens:
            if any(one.name == name for one in tokens.values()):
                what = f"there is one for {name!r} already"
                raise ControlError("token", what, remedy="revoke it first, or choose another name")
            token_id, secret = secrets.token_hex(4), secrets.token_urlsafe(_SECRET_BYTES)
            now_s = wall_time()
            ends_s = None if life_s is None else now_s + life_s
            tokens[token_id] = _Kept(token_id, name, role, now_s, ends_s, _hashed(secret))
        return f"op_{token_id}_{secret}"

    def revoke(self, name: str) -> Caller:
        """Take a token away: from now on it is refused.

        Raises:
            ControlError: There is none with that name.
        """
        with self._changing() as tokens:
            found = next((one for one in tokens.values() if one.name == name), None)
            if found is None:
                what = f"there is none for {name[:70]!r}"
                raise ControlError("token", what, remedy="`operando token list` shows them")
            del tokens[found.id]
        return found

    def all(self) -> list[Caller]:
        """Every token, without its hash.

        Raises:
            ControlError: The file cannot be used.
        """
        kept = self._read().values()
        return [Caller(one.id, one.name, one.role, one.made_s, one.ends_s) for one in kept]

    def caller(self, token: str) -> Caller | None:
        """Who has this token; None for nobody, whatever is wrong with it.

        The secret is compared in constant time, also where no token has that id.

        Raises:
            ControlError: The file cannot be used.
        """
        form = _FORM.fullmatch(token)
        kept = self._read().get(form[1]) if form else None
        right = hmac.compare_digest(
            _hashed(form[2] if form else ""), _NOBODY if kept is None else kept.sha256
        )
        if kept is None or not right or (kept.ends_s is not None and kept.ends_s <= wall_time()):
            return None
        return Caller(kept.id, kept.name, kept.role, kept.made_s, kept.ends_s)

    # --- inside ---------------------------------------------------------------------------------

    def _read(self) -> dict[str, _Kept]:
        """The tokens, read again when the file has changed."""
        try:
            require_private(self.path)
            stat = self.path.stat()
            seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if seen != self._seen:
                listed = orjson.loads(self.path.read_bytes())["tokens"]
                kept = [_Kept(**{**one, "role": Role(one["role"])}) for one in listed]
                self._known, self._seen = {one.id: one for one in kept}, seen
        except FileNotFoundError:
            self._known, self._seen = {}, None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ControlError(
                str(self.path), f"cannot be read: {error}", remedy="make the tokens anew"
            ) from error
        return self._known

    @contextmanager
    def _changing(self) -> Iterator[dict[str, _Kept]]:
        """Tokens that are changed: written when the ``with`` block ends without an error."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = FileLock(self.path.with_suffix(".lock"))
        lock.acquire(_LOCK_S)
        try:
            tokens = dict(self._read())
            yield tokens
            write_private(self.path, {"tokens": [asdict(one) for one in tokens.values()]})
        finally:
            lock.release()


def _hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
