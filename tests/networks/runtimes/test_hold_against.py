"""Outputs that are held against torch's: what passes, and what is refused by name."""

from __future__ import annotations

import pytest
import torch

from kd_monai.networks.runtimes.hold_against import hold_against

B = torch.tensor([3.0, 4.0])  # of norm 5


@pytest.mark.parametrize(("error", "passes"), [(0.0, True), (0.04, True), (0.06, False), (float("nan"), False)])
def test_the_error_is_relative_to_the_norm_of_all_values(error: float, passes: bool) -> None:
    outputs = {"logits": B, "down_4": B + torch.tensor([error, 0.0])}
    if passes:
        hold_against("It", outputs, [B, B], 0.01)
        return
    with pytest.raises(RuntimeError, match=r"It's down_4 must be torch's within 0\.01 of their norm; got .* norm of 5"):
        hold_against("It", outputs, [B, B], 0.01)


def test_a_shape_that_would_broadcast_is_refused() -> None:
    with pytest.raises(RuntimeError, match=r"It's logits must have torch's shape, \(2,\); got \(1, 2\)"):
        hold_against("It", {"logits": B[None]}, [B], 0.01)


def test_bf16_is_compared_in_float32() -> None:
    hold_against("It", {"logits": B.bfloat16()}, [B], 1e-6)


def test_an_output_that_is_missing_is_no_agreement() -> None:
    with pytest.raises(ValueError, match="longer"):
        hold_against("It", {"logits": B}, [B, B], 0.01)
