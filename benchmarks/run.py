"""Run every benchmark, each in a process of its own; print one table; write ``OUT/bench.json`` and ``bench.md``."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from kd_monai.atomic import write_bytes, write_json

HERE = Path(__file__).parent
SHARED = {"question", "row", "run", "same_voxels", "trainings", "zoo"}
LONG = {"method_cost", "precision_seeds"}
"""Asked by name alone."""


def benchmarks() -> list[str]:
    """Names of the questions: every file of this folder that is not shared by them."""
    return sorted(file.stem for file in HERE.glob("*.py") if file.stem not in SHARED)


def run(name: str, options: list[str]) -> tuple[int, list[dict[str, Any]]]:
    """Exit status and rows of one benchmark."""
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder, "rows.json")
        status = subprocess.run([sys.executable, str(HERE / f"{name}.py"), *options, "--rows", str(rows)]).returncode
        return status, json.loads(rows.read_text()) if rows.is_file() else []


def line(row: dict[str, Any]) -> str:
    """A row of the printed table."""
    sides = "   ".join(
        f"{side['name']} {side['median']:.4g} [{side['low']:.4g}, {side['high']:.4g}] {side['unit']}"
        for side in (row["ours"], row["theirs"])
    )
    head = f"{row['question']}\n  {row['meaning']}: {row['ratio']:.4g} [{row['low']:.4g}, {row['high']:.4g}]"
    reach = f"  ({row['reach']}: {row['verdict']})" if row["reach"] else ""
    floor = f"\n  floor: {row['floor']}" if row["floor"] else ""
    return f"{head}{reach}\n  {sides}{floor}\n  contract: {row['contract']}"


def table(rows: list[dict[str, Any]]) -> str:
    """The rows in Markdown, for the performance page."""
    head = "| question | ratio [lowest, highest round] | reach | ours | the other side |\n|---|---|---|---|---|\n"
    lines = []
    for row in rows:
        sides = [f"{side['median']:.3g} {side['unit']}" for side in (row["ours"], row["theirs"])]
        reach = f"{row['reach']}: {row['verdict']}" if row["reach"] else "for information"
        ratio = f"{row['ratio']:.4g} [{row['low']:.4g}, {row['high']:.4g}]"
        lines.append(f"| {row['question']} | {ratio} | {reach} | {sides[0]} | {sides[1]} |")
    return head + "\n".join(lines) + "\n"


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--only", help=f"names joined by ',': {', '.join(benchmarks())}")
    parser.add_argument("--size", choices=("full", "tiny"), default="full")
    parser.add_argument("--data")
    parser.add_argument("--small-data")
    parser.add_argument("--device")
    given = parser.parse_args()
    names = given.only.split(",") if given.only else [name for name in benchmarks() if name not in LONG]
    unknown = sorted(set(names) - set(benchmarks()))
    if unknown:
        parser.error(f"--only takes {', '.join(benchmarks())}; got {', '.join(unknown)}")
    for option, path in (("--data (DATA)", given.data), ("--small-data (PHANTOM)", given.small_data)):
        if path and not Path(path).exists():  # else some questions fail, after others took minutes
            parser.error(f"{option} must be a folder of subjects: {path} does not exist. Correct it, or leave it out")
    options = ["--size", given.size, "--out", str(given.out)]
    for name in ("data", "small_data", "device"):
        if getattr(given, name):
            options += [f"--{name.replace('_', '-')}", getattr(given, name)]
    rows, failed, silent = [], [], []
    for name in names:
        began = time.perf_counter()
        status, own = run(name, options)
        print(f"--- {name}, {time.perf_counter() - began:.0f} s", flush=True)
        for row in own:
            print(line(row), flush=True)
        rows += own
        silent += [] if own or status else [name]
        if status:
            failed.append(name)
    given.out.mkdir(parents=True, exist_ok=True)
    write_json(given.out / "bench.json", rows)
    write_bytes(given.out / "bench.md", table(rows).encode())
    print(f"{len(rows)} rows: {os.path.relpath(given.out / 'bench.json')}")
    if silent:
        print(f"No row from {', '.join(silent)}: each says above what it needs first.")
    if failed:
        sys.exit(f"No answer from {', '.join(failed)}: see above.")


if __name__ == "__main__":
    main()
