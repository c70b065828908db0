"""Why a request is not carried out, as an answer and as a line of the audit log."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from devices.clock import monotonic
from orchestrator.errors import RecordError
from orchestrator.records.audit import AuditLog
from orchestrator.remote.messages import printable

log = logging.getLogger(__name__)

_AT_MOST = 60
_WITHIN_S = 60.0
_SHOWN = 120


class Refused(Exception):  # noqa: N818 - what it is
    """A request that is not carried out.

    Args:
        status: HTTP status.
        what: Why.
        remedy: What can be done about it.
    """

    def __init__(self, status: int, what: str, remedy: str) -> None:
        super().__init__(what)
        self.status, self.what, self.remedy = status, what, remedy

    def body(self) -> dict[str, Any]:
        """As JSON."""
        return {"who": "http", "what": self.what, "remedy": self.remedy}


@dataclass(frozen=True)
class Asked:
    """What the audit log says of a request.

    Attributes:
        who: Name of the token, or nobody, and from where.
        method: HTTP method.
        path: Path, shortened.
        key: Idempotency key; empty where there was none.
    """

    who: str
    method: str
    path: str
    key: str = ""

    def as_dict(self) -> dict[str, Any]:
        """JSON-able; what came from outside is printable and short."""
        return {
            "method": printable(self.method)[:16],
            "path": printable(self.path)[:_SHOWN],
            **({"key": printable(self.key)[:_SHOWN]} if self.key else {}),
        }


class Book:
    """Writes requests and refusals into the audit log; a flood of refusals does not fill the disk.

    Args:
        audit: The log.
        now: Monotonic real seconds.
    """

    def __init__(self, audit: AuditLog, *, now: Callable[[], float] = monotonic) -> None:
        self._audit, self._now = audit, now
        self._lately: deque[float] = deque()
        self._unwritten = 0

    def refused(self, asked: Asked, refusal: Refused) -> None:
        """Write a refusal; beyond 60 a minute they are counted, and the next line has the count."""
        now_s = self._now()
        while self._lately and now_s - self._lately[0] > _WITHIN_S:
            self._lately.popleft()
        if len(self._lately) >= _AT_MOST:
            self._unwritten += 1
            return
        self._lately.append(now_s)
        more = {"more_before": self._unwritten} if self._unwritten else {}
        self._unwritten = 0
        said = {"status": refusal.status, "why": refusal.what, **more}
        self.write("http-refused", asked, **said)

    def write(self, kind: str, asked: Asked, **what: Any) -> bool:
        """Write a line; returns whether that was possible."""
        try:
            self._audit.append(kind, printable(asked.who)[:_SHOWN], **asked.as_dict(), **what)
        except RecordError as error:
            log.warning("%s", error)
            return False
        return True
