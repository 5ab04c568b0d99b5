"""Stands in for `python -m kd_monai VERB NAME=value ...`: writes what a finished run leaves, and notes its words.

`OUT/orders.json` says what goes wrong: part of a job's name -> fail, wait, unnoted.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path


def main(verb: str, *words: str) -> int:
    """Its exit status."""
    variables = dict(word.split("=", 1) for word in words)
    out = Path(variables["OUT"])
    if verb == "report":
        sys.stdout.write("the report\n")
        return 0
    name = "_".join([variables.get("METHOD", verb), *filter(None, [variables.get("MODALITY")])])
    name += f"-fold{variables['FOLD']}-seed{variables['SEED']}"
    threads = os.environ.get("OMP_NUM_THREADS", "")
    call = {"verb": verb, "name": name, "variables": variables, "threads": threads, "began": time.time()}
    with (out / "calls.jsonl").open("a") as file:
        file.write(json.dumps(call) + "\n")
    sys.stdout.write(f"Writing {name}\n")
    sys.stdout.flush()
    orders = json.loads((out / "orders.json").read_text()) if (out / "orders.json").is_file() else {}
    order = next((order for part, order in orders.items() if part in name), "")
    run = out / f"{name}-run"
    run.mkdir(exist_ok=True)
    if order == "fail":
        sys.stderr.write("Caching\n\nValueError: LABELS must be\n  one of these\n")
        return 2
    if order == "wait" and not (run / "begun").exists():
        (run / "begun").touch()
        try:
            time.sleep(600)
        except KeyboardInterrupt:
            (run / "interrupted").touch()
            return 130
    if order == "slow" and not (run / "begun").exists():
        (run / "begun").touch()
        time.sleep(25)  # a study needs some ten seconds until it submits again
    (run / "bundle").mkdir(exist_ok=True)
    (run / "cases.csv").touch()
    (run / "model.pt").touch()
    (run / "durations.json").write_text(json.dumps({"wall": 12.0}))
    (run / "run.json").write_text(json.dumps({"status": "FINISHED"}))
    if order != "unnoted":
        Path(variables["NOTE"]).write_text(f"{run}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
