"""Experiments that wait for their time: what is to run, on which bench, when, and what became of it.

The queue is one SQLite file of the data directory; docs/decisions/0020-schedule.md says why none of
the libraries looked at fits. Nothing here opens a bench: `operando serve` starts one runner per job.
"""

from orchestrator.schedule.jobs import Job, JobStore, Request, State
from orchestrator.schedule.times import Start, start_time

__all__ = ["Job", "JobStore", "Request", "Start", "State", "start_time"]
