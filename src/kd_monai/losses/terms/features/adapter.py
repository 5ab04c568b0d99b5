"""What makes a student's layer comparable with a teacher's of another width or size."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from kd_monai.losses.terms.features.features import resample


class Adapter(nn.Module):
    """A learned 1 x 1 x 1 convolution to the teacher's channels, then trilinear to its size where that differs.

    The order costs nothing: a map of channels and an interpolation of space commute.

    Args:
        student, teacher: features ``B K h w d``; their channels are what counts.
    """

    def __init__(self, student: Tensor, teacher: Tensor) -> None:
        super().__init__()
        convolution = nn.Conv3d(student.shape[1], teacher.shape[1], kernel_size=1)
        self.weight, self.bias = convolution.weight, convolution.bias

    def forward(self, features: Tensor, size: Sequence[int]) -> Tensor:
        """Student's features ``B K h w d`` as the teacher's shape has them."""
        return resample(nn.functional.conv3d(features, self.weight, self.bias), size)
