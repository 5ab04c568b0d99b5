"""synthesis against a linear least-squares fit of the image, and what holds of every term."""

from __future__ import annotations

import pytest
import torch
from feature_samples import SHAPE, features, outputs, regions
from sklearn.linear_model import LinearRegression
from sklearn.metrics import mean_squared_error
from torch import Tensor

from kd_monai.losses import DistillationLoss
from kd_monai.losses.terms.features.synthesis import Synthesis
from kd_monai.outputs import Batch

STUDENT = features(1)
IMAGE = features(2, (2, 4, *(2 * side for side in SHAPE[2:])))
"""Four modalities at twice the layer's resolution."""


def built(channels: int = 4) -> Synthesis:
    term = Synthesis("layer", channels)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        term.build(outputs(STUDENT), outputs(STUDENT))
    return term


def value(term: Synthesis, student: Tensor = STUDENT, image: Tensor = IMAGE) -> Tensor:
    teacher = outputs(student.new_zeros(len(student), 0, 1, 1, 1))  # none of its outputs is read
    return term(outputs(student), teacher, Batch(regions()[: len(student)], image[:, :1], image))


def by_area(image: Tensor) -> Tensor:
    """Means of 2 x 2 x 2 voxels."""
    n, k, h, w, d = image.shape
    return image.reshape(n, k, h // 2, 2, w // 2, 2, d // 2, 2).mean((3, 5, 7))


def fit() -> tuple[LinearRegression, float]:
    """Scikit-learn's map from the first sample's features to its image, and the error that it leaves."""
    inputs, targets = (x[0].flatten(1).T.double().numpy() for x in (STUDENT, by_area(IMAGE)))
    model = LinearRegression().fit(inputs, targets)
    return model, mean_squared_error(targets, model.predict(inputs))


def test_with_scikit_learns_map_it_is_the_error_of_the_fit_and_never_below() -> None:
    model, error = fit()
    term = built()
    assert value(term)[0].item() > error
    term.adapter.weight.data = torch.tensor(model.coef_, dtype=torch.float32).reshape(4, 5, 1, 1, 1)
    term.adapter.bias.data = torch.tensor(model.intercept_, dtype=torch.float32)
    assert value(term)[0].item() == pytest.approx(error, rel=1e-4)


def test_zero_where_the_features_are_the_image() -> None:
    term = Synthesis("layer", 4)
    image = by_area(IMAGE)
    term.build(outputs(image), outputs(image))
    term.adapter.weight.data = torch.eye(4).reshape(4, 4, 1, 1, 1)
    term.adapter.bias.data.zero_()
    torch.testing.assert_close(value(term, image), torch.zeros(2), atol=1e-10, rtol=0)


def test_splitting_the_batch_changes_nothing() -> None:
    term = built()
    alone = [value(term, STUDENT[i : i + 1], IMAGE[i : i + 1]) for i in range(2)]
    torch.testing.assert_close(value(term), torch.cat(alone))


def test_gradient_reaches_student_and_map_and_never_the_image() -> None:
    term, student, image = built(), STUDENT.clone().requires_grad_(), IMAGE.clone().requires_grad_()
    value(term, student, image).sum().backward()
    assert student.grad is not None
    assert (student.grad.flatten(1).abs().sum(1) > 0).all()
    assert image.grad is None
    assert all(part.grad is not None for part in term.parameters())


def test_fp32_inside_autocast() -> None:
    term, student = built(), STUDENT.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        inside = value(term, student, IMAGE.bfloat16())
    assert inside.dtype == torch.float32
    assert torch.equal(inside, value(term, student.float(), IMAGE.bfloat16().float()))


def test_features_and_images_of_zeros_are_finite() -> None:
    student = torch.zeros_like(STUDENT).requires_grad_()
    got = value(built(), student, torch.zeros_like(IMAGE))
    got.sum().backward()
    assert got.isfinite().all()
    assert student.grad is not None
    assert student.grad.isfinite().all()


def test_another_number_of_modalities_is_refused_with_the_remedy() -> None:
    with pytest.raises(ValueError, match=r"predicts 3 modalities .* has 4\. Write `channels: \$len"):
        value(built(3))
    with pytest.raises(ValueError, match="with a map that was built"):
        value(Synthesis("layer", 4))
    with pytest.raises(ValueError, match="at least 1; got 0"):
        Synthesis("layer", 0)


def test_a_loss_asks_for_no_layer_of_the_teacher() -> None:
    loss = DistillationLoss(torch.nn.Identity(), 1.0, {"synthesis": {"weight": 1.0, "term": Synthesis("layer", 4)}})
    assert loss.layers == ([], ["layer"])
    assert loss.learned
