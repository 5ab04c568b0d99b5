"""pairwise against scikit-learn's cosine similarity of nodes pooled by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from feature_samples import features
from sklearn.metrics.pairwise import cosine_similarity

from kd_monai.losses.terms.features.pairwise import Pairwise, pairwise


def nodes_by_hand(layer: np.ndarray, window: tuple[int, int, int]) -> np.ndarray:
    """Maximum of each window, ``N K``, of one sample ``K h w d``."""
    nodes = []
    for i in range(0, layer.shape[1], window[0]):
        for j in range(0, layer.shape[2], window[1]):
            for k in range(0, layer.shape[3], window[2]):
                part = layer[:, i : i + window[0], j : j + window[1], k : k + window[2]]
                nodes.append(part.reshape(layer.shape[0], -1).max(1))
    return np.stack(nodes)


@pytest.mark.parametrize(("scale", "window"), [(0.5, (3, 2, 4)), (0.25, (2, 1, 2)), (1.0, (6, 4, 8))])
def test_agrees_with_scikit_learn(scale: float, window: tuple[int, int, int]) -> None:
    shape = (2, 5, 8, 4, 8) if scale == 0.25 else (2, 5, 6, 4, 8)
    teacher, student = features(0, shape), features(1, shape)
    for sample in range(2):
        of_teacher, of_student = (
            cosine_similarity(nodes_by_hand(layer[sample].double().numpy(), window)) for layer in (teacher, student)
        )
        expected = ((of_teacher - of_student) ** 2).mean()
        assert pairwise(teacher, student, scale)[sample].item() == pytest.approx(expected, rel=1e-4, abs=1e-9)


def test_zero_at_equality_and_never_negative() -> None:
    teacher = features(0)
    torch.testing.assert_close(pairwise(teacher, teacher), torch.zeros(2), atol=1e-6, rtol=0)
    for seed in range(1, 6):
        assert (pairwise(teacher, features(seed)) > 0).all()


def test_zero_where_channels_are_in_another_order() -> None:
    teacher = features(0)
    torch.testing.assert_close(pairwise(teacher, teacher.flip(1)), torch.zeros(2), atol=1e-6, rtol=0)


def test_a_layer_smaller_than_the_nodes_asked_for_decides() -> None:
    teacher, student = features(0, (2, 5, 2, 2, 2)), features(1, (2, 3, 12, 8, 16))
    assert torch.equal(pairwise(teacher, student, 0.1), pairwise(teacher, student, 0.5))


def test_memory_is_that_of_eight_nodes_on_a_patch_of_full_resolution() -> None:
    kept: list[int] = []
    layer = features(0, (1, 2, 32, 32, 32)).requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.numel()) or x, lambda x: x):
        pairwise(features(1, (1, 2, 32, 32, 32)), layer)
    assert max(kept) == layer.numel()  # the pooling keeps its input, and nothing is as large as voxels squared


@pytest.mark.parametrize("scale", [0.0, 0.09, 1.5])
def test_a_scale_of_too_many_nodes_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match=rf"in \[0\.1, 1\]; got {scale}"):
        Pairwise("layer", "layer", scale)
