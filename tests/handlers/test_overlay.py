from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib.image
import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.data import MetaTensor
from torch import Tensor

from kd_monai.handlers.display import OverlayHandler, draw_overlay, widest_slice

SHAPE = (10, 14, 8)


class Sigmoid:
    def region_probabilities(self, logits: Tensor) -> Tensor:
        return torch.sigmoid(logits)


def box(x: slice, y: slice, z: slice) -> Tensor:
    regions = torch.zeros(3, *SHAPE)
    regions[:, x, y, z] = 1
    return regions


def output(label: Tensor, pred: Tensor, channels: int = 1) -> dict[str, Tensor]:
    image = MetaTensor(torch.rand(1, channels, *SHAPE))
    return {"image": image, "label": label[None], "pred": (pred[None] - 0.5) * 20}


def validate(handler: OverlayHandler, result: Any, batches: int = 2, epoch: int = 5) -> None:
    engine = Engine(lambda engine, batch: result)
    handler.attach(engine)
    engine.state.epoch, engine.state.iteration, engine.state.max_epochs = epoch - 1, 0, epoch
    engine.run([{"subject": ["HGG_1"]}] * batches, max_epochs=epoch)


@pytest.mark.parametrize("decollated", [False, True])
def test_each_validation_leaves_one_picture_named_by_the_epoch(tmp_path: Path, decollated: bool) -> None:
    saved: list[Path] = []
    result: Any = output(box(slice(2, 5), slice(3, 9), slice(2, 4)), box(slice(2, 6), slice(3, 9), slice(2, 4)))
    if decollated:
        result = [{key: value[0] for key, value in result.items()}]
    validate(OverlayHandler(tmp_path, Sigmoid(), saved.append), result)
    assert saved == [tmp_path / "overlays" / "epoch_0005.png"]
    assert [path.name for path in (tmp_path / "overlays").iterdir()] == ["epoch_0005.png"]
    assert matplotlib.image.imread(saved[0]).shape[-1] in (3, 4)


def test_the_contours_are_those_of_the_two_masks(tmp_path: Path) -> None:
    """Coloured pixels of the upper panel lie left of the middle, where the reference is; of the lower panel, right."""
    right_of_patient = box(slice(7, 9), slice(3, 9), slice(2, 4))  # large x is the patient's right: drawn on the left
    left_of_patient = box(slice(1, 3), slice(3, 9), slice(2, 4))
    handler = OverlayHandler(tmp_path, Sigmoid())
    validate(handler, output(right_of_patient, left_of_patient, channels=2))
    picture = matplotlib.image.imread(tmp_path / "overlays" / "epoch_0005.png")[..., :3]
    coloured = picture.max(-1) - picture.min(-1) > 0.3
    height, width = coloured.shape
    coloured[:, : width // 10] = False  # the legend
    coloured = coloured[:, : width // 2]  # the first modality
    upper, lower = coloured[: height // 2], coloured[height // 2 :]
    assert upper.any()
    assert lower.any()
    assert np.nonzero(upper)[1].mean() < width / 4 < np.nonzero(lower)[1].mean()


def test_the_slice_is_the_widest_of_the_reference_then_of_the_prediction_then_the_middle() -> None:
    label = box(slice(2, 3), slice(3, 4), slice(1, 7))
    label[:, 2:5, 3:6, 6] = 1
    prediction = box(slice(0, 9), slice(0, 9), slice(2, 3)) > 0
    empty = torch.zeros(3, *SHAPE)
    assert widest_slice(label, lambda: prediction) == 6
    assert widest_slice(empty, lambda: prediction) == 2
    assert widest_slice(empty, lambda: empty > 0) == 4


def test_empty_masks_are_drawn_without_a_warning(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    empty = torch.zeros(3, *SHAPE)
    validate(OverlayHandler(tmp_path, Sigmoid()), output(empty, empty, channels=4))
    assert (tmp_path / "overlays" / "epoch_0005.png").is_file()
    assert [str(warning.message) for warning in recwarn if "ontour" in str(warning.message)] == []


def test_every_modality_has_a_column() -> None:
    empty = torch.zeros(3, *SHAPE[:2], dtype=torch.bool)
    assert len(draw_overlay(torch.zeros(4, *SHAPE[:2]), empty, empty).axes) == 8


def test_a_batch_without_names_is_drawn(tmp_path: Path) -> None:
    handler = OverlayHandler(tmp_path, Sigmoid())
    state = SimpleNamespace(
        iteration=1,
        epoch_length=3,
        epoch=2,
        batch=torch.zeros(1),
        output=output(torch.zeros(3, *SHAPE), torch.zeros(3, *SHAPE)),
    )
    handler(SimpleNamespace(state=state))
    assert (tmp_path / "overlays" / "epoch_0002.png").is_file()
