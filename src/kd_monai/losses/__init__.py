"""Segmentation loss, the weighted sum, and one distillation term per file."""

from kd_monai.losses.adversarial import Adversarial
from kd_monai.losses.critic import Critic
from kd_monai.losses.distillation import DistillationLoss
from kd_monai.losses.holistic import Holistic
from kd_monai.losses.latent_kl import LatentKL, latent_kl
from kd_monai.losses.segmentation import SegmentationLoss
from kd_monai.losses.soft_dice_bce import SoftDiceBCE, soft_dice_bce

__all__ = [
    "Adversarial",
    "Critic",
    "DistillationLoss",
    "Holistic",
    "LatentKL",
    "SegmentationLoss",
    "SoftDiceBCE",
    "latent_kl",
    "soft_dice_bce",
]
