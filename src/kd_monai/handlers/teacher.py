"""The frozen teacher's outputs, injected into the student's loss at every step."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal, get_args

import torch
from ignite.engine import Engine, Events
from monai.engines.utils import IterationEvents
from monai.inferers import Inferer
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from kd_monai.handlers.prepare import select_channels
from kd_monai.handlers.route import Forward, by_teacher, numbers_of
from kd_monai.losses import DistillationLoss
from kd_monai.networks import FeatureTaps, GraphedForward, OpenVINOForward, openvino_is_installed
from kd_monai.outputs import Batch, Head, Outputs

logger = logging.getLogger(__name__)

Runtime = Literal["auto", "torch", "openvino", "cuda_graph"]
FORWARDS: dict[str, tuple[type[OpenVINOForward] | type[GraphedForward], str]] = {
    "openvino": (OpenVINOForward, "cpu"),
    "cuda_graph": (GraphedForward, "cuda"),
}
"""What runs a teacher in another way than torch's own, and the type of device that it is for."""
PAYS_AFTER_STEPS = 200
"""Steps that save, at some 35 ms each, several times the 1.5 s in which OpenVINO compiles the teacher."""


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
        runtime: `openvino` runs the teacher two to five times faster on a CPU, `cuda_graph` starts its kernels as one
            on a GPU and keeps memory for them (`GraphedForward`); to rounding, which one random patch is held to at
            STARTED (their `check`). `auto` takes the first on a CPU where it is installed (extra ``[fast]``) for
            `PAYS_AFTER_STEPS` or more a teacher, and falls back on torch where it fails.
        route: subject -> number of its teacher, of cross-fitted ones.

    Raises:
        ValueError: an unknown runtime, or a ModuleList without a route.

    Raises (at STARTED):
        ValueError: a tapped layer is missing, a feature term was given several teachers, or the runtime that was asked
            for is for another device, is not installed, cannot run the teacher, or computes something else than torch.

    Raises (in the first step):
        ValueError: a term refuses the two networks (heads, shapes of layers).
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
            raise ValueError(f"`teacher_runtime` must be one of {list(get_args(Runtime))}; got {runtime!r}.")
        if isinstance(teacher, nn.ModuleList) and route is None:
            raise ValueError(
                f"Cross-fitted teachers need a route, subject -> number of the teacher; got {len(teacher)} and none. "
                "Take it from CrossFittedTeachers.route, or name one teacher."
            )
        self.teachers = [FrozenTeacher(own) for own in (teacher if isinstance(teacher, nn.ModuleList) else [teacher])]
        self.route = dict(route) if route is not None else None
        self.teacher_head, self.student_head, self.loss = teacher_head, student_head, loss
        self.modalities, self.teacher_modalities = list(modalities), list(teacher_modalities)
        self.student_modalities = list(student_modalities)
        self.inferer, self.roi_size = inferer, list(roi_size)
        self.precision, self.runtime = precision, runtime
        self._forwards: list[Forward] = []
        self.student_taps = FeatureTaps(nn.Identity())  # until the networks are known
        self.teacher_taps: list[FeatureTaps] = []
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
        self.teacher_taps = [FeatureTaps(own.network, of_teacher) for own in self.teachers]
        self._fits = False
        wish = self._wish(engine)
        compiled = self._checked(wish, engine, of_teacher) if wish != "torch" else []
        self._forwards = compiled or [
            partial(self._with_torch, own, taps) for own, taps in zip(self.teachers, self.teacher_taps, strict=True)
        ]
        runtime = wish if compiled else "torch"
        logger.info("The teacher runs through %s, %s", runtime, self.precision)
        engine.state.facts = {"teacher_runtime": runtime, "teacher_precision": self.precision}

    def _wish(self, engine: Engine) -> str:
        """The runtime that was asked for, or the one that pays where it works."""
        kind = torch.device(engine.state.device).type
        if self.runtime != "auto":
            _, needed = FORWARDS.get(self.runtime, (None, kind))
            if kind != needed:
                raise ValueError(
                    f"`teacher_runtime: {self.runtime}` runs the teacher on a device of type {needed}; this training "
                    f"is on {engine.state.device}. Set `teacher_runtime: torch`, or `auto`."
                )
            return self.runtime
        steps = engine.state.max_epochs * engine.state.epoch_length
        pays = kind == "cpu" and openvino_is_installed() and steps >= PAYS_AFTER_STEPS * len(self.teachers)
        return "openvino" if pays else "torch"

    def _checked(self, runtime: str, engine: Engine, layers: Sequence[str]) -> list[Forward]:
        """A pass for each teacher that gave torch's outputs of one patch; none where `auto` finds that one does not."""
        # a route takes one sample at a time, and batches that come from no loader have no size
        samples = 1 if self.route is not None else getattr(engine.state.dataloader, "batch_size", None) or 1
        shape = (samples, len(self.teacher_modalities), *self.roi_size)
        # the run's own numbers are not drawn
        patch = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(engine.state.device)
        try:
            make, _ = FORWARDS[runtime]
            forwards = [make(own.network, layers, self.precision) for own in self.teachers]
            for forward in forwards:
                forward.check(patch)
        except Exception as error:  # whatever it is, torch needs none of it
            cause = f"{type(error).__name__}: {error}"
            if self.runtime == runtime:
                raise ValueError(
                    f"`teacher_runtime: {runtime}` needs a teacher that it runs as torch does; got {cause}\n"
                    "Set `teacher_runtime: torch`, or `auto`."
                ) from error
            logger.warning("The teacher runs through torch, for %s does not run it as torch does: %s", runtime, cause)
            return []
        return [*forwards]

    def _with_torch(self, network: nn.Module, taps: FeatureTaps, image: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        taps.open()
        with torch.no_grad():
            logits = self.inferer(image, network)
        return logits, taps.close()

    def _teach(self, image: Tensor, subjects: Sequence[str]) -> tuple[Tensor, dict[str, Tensor]]:
        if self.route is None:
            return self._forwards[0](image)
        # compiled or recorded for a batch size: with passes of one sample, once a teacher
        one_by_one = isinstance(self._forwards[0], (OpenVINOForward, GraphedForward))
        return by_teacher(self._forwards, numbers_of(subjects, self.route), image, one_by_one)

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
        for taps in self.teacher_taps:
            taps.close()
