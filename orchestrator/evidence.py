"""What the conditions of an experiment file look at on a bench."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from devices.roles import RecordSource
from orchestrator.bench import Bench
from orchestrator.experiment import Experiment
from orchestrator.experiment.conditions import Condition as ConditionModel
from orchestrator.experiment.evidence_checks import SEEN_BY
from orchestrator.measuring.derived import derive
from plans.conditions import Condition, condition
from plans.evidence import SETTLE_S


class Evidence:
    """Makes the conditions of one run.

    Args:
        experiment: The validated file.
        bench: The open bench that it will run on.
    """

    def __init__(self, experiment: Experiment, bench: Bench) -> None:
        self._experiment, self._bench = experiment, bench
        self._derived: dict[str, Mapping[str, RecordSource]] = {}

    def condition(self, model: ConditionModel) -> Condition:
        """A condition of the file, on what it looks at."""
        return condition(
            model.name,
            self._source(model),
            value=model.value or 0.0,
            area_cm2=self._experiment.sample.area_cm2,
            repeat=model.repeat,
            confirm=model.confirm,
            hysteresis=model.hysteresis,
            within_s=model.within_s,
            settle_s=SETTLE_S if model.settle_s is None else model.settle_s,
        )

    def _source(self, model: ConditionModel) -> RecordSource:
        kind = model.kind
        device = self._device(kind.evidence, kind.device_kind)
        if kind.evidence in ("records", "temperature_celsius", "pressure_mpa"):
            sensor: RecordSource = self._bench.devices[device]
            return sensor
        key = kind.evidence
        if model.layer is not None:
            key = f"lithium_layer_{model.layer}_umol_per_cm2"
        return self._numbers(device)[key]

    def _device(self, evidence: str, kind: str) -> str:
        """The device that the first series which shows it is taken with, else that of the role."""
        sees = SEEN_BY.get(evidence)
        if sees is not None:
            return next(one.device for one in self._experiment.images if sees(one))
        return self._experiment.device_of(kind)

    def _numbers(self, device: str) -> Mapping[str, RecordSource]:
        """One analysis of a device, however many conditions look at it."""
        if device not in self._derived:
            sample: dict[str, Any] = self._experiment.sample.to_document()
            self._derived[device] = derive(self._bench.devices[device], sample)
        return self._derived[device]
