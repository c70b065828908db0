"""Plain PyVISA, nothing of this project: ask who is there, and pass a small current for 2 s.

Start the laboratory in one terminal and give the resource strings it prints in another:

operando bench
python examples/plain_pyvisa.py RESOURCE [RESOURCE ...]

The current goes through whichever of them is a Keithley 2450.
"""

import sys
import time
from typing import Any

import pyvisa

CURRENT_A = 12.57e-6
RECORDS, PERIOD_S = 20, 0.1
LONGEST_S = 20.0

SET_UP = (
    "*RST",
    ":OUTP:SMOD HIMP",  # off is an open circuit: the default drives 0 V and discharges a cell
    ":SOUR:FUNC CURR",
    f":SOUR:CURR {CURRENT_A:g}",
    ":SOUR:CURR:VLIM 1",
    ':SENS:FUNC "VOLT"',
    ":SENS:VOLT:RANG 0.2",
    f':TRIG:LOAD "SimpleLoop", {RECORDS}, {PERIOD_S}, "defbuffer1"',
    ":TRIG:BLOC:SOUR:STAT 5, OFF",  # the instrument ends the step, whatever becomes of us
)


def galvanostatic_step(smu: Any) -> list[tuple[float, float, float]]:
    """Run the step; time, voltage and current of every record, in s, V and A."""
    for command in SET_UP:
        smu.write(command)
    refuse_errors(smu)
    try:
        smu.write(":OUTP ON")
        smu.write(":INIT")
        wait_for_idle(smu)
    finally:
        smu.write(":ABOR")
        smu.write(":OUTP OFF")
    refuse_errors(smu)
    count = int(smu.query(':TRAC:ACT? "defbuffer1"'))
    values = smu.query_ascii_values(f':TRAC:DATA? 1, {count}, "defbuffer1", REL, READ, SOUR')
    return list(zip(values[0::3], values[1::3], values[2::3], strict=True))


def wait_for_idle(smu: Any) -> None:
    """Look at the trigger model until it has ended."""
    for _ in range(int(LONGEST_S / PERIOD_S)):
        if smu.query(":TRIG:STAT?").startswith("IDLE"):
            return
        time.sleep(PERIOD_S)  # noqa: TID251 - a plain script has no bench and so no clock
    raise TimeoutError(f"the trigger model did not end within {LONGEST_S:g} s")


def refuse_errors(smu: Any) -> None:
    """Stop at what the instrument did not like."""
    error = smu.query(":SYST:ERR?")
    if not error.startswith("0,"):
        raise RuntimeError(f"the instrument says {error}")


def main(resources: list[str]) -> None:
    manager = pyvisa.ResourceManager("@py")
    try:
        for resource in resources:
            instrument: Any = manager.open_resource(
                resource, read_termination="\n", write_termination="\n", timeout=2000
            )
            identity = instrument.query("*IDN?")
            print(f"{resource}: {identity}")
            if "MODEL 2450" in identity:
                for t_s, voltage_v, current_a in galvanostatic_step(instrument):
                    print(f"{t_s:6.2f} s  {1e3 * voltage_v:8.3f} mV  {1e6 * current_a:8.3f} µA")
                print(f"output off: {instrument.query(':OUTP?') == '0'}")
            instrument.close()
    finally:
        manager.close()


if __name__ == "__main__":
    main(sys.argv[1:]) if len(sys.argv) > 1 else sys.exit(__doc__)
