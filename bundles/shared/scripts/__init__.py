"""What a bundle computes beside stock MONAI: needs MONAI, torch, numpy and nibabel alone; travels with an export."""

from scripts.inputs import check_inputs, find_inputs, output_files
from scripts.prediction import Outputd, RuntimeInferer, default_device, forward, resolved_runtime, windows_at_once
from scripts.preprocessing import CheckImaged, LowPassd, WithoutRoundingd

__all__ = [
    "CheckImaged",
    "LowPassd",
    "Outputd",
    "RuntimeInferer",
    "WithoutRoundingd",
    "check_inputs",
    "default_device",
    "find_inputs",
    "forward",
    "output_files",
    "resolved_runtime",
    "windows_at_once",
]
