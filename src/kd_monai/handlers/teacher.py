"""The frozen teacher's outputs, injected into the student's loss at every step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from ignite.engine import Engine, Events
from monai.engines.utils import IterationEvents
from monai.inferers import Inferer
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from kd_monai.handlers.dry_run import dry_run
from kd_monai.handlers.prepare import select_channels
from kd_monai.losses import DistillationLoss
from kd_monai.networks import FeatureTaps
from kd_monai.outputs import Batch, Head, Outputs


class FrozenTeacher(nn.Module):
    """A network in eval mode whatever `train()` says, without gradients."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> FrozenTeacher:
        """Stay in eval mode."""
        return super().train(False)

    def forward(self, image: Tensor) -> Tensor:
        """Logits ``B C H W D``."""
        return self.network(image)


class TeacherHandler:
    """Run the frozen teacher on each batch and fill the slot of the distillation loss.

    The teacher runs at ITERATION_STARTED, before the student's graph exists (lower peak memory) and outside the
    student's autocast. It sees the very tensor that the student sees a part of: same patch, same augmentation. Critics
    learn from detached outputs at FORWARD_COMPLETED. The slot and the taps are emptied at LOSS_COMPLETED and after any
    exception.

    Args:
        teacher: its network, or the mean of several; frozen here.
        teacher_head, student_head: how the two networks' logits are read.
        loss: the loss whose slot is filled.
        modalities: channels of the batch's image, in order.
        teacher_modalities, student_modalities: what each network reads of them.
        inferer: the forward pass, with its precision.
        roi_size: patch in voxels, for the dry run that every term checks.

    Raises (at STARTED):
        ValueError: a tapped layer is missing, a feature term was given several teachers, or a term refuses the two
            networks (heads, shapes of layers).
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
    ) -> None:
        self.teacher = FrozenTeacher(teacher)
        self.teacher_head, self.student_head, self.loss = teacher_head, student_head, loss
        self.modalities, self.teacher_modalities = list(modalities), list(teacher_modalities)
        self.student_modalities = list(student_modalities)
        self.inferer, self.roi_size = inferer, list(roi_size)
        self.student_taps = self.teacher_taps = FeatureTaps(nn.Identity())  # until the networks are known
        self._teacher_outputs: Outputs | None = None

    def attach(self, engine: Engine) -> None:
        """Register every event; the engine's network exists only once it starts."""
        engine.add_event_handler(Events.STARTED, self.started)
        engine.add_event_handler(Events.ITERATION_STARTED, self)
        engine.add_event_handler(IterationEvents.FORWARD_COMPLETED, self.student_done)
        engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self.clear)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self.failed)

    def started(self, engine: Engine) -> None:
        """Bind the student, and let every term look at both networks' outputs of an empty patch."""
        self.teacher.to(engine.state.device)
        pairs = self.loss.feature_pairs
        of_teacher, of_student = sorted({name for name, _ in pairs}), sorted({name for _, name in pairs})
        network = engine.network.module if isinstance(engine.network, DistributedDataParallel) else engine.network
        frozen = self.teacher.network
        self.loss.check(
            teacher=dry_run(frozen, self.teacher_head, of_teacher, len(self.teacher_modalities), self.roi_size),
            student=dry_run(network, self.student_head, of_student, len(self.student_modalities), self.roi_size),
        )
        self.student_taps, self.teacher_taps = FeatureTaps(network, of_student), FeatureTaps(frozen, of_teacher)

    def __call__(self, engine: Engine) -> None:
        """Teacher's outputs of this batch; the image moves to the device once, for both networks."""
        image = (
            engine.state.batch["image"].as_subclass(Tensor).to(engine.state.device, non_blocking=engine.non_blocking)
        )
        engine.state.batch["image"] = image
        self.teacher_taps.open()
        with torch.no_grad():
            logits = self.inferer(select_channels(image, self.modalities, self.teacher_modalities), self.teacher)
        self._teacher_outputs = Outputs(logits, self.teacher_head, self.teacher_taps.close())
        self.student_taps.open()

    def student_done(self, engine: Engine) -> None:
        """Hand both outputs to the critics and to the loss."""
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
        )
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
        self.teacher_taps.close()
