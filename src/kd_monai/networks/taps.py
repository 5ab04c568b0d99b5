"""Features of a network, read by layer name while a training step asks for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from kd_monai.networks.mean import MeanNetwork


class FeatureTaps:
    """Keep the outputs of named layers of a network, without touching its forward pass or its state_dict keys.

    The hooks exist only between `open` and `close`: validation, export and prediction never pay for them. Under
    gradient checkpointing a layer runs twice; the later output replaces the earlier, equal one.

    Args:
        network: the module whose layers are read.
        names: layer names as in ``network.named_modules()``, for example ``down_4`` for the bottleneck of BasicUNet.

    Raises:
        ValueError: a name is no layer of the network, or layers are asked of the mean of several.
    """

    def __init__(self, network: nn.Module, names: Sequence[str] = ()) -> None:
        if names and isinstance(network, MeanNetwork):
            raise ValueError(
                f"A feature term compares the layers of one teacher; got {len(network.networks)} teachers and layers "
                f"{list(names)}. Name one teacher, or leave feature terms out: several teachers share outputs alone."
            )
        modules = dict(network.named_modules())
        unknown = [name for name in names if name not in modules]
        if unknown:
            raise ValueError(
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


class WithLayers(nn.Module):
    """A network that returns tapped layers behind its logits."""

    def __init__(self, network: nn.Module, layers: Sequence[str]) -> None:
        super().__init__()
        self.network, self.layers, self.taps = network, list(layers), FeatureTaps(network, layers)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        self.taps.open()
        try:
            logits = self.network(image)
        finally:
            features = self.taps.close()
        return (logits, *(features[name] for name in self.layers))
