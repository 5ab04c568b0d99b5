"""Cross-fitted teachers: each sample of a batch passes through the teacher of its subject, once."""

from __future__ import annotations

import pytest
import torch
from monai.engines.utils import IterationEvents
from teacher_setup import MODALITIES, ROI, Setup, kdnet_terms, network, with_openvino
from torch import nn

from kd_monai.handlers import TeacherHandler
from kd_monai.handlers.route import by_teacher, numbers_of
from kd_monai.losses import DistillationLoss, SegmentationLoss, build_terms
from kd_monai.losses.terms.features.latent_kl import LatentKL
from kd_monai.networks import RegionsHead


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize("numbers", [[0, 0, 0, 0], [2, 0, 2, 1], [1, 2, 0, 1]])
def test_every_sample_passes_through_its_own_teacher_once_and_comes_back_in_its_place(
    numbers: list[int], one_by_one: bool
) -> None:
    passed: list[tuple[int, int]] = []

    def teacher(number: int):
        def forward(image: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
            passed.append((number, len(image)))
            return image * 10 + number, {"layer": image.flatten(1) + 100 * number}

        return forward

    image = torch.arange(4.0).reshape(4, 1, 1, 1, 1)
    logits, features = by_teacher([teacher(n) for n in range(3)], numbers, image, one_by_one)
    assert logits.flatten().tolist() == [10 * i + n for i, n in enumerate(numbers)]
    assert features["layer"].flatten().tolist() == [i + 100 * n for i, n in enumerate(numbers)]
    assert sum(count for _, count in passed) == 4
    if one_by_one:
        assert {count for _, count in passed} == {1}
    else:
        assert sorted(number for number, _ in passed) == sorted(set(numbers))


def test_a_subject_without_a_teacher_is_refused_by_name() -> None:
    assert numbers_of(["b", "a"], {"a": 0, "b": 1}) == [1, 0]
    with pytest.raises(ValueError, match=r"teacher that has not seen it; got \['c'\]"):
        numbers_of(["a", "c"], {"a": 0})


def crossfitted(route: dict[str, int], epochs: int = 1, runtime: str = "torch") -> tuple[Setup, nn.ModuleList]:
    torch.manual_seed(3)
    teachers = nn.ModuleList(network(4) for _ in range(3))
    setup = Setup(None, epochs=epochs)
    setup.loss = setup.trainer.loss_function = DistillationLoss(SegmentationLoss(RegionsHead()), 1.0, kdnet_terms())
    setup.handler = TeacherHandler(
        teachers, RegionsHead(), RegionsHead(), setup.loss, MODALITIES, MODALITIES, ["t1ce"], setup.trainer.inferer,
        ROI, route=route, runtime=runtime,  # type: ignore[arg-type]
    )  # fmt: skip
    setup.handler.attach(setup.trainer)
    return setup, teachers


@pytest.mark.parametrize("runtime", ["torch", pytest.param("openvino", marks=with_openvino)])
def test_logits_and_features_of_a_batch_are_those_of_each_subjects_teacher(runtime: str) -> None:
    route = {"a": 2, "b": 0}
    setup, teachers = crossfitted(route, runtime=runtime)
    seen = []

    @setup.trainer.on(IterationEvents.FORWARD_COMPLETED)
    def look(engine) -> None:
        _, outputs, batch = setup.loss._slot
        for place, subject in enumerate(engine.state.batch["subject"]):
            own = teachers[route[subject]]
            deepest: list[torch.Tensor] = []
            hook = own.down_4.register_forward_hook(lambda m, i, o, kept=deepest: kept.append(o))
            with torch.no_grad():
                alone = own(batch.teacher_image[place : place + 1])
            hook.remove()
            torch.testing.assert_close(outputs.logits[place], alone[0], rtol=1e-3, atol=1e-4)
            torch.testing.assert_close(outputs.features["down_4"][place], deepest[0][0], rtol=1e-3, atol=1e-4)
            others = [other for other in teachers if other is not own]
            with torch.no_grad():
                wrong = [other(batch.teacher_image[place : place + 1])[0] for other in others]
            assert not any(torch.allclose(outputs.logits[place], logits, atol=1e-3) for logits in wrong)
            seen.append(not outputs.logits.requires_grad)

    setup.trainer.run()
    assert seen == [True] * 4


def test_all_of_them_stay_frozen_in_eval_mode_and_untapped(monkeypatch: pytest.MonkeyPatch) -> None:
    setup, teachers = crossfitted({"a": 0, "b": 1})
    before = [{name: value.clone() for name, value in teacher.state_dict().items()} for teacher in teachers]
    setup.trainer.run()
    for teacher, state in zip(teachers, before, strict=True):
        assert not any(module.training for module in teacher.modules())
        assert not any(parameter.requires_grad for parameter in teacher.parameters())
        assert not teacher.down_4._forward_hooks
        assert all(torch.equal(value, state[name]) for name, value in teacher.state_dict().items())
    assert setup.loss._slot is None


def test_a_batch_with_a_stranger_ends_the_training() -> None:
    setup, _ = crossfitted({"a": 0})
    with pytest.raises(ValueError, match=r"got \['b'\]"):
        setup.trainer.run()
    assert setup.handler._teacher_outputs is None


def test_several_networks_without_a_route_are_refused() -> None:
    with pytest.raises(ValueError, match=r"need a route.*got 3 and none"):
        crossfitted(None)  # type: ignore[arg-type]


def test_learned_terms_are_built_for_cross_fitted_teachers_as_for_one() -> None:
    class Three:
        modalities = MODALITIES
        head = RegionsHead()
        network = nn.ModuleList(network(4, width=4) for _ in range(3))

    terms = {"kl": {"weight": 1.0, "term": LatentKL(adapter=True)}}
    loss = DistillationLoss(SegmentationLoss(RegionsHead()), 1.0, terms)
    build_terms(loss, Three(), network(1), RegionsHead(), ["t1ce"], ROI, 0, "cpu")
    assert loss.terms["kl"].adapter.weight.shape == (8, 4, 1, 1, 1)
