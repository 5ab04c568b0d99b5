"""One synthetic subject from (seed, index)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kd_monai.phantom.anatomy import Anatomy
from kd_monai.phantom.contrast import draw_signals, paint
from kd_monai.phantom.grid import Grid, SmoothField
from kd_monai.phantom.lookalikes import LookAlikes
from kd_monai.phantom.scanner import Scanner
from kd_monai.phantom.template import load_template
from kd_monai.phantom.tumour import Grade, Tumour, draw_sizes
from kd_monai.task import MODALITIES

SPACINGS_MM = (1, 2)
# grades of the BraTS 2018 training set
_HGG, _LGG = 210, 75


def grade_of(index: int) -> Grade:
    """Grade of subject `index`: low grades are spread evenly, 75 in every 285."""
    total = _HGG + _LGG
    low = ((index + 1) * _LGG + total // 2) // total - (index * _LGG + total // 2) // total
    return "LGG" if low else "HGG"


def subject_name(index: int) -> str:
    """Folder name of subject `index`, counted from 1: Phantom_HGG_001."""
    return f"Phantom_{grade_of(index)}_{index + 1:03d}"


def make_subject(
    index: int, spacing_mm: int, seed: int
) -> tuple[dict[str, npt.NDArray[np.int16]], npt.NDArray[np.uint8], npt.NDArray[np.float64], Grade]:
    """Make one subject; it depends on (seed, index) alone, and is the same patient at both spacings.

    Args:
        index: subject number from 0.
        spacing_mm: 1 (240 x 240 x 155) or 2 (120 x 120 x 78).
        seed: the data set's seed.

    Returns:
        Images by modality (int16, skull-stripped), label (uint8: 0, 1, 2, 4), affine, grade.

    Raises:
        ValueError: on a spacing other than 1 or 2, or a negative index or seed.
    """
    if spacing_mm not in SPACINGS_MM:
        raise ValueError(f"spacing_mm must be one of {SPACINGS_MM}; got {spacing_mm}. Use one of these.")
    if index < 0 or seed < 0:
        raise ValueError(f"index and seed must not be negative; got index {index}, seed {seed}.")
    grade = grade_of(index)
    shape_rng, look_rng, scan_rng = (
        np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index, part))) for part in range(3)
    )
    grid, coarse = Grid(spacing_mm), Grid(3)
    sizes = draw_sizes(shape_rng, grade)
    seeds = load_template().seeds_mm
    centre = seeds[shape_rng.integers(len(seeds))]
    radius = (3 * sizes.core_cc * 1000 / (4 * np.pi)) ** (1 / 3)
    anatomy = Anatomy(shape_rng, centre, 1.2 * radius + 4)
    tumour = Tumour(shape_rng, grade, sizes, centre, anatomy.on(coarse), coarse)
    tissues = anatomy.on(grid)
    parts = tumour.on(grid, tissues)

    looks = LookAlikes(look_rng, anatomy.atrophy)
    vessels, spots = looks.vessels(grid, tissues), looks.hyperintensities(grid, tissues)
    signals = draw_signals(look_rng, grade)
    scanner = Scanner(scan_rng)
    images = {}
    for modality in MODALITIES:
        grain = 0.8 * SmoothField(look_rng, 13.0).on(grid) + 0.6 * SmoothField(look_rng, 4.5).on(grid)
        signal = paint(modality, signals[modality], tissues, parts, vessels, spots, grain)
        images[modality] = np.asarray(grid.embed(scanner.acquire(signal, tissues.brain, grid)), np.int16)
    return images, np.asarray(grid.embed(parts.label), np.uint8), grid.affine, grade
