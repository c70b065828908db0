"""PyMeasure's own Keithley 2450 driver, nothing of this project, on the simulated laboratory.

Start the laboratory in one terminal, and give the resource string of its 2450 in another:

operando bench
python examples/plain_pymeasure.py RESOURCE
"""

import sys

from pymeasure.instruments.keithley import Keithley2450

CURRENTS_A = (0.0, 5e-6, 10e-6, -10e-6)


def main(resource: str) -> None:
    smu = Keithley2450(
        resource, visa_library="@py", read_termination="\n", write_termination="\n", timeout=2000
    )
    print(smu.id)
    smu.reset()
    smu.current_output_off_state = "HIMP"  # off is an open circuit; the default drives 0 V
    smu.voltage_output_off_state = "HIMP"
    smu.apply_current(current_range=100e-6, compliance_voltage=1)
    smu.measure_voltage(nplc=1, auto_range=True)
    smu.source_current = 0
    try:
        smu.enable_source()
        for current_a in CURRENTS_A:
            smu.source_current = current_a
            print(f"{1e6 * current_a:6.1f} µA  {1e3 * smu.voltage:8.3f} mV")
    finally:
        smu.shutdown()  # ramps to zero, switches off
    print(f"output off: {not smu.source_enabled}")
    smu.adapter.close()


if __name__ == "__main__":
    main(sys.argv[1]) if len(sys.argv) == 2 else sys.exit(__doc__)
