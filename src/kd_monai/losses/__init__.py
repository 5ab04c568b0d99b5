"""Segmentation loss, the weighted sum, and one distillation term per file."""

from kd_monai.losses.critic import Critic
from kd_monai.losses.distillation import DistillationLoss
from kd_monai.losses.latent_kl import LatentKL, latent_kl
from kd_monai.losses.segmentation import SegmentationLoss
from kd_monai.losses.soft_dice_bce import SoftDiceBCE, soft_dice_bce

__all__ = ["Critic", "DistillationLoss", "LatentKL", "SegmentationLoss", "SoftDiceBCE", "latent_kl", "soft_dice_bce"]
