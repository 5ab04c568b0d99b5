"""One training run's folder: its name, its lock, its state."""

from __future__ import annotations

import atexit
import json
import logging
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import ignite.distributed as idist
import torch
import yaml
from filelock import FileLock, Timeout

from kd_monai.atomic import write_json
from kd_monai.data import Datalist
from kd_monai.handlers import file_digest
from kd_monai.networks.inferers import Precision, resolved_precision
from kd_monai.runs.identity import check_counts, current_parser, run_key
from kd_monai.teachers.crossfitted import CrossFitted
from kd_monai.teachers.ensemble import Teachers
from kd_monai.teachers.single import Teacher
from kd_monai.tracking.journal import Journal

logger = logging.getLogger(__name__)

Ended = Literal["FAILED", "KILLED"]


class RunFolder:
    """``<output_dir>/<name>-fold<k>-<key>/``: resolved ``config.yaml``, ``split.json``, ``run.json`` and the results.

    The folder of a configuration follows from its key (`run_key`), so that the same launch finds it again: unfinished,
    it is continued; finished, `open` says so and ends the process with status 0; `force` starts it anew, and what it
    replaces is kept until it is finished. An operating
    system lock keeps a second process out and falls with its holder, so a lock is never stale. Of the processes of one
    training (torchrun) the first alone locks and writes; their number belongs to the key.

    Args:
        output_dir: where runs are written (`OUT`).
        role: teacher, baseline or student.
        method: baseline for teacher and baseline; the distillation method for a student.
        modality: what the network reads, ``t1ce`` or ``t1-t2``.
        datalist: data and split.
        fold, seed, recipe, spacing_mm: recorded with the run.
        device, precision: where the network runs; the precision that follows belongs to the key.
        teacher: of a student; checked against the data before anything starts.
        force: forget what a finished or unfinished run of this key left.
        config: resolved configuration; the one being evaluated unless given.

    Attributes:
        path: the folder.
        key: 64 hexadecimal digits.
        record: what ``run.json`` holds.
        replaces: id of the journal of the unfinished run that `force` removed.
        on_fail: called with the status when the run ends without `finish`.

    Raises:
        ValueError: the teacher does not fit, nothing is learned of the unlabelled subjects, or epochs or steps are not
            whole numbers from 1.
    """

    def __init__(
        self,
        output_dir: str | Path,
        role: str,
        method: str,
        modality: str,
        datalist: Datalist,
        fold: int | str,
        seed: int,
        recipe: str,
        spacing_mm: float | list[float] | None = None,
        teacher: Teacher | Teachers | CrossFitted | None = None,
        device: str | torch.device = "cpu",
        precision: Precision = "auto",
        force: bool = False,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        self.config = dict(config if config is not None else current_parser().get())
        check_counts(self.config)
        self.datalist, self.force = datalist, bool(force)
        teacher_key = None
        if teacher is not None:
            teacher.check(datalist, spacing_mm)
            teacher_key = teacher.key
        if datalist.unlabelled.entries and (teacher is None or not self.config.get("terms")):
            learns = "without teacher" if teacher is None else f"({method}) that learns from the reference alone"
            raise ValueError(
                f"Unlabelled subjects (UNLABELLED) are labelled by a teacher; got {len(datalist.unlabelled.entries)} "
                f"of them and a {role} {learns}. Leave UNLABELLED out, or train a student whose method has terms."
            )
        facts = {
            "data": datalist.digest,
            "split": datalist.split_digest,
            "labels": datalist.convention.name,
            "teacher": f"{teacher.key} {teacher.weights_digest}" if teacher is not None else None,
            "precision": resolved_precision(device, precision),
        }
        if idist.get_world_size() > 1:
            facts["processes"] = str(idist.get_world_size())
        if datalist.unlabelled.identity is not None:
            facts["unlabelled"] = datalist.unlabelled.identity
        self.key = run_key(self.config, **facts)
        self.name = "teacher" if role == "teacher" else f"{method}_{modality}"
        inner_fold = self.config.get("inner_fold")
        if inner_fold is not None:
            self.name += "_without_" + str(inner_fold).replace("/", "_of_")
        self.path = Path(output_dir).expanduser().absolute() / f"{self.name}-fold{fold}-{self.key[:8]}"
        self.record: dict[str, Any] = {
            "role": role,
            "method": method,
            "modality": modality,
            "fold": fold,
            "seed": seed,
            "recipe": recipe,
            "run_key": self.key,
            "teacher_key": teacher_key,
            "data_digest": datalist.digest,
            "split_digest": datalist.split_digest,
            "labels": datalist.convention.name,
            "spacing_mm": spacing_mm,
            "n_subjects": self.config.get("n_subjects"),
            "device": str(device),
            "precision": facts["precision"],
            "torch_threads": torch.get_num_threads(),
            "processes": idist.get_world_size(),
            "inner_fold": inner_fold,
            "unlabelled": datalist.unlabelled.identity,
            "n_unlabelled": len(datalist.unlabelled.entries),
            "n_train": len(datalist.train),
            "n_val": len(datalist.val),
            "n_test": len(datalist.test),
            "seen": sorted(
                {entry["patient"] for entry in [*datalist.train, *datalist.unlabelled.entries, *datalist.val]}
            ),
        }
        self.replaces: str | None = None
        self.on_fail: list[Callable[[Ended], object]] = []
        self._replaced = self.path.with_name(f".{self.path.name}.replaced")
        self._lock = FileLock(self.path.with_name(f"{self.path.name}.lock"))

    @property
    def model(self) -> Path:
        """Where the best weights go."""
        return self.path / "model.pt"

    @property
    def finished(self) -> bool:
        """Whether the training ran to its end and its weights are here; those of an unpacked run are not."""
        return self._read().get("status") == "FINISHED" and self.model.is_file()

    def _read(self) -> dict[str, Any]:
        file = self.path / "run.json"
        return json.loads(file.read_text()) if file.is_file() else {}

    def _write(self, **changes: Any) -> None:
        self.record |= changes
        write_json(self.path / "run.json", self.record)

    def note(self, facts: Mapping[str, str]) -> None:
        """Add to ``run.json`` what the training came to know of itself; the key stays as it is."""
        if not facts.items() <= self.record.items():
            self._write(**facts)

    def open(self) -> None:
        """Take the lock and write down what is about to run.

        Raises:
            SystemExit: (status 0) the run is finished and `force` is not set.
            BlockingIOError: another process holds the folder.
        """
        self._end_if_finished()
        if idist.get_rank() > 0:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise BlockingIOError(
                f"One process at a time may write a run; another one holds {self._lock.lock_file}. "
                "Wait for it, or choose another OUT."
            ) from error
        self._end_if_finished()  # by another process, since the first look
        if self.path.exists() and (self.force or self._read().get("status") == "FINISHED"):
            self._set_aside()
        earlier = self._read()
        self._compare_threads(earlier)
        self.path.mkdir(exist_ok=True)
        (self.path / "config.yaml").write_text(yaml.safe_dump(self.config, sort_keys=False))
        self.datalist.write_split(self.path / "split.json")
        self._write(status="RUNNING")
        atexit.register(self._left)
        logger.info("%s %s", "Continuing" if earlier else "Writing", self.path)

    def _compare_threads(self, earlier: Mapping[str, Any]) -> None:
        """They are no part of the key: a run goes on with another number too, and says so."""
        before, now = earlier.get("torch_threads"), self.record["torch_threads"]
        if before not in (None, now) and torch.device(self.record["device"]).type == "cpu":
            logger.warning(
                "The number of threads decides the last bits of a CPU training; %s had %d and goes on with %d: the "
                "last bits differ from those of an undisturbed run. OMP_NUM_THREADS=%d keeps them.",
                self.path, before, now, before,
            )  # fmt: skip

    def _end_if_finished(self) -> None:
        if not self.force and self.finished:
            self._lock.release()
            logger.info("Finished already: %s. FORCE=1 (or --force True) trains it anew.", self.path)
            raise SystemExit(0)

    def _set_aside(self) -> None:
        """Keep a finished run until the one that replaces it is finished too."""
        if self.finished and not self._replaced.exists():
            self.path.rename(self._replaced)
        else:
            header = Journal(self.path / "journal.jsonl").header
            self.replaces = header["id"] if header else None
            shutil.rmtree(self.path)

    def finish(self) -> None:
        """Mark the training as done and let the lock go.

        Raises:
            RuntimeError: no weights were written.
        """
        if idist.get_rank() > 0:
            return
        if not self.model.is_file():
            raise RuntimeError(
                f"A finished run has weights, and {self.model} was never written: no validation ran. "
                "Let `val_interval` be at most `epochs`."
            )
        self._write(status="FINISHED", model_digest=file_digest(self.model))
        shutil.rmtree(self.path / "checkpoints", ignore_errors=True)
        shutil.rmtree(self._replaced, ignore_errors=True)
        self._close()

    def fail(self, status: Ended = "FAILED") -> None:
        """Mark an unfinished run as FAILED, or KILLED by its user; the next launch continues it."""
        if self._lock.is_locked:
            self._write(status=status)
            for tell in self.on_fail:
                tell(status)
            if self._replaced.exists() and not (self.path / "checkpoints").exists():
                # it failed before its first epoch was over: the run that it was to replace comes back
                shutil.rmtree(self.path)
                self._replaced.rename(self.path)
            self._close()

    def _left(self) -> None:
        """The process ends with the run unfinished; the interpreter remembers the exception that ended it."""
        self.fail("KILLED" if getattr(sys, "last_type", None) is KeyboardInterrupt else "FAILED")

    def _close(self) -> None:
        atexit.unregister(self._left)
        self._lock.release()
