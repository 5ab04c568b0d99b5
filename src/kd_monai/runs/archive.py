"""Finished runs as one file: a tar of what they are, how they trained and what they scored.

Weights, images and pictures stay where they are, and no text is changed on the way.
"""

from __future__ import annotations

import gzip
import io
import lzma
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tqdm import tqdm

from kd_monai.atomic import replacing
from kd_monai.errors import UserError
from kd_monai.runs.read import TrainedRun, run_folders
from kd_monai.tracking import Tracker

FILES = (
    "config.yaml",
    "split.json",
    "cases.csv",
    "thresholds.json",
    "durations.json",
    "journal.jsonl",
    "run.json",  # last: with it a folder is a run
)
"""What is taken of a run's folder, and all that an archive may hold."""
SUFFIXES = (".tar.xz", ".tar.gz")
LARGEST_FILE, LARGEST_ARCHIVE = 64 * 2**20, 1024 * 2**20
"""Bytes, unpacked: of a file, and of all together."""


def pack(out: str | Path, file: str | Path) -> int:
    """Write the finished and scored runs of a folder, teachers of inner folds and fixed masks into one file.

    The same runs give the same bytes.

    Args:
        out: folder of run folders.
        file: ends in ``.tar.xz`` or ``.tar.gz``; it is replaced.

    Returns:
        The number of runs.

    Raises:
        UserError: no run has been scored, or `file` has another ending.
    """
    out, file = Path(out).expanduser(), Path(file).expanduser()
    _check_suffix(file)
    folders = [folder for folder in run_folders(out) if _is_done(TrainedRun.read(folder))]
    if not folders:
        raise UserError(f"Finished and scored runs are packed; {out} has none. Train first (make study).")
    with (
        replacing(file) as target,
        _compressed(target, file) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name in FILES:  # files of one kind resemble each other: side by side they compress best
            for folder in folders:
                if (folder / name).is_file():
                    content = (folder / name).read_bytes()
                    member = tarfile.TarInfo(f"{folder.name}/{name}")
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))
    return len(folders)


def unpack(file: str | Path, out: str | Path) -> list[Path]:
    """Write the runs of an archive into a folder, and tell MLflow of them; runs that are there are left alone.

    They can be reported, compared and chosen from. They have no weights: a teacher that a student needs is trained
    again.

    Returns:
        The folders that were written.

    Raises:
        UserError: the file is none that `pack` wrote.
    """
    written = extract(file, out)
    for folder in tqdm(written, desc="telling MLflow", unit="run", leave=False):
        if (folder / "journal.jsonl").is_file():
            Tracker.reopen(folder, files_are_here=False).close()
    return written


def extract(file: str | Path, out: str | Path) -> list[Path]:
    """`unpack`, without a word to MLflow. The whole archive is checked before anything is written."""
    file, out = Path(file).expanduser(), Path(out).expanduser().absolute()
    _check_suffix(file)
    runs: dict[str, dict[str, bytes]] = {}
    try:
        for run, name, content in _members(file):
            if name in runs.setdefault(run, {}):
                raise UserError(f"{file} must hold each file once; {run}/{name} is there twice. Restore it.")
            runs[run][name] = content
    except (OSError, EOFError, tarfile.TarError, lzma.LZMAError) as error:
        raise UserError(f"{file} must be what `make pack` wrote; it cannot be read: {error}. Correct PACK.") from error
    incomplete = [run for run, files in runs.items() if "run.json" not in files]
    if incomplete or not runs:
        raise UserError(
            f"{file} must hold the run.json of each run; it has {', '.join(incomplete) or 'no run'}. Correct PACK."
        )
    new = [run for run in runs if not (out / run).exists()]
    for run in new:
        draft = out / f".{run}.unpacking"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        for name, content in runs[run].items():
            (draft / name).write_bytes(content)
        draft.rename(out / run)
    return [out / run for run in new]


def _members(file: Path) -> Iterator[tuple[str, str, bytes]]:
    """Run, file and content of each member.

    Raises:
        UserError: a member is no plain file of a run's folder that `pack` takes, or too large.
    """
    total = 0
    with tarfile.open(file, "r:*") as archive:
        for member in archive:
            run, _, name = member.name.partition("/")
            if not member.isreg() or name not in FILES or run.startswith(".") or not run or "\\" in run:
                raise UserError(
                    f"{file} must hold <run>/<file>, with files {', '.join(FILES)}; got {member.name!r}. Restore it."
                )
            total += member.size
            if member.size > LARGEST_FILE or total > LARGEST_ARCHIVE:
                raise UserError(
                    f"{file} must unpack to at most {LARGEST_FILE // 2**20} MiB a file and {LARGEST_ARCHIVE // 2**20} "
                    f"MiB in all; {member.name} exceeds that. Restore it."
                )
            content = archive.extractfile(member)
            yield run, name, content.read() if content is not None else b""


@contextmanager
def _compressed(target: IO[bytes], file: Path) -> Iterator[IO[bytes]]:
    if file.suffix == ".xz":
        with lzma.open(target, "wb", preset=9 | lzma.PRESET_EXTREME) as stream:
            yield stream
    else:
        with gzip.GzipFile(filename="", fileobj=target, mode="wb", mtime=0) as zipped:
            yield zipped  # type: ignore[misc]


def _check_suffix(file: Path) -> None:
    if not file.name.endswith(SUFFIXES):
        raise UserError(f"Packed runs are a file that ends in {' or '.join(SUFFIXES)}; got {file}. Correct PACK.")


def _is_done(run: TrainedRun) -> bool:
    """Whether it is scored, or teaches without scores; a fixed mask was never trained."""
    scored = (run.folder / "cases.csv").is_file() or run.record.get("inner_fold") is not None
    return scored and (run.record.get("status") == "FINISHED" or run.record["role"] == "fixed_mask")
