"""Finds and reads `alerts.yaml`."""

from __future__ import annotations

from pathlib import Path

from orchestrator.alerts.model import Alerts
from orchestrator.inputs.invalid import AlertsFileError
from orchestrator.inputs.models import validated
from orchestrator.inputs.problems import InvalidInput
from orchestrator.inputs.source import read_source, top_mapping
from orchestrator.telling import alerts_file


def load_alerts(data: Path | None) -> Alerts | None:
    """Who is told about a data directory; None where no file says so.

    Args:
        data: The data directory; its own file wins over that of the user.

    Raises:
        AlertError: With every error of the file, at file:line:column.
    """
    path = alerts_file(data)
    return None if path is None else read_alerts(path)


def read_alerts(path: Path) -> Alerts:
    """Read and check one file.

    Raises:
        AlertError: With every error, at file:line:column.
    """
    try:
        source = read_source(path)
        top_mapping(source, "a file of alerts")
    except InvalidInput as error:
        raise AlertsFileError(error.problems) from None
    alerts, found = validated(Alerts, source.data)
    if alerts is None or found:
        raise AlertsFileError([source.place(finding) for finding in found])
    return alerts
