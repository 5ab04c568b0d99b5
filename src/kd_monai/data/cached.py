"""The deterministic transforms, from paths to what is cached."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, CropForegroundd, Orientationd, Spacingd

from kd_monai.data.crop_volume import VolumeCropper
from kd_monai.data.cropped_volume import Box, CroppedVolume
from kd_monai.data.entries import Entry
from kd_monai.data.plain_meta import PlainMeta
from kd_monai.task import CANONICAL, LABEL_CONVENTIONS, LabelConvention, parse_modalities

LABEL = "label"


class Source(NamedTuple):
    """Where a modality, or the label, of a subject comes from."""

    kind: str
    """Name of the modality, or ``"label"``."""
    path: str
    channel: int | None
    """Of a 4-D file; None of a 3-D one."""


class CachedTransforms(Compose):
    """From an entry to a sample, by way of what a cache keeps: a volume per source, cut to where it is not 0.

    As a Compose it holds the transforms that move voxels: those that ``Invertd`` undoes. Volumes are alike for all
    runs with the same ``volume_settings``; ``assemble`` crops them to the brain as this run wants it.
    """

    def __init__(self, geometry: Sequence[Any], crop: CropForegroundd, settings: dict[str, Any]) -> None:
        super().__init__([*geometry, crop])
        self.settings = settings
        self._crop = crop.cropper
        self._cropper = VolumeCropper(
            geometry,
            LABEL_CONVENTIONS[settings["convention"]],
            settings["spacing_mm"],
            settings["n4"],
            settings["half"],
        )
        self._plain = PlainMeta()

    def without_label(self) -> CachedTransforms:
        """The same, for entries whose label is not to be read."""
        other = copy.deepcopy(self)
        other.settings = {**self.settings, "with_label": False}
        return other

    def sources(self, entry: Entry) -> list[Source]:
        """Sources of the modalities, in their order, and of the label.

        Raises:
            KeyError: the entry lacks a modality.
        """
        modalities, channels = self.settings["modalities"], entry.get("channels", {})
        missing = [modality for modality in modalities if modality not in entry["image"]]
        if missing:
            raise KeyError(
                f"subject {entry['subject']}: the network reads {', '.join(modalities)}, but the entry has no "
                f"{', '.join(missing)}. Load the datalist with these modalities."
            )
        sources = [Source(name, str(entry["image"][name]), channels.get(name)) for name in modalities]
        return [*sources, Source(LABEL, str(entry["label"]), None)] if self.settings["with_label"] else sources

    def volume_settings(self, source: Source) -> dict[str, Any]:
        """All that a source's volume depends on beside the file."""
        kept = ("convention",) if source.kind == LABEL else ("n4", "half")
        return {"spacing_mm": self.settings["spacing_mm"], **{name: self.settings[name] for name in kept}}

    def volumes(self, sources: Sequence[Source]) -> dict[Source, CroppedVolume]:
        """Volumes of the sources; channels of one 4-D file are read once."""
        found: dict[Source, CroppedVolume] = {}
        for path in dict.fromkeys(source.path for source in sources):
            images = [source for source in sources if source.path == path and source.kind != LABEL]
            labels = [source for source in sources if source.path == path and source.kind == LABEL]
            if images:
                channels = [source.channel for source in images]
                found.update(zip(images, self._cropper.images(path, channels), strict=True))
            if labels:
                found[labels[0]] = self._cropper.label(path)
        return found

    def _box(self, images: Mapping[str, CroppedVolume], shape: tuple[int, ...]) -> Box:
        if self.settings["crop"] is None:
            return (0,) * len(shape), shape
        boxes = [images[name].foreground for name in self.settings["crop"]]
        boxes = [box for box in boxes if box[0] != box[1]]
        if not boxes:
            return (0,) * len(shape), (0,) * len(shape)
        starts, ends = zip(*boxes, strict=True)
        return tuple(map(min, zip(*starts, strict=True))), tuple(map(max, zip(*ends, strict=True)))

    def _cut(self, volume: CroppedVolume, box: Box) -> dict[str, Any]:
        """Metadata and operations of a volume after the crop: MONAI traces it on a tensor without voxels."""
        grid = MetaTensor(
            torch.empty((1, *volume.shape), device="meta"),
            meta=copy.deepcopy(volume.meta),
            applied_operations=copy.deepcopy(volume.operations),
        )
        if self.settings["crop"] is not None:
            grid = self._crop.crop_pad(grid, np.array(box[0]), np.array(box[1]))
        traced = self._plain({"grid": grid})["grid"]
        return {"meta": traced.meta, "applied_operations": traced.applied_operations}

    def assemble(self, subject: str, sources: Sequence[Source], volumes: Sequence[CroppedVolume]) -> dict[str, Any]:
        """The sample of a subject from the volumes of its sources.

        Raises:
            ValueError: the modalities lie on different grids.
        """
        images = {source.kind: volume for source, volume in zip(sources, volumes, strict=True) if source.kind != LABEL}
        first = images[self.settings["modalities"][0]]
        for name, volume in images.items():
            affines = (volume.meta["affine"], first.meta["affine"])
            if volume.shape != first.shape or not torch.allclose(*affines, atol=1e-3):
                raise ValueError(
                    f"subject {subject}: its modalities must lie on one grid, but {name} has {volume.shape} voxels "
                    f"where {self.settings['modalities'][0]} has {first.shape}, or another affine. Register them."
                )
        box = self._box(images, first.shape)
        sides = [end - start for start, end in zip(*box, strict=True)]
        # numpy's zeros are pages that nobody has touched yet: half of the time of torch's
        image = torch.from_numpy(np.zeros((len(images), *sides), dtype=first.voxels.numpy().dtype))
        for channel, volume in zip(image, images.values(), strict=True):
            volume.paste(channel, box)
        sample: dict[str, Any] = {"image": MetaTensor(image, **self._cut(first, box)), "subject": subject}
        if self.settings["with_label"]:
            label = torch.from_numpy(np.zeros((1, *sides), dtype=np.uint8))
            volumes[-1].paste(label[0], box)
            sample["label"] = MetaTensor(label, **self._cut(volumes[-1], box))
        return sample

    def __call__(self, entry: Entry, *_: Any, **__: Any) -> dict[str, Any]:
        sources = self.sources(entry)
        volumes = self.volumes(sources)
        return self.assemble(entry["subject"], sources, [volumes[source] for source in sources])


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

    Load, N4 if wanted, orient to RAS, resample to ``spacing_mm`` where given and different, normalise each modality to
    mean 0 and deviation 1 on its non-zero voxels, crop to the brain (the box of voxels above 0 in any of
    ``crop_modalities``, by default all: a student is cropped by what it will have when it is deployed).
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
    keys = ["image", LABEL] if with_label else ["image"]
    geometry: list[Any] = [Orientationd(keys, axcodes="RAS", labels=None, allow_missing_keys=True)]
    spacing = None
    if spacing_mm is not None:
        spacing = [float(spacing_mm)] * 3 if isinstance(spacing_mm, int | float) else [float(mm) for mm in spacing_mm]
        mode = ["bilinear", "nearest"][: len(keys)]
        # float64, its default, takes three times as long and moves the result by less than 1e-4
        geometry.append(Spacingd(keys, pixdim=spacing, mode=mode, dtype=np.float32, allow_missing_keys=True))
    settings = {
        "modalities": modalities,
        "convention": convention.name,
        "spacing_mm": spacing,
        "n4": n4,
        "crop": cropping if crop else None,
        "with_label": with_label,
        "half": half,
    }
    return CachedTransforms(geometry, CropForegroundd(keys, source_key="image", allow_smaller=True), settings)
