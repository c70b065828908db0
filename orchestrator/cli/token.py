"""`operando token`: who may ask over HTTP."""

from __future__ import annotations

import argparse
import math
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli.output import Output

if TYPE_CHECKING:
    from orchestrator.http.tokens import TokenFile

HELP = "make, list and revoke the tokens that HTTP needs: new, list, revoke"

_DAY_S = 86_400.0


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    from orchestrator.cli.options import common_options

    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    new = actions.add_parser("new", help="make a token; it is shown once")
    new.add_argument("name", metavar="NAME", help="who will use it, for the records")
    new.add_argument(
        "--role",
        choices=("read", "operate"),
        default="read",
        help="read looks (default), operate also changes",
    )
    new.add_argument("--days", type=float, metavar="N", help="it ends after so many days")
    new.add_argument(
        "--to", type=Path, metavar="FILE", help="write it to a new file (600), show nothing"
    )
    actions.add_parser("list", help="who may ask; never the tokens themselves")
    revoke = actions.add_parser("revoke", help="refuse a token from now on")
    revoke.add_argument("name", metavar="NAME", help="as it was called when it was made")
    for sub in actions.choices.values():
        common_options(sub, after_verb=True)


def run(args: argparse.Namespace, out: Output) -> int:
    """Do what was asked with the tokens."""
    from orchestrator.http.places import HttpFiles
    from orchestrator.http.tokens import TokenFile

    files = HttpFiles(args.data)
    tokens = TokenFile(files.tokens)
    if args.action == "list":
        return _list(tokens, out)
    files.make()
    return _new(args, tokens, out) if args.action == "new" else _revoke(args, tokens, out)


def _new(args: argparse.Namespace, tokens: TokenFile, out: Output) -> int:
    from orchestrator.errors import ControlError
    from orchestrator.http.places import HttpFiles
    from orchestrator.http.tokens import Role

    if args.days is not None and not (math.isfinite(args.days) and args.days > 0):
        raise ControlError("--days", f"got {args.days}", remedy="give a number above 0")
    life_s = None if args.days is None else args.days * _DAY_S
    place = None if args.to is None else _opened(args.to)
    token = tokens.make(args.name, Role(args.role), life_s=life_s)
    _audited(args, "token-new", role=args.role)
    said = {"name": args.name, "role": args.role}
    address = HttpFiles(args.data).address_now()
    if address is not None:
        out.warn(f"`operando serve` listens at {address.url}")
    if place is not None:
        with os.fdopen(place, "w", encoding="ascii") as file:
            file.write(f"{token}\n")
        out.line(f"token of {args.name} ({args.role}) is in {args.to}")
        out.result({**said, "file": str(args.to)})
        return 0
    if not out.json:
        out.prompt(f"{token}\n")
    out.warn(f"token of {args.name} ({args.role}); it is not shown again")
    out.result({**said, "token": token})
    return 0


def _opened(path: Path) -> int:
    """A new file that only this user reads."""
    from orchestrator.errors import ControlError

    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise ControlError(
            "--to",
            f"{path} cannot be made: {error.strerror}",
            remedy="name a file that is not there",
        ) from error


def _revoke(args: argparse.Namespace, tokens: TokenFile, out: Output) -> int:
    found = tokens.revoke(args.name)
    _audited(args, "token-revoked", role=str(found.role))
    out.line(f"token of {args.name} is refused from now on")
    out.result({"name": args.name, "revoked": True})
    return 0


def _list(tokens: TokenFile, out: Output) -> int:
    known = tokens.all()
    if not known:
        out.line("nobody may ask: `operando token new NAME --role operate` makes a token")
    for one in known:
        ends = "" if one.ends_s is None else f", until {_day(one.ends_s)}"
        out.line(f"{one.name:<20}  {one.role:<8}  made {_day(one.made_s)}{ends}")
    listed = [
        {"name": one.name, "role": str(one.role), "made_s": one.made_s, "ends_s": one.ends_s}
        for one in known
    ]
    out.result({"tokens": listed})
    return 0


def _day(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d %H:%MZ")


def _audited(args: argparse.Namespace, kind: str, *, role: str) -> None:
    """Who made or revoked it; never the token."""
    from orchestrator.records.audit import AuditLog
    from orchestrator.records.directory import DataDirectory
    from orchestrator.remote.addresses import this_user

    AuditLog(DataDirectory(args.data).audit).append(kind, this_user(), name=args.name, role=role)
