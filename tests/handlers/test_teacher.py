"""The teacher handler inside MONAI's trainer: what is injected, when, and what is left behind."""

from __future__ import annotations

import copy
import re

import numpy as np
import pytest
import torch
from ignite.engine import Events
from monai.engines import SupervisedTrainer
from monai.engines.utils import IterationEvents
from monai.networks.nets import SegResNet
from scipy.special import expit
from teacher_setup import MODALITIES, ROI, Setup, kdnet_terms, network, with_openvino
from torch import nn

from kd_monai.handlers import NaNLossError, TeacherHandler
from kd_monai.losses import DistillationLoss, SegmentationLoss
from kd_monai.losses.terms.base import Critics
from kd_monai.losses.terms.features.latent_kl import LatentKL
from kd_monai.losses.terms.outputs.soft_dice_bce import SoftDiceBCE
from kd_monai.networks import LabelsHead, MeanNetwork, RegionsHead
from kd_monai.networks.inferers import AutocastInferer
from kd_monai.networks.openvino_forward import OpenVINOForward


@pytest.fixture
def kdnet() -> Setup:
    return Setup(kdnet_terms())


def test_student_learns_and_teacher_stays_as_it_was(kdnet: Setup) -> None:
    before = copy.deepcopy(kdnet.teacher.state_dict()), copy.deepcopy(kdnet.student.state_dict())
    kdnet.trainer.run()
    assert all(torch.equal(value, before[0][name]) for name, value in kdnet.teacher.state_dict().items())
    assert any(not torch.equal(value, before[1][name]) for name, value in kdnet.student.state_dict().items())
    assert all(parameter.grad is None for parameter in kdnet.teacher.parameters())


def test_teacher_and_student_see_the_same_patch(kdnet: Setup) -> None:
    seen = []

    @kdnet.trainer.on(IterationEvents.FORWARD_COMPLETED)
    def look(engine) -> None:
        student, teacher, batch = kdnet.loss._slot
        seen.append(torch.equal(batch.student_image[:, 0], batch.teacher_image[:, 1]))
        assert batch.teacher_image.shape[1] == 4
        assert torch.equal(student.logits, engine.state.output["pred"])
        with torch.no_grad():
            torch.testing.assert_close(teacher.logits, kdnet.teacher(batch.teacher_image))

    kdnet.trainer.run()
    assert seen == [True] * 4


@pytest.mark.parametrize(
    ("of_teacher", "of_student"),
    [(MODALITIES, ["t1", "t2"]), (["t1", "t1ce", "t2"], ["flair"]), (["flair"], ["flair"])],
    ids=["4 to 2", "3 to 1", "1 to 1"],
)
def test_each_reads_its_own_modalities_of_one_patch(of_teacher: list[str], of_student: list[str]) -> None:
    setup = Setup(kdnet_terms(), epochs=1, reads=(of_teacher, of_student))
    before, seen = copy.deepcopy(setup.student.state_dict()), []

    @setup.trainer.on(IterationEvents.FORWARD_COMPLETED)
    def look(engine) -> None:
        student, teacher, batch = setup.loss._slot
        image = engine.state.batch["image"]
        for read, names in ((batch.teacher_image, of_teacher), (batch.student_image, of_student)):
            seen.append(torch.equal(read, image[:, [MODALITIES.index(name) for name in names]]))
        with torch.no_grad():
            torch.testing.assert_close(teacher.logits, setup.teacher(batch.teacher_image))
        assert torch.equal(student.logits, engine.state.output["pred"])

    setup.trainer.run()
    assert seen == [True] * 4
    assert not all(torch.equal(value, before[name]) for name, value in setup.student.state_dict().items())


def test_a_teacher_of_another_architecture_teaches_outputs_and_through_an_adapter_features() -> None:
    teacher = SegResNet(3, init_filters=8, in_channels=4, out_channels=3, blocks_down=(1, 1, 1), blocks_up=(1, 1))
    latent = LatentKL(teacher_layer="down_layers.2", student_layer="down_4", adapter=True)
    setup = Setup(
        {**kdnet_terms(), "latent_kl": {"weight": 1.0, "term": latent}}, teacher=teacher, epochs=1, built=True
    )
    before = copy.deepcopy([latent.adapter.state_dict(), setup.student.state_dict(), teacher.state_dict()])
    setup.trainer.run()
    after = [latent.adapter.state_dict(), setup.student.state_dict(), teacher.state_dict()]
    moved = [any(not torch.equal(a[name], b[name]) for name in a) for a, b in zip(before, after, strict=True)]
    assert moved == [True, True, False]
    assert setup.loss.named.keys() == {"segmentation", "soft_dice_bce", "latent_kl"}


def test_progress_rises_from_zero(kdnet: Setup) -> None:
    seen = []
    kdnet.trainer.add_event_handler(
        IterationEvents.FORWARD_COMPLETED, lambda engine: seen.append(kdnet.loss._slot[2].progress)
    )
    kdnet.trainer.run()
    assert seen == [0, 0.25, 0.5, 0.75]


def test_every_term_is_named_and_no_teacher_tensor_stays_in_the_output(kdnet: Setup) -> None:
    names = []
    kdnet.trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda engine: names.append((set(engine.state.output), set(kdnet.loss.named)))
    )
    kdnet.trainer.run()
    assert names[0] == ({"image", "label", "pred", "loss"}, {"segmentation", "soft_dice_bce", "latent_kl"})


def test_the_segmentation_loss_is_named_without_terms_and_without_handler() -> None:
    baseline = Setup(None)
    baseline.trainer.run()
    assert set(baseline.loss.named) == {"segmentation"}


def test_slot_taps_and_teacher_outputs_are_empty_after_an_exception(kdnet: Setup) -> None:
    def fail(*_args) -> None:
        raise KeyError("broken")

    kdnet.loss.terms["soft_dice_bce"].forward = fail
    with pytest.raises(KeyError, match="broken"):
        kdnet.trainer.run()
    assert kdnet.loss._slot is None
    assert kdnet.handler._teacher_outputs is None
    assert not kdnet.student._modules["down_4"]._forward_hooks
    assert not kdnet.handler.student_taps.features


def test_taps_are_live_only_inside_a_training_step(kdnet: Setup) -> None:
    live = []
    kdnet.trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda engine: live.append(len(kdnet.student.down_4._forward_hooks))
    )
    kdnet.trainer.run()
    assert live == [0] * 4


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_terms_of_weight_zero_equal_the_baseline_bit_for_bit(dropout: float) -> None:
    baseline, student = Setup(None, dropout=dropout), Setup(kdnet_terms(0.0), dropout=dropout)
    for run in (baseline, student):
        run.trainer.run()
    for name, value in baseline.student.state_dict().items():
        assert torch.equal(value, student.student.state_dict()[name]), name


def test_terms_of_weight_one_do_not_equal_the_baseline() -> None:
    baseline, student = Setup(None), Setup(kdnet_terms(1.0))
    for run in (baseline, student):
        run.trainer.run()
    assert any(not torch.equal(v, student.student.state_dict()[k]) for k, v in baseline.student.state_dict().items())


@pytest.fixture
def no_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever refuses must do so before the first batch."""

    def step(*_args) -> None:
        pytest.fail("a step was taken")

    monkeypatch.setattr(SupervisedTrainer, "_iteration", step)


@pytest.fixture
def nothing_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever refuses must do so before anything learns from the first batch."""
    monkeypatch.setattr(DistillationLoss, "forward", lambda *_args: pytest.fail("a loss was computed"))
    monkeypatch.setattr(Critics, "step", lambda *_args: pytest.fail("a critic learned"))


@pytest.mark.usefixtures("nothing_learns")
def test_features_of_different_shapes_are_refused_with_both_shapes() -> None:
    with pytest.raises(ValueError, match=r"\(2, 8, 2, 2, 2\).*\(2, 4, 2, 2, 2\)"):
        Setup(kdnet_terms(), teacher=network(4, width=4)).trainer.run()


def test_outputs_may_be_distilled_from_a_network_of_another_width() -> None:
    Setup({"kd": {"weight": 1.0, "term": SoftDiceBCE()}}, teacher=network(4, width=4)).trainer.run()


@pytest.mark.usefixtures("nothing_learns")
def test_different_heads_are_refused_by_terms_that_need_one() -> None:
    setup = Setup({"kd": {"weight": 1.0, "term": SoftDiceBCE()}})
    setup.handler.teacher_head = LabelsHead()
    with pytest.raises(ValueError, match=r"same head; got a 'labels' teacher and a 'regions' student"):
        setup.trainer.run()


def test_different_heads_are_nothing_to_a_term_on_features() -> None:
    setup = Setup({"kl": {"weight": 1.0, "term": LatentKL()}})
    setup.handler.teacher_head = LabelsHead()
    setup.trainer.run()


def test_each_run_looks_at_its_networks_once(kdnet: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    check = DistillationLoss.check
    monkeypatch.setattr(DistillationLoss, "check", lambda *args: (looks.append(args), check(*args)))
    for number in (1, 2):
        kdnet.trainer.state.max_epochs = 2 * number
        kdnet.trainer.run()
        assert len(looks) == number


@pytest.mark.usefixtures("nothing_learns")
def test_a_learned_term_that_was_not_built_is_refused() -> None:
    with pytest.raises(RuntimeError, match=r"\['kl'\] are not\. Call kd_monai\.losses\.build_terms"):
        Setup({"kl": {"weight": 1.0, "term": LatentKL(adapter=True)}}).trainer.run()


def ensemble() -> MeanNetwork:
    """Two teachers of all four modalities, and one of T2 and T1."""
    torch.manual_seed(1)
    return MeanNetwork([network(4), network(4), network(2)], [[0, 1, 2, 3]] * 2 + [[2, 0]], RegionsHead())


def test_several_teachers_teach_with_the_mean_of_their_probabilities() -> None:
    teachers, seen = ensemble(), []
    setup = Setup({"kd": {"weight": 1.0, "term": SoftDiceBCE()}}, teacher=teachers, epochs=1)

    @setup.trainer.on(IterationEvents.FORWARD_COMPLETED)
    def look(engine) -> None:
        _, teacher, batch = setup.loss._slot
        image = batch.teacher_image
        with torch.no_grad():
            alone = [net(part) for net, part in zip(teachers.networks, (image, image, image[:, [2, 0]]), strict=True)]
        expected = np.mean([expit(logits.double().numpy()) for logits in alone], axis=0)
        np.testing.assert_allclose(teacher.probabilities(), expected, atol=1e-5)
        seen.append(not teacher.logits.requires_grad)

    setup.trainer.run()
    assert seen == [True] * 2
    assert not any(module.training for module in teachers.modules())


@pytest.mark.usefixtures("no_step")
def test_feature_terms_refuse_several_teachers_before_the_first_step() -> None:
    with pytest.raises(ValueError, match=r"layers of one teacher; got 3 teachers and layers \['down_4'\]"):
        Setup(kdnet_terms(), teacher=ensemble()).trainer.run()


def test_an_unknown_layer_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="down_9"):
        Setup({"kl": {"weight": 1.0, "term": LatentKL("down_9", "down_4")}}).trainer.run()


def test_terms_without_the_handler_raise() -> None:
    setup = Setup(None)
    setup.trainer.loss_function = DistillationLoss(SegmentationLoss(RegionsHead()), 1.0, kdnet_terms())
    with pytest.raises(RuntimeError, match="TeacherHandler"):
        setup.trainer.run()


def test_a_nan_raises_before_the_weights_are_touched_and_names_term_and_subjects(kdnet: Setup) -> None:
    """Ignite's TerminateOnNan would end the run as if it had finished."""
    with torch.no_grad():
        kdnet.teacher.final_conv.bias.fill_(float("nan"))
    before = copy.deepcopy(kdnet.student.state_dict())
    with pytest.raises(NaNLossError, match=r"subjects \['a', 'b'\], broken terms \['soft_dice_bce'\]"):
        kdnet.trainer.run()
    assert all(torch.equal(value, before[name]) for name, value in kdnet.student.state_dict().items())


def test_teacher_is_outside_the_optimiser(kdnet: Setup) -> None:
    kdnet.trainer.run()
    optimised = {id(p) for group in kdnet.trainer.optimizer.param_groups for p in group["params"]}
    assert optimised.isdisjoint(id(p) for p in kdnet.teacher.parameters())


def with_runtime(runtime: str, epochs: int = 2) -> Setup:
    setup = Setup(kdnet_terms(), epochs=epochs)
    setup.handler.runtime = runtime  # type: ignore[assignment]
    return setup


@with_openvino
def test_openvino_teaches_what_torch_teaches() -> None:
    losses = {}
    for runtime in ("torch", "openvino"):
        setup = with_runtime(runtime)
        named: list[dict] = []
        setup.trainer.add_event_handler(
            Events.ITERATION_COMPLETED, lambda engine, n=named: n.append(dict(engine.loss_function.named))
        )
        setup.trainer.run()
        losses[runtime] = named
    for expected, got in zip(losses["torch"], losses["openvino"], strict=True):
        for name, value in expected.items():
            torch.testing.assert_close(got[name], value, rtol=1e-3, atol=1e-5)


@with_openvino
@pytest.mark.parametrize(("epochs", "taken"), [(1, False), (100, True)])
def test_auto_takes_openvino_where_the_training_is_long_enough(epochs: int, taken: bool) -> None:
    setup = with_runtime("auto", epochs)
    setup.trainer.add_event_handler(Events.ITERATION_COMPLETED, setup.trainer.terminate)
    setup.trainer.run()
    assert isinstance(setup.handler._forwards[0], OpenVINOForward) is taken
    assert setup.trainer.state.facts["teacher_runtime"] == ("openvino" if taken else "torch")


def lying(self: OpenVINOForward, image: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Right logits, and layers that are one part in a hundred off."""
    logits, features = COMPUTE(self, image)
    return logits, {name: 1.01 * value for name, value in features.items()}


COMPUTE = OpenVINOForward.__call__


class Unreadable(nn.Module):
    """A U-Net behind an operation that OpenVINO has no translation for."""

    def __init__(self) -> None:
        super().__init__()
        self.unet = network(4)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.unet(image + torch.special.i1(image))


LYING = r"down_4 must be torch's within 0\.001 of their norm"
UNREADABLE = r"special_i1"


def refused(reason: str, runtime: str, monkeypatch: pytest.MonkeyPatch) -> Setup:
    """A training long enough for OpenVINO, ended after one step, whose teacher OpenVINO gets wrong or cannot read."""
    if reason == LYING:
        monkeypatch.setattr(OpenVINOForward, "__call__", lying)
        setup = Setup(kdnet_terms(), epochs=100)
    else:
        setup = Setup({"kd": {"weight": 1.0, "term": SoftDiceBCE()}}, teacher=Unreadable(), epochs=100)
    setup.handler.runtime = runtime  # type: ignore[assignment]
    setup.trainer.add_event_handler(Events.ITERATION_COMPLETED, setup.trainer.terminate)
    return setup


@with_openvino
@pytest.mark.parametrize("reason", [LYING, UNREADABLE], ids=["lying", "unreadable"])
def test_auto_falls_back_on_torch_and_says_why(
    reason: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    setup = refused(reason, "auto", monkeypatch)
    setup.trainer.run()
    assert setup.trainer.state.iteration == 1
    assert setup.trainer.state.facts == {"teacher_runtime": "torch", "teacher_precision": "fp32"}
    own = [record for record in caplog.records if record.name == "kd_monai.networks.inferers"]
    (warning,) = [record.getMessage() for record in own if record.levelname == "WARNING"]
    assert re.search("teacher runs through torch.*" + reason, warning, re.DOTALL)


@with_openvino
@pytest.mark.usefixtures("no_step")
@pytest.mark.parametrize("reason", [LYING, UNREADABLE], ids=["lying", "unreadable"])
def test_openvino_that_was_asked_for_is_refused_with_cause_and_remedy(
    reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="(?s)" + reason + r".*Set `teacher_runtime: torch`, or `auto`"):
        refused(reason, "openvino", monkeypatch).trainer.run()


def test_an_unknown_runtime_is_refused() -> None:
    with pytest.raises(ValueError, match=r"teacher_runtime.*must be one of.*onnx"):
        TeacherHandler(
            network(4), RegionsHead(), RegionsHead(), DistillationLoss(SegmentationLoss(RegionsHead())), MODALITIES,
            MODALITIES, ["t1ce"], AutocastInferer("cpu", "fp32"), ROI, runtime="onnx",  # type: ignore[arg-type]
        )  # fmt: skip
