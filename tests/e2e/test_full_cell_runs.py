"""The full cell through every layer: its examples run, and their records give its capacities.

A record each 10 s passes a voltage limit by at most 0.56 mAh/g at 1 C; what the records say is
therefore a little more than what the sample holds between the limits, and never less.
"""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest

from orchestrator.analysis.capacity import capacity_table, is_battery
from orchestrator.bench import open_bench
from orchestrator.experiment import load_experiment
from orchestrator.laboratory import Surroundings
from orchestrator.records.directory import DataDirectory
from orchestrator.records.runs import find_run, load_run
from orchestrator.report.contents import gather
from orchestrator.running import run_experiment
from sim.samples.full_cell import FullCell
from tests.command import EXAMPLES, ROOT, only_object, operando
from tests.galvanostat import cycle

pytestmark = pytest.mark.e2e

WINDOW_V = (2.6, 4.25)
NMC_G = 12.67e-3


def table_of(run):
    return capacity_table(gather(run).echem.records)


def one_record_mah(discharge_ma, period_s=10.0):
    return discharge_ma * period_s / 3600.0


@pytest.fixture(scope="module")
def rates(tmp_path_factory):
    """The rate test through the installed command: its result and its table."""
    folder = tmp_path_factory.mktemp("rates")
    done = operando("run", EXAMPLES / "rate_test.yaml", "--json", cwd=folder, timeout_s=180)
    assert done.returncode == 0, done.stderr
    result = only_object(done.stdout)
    return result, load_run(find_run(folder / "operando-data", result["uid"]))


def test_the_rate_test_gives_the_published_capacities(rates):
    result, run = rates
    assert (result["exit_status"], result["stop_reason"]) == ("success", "completed")
    assert result["simulated"] == {"pstat": True}
    table = table_of(run)
    specific = table.discharge_mah / NMC_G
    assert set(table.quality) == {"ok"}
    assert table.discharge_ma / 2.534 == pytest.approx([0.1, 0.2, 0.33, 0.5, 1.0], rel=1e-3)
    assert specific[0] == pytest.approx(208.0, abs=0.5)
    assert specific[-1] == pytest.approx(163.0, abs=2.0)  # four cycles older than when fresh
    assert (np.diff(specific) < 0.0).all()
    assert ((table.efficiency > 0.99) & (table.efficiency < 1.001)).all()


def test_records_of_the_rate_test_are_the_samples_own_charges(rates):
    """Against a second sample that is cycled between exact limits, without instrument."""
    table = table_of(rates[1])
    cell, t_s = FullCell.from_preset("nmc83_limg"), 0.0
    for k, rate in enumerate((0.1, 0.2, 0.33, 0.5, 1.0)):
        done = cycle(cell, t_s, 2.0 * rate, WINDOW_V)
        t_s = done.end_s
        more = one_record_mah(table.discharge_ma[k])
        assert table.charge_mah[k] == pytest.approx(done.charged_mah, abs=1.1 * more + 1e-3)
        assert table.discharge_mah[k] == pytest.approx(done.discharged_mah, abs=1.1 * more + 1e-3)


def test_the_report_of_a_battery_shows_its_capacities(rates):
    found = gather(rates[1])
    assert found.short is None
    assert is_battery(found.echem.records)
    report = Path(rates[0]["report"])
    assert report.with_name("battery.png").stat().st_size > 1000
    page = report.read_text(encoding="utf-8")
    assert "Discharge / mAh/g" in page
    assert "<td>208.000 ± 0.016</td>" in page
    assert "Polarisation / mV" in page
    assert report.with_name("cycles.csv").read_text().startswith("cycle,start_s,duration_s,")


def test_the_how_to_prints_what_it_shows(rates, monkeypatch, capsys):
    page = (ROOT / "docs" / "how-to" / "cycle-a-battery.md").read_text(encoding="utf-8")
    code, shown = re.search(r"```python\n(.*?)```\s+```output\n(.*?)```", page, re.DOTALL).groups()
    monkeypatch.chdir(Path(rates[0]["data"]).parent)
    exec(compile(code, "cycle-a-battery.md", "exec"), {})  # noqa: S102 - our own page
    assert capsys.readouterr().out == shown


class Cycled:
    """An experiment file, perhaps changed, on the bench it names; with the sample it had."""

    def __init__(self, data, text):
        path = data / "experiment.yaml"
        path.write_text(text, encoding="utf-8")
        experiment = load_experiment(path, environ={})
        around = Surroundings(**experiment.environment.model_dump())
        recipe = experiment.sample.simulate_as.model_dump()
        with open_bench("sim-cycler", data=data, sample=recipe, surroundings=around) as bench:
            self.result = run_experiment(experiment, bench, speak=io.StringIO())
            self.off = not bench.pstat._backend.output_on()
            self.cell = bench.laboratory.world.sample
            self.now_s = bench.laboratory.world.now()
        self.run = load_run(DataDirectory(data).journal(self.result.uid))
        self.table = table_of(self.run)


def cycling(cycles, mpa=1):
    """The example with another number of cycles and another pressure."""
    text = (EXAMPLES / "full_cell_cycling.yaml").read_text(encoding="utf-8")
    changed = text.replace("cycle_count: 30}", f"cycle_count: {cycles}}}")
    return changed.replace("stack_pressure_mpa: 1}", f"stack_pressure_mpa: {mpa}}}")


@pytest.mark.long
def test_the_cycling_example_fades_as_the_sample_does(tmp_path):
    done = Cycled(tmp_path, cycling(30))
    assert (done.result.exit_status, done.result.stop_reason) == ("success", "completed")
    assert done.off
    table = done.table
    assert len(table) == 30
    assert set(table.quality) == {"ok"}
    assert table.discharge_mah[0] / done.cell.area_cm2 == pytest.approx(1.63, abs=0.01)
    net, throughput = done.cell.charge_mah(done.now_s)
    assert table.charge_mah.sum() - table.discharge_mah.sum() == pytest.approx(net, abs=2e-3)
    assert table.charge_mah.sum() + table.discharge_mah.sum() == pytest.approx(throughput, rel=1e-4)
    truth = exact_retention(30)
    assert table.retention[-1] == pytest.approx(truth, abs=3 * table.retention_error[-1])
    assert (np.diff(table.discharge_mah) <= one_record_mah(2.534) + 1e-4).all()
    assert done.run.start["simulation"]["stack_pressure_mpa"] == 1.0
    json.dumps(done.cell.snapshot(done.now_s), allow_nan=False)


def exact_retention(cycles, mpa=1.0):
    cell, t_s, discharged = FullCell.from_preset("nmc83_limg", stack_pressure_mpa=mpa), 0.0, []
    for _ in range(cycles):
        done = cycle(cell, t_s, 2.0, WINDOW_V)
        t_s = done.end_s
        discharged.append(done.discharged_mah)
    return discharged[-1] / discharged[0]


def test_a_charge_is_held_at_constant_voltage_until_the_current_has_fallen(tmp_path):
    hold = (
        "    - {step: constant_voltage, voltage_V: 4.25, until_rate_C: C/20, until_time_s: 36000}\n"
        "    - {step: open_circuit_voltage, until_time_s: 600}\n"
    )
    lines = cycling(2).splitlines(keepends=True)
    at = next(k for k, line in enumerate(lines) if "until_voltage_V: 4.25" in line)
    done = Cycled(tmp_path, "".join([*lines[: at + 1], hold, *lines[at + 1 :]]))
    assert done.result.stop_reason == "completed"
    echem = done.run.streams["echem"]
    held = (echem["pstat_step_index"] == 2) & (echem["pstat_cycle"] == 1)
    current_ma, volts = echem["pstat_current_ma"][held], echem["pstat_voltage_v"][held]
    assert volts == pytest.approx(np.full(held.sum(), 4.25), abs=1e-3)
    assert (np.diff(current_ma) < 1e-4).all()
    assert current_ma[0] == pytest.approx(2.534, rel=0.02)
    assert current_ma[-1] == pytest.approx(2.534 / 20, rel=0.05)
    resting = (echem["pstat_step_index"] == 3) & (echem["pstat_cycle"] == 1)
    assert 4.2 < echem["pstat_voltage_v"][resting][-1] < 4.25
    assert done.table.discharge_mah[0] / NMC_G > 195.0  # what the hold adds to 163


@pytest.mark.soak
@pytest.mark.parametrize(("cycles", "mpa", "published"), [(260, 1, 0.76), (750, 14, 0.80)])
def test_the_papers_retention_through_the_full_stack(tmp_path, cycles, mpa, published):
    done = Cycled(tmp_path, cycling(cycles, mpa))
    print(
        f"{cycles} cycles: {done.result.wall_s:.1f} s wall, {done.result.events['echem']} records"
    )
    assert done.result.stop_reason == "completed"
    assert len(done.table) == cycles
    assert done.table.retention[-1] == pytest.approx(published, abs=0.01)
