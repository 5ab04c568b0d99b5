from __future__ import annotations

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from torch import Tensor

from kd_monai.metrics import RegionDice, region_scores
from kd_monai.task import REGIONS


class Sigmoid:
    """Stands for a network's head."""

    name, out_channels = "regions", 3

    def probabilities(self, logits: Tensor, temperature: float = 1.0) -> Tensor:
        return torch.sigmoid(logits / temperature)

    def target(self, regions: Tensor) -> Tensor:
        return regions

    def region_probabilities(self, logits: Tensor) -> Tensor:
        return torch.sigmoid(logits)


def case(seed: int, empty_et: bool = False) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(3, 4, 5, 6, generator=generator)
    label = (torch.rand(3, 4, 5, 6, generator=generator) > 0.6).float()
    if empty_et:
        label[2] = 0
    return logits, label


def run(batches: list[object], metric: RegionDice) -> dict[str, float]:
    engine = Engine(lambda _, batch: batch)
    metric.attach(engine, "dice_mean")
    return engine.run(batches).metrics


def expected(cases: list[tuple[Tensor, Tensor]]) -> dict[str, float]:
    scores = [region_scores(logits > 0, label > 0, (1, 1, 1))["dice"] for logits, label in cases]
    by_region = {f"dice_{region}": float(np.mean([score[region] for score in scores])) for region in REGIONS}
    return by_region | {"dice_mean": float(np.mean(list(by_region.values())))}


CASES = [case(0), case(1, empty_et=True), case(2)]


def test_logits_in_batches_give_the_evaluations_dice() -> None:
    batches = [{"pred": torch.stack([c[0] for c in part]), "label": torch.stack([c[1] for c in part])} for part in
               (CASES[:2], CASES[2:])]  # fmt: skip
    assert run(batches, RegionDice(Sigmoid())) == pytest.approx(expected(CASES))


def test_decollated_masks_give_the_same() -> None:
    batches = [[{"pred": (logits > 0).float(), "label": label}] for logits, label in CASES]
    assert run(batches, RegionDice()) == pytest.approx(expected(CASES))


def test_a_second_validation_forgets_the_first() -> None:
    engine = Engine(lambda _, batch: batch)
    RegionDice(Sigmoid()).attach(engine, "dice_mean")
    for part in CASES[:2]:
        metrics = engine.run([{"pred": part[0][None], "label": part[1][None]}]).metrics
        assert metrics == pytest.approx(expected([part]))


def test_a_region_empty_in_all_cases_is_one_and_a_false_positive_zero() -> None:
    nothing = torch.zeros(1, 3, 4, 5, 6)
    assert run([{"pred": nothing, "label": nothing}], RegionDice())["dice_ET"] == 1
    something = nothing.clone()
    something[:, 2, 0, 0, 0] = 1
    metrics = run([{"pred": something, "label": nothing}], RegionDice())
    assert (metrics["dice_ET"], metrics["dice_TC"], metrics["dice_mean"]) == (0, 1, pytest.approx(2 / 3))


def test_metrics_are_plain_numbers() -> None:
    metrics = run([{"pred": CASES[0][0][None], "label": CASES[0][1][None]}], RegionDice(Sigmoid()))
    assert {type(value) for value in metrics.values()} == {float}
    assert set(metrics) == {"dice_mean", "dice_TC", "dice_WT", "dice_ET"}


def test_logits_without_a_head_are_refused() -> None:
    with pytest.raises(ValueError, match="head"):
        run([{"pred": CASES[0][0][None], "label": CASES[0][1][None]}], RegionDice())


def test_labels_scored_where_regions_are_meant_are_refused() -> None:
    label_map = torch.zeros(1, 1, 4, 5, 6)
    with pytest.raises(ValueError, match="Labels are not regions"):
        run([{"pred": CASES[0][0][None], "label": label_map}], RegionDice(Sigmoid()))
