"""What a student's networks would be refused for, found before its teacher is trained."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from torch import nn

from kd_monai.losses import build_terms, dry_run
from kd_monai.outputs import Head
from kd_monai.teachers.initial_weights import sliced_weights
from kd_monai.training.data_ahead import parser_of
from kd_monai.training.launch import own_errors

logger = logging.getLogger(__name__)


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
            ValueError: there is none.
        """
        if name not in self.taps:
            raise ValueError(
                f"The teacher's NETWORK must name the layer {name!r} in `taps`; got {sorted(self.taps)}. Name it "
                "there, or give the term a layer's own name."
            )
        return str(self.taps[name])


Configured = tuple[Sequence[Path], Mapping[str, Any]]
"""``train.yaml`` with its overlays, and configuration id -> value."""


def check_networks(teacher: Configured, student: Configured) -> None:
    """Run teacher and student on torch's meta device, which computes shapes alone, and let each term see both.

    What cannot be decided without numbers, or without a trained teacher, is left to the run itself.

    Args:
        teacher, student: how each would be trained.

    Raises:
        ValueError: a network cannot read a patch of `roi_size`, a tapped layer is missing, a term refuses the two
            networks, or a student cannot start from this teacher's weights.
    """
    try:
        _check(teacher, student)
    except RuntimeError as error:
        if not _left_to_the_run(error):
            raise
        logger.info("Whether teacher and student go together shows when the student starts: %s", _first_line(error))


def _check(teacher: Configured, student: Configured) -> None:
    # built on the CPU, as some networks look at numbers when they are; the run's own random numbers are not drawn
    with torch.random.fork_rng(devices=[]), own_errors():
        there, here = parser_of(*teacher), parser_of(*student)
        taught_by = UntrainedTeacher(*_network(there, "teacher"), there.get("taps") or {})
        here["teacher_run"] = taught_by
        network, head, modalities = _network(here, "student")
        if here.get_parsed_content("init") == "teacher":
            sliced_weights(taught_by.network, network, taught_by.modalities, modalities)
        roi_size = here.get_parsed_content("roi_size")
        loss = build_terms(
            here.get_parsed_content("loss_def"), taught_by, network, head, modalities, roi_size, seed=0, device="meta"
        )
        of_teacher, of_student = loss.layers
        loss.check(
            teacher=dry_run(taught_by.network, taught_by.head, of_teacher, len(taught_by.modalities), roi_size),
            student=dry_run(network, head, of_student, len(modalities), roi_size),
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
        raise ValueError(
            f"The {role}'s network ({type(network).__name__}) must be able to read patches of roi_size {roi_size}; got "
            f'"{_first_line(error)}". Choose another NETWORK, or another patch (SET="roi_size=[96,96,96]").'
        ) from error
    return network, head, list(modalities)


def _left_to_the_run(error: Exception) -> bool:
    """Whether it is about what torch cannot do without numbers, or a teacher before its training."""
    return isinstance(error, NotImplementedError) or "meta" in str(error).lower()


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
