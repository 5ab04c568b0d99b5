"""What a command would be refused for after hours, refused before its first training."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pydoc import locate
from typing import Any

import torch
from monai.bundle import ConfigParser
from torch import nn

from kd_monai.config.errors import component_errors
from kd_monai.config.overlays import BUNDLES, SHARED, bundle_scripts
from kd_monai.config.plan import Plan, Plans
from kd_monai.config.variables import TABLE
from kd_monai.data import Datalist
from kd_monai.errors import UserError
from kd_monai.losses import build_terms, dry_run
from kd_monai.outputs import Head
from kd_monai.task import parse_modalities
from kd_monai.teachers.initial_weights import sliced_weights

logger = logging.getLogger(__name__)

_PLAIN = {variable.target for variable in TABLE} | {"recipe", "method"}


def preflight(plans: Plans) -> None:
    """Refuse what the last run of a command would be refused for.

    A teacher that TEACHER names may have other sequences and subjects: the student's run looks at it first of all.

    Raises:
        UserError: a term reads another head; the data have a fault, or unlabelled subjects or inner folds do not go
            with them; networks, terms or start of teacher and student do not go together.
    """
    student, teacher = plans.student, plans.teacher
    if not plans.teaches:
        return
    check_heads(student)
    if student.config["unlabelled"] is not None and not student.config["terms"]:
        raise UserError(
            f"Unlabelled subjects (UNLABELLED) teach a student through a method's terms; {student.config['method']} "
            "has none. Leave UNLABELLED or this METHOD out."
        )
    if teacher is not None or student.config["unlabelled"] is not None:
        texts = [student.config["modality"], *([teacher.config["modality"]] if teacher else [])]
        names = {name for text in texts for name in text.split("-")}
        read_datalist(student, read_modalities=list(parse_modalities(names)))
    if teacher is not None:
        for fold in range(plans.inner_folds):
            read_datalist(teacher, inner_fold=f"{fold}/{plans.inner_folds}")
        starts_alone = student.config["init"] == "random"
        if not (starts_alone and _is_shipped(student) and _is_shipped(teacher)):
            check_networks(teacher, student)


def _is_shipped(plan: Plan) -> bool:
    """Whether the bundles say all of it that networks depend on: what they say goes together, as tests show."""
    shipped = all(file.is_relative_to(BUNDLES) and file.parent.name != "networks" for file in plan.files)
    return shipped and set(plan.overrides) <= _PLAIN


def check_heads(student: Plan) -> None:
    """Whether every term reads the head that teacher, baseline and student share.

    Raises:
        UserError: a term reads another head.
    """
    for name, entry in (student.config.get("terms") or {}).items():
        target = entry.get("term", {}).get("_target_") if isinstance(entry.get("term"), Mapping) else None
        needed = getattr(locate(target) if target else None, "needs_head", student.config["head"])
        if needed != student.config["head"]:
            raise UserError(
                f"Term {name!r} of {student.files[-1]} reads the head {needed!r}; this training has "
                f"{student.config['head']!r}. Train teacher, baseline and student with SET=head={needed}, or choose "
                "another METHOD."
            )


def read_datalist(plan: Plan, **overrides: Any) -> Datalist:
    """The subjects of a run, as the run itself would read them.

    Raises:
        UserError: the data have a fault; see `Datalist.load`.
    """
    with bundle_scripts(SHARED), component_errors():
        datalist: Datalist = plan.changed(overrides).parser().get_parsed_content("datalist")
    return datalist


@dataclass
class UntrainedTeacher:
    """The part of a teacher that its student's networks depend on, before there is one.

    Attributes:
        network: without memory for its weights.
        head, modalities: how its logits are read, and what it reads.
        taps: layers of its network by what they are.
    """

    network: nn.Module
    head: Head
    modalities: list[str]
    taps: Mapping[str, str]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise NotImplementedError(f"a teacher that is not trained yet has no {name!r}")

    def tap(self, name: str) -> str:
        """The layer that its configuration lists under this name.

        Raises:
            UserError: there is none.
        """
        if name not in self.taps:
            raise UserError(
                f"The teacher's NETWORK must name the layer {name!r} in `taps`; got {sorted(self.taps)}. Name it "
                "there, or give the term a layer's own name."
            )
        return str(self.taps[name])


def check_networks(teacher: Plan, student: Plan) -> None:
    """Run teacher and student on torch's meta device, which computes shapes alone, and let each term see both.

    What cannot be decided without numbers, or without a trained teacher, is left to the run itself.

    Raises:
        UserError: a network cannot read a patch of `roi_size`, a tapped layer is missing, a term refuses the two
            networks, or a student cannot start from this teacher's weights.
    """
    try:
        _check_networks(teacher.parser(), student.parser())
    except RuntimeError as error:
        if not _left_to_the_run(error):
            raise
        logger.info("Whether teacher and student go together shows when the student starts: %s", _first_line(error))


def _check_networks(teacher: ConfigParser, student: ConfigParser) -> None:
    # built on the CPU, as some networks look at numbers when they are; the run's own random numbers are not drawn
    with torch.random.fork_rng(devices=[]), component_errors():
        taught_by = UntrainedTeacher(*_network(teacher, "teacher"), teacher.get("taps") or {})
        student["teacher_run"] = taught_by
        network, head, modalities = _network(student, "student")
        if student.get_parsed_content("init") == "teacher":
            sliced_weights(taught_by.network, network, taught_by.modalities, modalities)
        roi_size = student.get_parsed_content("roi_size")
        loss = build_terms(
            student.get_parsed_content("loss_def"), taught_by, network, head, modalities, roi_size, 0, "meta"
        )
        teacher_layers, student_layers = loss.layers
        loss.check(
            teacher=dry_run(taught_by.network, taught_by.head, teacher_layers, len(taught_by.modalities), roi_size),
            student=dry_run(network, head, student_layers, len(modalities), roi_size),
        )


def _network(parser: ConfigParser, role: str) -> tuple[nn.Module, Head, list[str]]:
    names = ("network_def", "head_of", "modalities", "roi_size")
    network, head, modalities, roi_size = (parser.get_parsed_content(name) for name in names)
    network.to("meta")
    try:
        dry_run(network, head, (), len(modalities), roi_size)
    except (ValueError, RuntimeError) as error:
        if _left_to_the_run(error):
            raise
        raise UserError(
            f"The {role}'s network ({type(network).__name__}) must be able to read patches of roi_size {roi_size}; got "
            f'"{_first_line(error)}". Choose another NETWORK, or another patch (SET="roi_size=[96,96,96]").'
        ) from error
    return network, head, list(modalities)


def _left_to_the_run(error: Exception) -> bool:
    """Whether it is about what torch cannot do without numbers, or a teacher before its training."""
    return isinstance(error, NotImplementedError) or "meta" in str(error).lower()


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
