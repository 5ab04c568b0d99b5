"""boundary_first_order against a loop over voxels and maps drawn by hand."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from output_samples import HEADS, kept_for_the_backward_pass, logits, value

from kd_monai.losses.terms.outputs.boundary_first_order import BoundaryFirstOrder, boundary_first_order

heads = pytest.mark.parametrize("head", HEADS, ids=lambda head: head.name)

NEIGHBOURS = (6, 26)


def by_hand(teacher: torch.Tensor, student: torch.Tensor, neighbours: int) -> float:
    """Every voxel and each of its neighbours inside the image, one after the other; each pair comes up twice."""
    sides = teacher.shape[1:]
    steps = [step for step in product((-1, 0, 1), repeat=3) if any(step)]
    if neighbours == 6:
        steps = [step for step in steps if sum(map(abs, step)) == 1]
    squares = []
    for channel, voxel, step in product(range(len(teacher)), product(*map(range, sides)), steps):
        other = tuple(i + k for i, k in zip(voxel, step, strict=True))
        if all(0 <= i < n for i, n in zip(other, sides, strict=True)):
            t, s = (float(p[(channel, *other)] - p[(channel, *voxel)]) for p in (teacher, student))
            squares.append((t - s) ** 2)
    return sum(squares) / len(squares)


@pytest.mark.parametrize("neighbours", NEIGHBOURS)
@heads
def test_agrees_with_a_loop_over_voxels(head, neighbours: int) -> None:
    teacher, student = logits(head, 0), logits(head, 1)
    got = value(BoundaryFirstOrder(neighbours), head, teacher, student)
    for sample in range(2):
        t, s = (head.probabilities(z)[sample] for z in (teacher, student))
        assert got[sample].item() == pytest.approx(by_hand(t, s, neighbours), rel=1e-5)


@pytest.mark.parametrize("neighbours", NEIGHBOURS)
@heads
def test_zero_at_equality_and_positive_elsewhere(head, neighbours: int) -> None:
    teacher = logits(head, 0)
    assert torch.equal(value(BoundaryFirstOrder(neighbours), head, teacher, teacher), torch.zeros(2))
    for seed in range(1, 6):
        assert (value(BoundaryFirstOrder(neighbours), head, teacher, logits(head, seed)) > 0).all()


def test_a_plane_between_two_halves_counts_by_its_pairs() -> None:
    """2 x 3 x 4 voxels, the halves of the first axis 0 and 1: 12 of 46 pairs differ, and of 26 neighbours 70 of 128."""
    plane = torch.zeros(1, 1, 2, 3, 4)
    plane[:, :, 1] = 1
    flat = torch.zeros_like(plane)
    assert boundary_first_order(plane, flat, 6).item() == pytest.approx(12 / (12 + 16 + 18))
    # a voxel of one half meets 3 x 3 of the other inside the image: (2 + 3 + 2) times (2 + 3 + 3 + 2) pairs
    assert boundary_first_order(plane, flat, 26).item() == pytest.approx(70 / (70 + 2 * (8 + 9 + 2 * 6)))


@pytest.mark.parametrize("neighbours", NEIGHBOURS)
def test_a_constant_beside_the_probabilities_costs_nothing_and_the_direction_of_a_step_counts(neighbours: int) -> None:
    p = HEADS[0].probabilities(logits(HEADS[0], 0)) / 2
    torch.testing.assert_close(boundary_first_order(p, p + 0.25, neighbours), torch.zeros(2), atol=1e-12, rtol=0)
    assert (boundary_first_order(p, -p, neighbours) > 1e-3).all()


@pytest.mark.parametrize("neighbours", NEIGHBOURS)
def test_gradient_is_that_of_finite_differences(neighbours: int) -> None:
    teacher, student = (HEADS[0].probabilities(logits(HEADS[0], seed)[:1, :1, :2, :2, :3].double()) for seed in (0, 1))
    assert torch.autograd.gradcheck(lambda p: boundary_first_order(teacher, p, neighbours), student.requires_grad_())


def test_a_side_of_one_voxel_has_no_pairs_and_one_voxel_alone_gives_zero() -> None:
    p, q = torch.rand(2, 3, 1, 4, 1), torch.rand(2, 3, 1, 4, 1)
    expected = (q - p).diff(dim=3).square().flatten(1).mean(1)
    torch.testing.assert_close(boundary_first_order(p, q, 26), expected)
    assert torch.equal(boundary_first_order(p[:, :, :, :1], q[:, :, :, :1]), torch.zeros(2))


@heads
def test_of_the_term_the_gradient_and_the_probabilities_are_kept_for_the_backward_pass(head) -> None:
    assert kept_for_the_backward_pass(BoundaryFirstOrder(), head) == [tuple(logits(head, 0).shape)] * 2


def test_other_numbers_of_neighbours_are_refused() -> None:
    with pytest.raises(ValueError, match="must be 6 or 26; got 18"):
        BoundaryFirstOrder(18)  # type: ignore[arg-type]
