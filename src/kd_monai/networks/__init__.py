"""Heads, taps, means, layout, runtime and a network that MONAI lacks; the others are MONAI's, named by `_target_`."""

from kd_monai.networks.cpu.layout import lay_out, resolved_memory_format
from kd_monai.networks.heads import LabelsHead, RegionsHead, compose_label_map, head, regions_of
from kd_monai.networks.mean import MeanNetwork
from kd_monai.networks.multiresunet import MultiResUNet
from kd_monai.networks.native_probabilities import native_probabilities
from kd_monai.networks.rim import without_rim
from kd_monai.networks.runtimes.graphed_forward import GraphedForward
from kd_monai.networks.runtimes.openvino_forward import OpenVINOForward, openvino_is_installed
from kd_monai.networks.taps import FeatureTaps

__all__ = [
    "FeatureTaps",
    "GraphedForward",
    "LabelsHead",
    "MeanNetwork",
    "MultiResUNet",
    "OpenVINOForward",
    "RegionsHead",
    "compose_label_map",
    "head",
    "lay_out",
    "native_probabilities",
    "openvino_is_installed",
    "regions_of",
    "resolved_memory_format",
    "without_rim",
]
