"""A finished teacher as its student sees it; one or several by their run folders; the weights a student starts from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Literal, NoReturn, get_args

import torch
from monai.bundle import ConfigParser
from torch import nn

from kd_monai.data import Datalist
from kd_monai.errors import UserError
from kd_monai.handlers import file_digest
from kd_monai.networks import head
from kd_monai.outputs import Head
from kd_monai.teachers.initial_weights import sliced_weights
from kd_monai.teachers.several import CrossFittedTeachers, TeacherEnsemble


class Teacher:
    """A trained network, how its logits are read, and what it reads.

    Args:
        folder: run folder of a finished teacher; its ``config.yaml`` builds the network, its ``model.pt`` holds tensors
            alone (`weights_only`).

    Attributes:
        key: its run key.
        weights_digest: of the weights it was finished with; part of its students' keys.
        modalities: what it reads.
        seen: patients that it was trained on, or its best epoch chosen with.

    Raises:
        UserError: no folder is named, it is no run folder, or it is no finished teacher's.
    """

    def __init__(self, folder: str | Path | None) -> None:
        if not folder:
            raise UserError(
                "A student needs a trained teacher and none is named: give its run folder as `--teacher FOLDER` "
                "(TEACHER=FOLDER), or let `make student` train one first."
            )
        self.folder = Path(folder).expanduser()
        missing = [name for name in ("run.json", "config.yaml", "split.json") if not (self.folder / name).is_file()]
        if missing:
            raise UserError(
                f"A teacher is the run folder that `make teacher` wrote; {self.folder} has no {', '.join(missing)}. "
                "Correct TEACHER (--teacher); where none is named, `make student` trains one."
            )
        try:
            self.record = json.loads((self.folder / "run.json").read_text())
        except json.JSONDecodeError as error:
            self._refuse("its run.json must be JSON", error, "Restore the folder, or train the teacher with FORCE=1.")
        if self.record["role"] != "teacher":
            self._refuse("its role must be teacher", self.record["role"], "Name a folder that `make teacher` wrote.")
        status = self.record["status"] if (self.folder / "model.pt").is_file() else "no model.pt"
        if status != "FINISHED":
            self._refuse("its training must be finished", status, "Run `make teacher` with the same variables again.")
        self._parser = ConfigParser()
        self._parser.read_config(str(self.folder / "config.yaml"))
        self.key: str = self.record["run_key"]
        self.weights_digest: str = self.record.get("model_digest", "none written: train it anew with FORCE=1")
        self.modalities: list[str] = list(self._parser.get_parsed_content("modalities"))
        self.seen: set[str] = set(self.record["seen"])

    def _refuse(self, rule: str, got: object, remedy: str) -> NoReturn:
        raise UserError(f"Teacher {self.folder} does not fit: {rule}; got {got}. {remedy}")

    @cached_property
    def head(self) -> Head:
        """How its logits are read."""
        return head(self._parser.get_parsed_content("head"))

    @cached_property
    def network(self) -> nn.Module:
        """The trained network, on the CPU, in eval mode.

        Raises:
            UserError: its weights cannot be read, or are another network's.
        """
        network: nn.Module = self._parser.get_parsed_content("network_def")
        try:
            network.load_state_dict(torch.load(self.folder / "model.pt", map_location="cpu", weights_only=True))
        except (RuntimeError, EOFError, UnpicklingError) as error:
            self._refuse(
                "model.pt must hold the weights of its own network",
                (str(error) or type(error).__name__).splitlines()[0],
                "Restore the folder, or train the teacher with FORCE=1.",
            )
        return network.eval()

    @property
    def taps(self) -> dict[str, str]:
        """Layers of its network by what they are."""
        return dict(self._parser.get("taps") or {})

    @property
    def initial_teacher(self) -> Teacher:
        """Itself: a student may start from its weights."""
        return self

    def route(self, datalist: Datalist) -> None:
        """It teaches every subject."""

    def tap(self, name: str) -> str:
        """The layer of its network that its configuration lists under this name in `taps`.

        Raises:
            UserError: there is none.
        """
        if name not in self.taps:
            self._refuse(
                f"its config.yaml must name the layer {name!r} in `taps`",
                sorted(self.taps),
                "Train the teacher again, with a file of networks/ that names it, or give the term a layer's own name.",
            )
        return str(self.taps[name])

    def check(self, datalist: Datalist, spacing_mm: Any) -> None:
        """Whether it may teach a student of this data and grid.

        Raises:
            UserError: it was trained on another grid, it has seen test subjects of the student's fold or references
                that the student is to learn without, or its weights are damaged.
        """
        if self.record["spacing_mm"] != spacing_mm:
            self._refuse(
                f"it must be trained at the student's spacing, {spacing_mm} mm",
                self.record["spacing_mm"],
                "Use one RECIPE for both.",
            )
        leaked = sorted(self.seen & {entry["patient"] for entry in datalist.test})
        if leaked:
            self._refuse(
                "it must not have seen test subjects of the student's fold",
                f"{len(leaked)} of them, {leaked[0]} first",
                "Train a teacher with the student's FOLD, FOLDS and SPLIT.",
            )
        known = sorted(self.seen & {entry["patient"] for entry in datalist.unlabelled.entries})
        if known:
            self._refuse(
                "it must not have seen the references of unlabelled subjects (UNLABELLED)",
                f"{len(known)} of them, {known[0]} first",
                "Train a teacher with the student's N_SUBJECTS, FOLD, FOLDS and SPLIT.",
            )
        digest = file_digest(self.folder / "model.pt")
        if digest != self.weights_digest:
            self._refuse(
                f"model.pt must be the file its training wrote, SHA-256 {self.weights_digest}...",
                f"{digest}...",
                "Restore the folder, or train the teacher with FORCE=1.",
            )
        _ = self.network  # damaged weights show now, and not when the run is under way


Kind = Literal["single", "crossfit"]


def read_teacher(
    folders: str | Path | Sequence[str | Path] | None, teachers: Kind = "single"
) -> Teacher | TeacherEnsemble | CrossFittedTeachers:
    """The teacher of a run folder, or the teachers of several.

    Args:
        folders: a folder, several joined by ',', or a list of them.
        teachers: `single` has several teach with the mean of their probabilities; with `crossfit` each subject is
            taught by one that has not seen it.

    Raises:
        UserError: none is named, one is no finished teacher's, they do not go together, or `teachers` is neither.
    """
    if teachers not in get_args(Kind):
        raise UserError(f"`teachers` (TEACHERS) must be one of {', '.join(get_args(Kind))}; got {teachers!r}.")
    if isinstance(folders, str):
        folders = [folder.strip() for folder in folders.split(",") if folder.strip()]
    elif isinstance(folders, Path):
        folders = [folders]
    finished = [Teacher(folder) for folder in folders] if folders else [Teacher(None)]
    if teachers == "crossfit":
        return CrossFittedTeachers(finished)
    return finished[0] if len(finished) == 1 else TeacherEnsemble(finished)


Init = Literal["random", "teacher"]


def initial_network(
    network: nn.Module,
    teacher: Teacher | TeacherEnsemble | CrossFittedTeachers | None,
    modalities: Sequence[str],
    init: Init = "random",
) -> nn.Module:
    """The network with the weights it starts from, in place.

    Args:
        network: with random weights, which follow from the seed: those of `random`.
        teacher: of a student.
        modalities: what the network reads.
        init: `teacher` takes the teacher's weights; see `sliced_weights`.

    Raises:
        UserError: there is no teacher, or not one, to start from; the networks differ; `init` is neither.
    """
    if init not in get_args(Init):
        raise UserError(f"`init` (INIT) must be one of {', '.join(get_args(Init))}; got {init!r}.")
    if init == "random":
        return network
    if teacher is None:
        raise UserError(
            "INIT=teacher starts a student from its teacher, and a baseline has none. Set INIT=random: every baseline "
            "starts there."
        )
    first = teacher.initial_teacher
    network.load_state_dict(sliced_weights(first.network, network, first.modalities, modalities))
    return network
