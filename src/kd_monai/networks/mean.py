"""Several networks as one: the mean of their probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from kd_monai.outputs import Head


class MeanNetwork(nn.Module):
    """Logits of ``mean_i p_i``, the untempered probabilities that several networks give, in float32.

    Args:
        networks: of one head.
        channels: for each network the channels of the image that it reads, in its order.
        head: how all their logits are read.
    """

    def __init__(self, networks: Sequence[nn.Module], channels: Sequence[Sequence[int]], head: Head) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.channels = [list(indices) for indices in channels]
        self.head = head

    def forward(self, image: Tensor) -> Tensor:
        """Logits ``B C H W D`` of an image ``B M H W D``."""
        return self.head.mean_logits(
            # views and one copy: an index would be sent to a GPU, which waits for it
            [
                network(torch.cat([image[:, channel : channel + 1] for channel in indices], dim=1))
                for network, indices in zip(self.networks, self.channels, strict=True)
            ]
        )
