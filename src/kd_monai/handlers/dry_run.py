"""What a network gives for an empty patch: layers and channels are known before a training."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from kd_monai.networks import FeatureTaps
from kd_monai.outputs import Head, Outputs


def dry_run(network: nn.Module, head: Head, layers: Sequence[str], channels: int, roi_size: Sequence[int]) -> Outputs:
    """Outputs of one empty patch, in eval mode, without gradients or random numbers, where the network is.

    Args:
        network: left in the mode it was in; of cross-fitted teachers, which are alike, the first is run.
        head: how its logits are read.
        layers: to be tapped.
        channels: that it reads.
        roi_size: patch in voxels.

    Raises:
        ValueError: a layer is missing, or layers are asked of several teachers.
    """
    if isinstance(network, nn.ModuleList):
        network = network[0]
    taps = FeatureTaps(network, layers)
    device = next(network.parameters()).device
    was_training = network.training
    network.eval()
    taps.open()
    try:
        with torch.no_grad():
            logits = network(torch.zeros(1, channels, *roi_size, device=device))
    finally:
        features = taps.close()
        network.train(was_training)
    return Outputs(logits, head, features)
