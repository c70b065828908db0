"""Under systemd: unit files that ship with the package, and what a service tells its manager."""

from orchestrator.units.notify import Notifier

__all__ = ["Notifier"]
