"""prototype against scikit-learn, and the class that is skipped for the sample that lacks it alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from feature_samples import SHAPE, features, part_masks, regions
from sklearn.metrics.pairwise import cosine_similarity
from torch.nn import functional as F

from kd_monai.losses.terms.features.prototype import prototype


def maps_by_hand(layer: np.ndarray, masks: list[torch.Tensor]) -> list[np.ndarray]:
    """Cosine of every voxel with the mean feature of each class that there is, of one sample ``K h w d``."""
    voxels = layer.reshape(layer.shape[0], -1).T
    prototypes = [voxels[mask.flatten().numpy()].mean(0) for mask in masks if mask.any()]
    return [cosine_similarity(voxels, one[None])[:, 0] for one in prototypes]


def test_agrees_with_scikit_learn_over_the_classes_that_each_sample_has() -> None:
    teacher, student = features(0), features(1)
    for sample in range(2):
        masks = part_masks(regions()[sample])
        of_teacher, of_student = (maps_by_hand(x[sample].double().numpy(), masks) for x in (teacher, student))
        assert len(of_teacher) == 4 - sample  # the second sample has no ET
        expected = np.mean([(t - s) ** 2 for t, s in zip(of_teacher, of_student, strict=True)])
        assert prototype(teacher, student, regions())[sample].item() == pytest.approx(expected, rel=1e-4)


def test_zero_at_equality_and_never_negative() -> None:
    teacher = features(0)
    torch.testing.assert_close(prototype(teacher, teacher, regions()), torch.zeros(2), atol=1e-6, rtol=0)
    for seed in range(1, 6):
        assert (prototype(teacher, features(seed), regions()) > 0).all()


def test_a_class_that_one_sample_has_counts_for_that_sample() -> None:
    """Published code skips a class unless the whole batch has it: then ET would count for nobody here."""
    teacher, student, label = features(0), features(1), regions()
    nobody = label.clone()
    nobody[:, 2] = 0
    with_et, without = prototype(teacher, student, label), prototype(teacher, student, nobody)
    assert with_et[0] != without[0]
    assert with_et[1] == without[1]


def test_an_absent_class_is_no_class_of_zeros() -> None:
    """Its cosines would be 0 for both and lower the mean."""
    teacher, student = features(0), features(1)
    nothing = torch.zeros(2, 3, *SHAPE[2:])
    masks = [torch.ones(SHAPE[2:], dtype=torch.bool)]
    for sample in range(2):
        of_teacher, of_student = (maps_by_hand(x[sample].double().numpy(), masks) for x in (teacher, student))
        expected = np.mean((of_teacher[0] - of_student[0]) ** 2)
        assert prototype(teacher, student, nothing)[sample].item() == pytest.approx(expected, rel=1e-4)


def test_only_directions_count_and_width_may_differ() -> None:
    teacher = features(0)
    wider = torch.cat([teacher, torch.zeros(2, 3, *SHAPE[2:])], 1)
    torch.testing.assert_close(prototype(teacher, 7 * wider, regions()), torch.zeros(2), atol=1e-6, rtol=0)


def test_the_label_comes_to_a_coarse_grid_by_area() -> None:
    """Halved by its mean, which is exact here: a layer twice repeated has the prototypes of the layer."""
    coarse = [features(seed, (2, 5, 3, 2, 4)) for seed in (0, 1)]
    fine = [F.interpolate(x, scale_factor=2, mode="nearest") for x in coarse]
    torch.testing.assert_close(prototype(*coarse, regions()), prototype(*fine, regions()))
