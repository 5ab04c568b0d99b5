"""Score finished runs on their test folds: one (--run), or all of a folder that have no scores yet (--out)."""

import argparse
import json
from pathlib import Path

from kd_monai.study.command import run_command
from kd_monai.study.compare import compare
from kd_monai.study.export import export_bundle
from kd_monai.study.launch import STUDENT, TEACHER, evaluate


def main() -> None:
    """Parse, call, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs"), help="folder of the runs (default %(default)s)")
    parser.add_argument("--run", type=Path, help="score this run alone")
    parser.add_argument("--data", help="where the data lies now, if it has moved")
    parser.add_argument("--device", help="cpu, cuda, cuda:1")
    parser.add_argument("--force", action="store_true", help="score again what is scored")
    given = parser.parse_args()
    overrides = {"dataset_dir": given.data, "device": given.device}
    folders = [given.run] if given.run else sorted(file.parent for file in given.out.glob("*/run.json"))
    for folder in folders:
        record = json.loads((folder / "run.json").read_text())
        if record["role"] == "fixed_mask" or (record["status"] != "FINISHED" and not given.run) or not record["n_test"]:
            continue
        if (folder / "cases.csv").is_file() and not given.force:
            continue
        template = TEACHER if record["role"] == "teacher" else STUDENT
        evaluate(template, folder, {name: value for name, value in overrides.items() if value})
        export_bundle(folder, template, folder / "bundle")
    print(compare(given.run.parent if given.run else given.out, runs=[given.run] if given.run else None).text)


if __name__ == "__main__":
    run_command(main)
