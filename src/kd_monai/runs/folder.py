"""One training run's folder: its name, its lock, its state."""

from __future__ import annotations

import atexit
import json
import logging
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

import ignite.distributed as idist
import torch
import yaml
from filelock import FileLock, Timeout

from kd_monai.atomic import write_bytes, write_json
from kd_monai.config.plan import Plan
from kd_monai.data import Datalist
from kd_monai.errors import UserError
from kd_monai.handlers import file_digest
from kd_monai.runs.identity import COMPUTES, run_key
from kd_monai.tracking.journal import Journal

logger = logging.getLogger(__name__)

Ended = Literal["FAILED", "KILLED"]
NAMING = ("role", "method", "modality", "fold", "seed", "recipe", "output_dir", "force")
"""Ids that must be plain values: they name the run and its folder before anything is evaluated."""
COUNTS = ("epochs", "steps_per_epoch", "batch_size", "val_every")
"""Ids that must be at least 1: a run that counts to less writes no weights."""


class TrainedTeacher(Protocol):
    """What a run knows of its teacher: which one it is, and whether it may teach here."""

    key: str
    weights_digest: str

    def check(self, datalist: Datalist, spacing_mm: Any) -> None: ...


class RunFolder:
    """``<output_dir>/<name>-fold<k>-<key>/``: the run's ``config.yaml``, ``split.json``, ``run.json`` and its results.

    The folder follows from the run's key (`run_key`), so that the same launch finds it again. Unfinished, it is
    continued. Finished, `open` says so and ends the process with status 0. With `force` it starts anew, and the old
    folder stays beside it until the new run is finished.

    An operating system lock keeps a second process out. It falls with its holder, so a lock is never stale. Of the
    processes of one training (torchrun) only the first locks and writes; their number is a part of the key.

    Args:
        plan: the configuration, merged and unresolved, with ``output_dir``, ``role``, ``method``, ``modality``,
            ``fold``, ``seed``, ``recipe``, ``spacing_mm`` and ``force``.
        datalist: data and split.
        device: where the network runs; recorded.
        precision: of the network, resolved; a part of the key.
        teacher: of a student; checked against the data before anything is written.

    Attributes:
        path: the folder.
        key: 64 hexadecimal digits.
        record: what ``run.json`` holds.
        replaces: journal id of the unfinished run that `force` replaces.
        on_fail: called with the status when the run ends without `finish`.

    Raises:
        UserError: the teacher does not fit; nothing is learned of the unlabelled subjects; epochs or steps are not
            whole numbers from 1; or what names the run is an expression.
    """

    def __init__(
        self,
        plan: Plan,
        datalist: Datalist,
        device: str | torch.device = "cpu",
        precision: Literal["bf16", "fp32"] = "fp32",
        teacher: TrainedTeacher | None = None,
    ) -> None:
        self.config = dict(plan.config)
        _check_names(self.config)
        _check_counts(self.config)
        self.datalist, self.force = datalist, bool(self.config.get("force"))
        if teacher is not None:
            teacher.check(datalist, self.config.get("spacing_mm"))
        _check_unlabelled(datalist, teacher, self.config)
        processes = idist.get_world_size()
        self.key = run_key(
            self.config,
            data=datalist.digest,
            split=datalist.split_digest,
            labels=datalist.convention.name,
            teacher=f"{teacher.key} {teacher.weights_digest}" if teacher is not None else None,
            precision=precision,
            processes=str(processes),
            unlabelled=datalist.unlabelled.identity,
        )
        named = {name: self.config[name] for name in ("role", "method", "modality", "fold", "seed", "recipe")}
        inner_fold = self.config.get("inner_fold")
        self.name = "teacher" if named["role"] == "teacher" else f"{named['method']}_{named['modality']}"
        if inner_fold is not None:
            self.name += "_without_" + str(inner_fold).replace("/", "_of_")
        out = Path(str(self.config["output_dir"])).expanduser().absolute()
        self.path = out / f"{self.name}-fold{named['fold']}-{self.key[:8]}"
        seen = [*datalist.train, *datalist.unlabelled.entries, *datalist.val]
        self.record: dict[str, Any] = {
            **named,
            "run_key": self.key,
            "computes": COMPUTES,
            "teacher_key": teacher.key if teacher is not None else None,
            "data_digest": datalist.digest,
            "split_digest": datalist.split_digest,
            "labels": datalist.convention.name,
            "spacing_mm": self.config.get("spacing_mm"),
            "n_subjects": self.config.get("n_subjects"),
            "device": str(device),
            "precision": precision,
            "torch_threads": torch.get_num_threads(),
            "processes": processes,
            "inner_fold": inner_fold,
            "unlabelled": datalist.unlabelled.identity,
            "n_unlabelled": len(datalist.unlabelled.entries),
            "n_train": len(datalist.train),
            "n_val": len(datalist.val),
            "n_test": len(datalist.test),
            "seen": sorted({entry["patient"] for entry in seen}),
        }
        self.replaces: str | None = None
        self.on_fail: list[Callable[[Ended], object]] = []
        self._lock = FileLock(self.path.with_name(f"{self.path.name}.lock"))

    @property
    def model(self) -> Path:
        """Where the best weights go."""
        return self.path / "model.pt"

    @property
    def finished(self) -> bool:
        """Whether the training ran to its end and its weights are here; those of an unpacked run are not."""
        return self._read().get("status") == "FINISHED" and self.model.is_file()

    @property
    def replaced(self) -> Path:
        """Where the folder that a forced run replaces waits until the new one is finished."""
        return self._beside("replaced")

    def _beside(self, state: str) -> Path:
        # hidden: nobody who looks through the output folder takes it for a run
        return self.path.with_name(f".{self.path.name}.{state}")

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
            UserError: another process holds the folder.
        """
        self._end_if_finished()
        if idist.get_rank() > 0:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise UserError(
                f"One process at a time may write a run; another one holds {self._lock.lock_file}. "
                "Wait for it, or choose another OUT."
            ) from error
        if not self.path.exists() and self.replaced.exists():
            self.replaced.rename(self.path)  # the process was killed between two renames
        self._end_if_finished()  # by another process, since the first look
        earlier = self._read()
        anew = self.force or earlier.get("status") in (None, "FINISHED")  # finished, and its weights are gone
        if anew:
            self._begin()
        else:
            self._compare_threads(earlier)
            self._describe(self.path)
        atexit.register(self._left)
        logger.info("%s %s", "Writing" if anew else "Continuing", self.path)

    def _describe(self, folder: Path) -> None:
        write_bytes(folder / "config.yaml", yaml.safe_dump(self.config, sort_keys=False).encode())
        self.datalist.write_split(folder / "split.json")
        self.record["status"] = "RUNNING"
        write_json(folder / "run.json", self.record)

    def _begin(self) -> None:
        """Write a new folder, put aside what is there, and give the new one its name."""
        new, dropped = self._beside("new"), self._beside("dropped")
        for left in (new, dropped):  # by a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        self._describe(new)
        if self.path.exists():
            header = Journal(self.path / "journal.jsonl").header
            if header is not None and not self.finished:
                self.replaces = header["id"]
            # of several attempts to replace a run, the run itself is what is kept
            self.path.rename(dropped if self.replaced.exists() else self.replaced)
        new.rename(self.path)
        shutil.rmtree(dropped, ignore_errors=True)

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
            logger.info("Finished already: %s. FORCE=1 trains it anew.", self.path)
            raise SystemExit(0)

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
        shutil.rmtree(self.replaced, ignore_errors=True)
        self._close()

    def fail(self, status: Ended = "FAILED") -> None:
        """Mark an unfinished run as FAILED, or KILLED by its user; the next launch continues it."""
        if self._lock.is_locked:
            self._write(status=status)
            for tell in self.on_fail:
                tell(status)
            if self.replaced.exists() and not (self.path / "checkpoints").exists():
                # it failed before its first epoch was over: the run that it was to replace comes back
                dropped = self._beside("dropped")
                self.path.rename(dropped)
                self.replaced.rename(self.path)
                shutil.rmtree(dropped)
            self._close()

    def _left(self) -> None:
        """The process ends with the run unfinished; the interpreter remembers the exception that ended it."""
        self.fail("KILLED" if getattr(sys, "last_type", None) is KeyboardInterrupt else "FAILED")

    def _close(self) -> None:
        atexit.unregister(self._left)
        self._lock.release()


def _is_expression(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(("$", "@"))


def _check_names(config: Mapping[str, Any]) -> None:
    for name in NAMING:
        if _is_expression(config.get(name)):
            raise UserError(
                f"`{name}` must be a plain value, for it names the run; got {config[name]!r}. Write the value itself."
            )


def _check_counts(config: Mapping[str, Any]) -> None:
    for name in COUNTS:
        value = config.get(name, 1)
        if not _is_expression(value) and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
            raise UserError(
                f"`{name}` must be a whole number, at least 1; got {value!r}. Correct --{name}, or leave it out "
                "to take the recipe's."
            )


def _check_unlabelled(datalist: Datalist, teacher: TrainedTeacher | None, config: Mapping[str, Any]) -> None:
    number = len(datalist.unlabelled.entries)
    if number and (teacher is None or not config.get("terms")):
        why = "without teacher" if teacher is None else f"({config['method']}) that learns from the reference alone"
        raise UserError(
            f"Unlabelled subjects (UNLABELLED) are labelled by a teacher; got {number} of them and a "
            f"{config['role']} {why}. Leave UNLABELLED out, or train a student whose method has terms."
        )
