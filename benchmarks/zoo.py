"""The other side: settings of the model zoo's brats_mri_segmentation 0.5.2, retyped.

As there: the order of transforms (load, regions from the label, normalise each channel on its non-zero voxels; patch,
three flips, scale, shift), SegResNet with init_filters 16, blocks_down 1, 2, 2, 4, blocks_up 1, 1, 1 and dropout 0.2,
windows of 240 x 240 x 160 with overlap 0.5, one at a time, sigmoid, threshold 0.5, labels 1, 2, 4.

Changed, in both:

- `entries` lists the four files of a BraTS 2018 folder's subjects instead of its datalist, with the subject's name, in
  this project's order: T1, T1ce, T2, FLAIR for its T1c, T1, T2, FLAIR;
- LoadImaged and the writers take MONAI's defaults: metadata travel with the image, no meta keys.

Changed, of the training:

- the label is cast to float behind the random transforms, as its own config stops in the loss on MONAI 1.6.1;
- the patch is the benchmark's; its own is 224 x 224 x 144;
- what stands before the first random transform is cached (CacheDataset); its own config loads anew each time;
- its loss, optimizer, schedule, loader of 4 processes, metrics and handlers are not retyped: nothing measures them.

Changed, of the inference:

- one subject, so neither shuffled nor loaded by other processes, of which it has 4;
- the device is the benchmark's, and mixed precision is asked for on a GPU alone, where it is the only one to have it;
- the output lies in one folder instead of one for each subject;
- weights of the network that it builds, from wherever they were saved (`map_location`), instead of its trained ones;
- StatsHandler and cuDNN's benchmark mode are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.networks.nets import SegResNet
from monai.transforms import (
    CastToTyped,
    Compose,
    ConvertToMultiChannelBasedOnBratsClassesd,
    LoadImaged,
    NormalizeIntensityd,
    RandFlipd,
    RandScaleIntensityd,
    RandShiftIntensityd,
    RandSpatialCropd,
)

from kd_monai.task import MODALITIES

WINDOW = (240, 240, 160)
OVERLAP = 0.5
KEYS = ("image", "label")


def entries(datalist: Sequence[dict[str, Any]], modalities: Sequence[str] = MODALITIES) -> list[dict[str, Any]]:
    """Lists of files, as LoadImaged stacks them, and the subject that both sides are compared by."""
    return [
        {"subject": e["subject"], "image": [e["image"][name] for name in modalities], "label": e["label"]}
        for e in datalist
    ]


def cached_transforms() -> list[Any]:
    """What its CacheDataset holds: everything before the first random transform."""
    return [
        LoadImaged(KEYS),
        ConvertToMultiChannelBasedOnBratsClassesd("label"),
        NormalizeIntensityd("image", nonzero=True, channel_wise=True),
    ]


def random_transforms(roi_size: Sequence[int]) -> list[Any]:
    """Its augmentation, with the patch as given (its own is 224 x 224 x 144)."""
    return [
        RandSpatialCropd(KEYS, roi_size=roi_size, random_size=False),
        RandFlipd(KEYS, prob=0.5, spatial_axis=0),
        RandFlipd(KEYS, prob=0.5, spatial_axis=1),
        RandFlipd(KEYS, prob=0.5, spatial_axis=2),
        RandScaleIntensityd("image", factors=0.1, prob=1.0),
        RandShiftIntensityd("image", offsets=0.1, prob=1.0),
        CastToTyped("label", dtype=torch.float32),
    ]


def training_transforms(roi_size: Sequence[int]) -> Compose:
    """Both, as one Compose that CacheDataset splits at the first random transform."""
    return Compose([*cached_transforms(), *random_transforms(roi_size)])


def network(in_channels: int = 4) -> SegResNet:
    """Its network."""
    return SegResNet(
        blocks_down=[1, 2, 2, 4], blocks_up=[1, 1, 1], init_filters=16, in_channels=in_channels, out_channels=3,
        dropout_prob=0.2,
    )  # fmt: skip


def inference(image: Sequence[str], output_dir: str, window: Sequence[int] = WINDOW) -> dict[str, Any]:
    """Its inference.json for one subject, without loader processes: one subject needs none."""
    return {
        "imports": ["$import torch"],
        "bundle_root": ".",
        "device": "cpu",
        "network_def": {
            "_target_": "SegResNet", "blocks_down": [1, 2, 2, 4], "blocks_up": [1, 1, 1], "init_filters": 16,
            "in_channels": 4, "out_channels": 3, "dropout_prob": 0.2,
        },
        "network": "$@network_def.to(@device)",
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "LoadImaged", "keys": "image"},
                {"_target_": "NormalizeIntensityd", "keys": "image", "nonzero": True, "channel_wise": True},
            ],
        },
        "dataset": {"_target_": "Dataset", "data": [{"image": list(image)}], "transform": "@preprocessing"},
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1, "num_workers": 0},
        "inferer": {
            "_target_": "SlidingWindowInferer", "roi_size": list(window), "sw_batch_size": 1, "overlap": OVERLAP,
        },
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "Activationsd", "keys": "pred", "sigmoid": True},
                {
                    "_target_": "Invertd", "keys": "pred", "transform": "@preprocessing", "orig_keys": "image",
                    "nearest_interp": False, "to_tensor": True,
                },
                {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.5},
                {
                    "_target_": "Lambdad", "keys": "pred",
                    "func": "$lambda x: torch.where(x[[2]] > 0, 4,"
                    " torch.where(x[[0]] > 0, 1, torch.where(x[[1]] > 0, 2, 0)))",
                },
                {
                    "_target_": "SaveImaged", "keys": "pred", "output_dir": output_dir, "output_postfix": "seg",
                    "output_dtype": "uint8", "resample": False, "squeeze_end_dims": True, "separate_folder": False,
                },
            ],
        },
        "handlers": [
            {
                "_target_": "CheckpointLoader", "load_path": "$@bundle_root + '/models/model.pt'",
                "load_dict": {"model": "@network"}, "map_location": "@device",
            }
        ],
        "evaluator": {
            "_target_": "SupervisedEvaluator", "device": "$torch.device(@device)", "val_data_loader": "@dataloader",
            "network": "@network", "inferer": "@inferer", "postprocessing": "@postprocessing",
            "val_handlers": "@handlers", "amp": "$@device != 'cpu'",
        },
        "run": ["$@evaluator.run()"],
    }  # fmt: skip
