"""How the network is run, and what its logits become."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.inferers import Inferer
from monai.transforms import MapTransform
from torch import Tensor, nn


def default_device() -> str:
    """A GPU where there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def resolved_runtime(runtime: str, model_xml: str, device: str) -> str:
    """``openvino`` or ``torch``: `auto` is OpenVINO on a CPU, where it is installed and the model is there.

    Raises:
        ValueError: openvino is asked for, and it or the model is missing.
    """
    there = importlib.util.find_spec("openvino") is not None and Path(model_xml).is_file()
    if runtime == "openvino" and not there:
        raise ValueError(
            f"`runtime` openvino needs OpenVINO (pip install openvino) and {model_xml}, which an export writes where "
            "OpenVINO is installed: one of them is missing. Add it, or use runtime torch."
        )
    if runtime == "auto":
        return "openvino" if there and torch.device(device).type == "cpu" else "torch"
    return runtime


def windows_at_once(runtime: str, bf16: bool) -> int:
    """Two in torch, which keeps float32 convolutions of one from oneDNN on a CPU and takes twice as long."""
    return 2 if runtime == "torch" and not bf16 else 1


def forward(network: nn.Module, runtime: str, model_xml: str, device: str, bf16: bool) -> Callable[[Tensor], Tensor]:
    """From a window ``B M H W D`` to logits ``B C H W D``."""
    if runtime == "torch":
        # the evaluator's own `amp` is CUDA's alone
        return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=bf16)(network)
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # without it, it reports to nobody
    import openvino

    # one core in a process: several that end out of order leave it without a stack for signal handlers
    core = vars(openvino).get("shared_core") or vars(openvino).setdefault("shared_core", openvino.Core())
    compiled = core.compile_model(
        model_xml,
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",  # its default is bf16 wherever the processor has it
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        },
    )
    return lambda window: torch.from_numpy(compiled(window.cpu().numpy())[0]).to(window.device)


class RuntimeInferer(Inferer):
    """A sliding window over a function that stands in for the evaluator's network."""

    def __init__(self, inferer: Inferer, forward: Callable[[Tensor], Tensor]) -> None:
        self.inferer, self.forward = inferer, forward

    def __call__(self, inputs: Tensor, network: nn.Module, *_: Any, **__: Any) -> Tensor:
        """Logits of whole volumes."""
        logits: Tensor = self.inferer(inputs, self.forward)
        return logits


class Outputd(MapTransform):
    """Logits ``C H W D`` on the input's own grid become a uint8 label map, or probabilities of TC, WT, ET.

    Around the brain's box the inverse of the crop leaves logits of exactly 0, which no network gave: no region there.

    Args:
        keys: of logits.
        head: ``regions`` (TC, WT, ET by sigmoid) or ``labels`` (background, core, oedema, enhancing by softmax).
        write: ``label_map`` (``1 H W D``) or ``probabilities`` (float32 ``3 H W D``).
        label_values: of core, oedema and enhancing; BraTS 2023's unless given.

    Raises:
        ValueError: logits that are not finite.
    """

    def __init__(
        self,
        keys: str | Sequence[str],
        head: str,
        write: str = "label_map",
        label_values: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__(keys)
        values = {"core": 1, "oedema": 2, "enhancing": 3} if label_values is None else label_values
        self.values = [values[name] for name in ("core", "oedema", "enhancing")]
        self.head, self.write = head, write

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        for key in self.key_iterator(item):
            logits = item[key]
            if not all(bool(bound.isfinite()) for bound in torch.aminmax(torch.as_tensor(logits))):
                raise ValueError(
                    "The network's output must be finite, and is not: the weights in models/model.pt are damaged, or "
                    "bf16 is too coarse for them. Export the run again, or leave bf16 out."
                )
            item[key] = self.label_map(logits) if self.write == "label_map" else self.probabilities(logits)
        return item

    def label_map(self, logits: Tensor) -> Tensor:
        """Enhancing lies over core over oedema; a region is where its probability is above 0.5."""
        core, oedema, enhancing = self.values
        if self.head == "labels":
            table = torch.tensor([0, core, oedema, enhancing], dtype=torch.uint8, device=logits.device)
            return logits.new_zeros((1, *logits.shape[1:]), dtype=torch.uint8) + table[logits.argmax(0, keepdim=True)]
        labels = logits.new_zeros((1, *logits.shape[1:]), dtype=torch.uint8)
        for channel, value in ((1, oedema), (0, core), (2, enhancing)):
            labels = torch.where(logits[channel : channel + 1] > 0, value, labels)
        return labels.to(torch.uint8)

    def probabilities(self, logits: Tensor) -> Tensor:
        """0 where the network never looked."""
        if self.head == "regions":
            return torch.sigmoid(logits.float()) * (logits != 0).any(0, keepdim=True)
        by_label = torch.softmax(logits.float(), 0) * (logits != 0).any(0, keepdim=True)
        return torch.stack([by_label[1] + by_label[3], by_label[1:].sum(0), by_label[3]])
