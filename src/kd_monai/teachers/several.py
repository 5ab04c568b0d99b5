"""Several finished teachers: an ensemble that teaches as one, and cross-fitted ones, each for its own subjects."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from torch import nn

from kd_monai.data import Datalist
from kd_monai.errors import UserError
from kd_monai.networks import MeanNetwork
from kd_monai.outputs import Head
from kd_monai.task import parse_modalities

if TYPE_CHECKING:
    from kd_monai.teachers.single import Teacher


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


class CrossFittedTeachers:
    """Several finished teachers that divide a student's subjects among them.

    A teacher that was trained on a subject hands back nearly its reference; one that was not says what it makes of it.
    So a subject goes to a teacher that has seen none of its patient's scans, neither in training nor in validation. Of
    several such teachers it goes to the one that has seen most patients, and of equals in turn.

    One of the teachers was trained on the complete training part, the others each leave out an inner fold
    (``inner_fold``). The scores of the first stand beside the student's. It teaches unlabelled subjects, and
    `INIT=teacher` starts from it.

    Args:
        teachers: of one network, head and list of modalities.

    Attributes:
        key: their run keys, joined by ','; weights_digest: likewise.
        modalities: what each of them reads.

    Raises:
        UserError: fewer than two, or they differ in network, head or modalities.
    """

    def __init__(self, teachers: Sequence[Teacher]) -> None:
        self.teachers = list(teachers)
        if len(self.teachers) < 2:
            raise UserError(
                f"TEACHERS=crossfit takes the run folders of several teachers; got {self.teachers[0].folder} alone. "
                "Let `make student TEACHERS=crossfit` train those of the inner folds, or set TEACHERS=single."
            )
        self._alike("head", [teacher.head.name for teacher in self.teachers])
        self._alike("modality", [teacher.modalities for teacher in self.teachers])
        self._alike("taps", [teacher.taps for teacher in self.teachers])
        self.key = ",".join(teacher.key for teacher in self.teachers)
        self.weights_digest = ",".join(teacher.weights_digest for teacher in self.teachers)
        self.modalities = list(parse_modalities(self.teachers[0].modalities))

    def _alike(self, name: str, values: Sequence[Any]) -> None:
        for teacher, value in zip(self.teachers, values, strict=True):
            if value != values[0]:
                raise UserError(
                    f"Cross-fitted teachers have one `{name}`; {self.teachers[0].folder} has {values[0]}, "
                    f"{teacher.folder} {value}. Train them with the same variables."
                )

    @property
    def head(self) -> Head:
        """How their logits are read."""
        return self.teachers[0].head

    @cached_property
    def network(self) -> nn.ModuleList:
        """Their networks, in their order, on the CPU, in eval mode."""
        return nn.ModuleList(teacher.network for teacher in self.teachers).eval()

    def tap(self, name: str) -> str:
        """The layer of this name, the same in all."""
        return self.teachers[0].tap(name)

    @property
    def initial_teacher(self) -> Teacher:
        """The one whose weights a student may start from: it has seen all that any of them has.

        Raises:
            UserError: there is none.
        """
        everyone = set().union(*(teacher.seen for teacher in self.teachers))
        for teacher in self.teachers:
            if teacher.seen == everyone:
                return teacher
        raise UserError(
            "A student starts from the teacher of the whole training part; none of "
            f"{', '.join(str(teacher.folder) for teacher in self.teachers)} has seen all of it. Name that teacher too "
            "(TEACHER), or set INIT=random."
        )

    def route(self, datalist: Datalist) -> dict[str, int]:
        """Subject -> number of its teacher, for labelled and unlabelled subjects.

        Raises:
            UserError: every teacher has seen a subject.
        """
        entries = [*datalist.train, *datalist.unlabelled.entries]
        turn = {patient: number for number, patient in enumerate(sorted({entry["patient"] for entry in entries}))}
        route: dict[str, int] = {}
        refused: list[str] = []
        for entry in entries:
            unseen = [n for n, teacher in enumerate(self.teachers) if entry["patient"] not in teacher.seen]
            if not unseen:
                refused.append(entry["subject"])
                continue
            most = max(len(self.teachers[n].seen) for n in unseen)
            equals = [n for n in unseen if len(self.teachers[n].seen) == most]
            route[entry["subject"]] = equals[turn[entry["patient"]] % len(equals)]
        if refused:
            raise UserError(
                "With TEACHERS=crossfit every subject is taught by a teacher that has not seen it; all of "
                f"{', '.join(str(teacher.folder) for teacher in self.teachers)} have seen {len(refused)} of "
                f"{len(entries)}, {refused[0]} first. Let `make student TEACHERS=crossfit` train the teachers, with "
                "the student's FOLD, FOLDS, SPLIT and N_SUBJECTS."
            )
        return route

    def check(self, datalist: Datalist, spacing_mm: Any) -> None:
        """Whether they may teach a student of this data and grid.

        References that the student is to learn without none of them may have seen: labelled subjects would bring them
        to the student through the teacher that has, and so would the weights that `INIT=teacher` starts from.

        Raises:
            UserError: one may not, their networks differ, or all have seen a subject.
        """
        for teacher in self.teachers:
            teacher.check(datalist, spacing_mm)
        shapes = [{name: list(w.shape) for name, w in network.state_dict().items()} for network in self.network]
        differing = next((n for n in shapes[0] if any(other.get(n) != shapes[0][n] for other in shapes)), None)
        self._alike("network_def", [f"{len(shape)} tensors, {differing} {shape.get(differing)}" for shape in shapes])
        self.route(datalist)
