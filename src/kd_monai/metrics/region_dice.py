"""Validation's Dice under the BraTS convention, by region and in the mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from ignite.engine import Engine
from monai.handlers import IgniteMetricHandler, from_engine
from monai.metrics import DiceMetric
from torch import Tensor

from kd_monai.outputs import Head
from kd_monai.task import REGIONS

Masks: TypeAlias = Sequence[Tensor] | Tensor


class RegionDice(IgniteMetricHandler):
    """Mean Dice over TC, WT, ET and cases; both empty counts 1, a false positive 0.

    Attached as ``dice_mean`` it puts ``dice_mean``, ``dice_TC``, ``dice_WT`` and ``dice_ET`` into
    ``engine.state.metrics``, plain numbers all, and ``n x 3`` Dice of the cases into ``engine.state.metric_details``.

    Args:
        head: reads ``pred`` as logits, a region's mask being probability above 0.5; without it ``pred`` holds masks.
        output_transform: takes pred and label (TC, WT, ET) out of the engine's output: batches ``B C H W D``, or lists
            of ``C H W D``.
    """

    def __init__(
        self,
        head: Head | None = None,
        output_transform: Callable[[Any], Any] = from_engine(["pred", "label"]),  # noqa: B008 (a pure function)
    ) -> None:
        # DiceMetric's default, ignore_empty, drops a false positive and turns a region empty in all cases into 0
        super().__init__(
            metric_fn=DiceMetric(include_background=True, ignore_empty=False, reduction="mean_batch"),
            output_transform=output_transform,
        )
        self.head = head
        self._by_region: Tensor | None = None

    def update(self, output: Sequence[Masks]) -> None:
        """Score one batch.

        Raises:
            ValueError: pred or label are not 3 channels, or, without a head, pred is not made of 0 and 1.
        """
        pred, label = output
        super().update([[self._masks(item) for item in pred], [_three_channels(item, "label") > 0.5 for item in label]])

    def _masks(self, pred: Tensor) -> Tensor:
        if self.head is not None:
            return _three_channels(self.head.region_probabilities(pred[None].float())[0], "pred") > 0.5
        if pred.dtype != torch.bool and not bool(((pred == 0) | (pred == 1)).all()):
            raise ValueError(
                "Dice needs masks, 0 and 1; pred has other values. Give RegionDice the network's `head`, or threshold."
            )
        return _three_channels(pred, "pred") > 0.5

    def compute(self) -> float:
        """Mean over regions of the mean over cases."""
        self._by_region = super().compute()
        return float(self._by_region.mean())

    def completed(self, engine: Engine, name: str) -> None:
        """Ignite's hook at the end of an epoch."""
        super().completed(engine, name)
        if self._by_region is not None:
            for region, value in zip(REGIONS, self._by_region.tolist(), strict=True):
                engine.state.metrics[f"dice_{region}"] = value


def _three_channels(item: Tensor, name: str) -> Tensor:
    if item.ndim != 4 or item.shape[0] != len(REGIONS):
        raise ValueError(
            f"{name} must hold the regions {', '.join(REGIONS)}, a case being (3, H, W, D); got {tuple(item.shape)}. "
            "Labels are not regions: convert them (ConvertToMultiChannelBasedOnBratsClassesd, or the network's head)."
        )
    return item
