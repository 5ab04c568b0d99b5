"""What of a batch a network reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from kd_monai.errors import UserError


def select_channels(image: Tensor, modalities: Sequence[str], wanted: Sequence[str]) -> Tensor:
    """The wanted modalities of an image ``B M H W D`` whose channels are `modalities`, in the wanted order.

    Raises:
        UserError: a wanted modality is not in the image.
    """
    missing = [name for name in wanted if name not in modalities]
    if missing:
        raise UserError(
            f"A network reads modalities of the batch only; got {missing}, the batch has {list(modalities)}."
        )
    if list(wanted) == list(modalities):
        return image
    return image[:, [list(modalities).index(name) for name in wanted]]


class PrepareBatch:
    """Image and label for the trainer: the student's own modalities of the sample, on the device, without metadata.

    Args:
        modalities: channels of the batch's image, in order.
        wanted: what the network reads of them.
    """

    def __init__(self, modalities: Sequence[str], wanted: Sequence[str]) -> None:
        self.modalities, self.wanted = list(modalities), list(wanted)

    def __call__(
        self,
        batch: Mapping[str, Tensor],
        device: torch.device | str | None = None,
        non_blocking: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """``B M H W D`` image and float ``B 3 H W D`` regions."""
        image = batch["image"].as_subclass(Tensor).to(device, non_blocking=non_blocking)
        label = batch["label"].as_subclass(Tensor).to(device, non_blocking=non_blocking)
        return select_channels(image, self.modalities, self.wanted), label
