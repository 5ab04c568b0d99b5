"""The seam: what of a batch each network reads, and the frozen teacher's outputs in the loss."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import torch
from ignite.engine import Engine, Events
from monai.engines.utils import IterationEvents
from monai.inferers import Inferer
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from kd_monai.errors import UserError
from kd_monai.handlers.route import Forward, by_teacher, numbers_of
from kd_monai.losses import DistillationLoss
from kd_monai.networks.inferers import FrozenNetwork, Runtime, TorchForward, openvino_forwards, wished_runtime
from kd_monai.outputs import Batch, FeatureTaps, Head, Outputs


def select_channels(image: Tensor, modalities: Sequence[str], wanted: Sequence[str]) -> Tensor:
    """The wanted modalities of an image ``B M H W D`` whose channels are `modalities`, in the wanted order.

    Raises:
        UserError: a wanted modality is not in the image.
    """
    missing = [name for name in wanted if name not in modalities]
    if missing:
        raise UserError(
            f"A network reads modalities of the batch only; got {missing}, the batch has {list(modalities)}."
        )
    if list(wanted) == list(modalities):
        return image
    return image[:, [list(modalities).index(name) for name in wanted]]


class PrepareBatch:
    """Image and label for the trainer: the student's own modalities of the sample, on the device, without metadata.

    Args:
        modalities: channels of the batch's image, in order.
        wanted: what the network reads of them.
    """

    def __init__(self, modalities: Sequence[str], wanted: Sequence[str]) -> None:
        self.modalities, self.wanted = list(modalities), list(wanted)

    def __call__(
        self,
        batch: Mapping[str, Tensor],
        device: torch.device | str | None = None,
        non_blocking: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """``B M H W D`` image and float ``B 3 H W D`` regions."""
        image = batch["image"].as_subclass(Tensor).to(device, non_blocking=non_blocking)
        label = batch["label"].as_subclass(Tensor).to(device, non_blocking=non_blocking)
        return select_channels(image, self.modalities, self.wanted), label


logger = logging.getLogger(__name__)


class TeacherHandler:
    """Run the frozen teacher on each batch and fill the slot of the distillation loss.

    The teacher runs at ITERATION_STARTED, before the student's graph exists (lower peak memory) and outside the
    student's autocast. It sees the very tensor that the student sees a part of: same patch, same augmentation. Critics
    learn from detached outputs at FORWARD_COMPLETED. The slot and the taps are emptied at LOSS_COMPLETED and after any
    exception.

    Whether the terms fit the two networks is asked once, of the first step's outputs, before anything learns from them.

    Cross-fitted teachers are several networks and a route: each sample passes through the one of its subject, so that
    a step costs one forward pass of each sample. They are trained independently: feature terms compare a sample with
    its own teacher's layers, whose channels need not mean what another teacher's do.

    Args:
        teacher: its network, or the mean of several, or a ModuleList of cross-fitted ones; frozen here.
        teacher_head, student_head: how the two networks' logits are read.
        loss: the loss whose slot is filled.
        modalities: channels of the batch's image, in order.
        teacher_modalities, student_modalities: what each network reads of them.
        inferer: torch's forward pass, with its precision.
        roi_size: patch in voxels, on which another runtime than torch's is held against torch.
        precision: of the teacher, `bf16` or `fp32`, resolved; torch's is the inferer's, which must be the same.
        runtime: what runs the teacher; `openvino` takes two to five times less on a CPU, to rounding, which one random
            patch is held to at STARTED. `auto` takes it where it pays (`wished_runtime`) and falls back on torch.
        route: subject -> number of its teacher, of cross-fitted ones.

    Raises:
        UserError: an unknown runtime, or a ModuleList without a route.

    Raises (at STARTED):
        UserError: a tapped layer is missing, a feature term was given several teachers, or the runtime that was asked
            for is for another device, not installed, or computes something else than torch.

    Raises (in the first step):
        UserError: a term refuses the two networks (heads, shapes of layers).
        RuntimeError: a learned term was never built.
    """

    def __init__(
        self,
        teacher: nn.Module,
        teacher_head: Head,
        student_head: Head,
        loss: DistillationLoss,
        modalities: Sequence[str],
        teacher_modalities: Sequence[str],
        student_modalities: Sequence[str],
        inferer: Inferer,
        roi_size: Sequence[int],
        precision: Literal["bf16", "fp32"] = "fp32",
        runtime: Runtime = "auto",
        route: Mapping[str, int] | None = None,
    ) -> None:
        if runtime not in get_args(Runtime):
            raise UserError(f"`teacher_runtime` must be one of {list(get_args(Runtime))}; got {runtime!r}.")
        if isinstance(teacher, nn.ModuleList) and route is None:
            raise UserError(
                f"Cross-fitted teachers need a route, subject -> number of the teacher; got {len(teacher)} and none. "
                "Take it from CrossFittedTeachers.route, or name one teacher."
            )
        teachers = teacher if isinstance(teacher, nn.ModuleList) else [teacher]
        self.teachers = [FrozenNetwork(network) for network in teachers]
        self.route = dict(route) if route is not None else None
        self.teacher_head, self.student_head, self.loss = teacher_head, student_head, loss
        self.modalities, self.teacher_modalities = list(modalities), list(teacher_modalities)
        self.student_modalities = list(student_modalities)
        self.inferer, self.roi_size = inferer, list(roi_size)
        self.precision, self.runtime = precision, runtime
        self._forwards: Sequence[Forward] = []
        self.student_taps = FeatureTaps(nn.Identity())  # until the networks are known
        self._one_by_one = False
        self._teacher_outputs: Outputs | None = None
        self._fits = False

    def attach(self, engine: Engine) -> None:
        """Register every event; the engine's network exists only once it starts."""
        engine.add_event_handler(Events.STARTED, self.started)
        engine.add_event_handler(Events.ITERATION_STARTED, self)
        engine.add_event_handler(IterationEvents.FORWARD_COMPLETED, self.student_done)
        engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self.clear)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self.failed)

    def started(self, engine: Engine) -> None:
        """Bind both networks, settle on a runtime.

        What it comes to is left in ``engine.state.facts``: ``teacher_runtime`` and ``teacher_precision``.
        """
        for teacher in self.teachers:
            teacher.to(engine.state.device)
        of_teacher, of_student = self.loss.layers
        network = engine.network.module if isinstance(engine.network, DistributedDataParallel) else engine.network
        self.student_taps = FeatureTaps(network, of_student)
        self._forwards = [TorchForward(frozen, of_teacher, self.inferer) for frozen in self.teachers]
        self._fits = False
        steps = engine.state.max_epochs * engine.state.epoch_length // len(self.teachers)
        runtime = wished_runtime(self.runtime, engine.state.device, steps)
        if runtime == "openvino":
            # a route takes one sample at a time, and batches that come from no loader have no size
            samples = 1 if self.route is not None else getattr(engine.state.dataloader, "batch_size", None) or 1
            shape = (samples, len(self.teacher_modalities), *self.roi_size)
            required = self.runtime == "openvino"
            compiled = openvino_forwards(self.teachers, of_teacher, self.precision, shape, required)
            self._forwards, runtime = (compiled, runtime) if compiled else (self._forwards, "torch")
        self._one_by_one = runtime == "openvino"  # compiled for a batch size: with passes of one sample, once a teacher
        logger.info("The teacher runs through %s, %s", runtime, self.precision)
        engine.state.facts = {"teacher_runtime": runtime, "teacher_precision": self.precision}

    def _teach(self, image: Tensor, subjects: Sequence[str]) -> tuple[Tensor, dict[str, Tensor]]:
        if self.route is None:
            return self._forwards[0](image)
        return by_teacher(self._forwards, numbers_of(subjects, self.route), image, self._one_by_one)

    def __call__(self, engine: Engine) -> None:
        """Teacher's outputs of this batch; the image moves to the device once, for both networks."""
        image = (
            engine.state.batch["image"].as_subclass(Tensor).to(engine.state.device, non_blocking=engine.non_blocking)
        )
        engine.state.batch["image"] = image
        read = select_channels(image, self.modalities, self.teacher_modalities)
        logits, features = self._teach(read, engine.state.batch.get("subject", ()))
        self._teacher_outputs = Outputs(logits, self.teacher_head, features)
        self.student_taps.open()

    def student_done(self, engine: Engine) -> None:
        """Hand both outputs to the critics and to the loss; let every term look at the first."""
        if self._teacher_outputs is None:
            raise RuntimeError("The teacher's outputs of this step are missing: ITERATION_STARTED was not handled.")
        image = engine.state.batch["image"]
        student = Outputs(engine.state.output["pred"], self.student_head, self.student_taps.close())
        done = (engine.state.iteration - 1) / max(1, engine.state.max_epochs * engine.state.epoch_length)
        batch = Batch(
            label=engine.state.output["label"],
            student_image=engine.state.output["image"],
            teacher_image=select_channels(image, self.modalities, self.teacher_modalities),
            progress=done,
            labelled=engine.state.batch.get("labelled"),
        )
        if not self._fits:
            with torch.no_grad():
                self.loss.check(student, self._teacher_outputs)
            self._fits = True
        self.loss.critics.step(student, self._teacher_outputs, batch)
        self.loss.fill(student, self._teacher_outputs, batch)

    def clear(self, engine: Engine) -> None:
        """Let go of every tensor of this step."""
        self._release()

    def failed(self, engine: Engine, error: BaseException) -> None:
        """Let go of everything, then let the error go on."""
        self._release()
        raise error

    def _release(self) -> None:
        self._teacher_outputs = None
        self.loss.clear()
        self.student_taps.close()
