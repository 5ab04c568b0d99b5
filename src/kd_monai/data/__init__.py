"""A folder of scans becomes samples: found, checked, split, loaded, cached and augmented.

It knows files, voxels and random numbers; it never knows networks, losses or runs.
"""

from kd_monai.data.augmentation import Braind, EpochSampler, LabelToRegions, SeededDataset
from kd_monai.data.datalist import Datalist
from kd_monai.data.loading import LABELLED, WithUnlabelled, cache_dataset, items
from kd_monai.data.n4 import BiasFieldCorrectiond
from kd_monai.data.reader import VolumeReader
from kd_monai.data.unlabelled import REST, Unlabelled

__all__ = [
    "LABELLED",
    "REST",
    "BiasFieldCorrectiond",
    "Braind",
    "Datalist",
    "EpochSampler",
    "LabelToRegions",
    "SeededDataset",
    "Unlabelled",
    "VolumeReader",
    "WithUnlabelled",
    "cache_dataset",
    "items",
]
