"""Reads a finished run in three ways: as arrays, with databroker, with Tiled's client.

python examples/read_a_run.py [DATA [RUN]]
"""

import sys
from pathlib import Path

from orchestrator.records.runs import find_run, load_run
from orchestrator.records.store import open_store


def main(data: Path, reference: str) -> None:
    run = load_run(find_run(data, reference))
    echem = run.streams["echem"]
    print(f"run {run.uid[:8]}: {run.start['plan_name']}, {run.stop and run.stop['reason']}")
    print(f"arrays: {len(echem['time'])} records over {run.duration_s / 3600:.3f} h")
    image = run.frames("mri")[-1]
    print(f"arrays: last image {image.shape}, {image.dtype}")

    with open_store(data) as store:
        table = store.db[run.uid].table("echem")
        last_mah = table["pstat_throughput_mah"].iloc[-1]
        print(f"databroker: {len(table)} rows, {last_mah:.6f} mAh moved")
        found = store.db(plan_name=run.start["plan_name"])
        print(f"databroker: found by plan name: {run.uid in {one.start['uid'] for one in found}}")
        images = store.cat[run.uid]["mri"]["mri_image"].read()
        print(f"Tiled: images {images.shape}, the last one the same: {(images[-1] == image).all()}")


if __name__ == "__main__":
    arguments = sys.argv[1:]
    main(
        Path(arguments[0] if arguments else "operando-data"),
        arguments[1] if len(arguments) > 1 else "-1",
    )
