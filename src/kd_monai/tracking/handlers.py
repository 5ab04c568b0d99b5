"""What a training tells its tracker: metrics, the rate, seconds and the peak of its memory."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol

import torch
from ignite.engine import Engine, Events

from kd_monai.phases import stopwatch


class RunLog(Protocol):
    """The part of a `Tracker` that the handlers use."""

    def start(self) -> None: ...
    def log_resolved(self, values: Mapping[str, str]) -> None: ...
    def log_metrics(self, values: dict[str, float], step: int) -> None: ...
    def save_durations(self) -> None: ...
    def log_durations(self) -> None: ...


def memory_format_of(network: torch.nn.Module) -> Literal["channels_last", "contiguous"]:
    """How the weights ``O I kH kW kD`` of a network's convolutions lie, whatever was wished for (see `lay_out`)."""
    lie_plainly = all(weight.is_contiguous() for weight in network.parameters() if weight.ndim == 5)
    return "contiguous" if lie_plainly else "channels_last"


class TrackingHandler:
    """Log each epoch's means of the loss and its named terms, the learning rate, the seconds per step and the memory.

    Keys: ``train/loss``, ``train/loss/<term>``, ``train/lr``, ``train/seconds_per_step``, and ``cost/peak_memory_mib``,
    the most that the epoch's steps needed (see `PeakMemory`); the step is the epoch. Reads
    ``engine.state.output["loss"]`` and what the loss last `named`: name -> 0-d tensor. Tensors stay on their device
    until the epoch's end. How long each phase took is saved as often.

    What settings came to is told once every handler of STARTED is through: ``memory_format`` of the network, and what
    others left in ``engine.state.facts``: name -> text.

    The run starts with the training; ending it, well or badly, is its owner's task: a handler of EXCEPTION_RAISED that
    raises keeps those behind it from cleaning up.
    """

    def __init__(self, tracker: RunLog) -> None:
        self.tracker = tracker
        self._values: dict[str, list[torch.Tensor]] = {}
        self._lr = 0.0
        self._began = self._stepped = 0.0
        self._phase = 0
        self._memory = PeakMemory("cpu")

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.EPOCH_STARTED, self._begin_epoch)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._log_epoch)
        engine.add_event_handler(Events.COMPLETED, self._end)

    def _start(self, engine: Engine) -> None:
        self.tracker.start()
        self._memory = PeakMemory(getattr(engine.state, "device", "cpu"))
        self._phase = stopwatch.enter("training")

    def _begin_epoch(self, engine: Engine) -> None:
        self._values = {}
        facts = getattr(engine.state, "facts", {})
        self.tracker.log_resolved({"memory_format": memory_format_of(engine.network), **facts})
        self._memory.restart()
        self._began = time.perf_counter()
        self._lr = engine.optimizer.param_groups[0]["lr"]  # now: a schedule may change it before the epoch is logged

    def _collect(self, engine: Engine) -> None:
        output = engine.state.output
        output = output[0] if isinstance(output, list) else output  # decollated: each item carries the batch's loss
        named = {f"loss/{name}": value for name, value in getattr(engine.loss_function, "named", {}).items()}
        for name, value in {"loss": output["loss"], **named}.items():
            self._values.setdefault(f"train/{name}", []).append(torch.as_tensor(value).detach().mean())
        self._stepped = time.perf_counter()

    def _log_epoch(self, engine: Engine) -> None:
        means = {name: torch.stack(values).cpu().double().mean().item() for name, values in self._values.items()}
        means["train/lr"] = self._lr
        means["train/seconds_per_step"] = (self._stepped - self._began) / len(self._values["train/loss"])
        means["cost/peak_memory_mib"] = self._memory.mib
        self.tracker.log_metrics(means, engine.state.epoch)
        self.tracker.save_durations()

    def _end(self, engine: Engine) -> None:
        stopwatch.leave(self._phase)
        self.tracker.log_durations()


class ValidationTrackingHandler:
    """Log the evaluator's metrics as ``val/<name>``; the step is the trainer's epoch, as MONAI tells the evaluator."""

    def __init__(self, tracker: RunLog, prefix: str = "val") -> None:
        self.tracker = tracker
        self.prefix = prefix
        self._phase = 0

    def attach(self, engine: Engine) -> None:
        """Attach to the evaluator."""
        engine.add_event_handler(Events.STARTED, self._begin)
        engine.add_event_handler(Events.COMPLETED, self)

    def _begin(self, engine: Engine) -> None:
        self._phase = stopwatch.enter("validation")

    def __call__(self, engine: Engine) -> None:
        """Log what is a single number."""
        stopwatch.leave(self._phase)
        scalars = {
            name: float(value) for name, value in engine.state.metrics.items() if torch.as_tensor(value).numel() == 1
        }
        self.tracker.log_metrics(
            {f"{self.prefix}/{name}": value for name, value in scalars.items()}, engine.state.epoch
        )


_CLEAR, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
_MIB = 2**20


class PeakMemory:
    """Largest memory since `restart`, in MiB: allocated by torch on a GPU, else resident in this process.

    Linux can forget the highest mark of a process; elsewhere it is that of the process's whole life. Resident memory
    includes what the process held before, such as the teacher that the same command trained.

    Args:
        device: where the network runs.
    """

    def __init__(self, device: torch.device | str) -> None:
        self.device = torch.device(device)

    def restart(self) -> None:
        """Forget what was."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            return
        try:
            _CLEAR.write_text("5")
        except OSError:
            return

    @property
    def mib(self) -> float:
        """The largest so far."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / _MIB
        if _STATUS.is_file():
            for line in _STATUS.read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) / 1024
        # kilobytes, on macOS bytes
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (_MIB if sys.platform == "darwin" else 1024)
