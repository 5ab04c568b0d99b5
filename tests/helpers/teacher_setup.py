"""A trainer with a frozen teacher and a small student."""

from __future__ import annotations

import pytest
import torch
from monai.engines import SupervisedTrainer
from monai.networks.nets import BasicUNet
from torch import nn

from kd_monai.handlers import EpochSeedHandler, PrepareBatch, RaiseOnNaN, TeacherHandler
from kd_monai.losses import DistillationLoss, SegmentationLoss, dry_run
from kd_monai.losses.terms.features.latent_kl import LatentKL
from kd_monai.losses.terms.outputs.soft_dice_bce import SoftDiceBCE
from kd_monai.networks import RegionsHead, openvino_is_installed
from kd_monai.networks.inferers import AutocastInferer

with_openvino = pytest.mark.skipif(not openvino_is_installed(), reason="the extra [fast] is not installed")
MODALITIES = ["t1", "t1ce", "t2", "flair"]
ROI = (32, 32, 32)


def network(channels: int, width: int = 2, dropout: float = 0.0) -> nn.Module:
    features = [width, width, width, width, 2 * width, width]
    return BasicUNet(3, channels, 3, features=features, dropout=dropout, upsample="nontrainable")


def batches() -> list[dict]:
    generator = torch.Generator().manual_seed(0)
    return [
        {
            "image": torch.randn(2, 4, *ROI, generator=generator),
            "label": (torch.rand(2, 3, *ROI, generator=generator) > 0.5).float(),
            "subject": ["a", "b"],
        }
        for _ in range(2)
    ]


def kdnet_terms(weight: float = 1.0) -> dict:
    return {
        "soft_dice_bce": {"weight": weight, "term": SoftDiceBCE()},
        "latent_kl": {"weight": weight, "term": LatentKL()},
    }


class Setup:
    """A trainer with a teacher of all four modalities and a student of T1ce, unless they read others."""

    def __init__(
        self,
        terms: dict | None,
        *,
        teacher: nn.Module | None = None,
        dropout: float = 0.0,
        epochs: int = 2,
        reads: tuple[list[str], list[str]] = (MODALITIES, ["t1ce"]),
        built: bool = False,
    ) -> None:
        torch.manual_seed(0)
        of_teacher, of_student = reads
        self.student = network(len(of_student), dropout=dropout)
        self.teacher = teacher or network(len(of_teacher))
        self.loss = DistillationLoss(SegmentationLoss(RegionsHead()), 1.0, terms)
        if built:
            layers = self.loss.layers
            self.loss.build(
                teacher=dry_run(self.teacher, RegionsHead(), layers[0], len(of_teacher), ROI),
                student=dry_run(self.student, RegionsHead(), layers[1], len(of_student), ROI),
            )
        self.trainer = SupervisedTrainer(
            device="cpu",
            max_epochs=epochs,
            train_data_loader=batches(),
            network=self.student,
            optimizer=torch.optim.Adam([*self.student.parameters(), *self.loss.parameters()], 1e-2),
            loss_function=self.loss,
            inferer=AutocastInferer("cpu", "fp32"),
            prepare_batch=PrepareBatch(MODALITIES, of_student),
            decollate=False,
            train_handlers=[EpochSeedHandler(0), RaiseOnNaN()],
        )
        if terms:
            self.handler = TeacherHandler(
                self.teacher, RegionsHead(), RegionsHead(), self.loss, MODALITIES, of_teacher, of_student,
                AutocastInferer("cpu", "fp32"), ROI,
            )  # fmt: skip
            self.handler.attach(self.trainer)
