"""Learned terms and critics in a training: built before the optimiser, trained, checkpointed, never in the student."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from monai.engines import SupervisedTrainer
from monai.engines.utils import IterationEvents
from monai.networks.nets import BasicUNet
from torch import nn

from kd_monai.handlers import EpochSeedHandler, PrepareBatch, ResumeHandler, TeacherHandler
from kd_monai.losses import DistillationLoss, SegmentationLoss, build_terms
from kd_monai.losses.terms.base import Critic
from kd_monai.losses.terms.features.latent_kl import LatentKL
from kd_monai.networks import MeanNetwork, RegionsHead
from kd_monai.networks.inferers import AutocastInferer
from kd_monai.outputs import Batch, Outputs

ROI = (32, 32, 32)
MODALITIES = ["t1", "t1ce"]


def network(channels: int, width: int) -> nn.Module:
    features = [width, width, width, width, 2 * width, width]
    return BasicUNet(3, channels, 3, features=features, dropout=0.2, upsample="nontrainable")


def batches() -> list[dict]:
    generator = torch.Generator().manual_seed(0)
    image, label = torch.randn(1, 2, *ROI, generator=generator), torch.rand(1, 3, *ROI, generator=generator)
    return [{"image": image, "label": (label > 0.5).float()}] * 2


class Judged(nn.Module):
    """A term whose critic tells the teacher's probabilities from the student's."""

    learned = True

    def build(self, student: Outputs, teacher: Outputs) -> None:
        self.critic = Critic(nn.Conv3d(student.logits.shape[1], 1, 1), self.told)

    def told(self, net: nn.Module, student: Outputs, teacher: Outputs, batch: Batch) -> torch.Tensor:
        return net(student.probabilities()).mean() - net(teacher.probabilities()).mean()

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> torch.Tensor:
        return -self.critic.network(student.probabilities()).flatten(1).mean(1)


def terms(weight: float) -> dict:
    learned = {"kl": LatentKL(adapter=True), "judged": Judged()}
    return {name: {"weight": weight, "term": term} for name, term in learned.items()}


class Training:
    """A wide teacher and a narrow student, with an adapter and a critic, or none of them."""

    def __init__(self, given: dict | None, folder: Path | None = None, epochs: int = 2) -> None:
        torch.manual_seed(5)
        self.teacher = SimpleNamespace(network=network(2, 4).eval(), head=RegionsHead(), modalities=MODALITIES)
        torch.manual_seed(0)
        self.student = network(1, 2)
        self.loss = build_terms(
            DistillationLoss(SegmentationLoss(RegionsHead()), 1.0, given),
            self.teacher if given else None,
            self.student, RegionsHead(), ["t1ce"], ROI, 0, "cpu",
        )  # fmt: skip
        self.optimizer = torch.optim.Adam([*self.student.parameters(), *self.loss.parameters()], 1e-2)
        saved = {"network": self.student, "optimizer": self.optimizer, "loss": self.loss, "critic": self.loss.critics}
        self.trainer = SupervisedTrainer(
            device="cpu",
            max_epochs=epochs,
            train_data_loader=batches(),
            network=self.student,
            optimizer=self.optimizer,
            loss_function=self.loss,
            inferer=AutocastInferer("cpu", "fp32"),
            prepare_batch=PrepareBatch(MODALITIES, ["t1ce"]),
            decollate=False,
            train_handlers=[EpochSeedHandler(0), *([ResumeHandler(folder, saved)] if folder else [])],
        )
        if given:
            TeacherHandler(
                self.teacher.network, RegionsHead(), RegionsHead(), self.loss, MODALITIES, MODALITIES, ["t1ce"],
                AutocastInferer("cpu", "fp32"), ROI,
            ).attach(self.trainer)  # fmt: skip

    def learned(self) -> dict[str, torch.Tensor]:
        """All that a training changes, as copies."""
        state = {**self.student.state_dict(), **self.loss.state_dict()}
        state |= self.loss.critics.state_dict()["judged"]["network"] if self.loss.terms else {}
        return {name: value.clone() for name, value in state.items()}


def test_adapter_and_critic_know_their_channels_and_learn() -> None:
    training = Training(terms(1.0))
    before = training.learned()
    assert before["terms.kl.adapter.weight"].shape == (8, 4, 1, 1, 1)
    assert before["weight"].shape == (1, 3, 1, 1, 1)
    training.trainer.run()
    after = training.learned()
    for name in ("terms.kl.adapter.weight", "weight", "final_conv.weight"):
        assert not torch.equal(before[name], after[name]), name
    optimised = {id(p) for group in training.optimizer.param_groups for p in group["params"]}
    assert optimised == {id(p) for p in [*training.student.parameters(), *training.loss.parameters()]}
    assert optimised.isdisjoint(id(p) for p in training.loss.terms["judged"].critic.network.parameters())


def test_the_critic_learns_from_a_batch_before_the_loss_is_taken() -> None:
    training, order = Training(terms(1.0), epochs=1), []
    critic = training.loss.terms["judged"].critic
    step, forward = critic.step, training.loss.forward
    critic.step = lambda *given: (order.append("critic"), step(*given))
    training.loss.forward = lambda *given: (order.append("loss"), forward(*given))[1]
    training.trainer.add_event_handler(IterationEvents.MODEL_COMPLETED, lambda: order.append("step"))
    training.trainer.run()
    assert order == ["critic", "loss", "step"] * 2


def test_learned_terms_of_weight_zero_equal_the_baseline_bit_for_bit() -> None:
    baseline, student = Training(None), Training(terms(0.0))
    for run in (baseline, student):
        run.trainer.run()
    for name, value in baseline.student.state_dict().items():
        assert torch.equal(value, student.student.state_dict()[name]), name


def test_building_leaves_the_random_numbers_alone_and_follows_from_the_seed() -> None:
    first = Training(terms(1.0))
    drawn = torch.rand(3)
    torch.rand(9)
    plain = Training(None)
    assert torch.equal(torch.rand(3), drawn)
    again = Training(terms(1.0))
    assert all(torch.equal(value, again.learned()[name]) for name, value in first.learned().items())
    assert plain.student.training
    assert not first.teacher.network.training


def test_an_interrupted_training_ends_as_if_nothing_had_happened(tmp_path: Path) -> None:
    undisturbed = Training(terms(1.0), tmp_path / "one", epochs=3)
    undisturbed.trainer.run()
    Training(terms(1.0), tmp_path / "two", epochs=1).trainer.run()
    (saved,) = (tmp_path / "two").glob("*.pt")
    content = torch.load(saved, weights_only=True)
    assert set(content["loss"]) == {"terms.kl.adapter.weight", "terms.kl.adapter.bias"}
    assert set(content["critic"]) == {"judged"}
    assert content["network"].keys() == network(1, 2).state_dict().keys()
    resumed = Training(terms(1.0), tmp_path / "two", epochs=3)
    resumed.trainer.run()
    for name, value in undisturbed.learned().items():
        assert torch.equal(value, resumed.learned()[name]), name


def test_several_teachers_are_refused_by_a_learned_feature_term() -> None:
    several = MeanNetwork([network(2, 4), network(2, 4)], [[0, 1], [0, 1]], RegionsHead())
    teacher = SimpleNamespace(network=several, head=RegionsHead(), modalities=MODALITIES)
    loss = DistillationLoss(
        SegmentationLoss(RegionsHead()), 1.0, {"kl": {"weight": 1.0, "term": LatentKL(adapter=True)}}
    )
    with pytest.raises(ValueError, match="layers of one teacher; got 2 teachers"):
        build_terms(loss, teacher, network(1, 2), RegionsHead(), ["t1ce"], ROI, 0, "cpu")


def test_learned_terms_are_refused_in_several_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ignite.distributed.get_world_size", lambda: 2)
    Training(None)
    with pytest.raises(ValueError, match="got 2 processes"):
        Training(terms(1.0))
