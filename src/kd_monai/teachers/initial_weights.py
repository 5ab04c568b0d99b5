"""The weights that a student starts from."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from kd_monai.errors import UserError


def sliced_weights(
    teacher: nn.Module, student: nn.Module, teacher_modalities: Sequence[str], student_modalities: Sequence[str]
) -> dict[str, torch.Tensor]:
    """The teacher's state for the student: layers of one shape as they are, those that read the image sliced.

    A layer reads the image if its weights' second axis is as long as the teacher's list of modalities. The student's
    weights have the same shape but for this axis, which is as long as its own list. Any network will do:
    BasicUNet and SegResNet have one such layer, DynUNet and MultiResUNet two, SwinUNETR three.

    Raises:
        UserError: the student reads what the teacher does not, or their networks differ otherwise.
    """
    strangers = [name for name in student_modalities if name not in teacher_modalities]
    if strangers:
        raise UserError(
            f"A student that starts from its teacher (INIT=teacher) reads modalities of the teacher's, "
            f"{', '.join(teacher_modalities)}; got {', '.join(strangers)}. Correct MODALITY or TEACHER_MODALITIES, or "
            "set INIT=random."
        )
    channels = [list(teacher_modalities).index(name) for name in student_modalities]
    state, wanted = teacher.state_dict(), student.state_dict()
    weights: dict[str, torch.Tensor] = {}
    for name in [*wanted, *(name for name in state if name not in wanted)]:
        shape = tuple(state[name].shape) if name in state else None
        needed = tuple(wanted[name].shape) if name in wanted else None
        if shape is not None and shape == needed:
            weights[name] = state[name]
        elif (
            shape
            and needed
            and (shape[1:2], needed[1:2]) == ((len(teacher_modalities),), (len(channels),))
            and (shape[:1] + shape[2:] == needed[:1] + needed[2:])
        ):
            weights[name] = state[name][:, channels]
        else:
            raise UserError(
                f"A student that starts from its teacher (INIT=teacher) has the teacher's network but for the "
                f"modalities it reads; {name} is {_shown(shape)} in the teacher and {_shown(needed)} in the student. "
                "Give both one NETWORK, width and head, or set INIT=random."
            )
    return weights


def _shown(shape: tuple[int, ...] | None) -> str:
    return "no such weights" if shape is None else str(shape)
