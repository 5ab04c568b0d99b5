"""Heads, taps and means; the networks themselves are MONAI's, named by `_target_` in a bundle's YAML."""

from kd_monai.networks.heads import LabelsHead, RegionsHead, compose_label_map, head, regions_of
from kd_monai.networks.mean import MeanNetwork
from kd_monai.networks.taps import FeatureTaps

__all__ = ["FeatureTaps", "LabelsHead", "MeanNetwork", "RegionsHead", "compose_label_map", "head", "regions_of"]
