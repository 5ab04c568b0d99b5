"""Segmentation loss, the weighted sum, and one distillation term per file."""

from kd_monai.losses.adapter import Adapter
from kd_monai.losses.adversarial import Adversarial
from kd_monai.losses.attention import Attention, attention
from kd_monai.losses.boundary_first_order import BoundaryFirstOrder, boundary_first_order
from kd_monai.losses.channel_wise import ChannelWise, channel_wise
from kd_monai.losses.consistency import Consistency, consistency
from kd_monai.losses.content import Content, content
from kd_monai.losses.contrastive import Contrastive, contrastive
from kd_monai.losses.critic import Critic
from kd_monai.losses.distillation import DistillationLoss
from kd_monai.losses.feature_regression import FeatureRegression
from kd_monai.losses.feature_term import FeatureTerm
from kd_monai.losses.generalized import Generalized
from kd_monai.losses.gram import Gram, gram
from kd_monai.losses.holistic import Holistic
from kd_monai.losses.kl import KL, kl
from kd_monai.losses.latent_kl import LatentKL, latent_kl
from kd_monai.losses.masked_kd import MaskedKD, masked_kd
from kd_monai.losses.pairwise import Pairwise, pairwise
from kd_monai.losses.prototype import Prototype, prototype
from kd_monai.losses.segmentation import SegmentationLoss
from kd_monai.losses.soft_dice_bce import SoftDiceBCE, soft_dice_bce
from kd_monai.losses.standardized_kl import StandardizedKL, standardized_kl
from kd_monai.losses.synthesis import Synthesis
from kd_monai.losses.vid import VID, vid

__all__ = [
    "KL",
    "VID",
    "Adapter",
    "Adversarial",
    "Attention",
    "BoundaryFirstOrder",
    "ChannelWise",
    "Consistency",
    "Content",
    "Contrastive",
    "Critic",
    "DistillationLoss",
    "FeatureRegression",
    "FeatureTerm",
    "Generalized",
    "Gram",
    "Holistic",
    "LatentKL",
    "MaskedKD",
    "Pairwise",
    "Prototype",
    "SegmentationLoss",
    "SoftDiceBCE",
    "StandardizedKL",
    "Synthesis",
    "attention",
    "boundary_first_order",
    "channel_wise",
    "consistency",
    "content",
    "contrastive",
    "gram",
    "kl",
    "latent_kl",
    "masked_kd",
    "pairwise",
    "prototype",
    "soft_dice_bce",
    "standardized_kl",
    "vid",
]
