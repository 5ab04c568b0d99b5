"""Runs as one text file: what they are, how they trained and what they scored, without weights, images or pictures."""

from __future__ import annotations

import json
import lzma
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from kd_monai.atomic import write_bytes, write_json
from kd_monai.config.overlays import BUNDLES
from kd_monai.runs.evaluated_run import TrainedRun
from kd_monai.tracking import Tracker
from kd_monai.tracking.journal import Journal

FILES = (
    "run.json",
    "config.yaml",
    "split.json",
    "cases.csv",
    "thresholds.json",
    "durations.json",
    "journal.jsonl",
)
"""What is taken of a run's folder."""

_OUT, _CODE, _DATA = "<OUT>", "<CODE>", "<DATA>"
_CHECKOUT = re.compile(r"/[^\s\"':]*(?=/bundles/brats_)")
_CELL = ("state", "run", "seconds", "signature", "teacher")


def pack(out: str | Path, file: str | Path) -> int:
    """Write the scored runs of a folder, teachers of inner folds, fixed masks and the study's cells into one file.

    It has a line of JSON per run, sorted by name, so that a version control system shows what came to it, and says
    nothing of the machine's folders. With a name that ends in ``.xz`` it is compressed, to a tenth: runs repeat each
    other.

    Args:
        out: folder of run folders.
        file: is replaced.

    Returns:
        The number of runs.

    Raises:
        ValueError: no run has been scored.
    """
    out = Path(out).expanduser().absolute()
    runs = [TrainedRun.read(file.parent) for file in sorted(out.glob("*/run.json"))]
    runs = [run for run in runs if _is_done(run)]
    if not runs:
        raise ValueError(f"Finished and scored runs are packed; {out} has none. Train first (make study).")
    lines = [{"run": run.folder.name, "files": dict(_texts(run, out))} for run in runs]
    names = {run.folder.name for run in runs}
    cells = {
        name: {key: entry[key] for key in _CELL if key in entry}
        for name, entry in sorted(_cells(out).items())
        if entry.get("state") == "finished" and entry.get("run") in names
    }
    content = [{"cells": cells}, *lines]
    data = "".join(json.dumps(line, sort_keys=True) + "\n" for line in content).encode()
    write_bytes(file, lzma.compress(data) if Path(file).suffix == ".xz" else data)
    return len(runs)


def unpack(file: str | Path, out: str | Path) -> list[Path]:
    """Write the runs of a packed file into a folder, and tell MLflow of them; runs that are there are left alone.

    They can be reported, compared and chosen from, and a study goes on behind them. They have no weights: a teacher
    that an open cell needs is trained again.

    Returns:
        The folders that were written.

    Raises:
        ValueError: the file is none that `pack` wrote.
    """
    file, out = Path(file).expanduser(), Path(out).expanduser().absolute()
    try:
        data = lzma.decompress(file.read_bytes()) if file.suffix == ".xz" else file.read_bytes()
        first, *lines = [json.loads(line) for line in data.decode().splitlines()]
        cells = {str(name): dict(entry) for name, entry in first["cells"].items()}
        runs = {str(line["run"]): {str(name): str(text) for name, text in line["files"].items()} for line in lines}
    except (OSError, lzma.LZMAError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{file} must be what `make pack` wrote; it cannot be read: {error}. Correct PACK.") from error
    strangers = [
        name for run, files in runs.items() for name in (run, *files) if Path(name).name != name or name == ".."
    ]
    if strangers:
        raise ValueError(f"{file} must name files of run folders alone; got {strangers[0]!r}. Restore the file.")
    written = []
    for run, files in runs.items():
        if (out / run).exists():
            continue
        # run.json last: with it the folder is a run
        for name in sorted(files, key=lambda name: name == "run.json"):
            text = files[name].replace(_OUT, str(out)).replace(_CODE, str(BUNDLES.parent))
            write_bytes(out / run / name, text.encode())
        written.append(out / run)
    here = _cells(out)
    done = {name: entry for name, entry in here.items() if entry.get("state") == "finished"}
    write_json(out / "study.json", {"cells": {**here, **cells, **done}})
    for folder in tqdm(written, desc="telling MLflow", unit="run", leave=False):
        if (folder / "journal.jsonl").is_file():
            Tracker.reopen(folder).close()
    return written


def _is_done(run: TrainedRun) -> bool:
    """Whether it is scored, or teaches without scores; a fixed mask was never trained."""
    scored = (run.folder / "cases.csv").is_file() or run.record.get("inner_fold") is not None
    return scored and (run.record.get("status") == "FINISHED" or run.record["role"] == "fixed_mask")


def _cells(out: Path) -> Mapping[str, Any]:
    file = out / "study.json"
    found: dict[str, Any] = json.loads(file.read_text())["cells"] if file.is_file() else {}
    return found


def _texts(run: TrainedRun, out: Path) -> Iterator[tuple[str, str]]:
    """The texts of a run, in which the folders of this machine have names."""
    places = {str(out): _OUT}
    data = Path(run.config.get("dataset_dir") or "")
    if data.is_absolute():
        places[str(data.parent)] = _DATA
    for name in FILES:
        if not (run.folder / name).is_file():
            continue
        if name == "journal.jsonl":  # without pictures and weights, and without what a report tells the parent run anew
            lines = (line for line, _ in Journal(run.folder / name).read())
            kept = (line for line in lines if line["op"] != "artifact" and not line.get("parent"))
            text = "".join(json.dumps(line) + "\n" for line in kept)
        else:
            text = (run.folder / name).read_text(encoding="utf-8")
        for place in sorted(places, key=len, reverse=True):
            text = text.replace(place, places[place])
        yield name, _CHECKOUT.sub(_CODE, text)
