"""A network that a term trains against the student."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from kd_monai.outputs import Batch, Outputs

CriticLoss = Callable[[nn.Module, Outputs, Outputs, Batch], Tensor]


class Critic:
    """A network with an optimiser of its own, stepped once per batch before the student's loss.

    No `nn.Module`: what a term keeps under `critic` is neither in the loss's parameters nor in its state_dict. Outside
    its step the network's parameters take no gradients. To leave the student's random numbers alone it draws none.

    Args:
        network: what judges; the term calls it as ``critic.network``.
        loss: (network, student, teacher, batch) -> scalar that the critic lowers, of outputs without a graph.
        optimizer: parameters -> optimiser; Adam with learning rate 1e-4 unless given.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: CriticLoss,
        optimizer: Callable[[list[nn.Parameter]], torch.optim.Optimizer] | None = None,
    ) -> None:
        self.network, self.loss = network, loss
        parameters = list(network.parameters())
        self.optimizer = optimizer(parameters) if optimizer else torch.optim.Adam(parameters, lr=1e-4)
        self.network.requires_grad_(False)

    def step(self, student: Outputs, teacher: Outputs, batch: Batch) -> None:
        """Learn from one batch."""
        self.network.requires_grad_(True)
        self.optimizer.zero_grad(set_to_none=True)
        self.loss(self.network, student.detached(), teacher.detached(), batch).backward()
        self.optimizer.step()
        self.network.requires_grad_(False)

    def state_dict(self) -> dict[str, Any]:
        """Weights and the optimiser's state."""
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up where `state_dict` left."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])


class Critics:
    """The critics of a loss's terms, as one thing to step and to checkpoint.

    Args:
        terms: name -> term; one that has a critic keeps it under `critic`, from its `build` on.
    """

    def __init__(self, terms: nn.ModuleDict) -> None:
        self._terms = terms

    def by_name(self) -> dict[str, Critic]:
        """Critic of each term that has one.

        Raises:
            TypeError: a term's critic is a plain module, which the student's optimiser would train.
        """
        critics = {name: term.critic for name, term in self._terms.items() if getattr(term, "critic", None) is not None}
        for name, critic in critics.items():
            if not isinstance(critic, Critic):
                raise TypeError(
                    f"The `critic` of a term is a {Critic.__module__}.Critic; got {type(critic).__name__} in {name!r}. "
                    "Wrap the network: Critic(network, loss)."
                )
        return critics

    def step(self, student: Outputs, teacher: Outputs, batch: Batch) -> None:
        """Let each learn from one batch."""
        for critic in self.by_name().values():
            critic.step(student, teacher, batch)

    def to(self, device: torch.device | str) -> None:
        """Move the networks; before a checkpoint is read."""
        for critic in self.by_name().values():
            critic.network.to(device)

    def state_dict(self) -> dict[str, Any]:
        """State of each by its term's name."""
        return {name: critic.state_dict() for name, critic in self.by_name().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up where `state_dict` left."""
        for name, critic in self.by_name().items():
            critic.load_state_dict(state[name])
