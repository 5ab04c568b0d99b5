"""The loss against the reference: soft Dice plus cross-entropy."""

from __future__ import annotations

import torch
from monai.losses import DiceLoss
from torch import Tensor, nn
from torch.nn import functional as F

from kd_monai.outputs import Head


class SegmentationLoss(nn.Module):
    """``(1 - softDice(p, y)) + CE(p, y)``, the mean over samples, in float32 whatever the autocast.

    With the `regions` head the cross-entropy is binary, per region (MONAI's DiceCELoss would take a softmax across the
    overlapping regions); with the `labels` head it is categorical and Dice leaves the background out.

    Source: Isensee et al. 2018 (No New-Net); KD-Net's L_GT (REFERENCES: recalled).
    """

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head
        self.dice = DiceLoss(include_background=head.name == "regions", smooth_nr=1e-5, smooth_dr=1e-5)

    def forward(self, logits: Tensor, regions: Tensor) -> Tensor:
        """Scalar loss of logits ``B C H W D`` against float regions ``B 3 H W D`` (TC, WT, ET)."""
        with torch.autocast(logits.device.type, enabled=False):
            logits = logits.float()
            target = self.head.target(regions.float())
            if self.head.name == "regions":
                entropy = F.binary_cross_entropy_with_logits(logits, target)
            else:
                entropy = F.cross_entropy(logits, target)
            return self.dice(self.head.probabilities(logits), target) + entropy
