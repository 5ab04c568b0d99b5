"""Several teachers that teach as one; and one teacher or several by the names of their run folders."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from kd_monai.data import Datalist
from kd_monai.errors import UserError
from kd_monai.networks import MeanNetwork
from kd_monai.outputs import Head
from kd_monai.task import parse_modalities
from kd_monai.teachers.crossfitted import CrossFittedTeachers
from kd_monai.teachers.single import Teacher

Kind = Literal["single", "crossfit"]


class TeacherEnsemble:
    """Several finished teachers that teach as one, with the mean of their probabilities.

    Args:
        teachers: two or more, of one head; each reads its own modalities.

    Attributes:
        key: their run keys, joined by ','; weights_digest: likewise.
        modalities: what any of them reads.

    Raises:
        UserError: their heads differ.
    """

    def __init__(self, teachers: Sequence[Teacher]) -> None:
        self.teachers = list(teachers)
        heads = {str(teacher.folder): teacher.head.name for teacher in self.teachers}
        if len(set(heads.values())) > 1:
            raise UserError(
                f"Teachers whose probabilities are averaged have one head; got {heads}. Name those of one `head`."
            )
        self.key = ",".join(teacher.key for teacher in self.teachers)
        self.weights_digest = ",".join(teacher.weights_digest for teacher in self.teachers)
        self.modalities = list(parse_modalities({name for teacher in self.teachers for name in teacher.modalities}))

    @property
    def head(self) -> Head:
        """How their logits are read."""
        return self.teachers[0].head

    @cached_property
    def network(self) -> MeanNetwork:
        """All their networks, on the CPU, in eval mode; it reads `modalities`."""
        channels = [[self.modalities.index(name) for name in teacher.modalities] for teacher in self.teachers]
        return MeanNetwork([teacher.network for teacher in self.teachers], channels, self.head).eval()

    @property
    def initial_teacher(self) -> Teacher:
        """Nobody.

        Raises:
            UserError: several networks have no weights in common.
        """
        raise UserError(
            f"A student starts from the weights of one teacher; got {len(self.teachers)}, whose probabilities are "
            "averaged. Name one (TEACHER), or set INIT=random."
        )

    def route(self, datalist: Datalist) -> None:
        """Together they teach every subject."""

    def tap(self, name: str) -> str:
        """The first teacher's layer of this name; terms that compare features refuse several teachers."""
        return self.teachers[0].tap(name)

    def check(self, datalist: Datalist, spacing_mm: Any) -> None:
        """Whether each of them may teach a student of this data and grid.

        Raises:
            UserError: one may not.
        """
        for teacher in self.teachers:
            teacher.check(datalist, spacing_mm)


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
