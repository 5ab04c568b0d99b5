"""How logits are read, where and how fast a network runs, and a network that MONAI lacks; all others are MONAI's.

Nothing here knows a loss, a data set or an engine. `cpu.py` and `openvino_forward.py` make a network faster and leave
what it computes.
"""

from kd_monai.networks.cpu import lay_out, resolved_memory_format
from kd_monai.networks.heads import LabelsHead, RegionsHead, compose_label_map, head, regions_of
from kd_monai.networks.inferers import openvino_is_installed
from kd_monai.networks.mean import MeanNetwork
from kd_monai.networks.multiresunet import MultiResUNet

__all__ = [
    "LabelsHead",
    "MeanNetwork",
    "MultiResUNet",
    "RegionsHead",
    "compose_label_map",
    "head",
    "lay_out",
    "openvino_is_installed",
    "regions_of",
    "resolved_memory_format",
]
