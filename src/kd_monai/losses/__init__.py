"""Segmentation loss, the weighted sum, and one distillation term per file."""

from kd_monai.losses.distillation import DistillationLoss
from kd_monai.losses.segmentation import SegmentationLoss
from kd_monai.losses.terms.critics.adversarial import Adversarial
from kd_monai.losses.terms.critics.critic import Critic
from kd_monai.losses.terms.critics.holistic import Holistic
from kd_monai.losses.terms.features.adapter import Adapter
from kd_monai.losses.terms.features.attention import Attention, attention
from kd_monai.losses.terms.features.channel_wise import ChannelWise, channel_wise
from kd_monai.losses.terms.features.content import Content, content
from kd_monai.losses.terms.features.contrastive import Contrastive, contrastive
from kd_monai.losses.terms.features.feature_regression import FeatureRegression
from kd_monai.losses.terms.features.feature_term import FeatureTerm
from kd_monai.losses.terms.features.gram import Gram, gram
from kd_monai.losses.terms.features.latent_kl import LatentKL, latent_kl
from kd_monai.losses.terms.features.pairwise import Pairwise, pairwise
from kd_monai.losses.terms.features.prototype import Prototype, prototype
from kd_monai.losses.terms.features.synthesis import Synthesis
from kd_monai.losses.terms.features.vid import VID, vid
from kd_monai.losses.terms.outputs.boundary_first_order import BoundaryFirstOrder, boundary_first_order
from kd_monai.losses.terms.outputs.consistency import Consistency, consistency
from kd_monai.losses.terms.outputs.generalized import Generalized
from kd_monai.losses.terms.outputs.kl import KL, kl
from kd_monai.losses.terms.outputs.masked_kd import MaskedKD, masked_kd
from kd_monai.losses.terms.outputs.soft_dice_bce import SoftDiceBCE, soft_dice_bce
from kd_monai.losses.terms.outputs.standardized_kl import StandardizedKL, standardized_kl

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
