"""MultiResUNet 3D: a U-Net of MultiRes blocks and ResPaths, which MONAI lacks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from kd_monai.errors import UserError

LEVELS = 5
STRIDE = 2 ** (LEVELS - 1)


def multires_widths(filters: int, alpha: float = 1.67) -> tuple[int, int, int]:
    """Channels of a MultiRes block's three convolutions: W/6, W/3 and W/2, rounded down, of ``W = alpha * filters``.

    Raises:
        UserError: a convolution would have no channel.

    Example:
        >>> multires_widths(32)
        (8, 17, 26)
    """
    w = alpha * filters
    third, two_thirds, rest = int(w * 0.167), int(w * 0.333), int(w * 0.5)
    if third < 1:
        raise UserError(
            f"A MultiRes block has a channel or more in its first convolution, int(0.167 * {alpha} * filters); got "
            f"{third} of {filters} filters. Take 4 filters (width) or more."
        )
    return third, two_thirds, rest


class ConvNorm(nn.Sequential):
    """Convolution without bias, then instance normalisation, which would take a bias away again."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__(
            nn.Conv3d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False),
            nn.InstanceNorm3d(out_channels, affine=True),
        )


class MultiResBlock(nn.Module):
    """Three chained 3 x 3 x 3 convolutions, whose outputs side by side see 3, 5 and 7 voxels, and a 1 x 1 x 1 shortcut.

    Args:
        in_channels: of the input.
        filters: of the U-Net level that the block stands for.
        alpha: W over filters.
    """

    def __init__(self, in_channels: int, filters: int, alpha: float) -> None:
        super().__init__()
        widths = multires_widths(filters, alpha)
        self.out_channels = sum(widths)
        self.convs = nn.ModuleList(map(ConvNorm, (in_channels, *widths), widths, (3, 3, 3)))
        self.shortcut = ConvNorm(in_channels, self.out_channels, 1)
        self.norm_inside = nn.InstanceNorm3d(self.out_channels, affine=True)
        self.norm = nn.InstanceNorm3d(self.out_channels, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        """``B K H W D`` of the block's own channels."""
        shortcut = self.shortcut(x)
        seen = []
        for conv in self.convs:
            x = torch.relu(conv(x))
            seen.append(x)
        return torch.relu(self.norm(self.norm_inside(torch.cat(seen, 1)) + shortcut))


class ResPath(nn.Module):
    """Residual 3 x 3 x 3 convolutions on a skip connection: few where encoder and decoder are close, more above.

    Args:
        in_channels: of the encoder's level; the first convolution brings them to `filters`.
        filters: of the level.
        length: number of convolutions.
    """

    def __init__(self, in_channels: int, filters: int, length: int) -> None:
        super().__init__()
        channels = [in_channels, *[filters] * (length - 1)]
        self.convs = nn.ModuleList(ConvNorm(count, filters, 3) for count in channels)
        self.shortcuts = nn.ModuleList(ConvNorm(count, filters, 1) for count in channels)
        self.norms = nn.ModuleList(nn.InstanceNorm3d(filters, affine=True) for _ in channels)

    def forward(self, x: Tensor) -> Tensor:
        """``B filters H W D``."""
        for conv, shortcut, norm in zip(self.convs, self.shortcuts, self.norms, strict=True):
            x = torch.relu(norm(torch.relu(conv(x)) + shortcut(x)))
        return x


class MultiResUNet(nn.Module):
    """U-Net of five levels of MultiRes blocks, with ResPaths of 4, 3, 2, 1 convolutions on its skip connections.

    The authors' torch file has batch normalisation, biases before it and a normalised last convolution: 18,646,369
    parameters for 4 inputs and 3 outputs (ResPaths that narrow to `filters`, as in their paper; a later version of
    their file keeps the blocks' channels there and has 23,168,588). Here are instance normalisation, no bias before
    it, and plain logits, or a temperature would mean nothing: 18,639,817. A ResPath normalises after its sum, as in
    the authors' Keras file; their torch file applies the same normalisation before the sum too.

    Layers to tap: ``encoder.0`` to ``encoder.3``, ``bottleneck``, ``decoder.0`` (deepest) to ``decoder.3``.

    Args:
        in_channels: modalities.
        out_channels: of the logits.
        filters: of the first level, F; each level has twice those of the one above.
        alpha: W over F.

    Raises:
        UserError: so few filters that a convolution has none.

    Source: Ibtehaz and Rahman, Neural Networks 121 (2020), and its code, of which nothing is copied.
    """

    def __init__(self, in_channels: int, out_channels: int, filters: int = 32, alpha: float = 1.67) -> None:
        super().__init__()
        widths = [filters * 2**level for level in range(LEVELS)]
        block = partial(MultiResBlock, alpha=alpha)
        channels, blocks, paths = in_channels, [], []
        for level, width in enumerate(widths):
            blocks.append(block(channels, width))
            channels = blocks[-1].out_channels
            if level < LEVELS - 1:
                paths.append(ResPath(channels, width, LEVELS - 1 - level))
        *encoder, self.bottleneck = blocks
        self.encoder, self.paths = nn.ModuleList(encoder), nn.ModuleList(paths)
        self.pool = nn.MaxPool3d(2)
        ups, decoder = [], []
        for width in reversed(widths[:-1]):
            ups.append(nn.ConvTranspose3d(channels, width, 2, stride=2))
            decoder.append(block(2 * width, width))
            channels = decoder[-1].out_channels
        self.ups, self.decoder = nn.ModuleList(ups), nn.ModuleList(decoder)
        self.logits = nn.Conv3d(channels, out_channels, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Logits ``B C H W D`` of an image ``B M H W D``.

        Raises:
            UserError: a side is no multiple of 16, or all are under 32.
        """
        if not torch.compiler.is_compiling() and not torch.jit.is_tracing():
            _check_sides(image.shape[2:])
        x, skips = image, []
        for block, path in zip(self.encoder, self.paths, strict=True):
            x = block(x)
            skips.append(path(x))
            x = self.pool(x)
        x = self.bottleneck(x)
        for up, block, skip in zip(self.ups, self.decoder, reversed(skips), strict=True):
            x = block(torch.cat([up(x), skip], 1))
        return self.logits(x)


def _check_sides(sides: Sequence[int]) -> None:
    if any(side % STRIDE for side in sides) or max(sides) < 2 * STRIDE:
        raise UserError(
            "MultiResUNet halves an image four times and normalises what is left: its sides are multiples of "
            f"{STRIDE}, one of them at least {2 * STRIDE}; got {tuple(sides)}. Set `roi_size` so."
        )
