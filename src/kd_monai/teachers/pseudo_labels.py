"""Pseudo-labels: the teacher labels the unlabelled subjects before the training starts."""

from __future__ import annotations

import logging
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from monai.inferers import Inferer
from monai.transforms import Compose
from torch import Tensor, nn
from torch.utils.data import Dataset
from tqdm import tqdm

from kd_monai.atomic import replacing
from kd_monai.data import WithUnlabelled, cache_dataset
from kd_monai.data.entries import Entry
from kd_monai.handlers import select_channels
from kd_monai.outputs import Head
from kd_monai.phases import phase

logger = logging.getLogger(__name__)

ENHANCING_OUT, ENHANCING = 3, 4
"""The enhancing tumour in a label map that a head writes, and in a cached label."""


def pseudo_label(image: Tensor, network: nn.Module, head: Head, inferer: Inferer) -> Tensor:
    """The hard label that a network gives a whole volume, uint8 ``1 H W D``: 1 core, 2 oedema, 4 enhancing.

    Args:
        image: ``M H W D``, what the network reads, where it is.
        network: in eval mode.
        head: how its logits are read.
        inferer: over whole volumes, without gradients.
    """
    label = head.label_map(inferer(image[None].float(), network))[0].cpu()
    label[label == ENHANCING_OUT] = ENHANCING
    return label


def _write(path: Path, label: Tensor) -> None:
    with replacing(path) as file:
        np.savez_compressed(file, label=label.numpy())


def _read(path: Path) -> Tensor | None:
    """None where there is no label, or a damaged one: its checksum is verified."""
    try:
        with np.load(path) as content:
            return torch.from_numpy(content["label"])
    except FileNotFoundError:
        return None
    except (zipfile.BadZipFile, zlib.error, OSError, ValueError, KeyError, EOFError):
        logger.warning("%s is damaged; it is made again", path)
        return None


@phase("labelling")
def pseudo_labels(
    samples: Dataset,
    networks: Sequence[nn.Module],
    head: Head,
    channels: Sequence[int],
    inferer: Inferer,
    route: Mapping[str, int] | None,
    device: torch.device | str,
    folder: Path,
) -> list[Tensor]:
    """Labels of all samples; each is written once, so that a run that goes on finds the very labels it began with.

    Args:
        samples: with ``image`` (``M H W D``) and ``subject``.
        networks: of the teachers; of several, `route` says who labels a subject: the one that teaches it.
        head: how their logits are read.
        channels: of the image, which they read.
        inferer: over whole volumes.
        route: subject -> number of the network; None: the first labels all.
        device: where the networks are.
        folder: where labels are kept, a file per subject.
    """
    folder.mkdir(parents=True, exist_ok=True)
    labels = []
    for number in tqdm(range(len(samples)), "Labelling", disable=None):
        sample = samples[number]
        subject = sample["subject"]
        path = folder / f"{subject}.npz"
        label = _read(path)
        if label is None:
            image = sample["image"].as_subclass(Tensor)[list(channels)].to(device)
            network = networks[route[subject] if route is not None else 0]
            label = pseudo_label(image, network.eval(), head, inferer)
            _write(path, label)
        labels.append(label)
    empty = sum(not label.any() for label in labels)
    if empty:
        logger.warning("The teacher sees no tumour in %d of %d unlabelled subjects", empty, len(labels))
    return labels


def with_pseudo_labels(
    labelled: Dataset,
    entries: Sequence[Entry],
    sequences: Sequence[str],
    transform: Compose,
    cache: str,
    cache_dir: str | Path,
    teacher: nn.Module,
    teacher_head: Head,
    teacher_modalities: Sequence[str],
    route: Mapping[str, int] | None,
    inferer: Inferer,
    device: torch.device | str,
    folder: Path,
) -> Dataset:
    """The labelled samples, and behind them the unlabelled ones with the teacher's labels; without any, the former.

    Args:
        labelled: cached samples.
        entries: the unlabelled subjects.
        sequences: channels of a sample's image, in order.
        transform: of the labelled samples; of the unlabelled ones it reads no label.
        cache, cache_dir: as the labelled ones'.
        teacher: its network, or a ModuleList of cross-fitted ones, on the device.
        teacher_head: how its logits are read.
        teacher_modalities: what the teacher reads of them.
        route: see `pseudo_labels`.
        inferer: over whole volumes.
        device: where the teacher is.
        folder: where the labels are kept.
    """
    if not entries:
        return labelled
    unlabelled = cache_dataset(entries, sequences, transform, cache, cache_dir)
    order = torch.arange(len(sequences)).reshape(1, -1)
    channels = select_channels(order, sequences, teacher_modalities)[0].tolist()
    networks = list(teacher) if isinstance(teacher, nn.ModuleList) else [teacher]
    labels = pseudo_labels(unlabelled, networks, teacher_head, channels, inferer, route, device, folder)
    return WithUnlabelled(labelled, unlabelled, labels)
