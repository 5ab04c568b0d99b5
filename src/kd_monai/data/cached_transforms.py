"""The deterministic transforms, from paths to what is cached."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from monai.transforms import (
    CastToTyped,
    Compose,
    CropForegroundd,
    EnsureChannelFirstd,
    LoadImaged,
    MapLabelValued,
    NormalizeIntensityd,
    Orientationd,
    Spacingd,
)

from kd_monai.brats import CANONICAL, LABEL_CONVENTIONS, LabelConvention, parse_modalities
from kd_monai.data.n4 import N4BiasFieldCorrectiond
from kd_monai.data.plain_meta import PlainMeta
from kd_monai.data.select_images import SelectChannels, SelectImages


class CachedTransforms(Compose):
    """A Compose that knows what it was made of: ``settings`` is part of a disk cache's key."""

    def __init__(self, transforms: Sequence[Any], settings: dict[str, Any]) -> None:
        super().__init__(transforms)
        self.settings = settings


def canonical_label_map(convention: LabelConvention) -> tuple[list[int], list[int]]:
    """Values of a convention, and the canonical value of each; those that belong to no region become background."""
    return [*convention.tumour, *convention.others], [*CANONICAL.tumour, *(0 for _ in convention.others)]


def cached_transforms(
    modalities: str | Iterable[str],
    convention: LabelConvention | str = CANONICAL,
    spacing_mm: float | Sequence[float] | None = None,
    n4: bool = False,
    crop: bool = True,
    with_label: bool = True,
    crop_modalities: str | Iterable[str] | None = None,
    half: bool = True,
) -> CachedTransforms:
    """From an entry to ``image`` float16 (M, H, W, D), ``label`` uint8 (1, H, W, D) of 0, 1, 2, 4, and ``subject``.

    Load, N4 if wanted, orient to RAS, resample to ``spacing_mm`` where given and different, crop to the brain (the box
    of voxels above 0 in any of ``crop_modalities``, by default all: a student is cropped by what it will have when it
    is deployed), normalise each modality to mean 0 and deviation 1 on its non-zero voxels.
    Both tensors are MetaTensors whose operations ``Invertd`` undoes. Without ``half`` the image is float32: what is
    not cached need not be rounded.

    Raises:
        ValueError: an unknown modality, or a cropping one that is not among the modalities.
    """
    modalities = parse_modalities(modalities)
    convention = LABEL_CONVENTIONS[convention] if isinstance(convention, str) else convention
    cropping = parse_modalities(crop_modalities or modalities)
    if not set(cropping) <= set(modalities):
        raise ValueError(
            f"the brain is cropped by modalities that are read, {', '.join(modalities)}: got {', '.join(cropping)}. "
            "Correct crop_modalities."
        )
    keys = ["image", "label"] if with_label else ["image"]
    transforms: list[Any] = [
        SelectImages(modalities, with_label),
        LoadImaged(keys),
        EnsureChannelFirstd(keys),
        SelectChannels(),
    ]
    if n4:
        transforms.append(N4BiasFieldCorrectiond("image"))
    transforms.append(Orientationd(keys, axcodes="RAS", labels=None))
    spacing = None
    if spacing_mm is not None:
        spacing = [float(spacing_mm)] * 3 if isinstance(spacing_mm, int | float) else [float(mm) for mm in spacing_mm]
        transforms.append(Spacingd(keys, pixdim=spacing, mode=["bilinear", "nearest"][: len(keys)]))
    if crop:
        # before normalising: equal to 1e-5 where nonzero=True, and a third of the work
        transforms.append(
            CropForegroundd(
                keys,
                source_key="image",
                channel_indices=[modalities.index(name) for name in cropping],
                allow_smaller=True,
                start_coord_key=None,
                end_coord_key=None,
            )
        )
    transforms.append(NormalizeIntensityd("image", nonzero=True, channel_wise=True))
    if with_label:
        values, canonical = canonical_label_map(convention)
        transforms.append(MapLabelValued("label", values, canonical, dtype=np.uint8))
    transforms.append(CastToTyped(keys, dtype=[torch.float16 if half else torch.float32, torch.uint8][: len(keys)]))
    transforms.append(PlainMeta())
    settings = {
        "modalities": modalities,
        "convention": convention.name,
        "spacing_mm": spacing,
        "n4": n4,
        "crop": cropping if crop else None,
        "with_label": with_label,
        "half": half,
    }
    return CachedTransforms(transforms, settings)
