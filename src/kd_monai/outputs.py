"""What passes between a network, a handler and a loss, and how layers are read on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from kd_monai.errors import UserError


class Head(Protocol):
    """How a network's logits are read: overlapping regions or exclusive labels (`kd_monai.networks.heads`)."""

    name: str
    out_channels: int

    def probabilities(self, logits: Tensor, temperature: float = 1.0) -> Tensor:
        """Tempered probabilities, ``B C H W D`` in, ``B C H W D`` out."""

    def target(self, regions: Tensor) -> Tensor:
        """Reference in the head's own channels, from float regions ``B 3 H W D`` (TC, WT, ET)."""

    def region_probabilities(self, logits: Tensor) -> Tensor:
        """Probabilities of TC, WT, ET, ``B 3 H W D``."""

    def label_map(self, logits: Tensor) -> Tensor:
        """uint8 ``B 1 H W D``: 0 background, 1 core, 2 oedema, 3 enhancing."""

    def mean_logits(self, logits: list[Tensor]) -> Tensor:
        """Logits ``B C H W D`` of the mean of several networks' untempered probabilities."""


@dataclass
class Outputs:
    """What one network gave for one batch.

    Attributes:
        logits: ``B C H W D``, before any activation.
        head: how the logits are read.
        features: tapped layers by name, ``B K h w d`` each.
        extras: whatever a particular network adds.
    """

    logits: Tensor
    head: Head
    features: dict[str, Tensor] = field(default_factory=dict)
    extras: dict[str, Any] = field(default_factory=dict)

    def probabilities(self, temperature: float = 1.0) -> Tensor:
        """Tempered float32 probabilities ``B C H W D`` in the head's own channels."""
        return self.head.probabilities(self.logits.float(), temperature)

    def feature(self, name: str) -> Tensor:
        """The tapped layer of this name, float32.

        Raises:
            KeyError: the layer was not tapped.
        """
        if name not in self.features:
            raise KeyError(
                f"A feature term reads tapped layers only; got {name!r}, tapped are {sorted(self.features)}. "
                "A term says which layers it reads in its `pairs` (teacher, student)."
            )
        return self.features[name].float()

    def detached(self) -> Outputs:
        """The same values outside the graph that made them."""
        features, extras = (
            {name: value.detach() if isinstance(value, Tensor) else value for name, value in group.items()}
            for group in (self.features, self.extras)
        )
        return Outputs(self.logits.detach(), self.head, features, extras)


@dataclass
class Batch:
    """What a term may read beside the two outputs.

    Attributes:
        label: float regions ``B 3 H W D`` (TC, WT, ET).
        student_image, teacher_image: ``B M H W D``, the modalities each network read.
        progress: share of the training that is done, in [0, 1], for ramps.
        labelled: bool ``B``: whether a sample's label is its reference. Where it is not, the label is the teacher's own
            hard prediction: terms that need classes read that, and the segmentation loss leaves the sample out. None:
            all are.
    """

    label: Tensor
    student_image: Tensor
    teacher_image: Tensor
    progress: float = 0.0
    labelled: Tensor | None = None


class FeatureTaps:
    """Keep the outputs of named layers of a network, without touching its forward pass or its state_dict keys.

    The hooks exist only between `open` and `close`: validation, export and prediction never pay for them. Under
    gradient checkpointing a layer runs twice; the later output replaces the earlier, equal one.

    Args:
        network: the module whose layers are read.
        names: layer names as in ``network.named_modules()``, for example ``down_4`` for the bottleneck of BasicUNet.

    Raises:
        UserError: a name is no layer of the network, or layers are asked of the mean of several.
    """

    def __init__(self, network: nn.Module, names: Sequence[str] = ()) -> None:
        several = getattr(network, "networks", None)
        if names and isinstance(several, nn.ModuleList):
            raise UserError(
                f"A feature term compares the layers of one teacher; got {len(several)} teachers and layers "
                f"{list(names)}. Name one teacher, or leave feature terms out: several teachers share outputs alone."
            )
        modules = dict(network.named_modules())
        unknown = [name for name in names if name not in modules]
        if unknown:
            raise UserError(
                f"Taps must name layers of {type(network).__name__}; got {unknown}. Its first levels are "
                f"{[name for name in modules if name and name.count('.') == 0]}."
            )
        self._modules = {name: modules[name] for name in names}
        self._handles: list[RemovableHandle] = []
        self.features: dict[str, Tensor] = {}

    def open(self) -> None:
        """Start keeping outputs."""
        self.close()

        def keep(name: str) -> Any:
            def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
                self.features[name] = output

            return hook

        self._handles = [module.register_forward_hook(keep(name)) for name, module in self._modules.items()]

    def close(self) -> dict[str, Tensor]:
        """Stop keeping outputs and hand over those that were kept."""
        for handle in self._handles:
            handle.remove()
        self._handles = []
        features, self.features = self.features, {}
        return features
