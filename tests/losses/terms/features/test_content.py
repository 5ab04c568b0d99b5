"""content against scikit-learn, and behind a learned map against a linear least-squares fit."""

from __future__ import annotations

import pytest
import torch
from feature_samples import batch, features, outputs, regions
from sklearn.linear_model import LinearRegression
from sklearn.metrics import mean_squared_error

from kd_monai.losses.terms.features.content import FeatureRegression, content

TEACHER, STUDENT = features(0)[:1], features(1, (1, 3, 6, 4, 8))


def fit() -> tuple[LinearRegression, float]:
    """Scikit-learn's map from student to teacher, voxels being the samples, and the error it leaves."""
    inputs, targets = (x[0].flatten(1).T.double().numpy() for x in (STUDENT, TEACHER))
    model = LinearRegression().fit(inputs, targets)
    return model, mean_squared_error(targets, model.predict(inputs))


def built() -> FeatureRegression:
    term = FeatureRegression("layer", "layer")
    assert term.learned
    term.build(outputs(STUDENT), outputs(TEACHER))
    return term


def value(term: FeatureRegression, student: torch.Tensor = STUDENT) -> torch.Tensor:
    return term(outputs(student), outputs(TEACHER), batch(regions()[:1]))


def test_with_scikit_learns_map_it_is_the_error_of_the_fit() -> None:
    model, error = fit()
    term = built()
    term.adapter.weight.data = torch.tensor(model.coef_, dtype=torch.float32).reshape(5, 3, 1, 1, 1)
    term.adapter.bias.data = torch.tensor(model.intercept_, dtype=torch.float32)
    assert value(term).item() == pytest.approx(error, rel=1e-4)


def test_never_below_the_error_of_the_fit() -> None:
    _, error = fit()
    for seed in range(5):
        torch.manual_seed(seed)
        assert value(built()).item() > error


def test_zero_where_the_map_gives_the_teacher() -> None:
    term = FeatureRegression("layer", "layer")
    term.build(outputs(TEACHER), outputs(TEACHER))
    term.adapter.weight.data = torch.eye(5).reshape(5, 5, 1, 1, 1)
    term.adapter.bias.data.zero_()
    torch.testing.assert_close(value(term, TEACHER), torch.zeros(1), atol=1e-10, rtol=0)


def test_the_map_learns_towards_the_fit() -> None:
    _, error = fit()
    term = built()
    optimizer = torch.optim.Adam(term.parameters(), 0.05)
    for _ in range(200):
        optimizer.zero_grad()
        value(term).sum().backward()
        optimizer.step()
    assert value(term).item() == pytest.approx(error, rel=1e-3)


def test_agrees_with_scikit_learn() -> None:
    teacher, student = features(0), features(1)
    for sample in range(2):
        expected = mean_squared_error(teacher[sample].flatten(), student[sample].flatten())
        assert content(teacher, student)[sample].item() == pytest.approx(expected, rel=1e-5)


def test_zero_at_equality_and_positive_elsewhere() -> None:
    teacher = features(0)
    assert torch.equal(content(teacher, teacher), torch.zeros(2))
    for seed in range(1, 6):
        assert (content(teacher, teacher + 1e-3 * features(seed)) > 0).all()
