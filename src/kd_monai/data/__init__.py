"""Find, check, split, load and augment BraTS-like data."""

from kd_monai.data.batch_of_one import collate
from kd_monai.data.cache import cache_dataset, cache_upper_bound
from kd_monai.data.cached import cached_transforms
from kd_monai.data.crop_indices import CropIndices
from kd_monai.data.datalist import Datalist
from kd_monai.data.epoch_sampler import EpochSampler
from kd_monai.data.in_place import RandScaleInPlaced, RandShiftInPlaced
from kd_monai.data.label_to_regions import LabelToRegions, region_transforms
from kd_monai.data.seeded_dataset import SeededDataset
from kd_monai.data.unlabelled import REST, Unlabelled, WithUnlabelled

__all__ = [
    "REST",
    "CropIndices",
    "Datalist",
    "EpochSampler",
    "LabelToRegions",
    "RandScaleInPlaced",
    "RandShiftInPlaced",
    "SeededDataset",
    "Unlabelled",
    "WithUnlabelled",
    "cache_dataset",
    "cache_upper_bound",
    "cached_transforms",
    "collate",
    "region_transforms",
]
