"""A real training, small: MONAI's trainer, a U-Net with dropout, Adam, a schedule, seeded order and augmentation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.engines import SupervisedTrainer
from monai.handlers import LrScheduleHandler
from monai.networks.nets import BasicUNet
from monai.transforms import RandFlipd, RandScaleIntensityd, RandSpatialCropd
from torch.optim.lr_scheduler import PolynomialLR, ReduceLROnPlateau
from torch.utils.data import DataLoader

from kd_monai.data import EpochSampler, LabelToRegions, SeededDataset
from kd_monai.handlers import EpochSeedHandler, PrepareBatch, ResumeHandler
from kd_monai.losses import DistillationLoss, SegmentationLoss
from kd_monai.networks import RegionsHead
from kd_monai.networks.inferers import AutocastInferer

ROI = (32, 32, 32)
STEPS = 2


def samples(n: int = 3) -> list[dict[str, Any]]:
    """As the cache holds them: float16 image, uint8 label with values 0, 1, 2, 4."""
    generator = torch.Generator().manual_seed(0)
    values = torch.tensor([0, 1, 2, 4], dtype=torch.uint8)
    return [
        {
            "image": torch.randn(1, 34, 35, 36, generator=generator).half(),
            "label": values[torch.randint(0, 4, (1, 34, 35, 36), generator=generator)],
            "subject": f"s{i}",
        }
        for i in range(n)
    ]


def augmented(seed: int = 0) -> SeededDataset:
    """The samples with a random patch, flip and intensity."""
    transforms = [
        RandSpatialCropd(["image", "label"], ROI, random_size=False),
        RandFlipd(["image", "label"], prob=0.5, spatial_axis=0),
        RandScaleIntensityd("image", factors=0.1, prob=1.0),
        LabelToRegions(),
    ]
    return SeededDataset(samples(), transforms, seed)


class SmallTraining:
    """A trainer and what it changes; `folder` makes it write checkpoints, and continue from them."""

    def __init__(
        self,
        folder: Path | None = None,
        epochs: int = 3,
        schedule: str = "polynomial",
        handlers: Sequence[Any] = (),
        num_workers: int = 0,
    ) -> None:
        torch.manual_seed(0)
        self.network = BasicUNet(3, 1, 3, features=[2, 2, 2, 2, 4, 2], dropout=0.2, upsample="nontrainable")
        self.loss = DistillationLoss(SegmentationLoss(RegionsHead()))
        self.optimizer = torch.optim.Adam(self.network.parameters(), 1e-2)
        if schedule == "polynomial":
            self.scheduler: Any = PolynomialLR(self.optimizer, total_iters=epochs, power=0.9)
            watched: Callable[[Any], Any] = lambda engine: ()  # noqa: E731
        else:
            self.scheduler = ReduceLROnPlateau(self.optimizer, factor=0.5, patience=0, threshold=1.0)
            watched = lambda engine: engine.state.output["loss"].item()  # noqa: E731
        torch.rand(17)  # whatever else was built has drawn its own numbers
        saved = {
            "network": self.network,
            "optimizer": self.optimizer,
            "lr_scheduler": self.scheduler,
            "loss": self.loss,
        }
        self.resume = ResumeHandler(folder or Path(), saved)
        self.trainer = SupervisedTrainer(
            device="cpu",
            max_epochs=epochs,
            train_data_loader=DataLoader(
                augmented(),
                batch_size=1,
                sampler=EpochSampler(3, STEPS, seed=0),
                num_workers=num_workers,
            ),
            network=self.network,
            optimizer=self.optimizer,
            loss_function=self.loss,
            inferer=AutocastInferer("cpu", "fp32"),
            prepare_batch=PrepareBatch(["t1ce"], ["t1ce"]),
            decollate=False,
            train_handlers=[
                EpochSeedHandler(0),
                LrScheduleHandler(self.scheduler, print_lr=False, step_transform=watched),
                *handlers,
                *([self.resume] if folder else []),
            ],
        )
