"""Requests from other processes of the same user to the one that runs, over a local socket."""

from orchestrator.remote.client import ask, status_of, under_way
from orchestrator.remote.messages import Answer, Message
from orchestrator.remote.server import ControlServer
from orchestrator.remote.status import RunStatus, recorded_status

__all__ = [
    "Answer",
    "ControlServer",
    "Message",
    "RunStatus",
    "ask",
    "recorded_status",
    "status_of",
    "under_way",
]
