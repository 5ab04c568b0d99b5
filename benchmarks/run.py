"""Run every benchmark, each in a process of its own; print one table; write ``OUT/bench.json`` and ``bench.md``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from kd_monai.atomic import write_bytes, write_json
from kd_monai.config.errors import run_command
from kd_monai.config.variables import read_command
from kd_monai.errors import UserError
from kd_monai.phantom import write_phantom

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


def main() -> int:
    """Read the variables of `bench`, run, print; the exit status.

    Raises:
        UserError: a variable does not fit; nothing has run then.
    """
    command = read_command(["bench", *sys.argv[1:]])
    names = command["ONLY"] or [name for name in benchmarks() if name not in LONG]
    unknown = sorted(set(names) - set(benchmarks()))
    if unknown:
        raise UserError(f"ONLY takes {', '.join(benchmarks())}; got {', '.join(unknown)}. Correct it.")
    data: Path | None = command["DATA"]
    if data and not data.exists():  # else some questions fail, after others took minutes
        raise UserError(f"DATA must be a folder of full-size subjects; {data} does not exist. Correct it.")
    out: Path = command["OUT"]
    data = data or write_phantom("data/phantom-1mm-8", 8, 1, seed=0)
    small_data = write_phantom("data/phantom-2mm", 30, 2, seed=0)
    options = ["--size", command["SIZE"], "--out", str(out), "--data", str(data), "--small-data", str(small_data)]
    options += ["--device", command["DEVICE"]] if command["DEVICE"] else []
    rows, failed, silent = [], [], []
    for name in names:
        began = time.perf_counter()
        status, answers = run(name, options)
        print(f"--- {name}, {time.perf_counter() - began:.0f} s", flush=True)
        for row in answers:
            print(line(row), flush=True)
        rows += answers
        silent += [] if answers or status else [name]
        if status:
            failed.append(name)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "bench.json", rows)
    write_bytes(out / "bench.md", table(rows).encode())
    print(f"{len(rows)} rows: {os.path.relpath(out / 'bench.json')}")
    if silent:
        print(f"No row from {', '.join(silent)}: each says above what it needs first.")
    if failed:
        raise UserError(f"No answer from {', '.join(failed)}. Their messages stand above.")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
