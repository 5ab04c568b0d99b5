"""The weights that a student starts from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import nn

from kd_monai.teachers.crossfitted import CrossFitted
from kd_monai.teachers.ensemble import Teachers
from kd_monai.teachers.single import Teacher

Init = Literal["random", "teacher"]


def sliced_weights(
    teacher: nn.Module, student: nn.Module, teacher_modalities: Sequence[str], student_modalities: Sequence[str]
) -> dict[str, torch.Tensor]:
    """The teacher's state for the student: layers of one shape as they are, those that read the image sliced.

    A layer reads the image if its weights' second axis is as long as the teacher's list of modalities, and the
    student's differ in nothing but that this axis is as long as its own list. Which network it is does not matter:
    BasicUNet and SegResNet have one such layer, DynUNet and MultiResUNet two, SwinUNETR three.

    Raises:
        ValueError: the student reads what the teacher does not, or their networks differ otherwise.
    """
    strangers = [name for name in student_modalities if name not in teacher_modalities]
    if strangers:
        raise ValueError(
            f"A student that starts from its teacher (INIT=teacher) reads modalities of the teacher's, "
            f"{', '.join(teacher_modalities)}; got {', '.join(strangers)}. Correct MODALITY or TEACHER_MODALITIES, or "
            "set INIT=random."
        )
    own = [list(teacher_modalities).index(name) for name in student_modalities]
    state = teacher.state_dict()
    taken: dict[str, torch.Tensor] = {}
    wanted = student.state_dict()
    for name in [*wanted, *(name for name in state if name not in wanted)]:
        shapes = [tuple(weights[name].shape) if name in weights else None for weights in (state, wanted)]
        theirs, ours = shapes
        if theirs is not None and theirs == ours:
            taken[name] = state[name]
        elif (
            theirs
            and ours
            and (theirs[1:2], ours[1:2]) == ((len(teacher_modalities),), (len(own),))
            and (theirs[:1] + theirs[2:] == ours[:1] + ours[2:])
        ):
            taken[name] = state[name][:, own]
        else:
            said = [f"{shape}" if shape is not None else "no such weights" for shape in shapes]
            raise ValueError(
                f"A student that starts from its teacher (INIT=teacher) has the teacher's network but for the "
                f"modalities it reads; {name} is {said[0]} in the teacher and {said[1]} in the student. Give both one "
                "NETWORK, width and head, or set INIT=random."
            )
    return taken


def initial_network(
    network: nn.Module,
    teacher: Teacher | Teachers | CrossFitted | None,
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
        ValueError: there is no teacher, or not one, to start from; the networks differ; `init` is neither.
    """
    if init not in get_args(Init):
        raise ValueError(f"`init` (INIT) must be one of {', '.join(get_args(Init))}; got {init!r}.")
    if init == "random":
        return network
    if teacher is None:
        raise ValueError(
            "INIT=teacher starts a student from its teacher, and a baseline has none. Set INIT=random: every baseline "
            "starts there."
        )
    whole = teacher.whole
    network.load_state_dict(sliced_weights(whole.network, network, whole.modalities, modalities))
    return network
