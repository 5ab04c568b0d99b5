"""How much faster is a training step than with MONAI's SupervisedTrainer as it comes, in float32?

Both train the same network from the same weights with the same loss on the same batches, which lie in memory: what is
compared is the step alone (forward, loss, backward, Adam, the trainer's events). The contract: the losses of
both follow each other within 0.05 over the first round.
"""

from __future__ import annotations

import copy
import statistics
import time
from itertools import islice, pairwise
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines import SupervisedTrainer

from kd_monai.networks.inferers import resolved_precision
from question import Given, answer, contract, in_turn
from row import Reach, Row, Side, faster
from trainings import Training


class Stock:
    """MONAI's trainer, epoch by epoch; nothing of this project in it but the loss and the batches."""

    def __init__(self, network: torch.nn.Module, loss: Any, batches: list[Any], device: torch.device) -> None:
        self.losses: list[float] = []
        self._marks: list[float] = []
        self.trainer = SupervisedTrainer(
            device=device,
            max_epochs=10**6,
            train_data_loader=batches,
            network=network.to(device),
            optimizer=torch.optim.Adam(network.parameters(), 0.002),
            loss_function=loss,
        )
        self.trainer.add_event_handler(Events.ITERATION_COMPLETED, self._mark)
        self.trainer.add_event_handler(Events.EPOCH_COMPLETED, self.trainer.interrupt)

    def _mark(self, engine: Engine) -> None:
        self._marks.append(time.perf_counter())
        output = engine.state.output
        self.losses.append(float((output[0] if isinstance(output, list) else output)["loss"]))

    def epoch(self) -> float:
        """Seconds a step, the median of one more epoch's."""
        self._marks = []
        self.trainer.run()
        return statistics.median(b - a for a, b in pairwise(self._marks))


def measure(given: Given) -> list[Row]:
    """Seconds a step of both."""
    rounds, steps = given.pick(5, 2), given.pick(6, 3)
    ours = Training(given, "baseline", steps, learning_rate=0.002)
    loader = ours.config.get_parsed_content("train#dataloader")
    batches = [{k: b[k] for k in ("image", "label")} for b in islice(iter(loader), steps)]
    plain = copy.deepcopy(ours.config.get_parsed_content("network_def")).to(memory_format=torch.contiguous_format)
    for module in plain.modules():
        module._forward_hooks.clear(), module._forward_pre_hooks.clear()  # ours
    # a sample has the sequences of teacher and students; the stock trainer is given what ours reads of them
    read = [dict(zip(("image", "label"), ours.trainer.prepare_batch(batch), strict=True)) for batch in batches]
    stock = Stock(plain, ours.config.get_parsed_content("loss").segmentation, read, given.device)
    ours.trainer.state.dataloader = ours.trainer.data_loader = [dict(batch) for batch in batches]
    losses: list[float] = []
    ours.trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda engine: losses.append(float(engine.state.output["loss"]))
    )
    ours.epoch(), stock.epoch()  # warm, and the contract
    gap = max(abs(a - b) for a, b in zip(losses, stock.losses, strict=True))
    contract(gap < 0.05, "the losses of both follow each other within 0.05 over a round", gap)
    times = in_turn(ours.epoch, stock.epoch, rounds=rounds)
    ours.close()
    precision = resolved_precision(given.device)
    return [
        faster(
            f"Training step, same network and patch, {precision} against stock fp32",
            Side.of("ours", "s/step", times[0]),
            Side.of("stock", "s/step", times[1]),
            times,
            reach=Reach("at least", 2.0) if precision == "bf16" and given.device.type == "cpu" else None,
            contract=f"same weights, loss and batches; {steps} steps' losses differ by {gap:.4f} at most (rounding)",
            size=given.size,
        )
    ]


if __name__ == "__main__":
    answer(measure)
