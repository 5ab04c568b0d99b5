"""Segmentation loss, the weighted sum, and one distillation term per file."""

from kd_monai.losses.boundary_first_order import BoundaryFirstOrder, boundary_first_order
from kd_monai.losses.consistency import Consistency, consistency
from kd_monai.losses.critic import Critic
from kd_monai.losses.distillation import DistillationLoss
from kd_monai.losses.generalized import Generalized
from kd_monai.losses.kl import KL, kl
from kd_monai.losses.latent_kl import LatentKL, latent_kl
from kd_monai.losses.masked_kd import MaskedKD, masked_kd
from kd_monai.losses.segmentation import SegmentationLoss
from kd_monai.losses.soft_dice_bce import SoftDiceBCE, soft_dice_bce
from kd_monai.losses.standardized_kl import StandardizedKL, standardized_kl

__all__ = [
    "KL",
    "BoundaryFirstOrder",
    "Consistency",
    "Critic",
    "DistillationLoss",
    "Generalized",
    "LatentKL",
    "MaskedKD",
    "SegmentationLoss",
    "SoftDiceBCE",
    "StandardizedKL",
    "boundary_first_order",
    "consistency",
    "kl",
    "latent_kl",
    "masked_kd",
    "soft_dice_bce",
    "standardized_kl",
]
