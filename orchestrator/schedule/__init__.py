"""Experiments that wait for their time: what is to run, on which bench, when, and what came of it.

The queue is one SQLite file of the data directory. Nothing here opens a bench: `operando serve`
starts one runner per job.
"""

from orchestrator.schedule.job import Job, Request, State
from orchestrator.schedule.jobs import JobStore
from orchestrator.schedule.times import Start, start_time

__all__ = ["Job", "JobStore", "Request", "Start", "State", "start_time"]
