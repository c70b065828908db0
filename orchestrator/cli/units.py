"""`operando units`: the unit files for systemd, filled in for this machine."""

from __future__ import annotations

import argparse
import getpass
import os
from pathlib import Path

from orchestrator.cli.output import Output, short

HELP = "write systemd units: serve the queue, switch off after a power loss, recover"


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--user", action="store_true", help="for this user's manager (default)")
    which.add_argument(
        "--system", action="store_true", help="for the system's manager, run as --run-as"
    )
    parser.add_argument("--run-as", metavar="USER", help="user of --system (default who asks)")
    parser.add_argument(
        "--out", type=Path, default=Path(), metavar="DIR", help="where to write (default here)"
    )
    parser.add_argument("--force", action="store_true", help="write over what is there")


def run(args: argparse.Namespace, out: Output) -> int:
    """Write the units and say how to begin."""
    from orchestrator.errors import ControlError  # keep `--help` fast
    from orchestrator.units.writing import UNITS, filled_in, this_machine, write_units

    if args.run_as and not args.system:
        raise ControlError("--run-as", "is for --system", remedy="leave it out, or add --system")
    user = args.run_as or os.environ.get("SUDO_USER") or getpass.getuser()
    machine = this_machine(args.data, user=user if args.system else "")
    units = filled_in(machine, "system" if args.system else "user")
    paths = write_units(units, args.out, force=args.force)
    systemctl = "sudo systemctl" if args.system else "systemctl --user"
    folder = "/etc/systemd/system" if args.system else "~/.config/systemd/user"
    names = " ".join(UNITS)
    for path in paths:
        out.line(f"wrote {short(path)}")
    out.line(f"put them into {folder}, then:")
    out.line(f"  {systemctl} daemon-reload")
    out.line(f"  {systemctl} enable --now {names}")
    if not args.system:
        out.line(f"  loginctl enable-linger {user}    # or they end when you log out")
    out.result({"units": [str(path) for path in paths]})
    return 0
