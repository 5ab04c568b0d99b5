"""INIT=teacher: the student starts from the teacher's weights, sliced to what it reads, whatever the network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser
from small_volumes import short, write_volumes
from teacher_runs import teacher_run
from tiny import train

from kd_monai.config.overlays import STUDENT, TEACHER, overlay, train_files
from kd_monai.handlers import TeacherHandler
from kd_monai.teachers.single import Teacher, initial_network, read_teacher

FOUR = "t1-t1ce-t2-flair"
IMAGE = torch.randn(1, 4, 64, 32, 32, generator=torch.Generator().manual_seed(0))  # SwinUNETR wants a side of 64
NETWORKS = {"basicunet": 1, "segresnet": 1, "dynunet": 2, "multiresunet": 2, "swinunetr": 3, "unet": 1}
"""Network -> how many of its layers read the image."""


def a_teacher(folder: Path, network: str = "basicunet", modality: str = FOUR, **settings: Any) -> Teacher:
    definition = ConfigParser.load_config_file(overlay(TEACHER, "network", network)).get("network_def")
    changed = {"network_def": definition} if definition else {}
    return Teacher(teacher_run(folder, modality=modality, **changed, **settings))


def student(modality: str, network: str = "basicunet", **settings: Any) -> Any:
    files = [*train_files(STUDENT), overlay(STUDENT, "network", network)]
    parser = ConfigParser(ConfigParser.load_config_files([str(file) for file in files]))
    parser.update({"modality": modality, "width": 2, **settings})
    torch.manual_seed(5)
    return parser.get_parsed_content("network_def")


@pytest.mark.parametrize("modality", ["t1", "flair", "t1ce-flair"])
@pytest.mark.parametrize("network", NETWORKS)
def test_weights_are_the_teachers_and_of_what_reads_the_image_exactly_the_slice(
    network: str, modality: str, tmp_path: Path
) -> None:
    teacher = a_teacher(tmp_path / "teacher", network, width=4)
    names = modality.split("-")
    started = initial_network(student(modality, network, width=4), teacher, names, "teacher").state_dict()
    own = [FOUR.split("-").index(name) for name in names]
    sliced = []
    for name, weight in teacher.network.state_dict().items():
        if weight.shape == started[name].shape:
            assert torch.equal(started[name], weight), name
        else:
            assert torch.equal(started[name], torch.stack([weight[:, i] for i in own], 1)), name
            sliced.append(name)
    assert len(sliced) == NETWORKS[network]
    assert started.keys() == teacher.network.state_dict().keys()


@pytest.mark.parametrize("network", NETWORKS)
def test_a_student_of_all_four_modalities_starts_as_the_teacher(network: str, tmp_path: Path) -> None:
    teacher = a_teacher(tmp_path / "teacher", network, width=4)
    copy = initial_network(student(FOUR, network, width=4), teacher, FOUR.split("-"), "teacher").eval()
    with torch.no_grad():
        assert torch.equal(copy(IMAGE), teacher.network(IMAGE))


def test_a_slice_agrees_with_the_teacher_where_the_other_modalities_are_zero_in_its_first_layer(tmp_path: Path) -> None:
    """What the other modalities add to the first convolution is what the student lacks."""
    teacher = a_teacher(tmp_path / "teacher")
    started = initial_network(student("t2"), teacher, ["t2"], "teacher").eval()
    alone = torch.zeros_like(IMAGE)
    alone[:, 2] = IMAGE[:, 2]
    with torch.no_grad():
        torch.testing.assert_close(started(IMAGE[:, 2:3]), teacher.network(alone), rtol=1e-4, atol=1e-5)


def test_random_leaves_the_network_alone_and_needs_no_teacher() -> None:
    network = student("t1")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert initial_network(network, None, ["t1"], "random") is network
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_networks_that_differ_are_refused_with_both_shapes(tmp_path: Path) -> None:
    teacher = a_teacher(tmp_path / "teacher")
    with pytest.raises(ValueError, match=r"is \(2, 4, 3, 3, 3\) in the teacher and \(3, 1, 3, 3, 3\) in the student"):
        initial_network(student("t1", width=3), teacher, ["t1"], "teacher")
    with pytest.raises(ValueError, match=r"final_conv\.weight is \(3, .* and \(4, .*\) in the student.*head"):
        initial_network(student("t1", head="labels"), teacher, ["t1"], "teacher")
    with pytest.raises(ValueError, match=r"no such weights in the teacher.*NETWORK"):
        initial_network(student("t1", "segresnet"), teacher, ["t1"], "teacher")


def test_a_modality_that_the_teacher_does_not_read_is_refused(tmp_path: Path) -> None:
    """With as many modalities as the teacher all shapes would fit."""
    teacher = a_teacher(tmp_path / "teacher", modality="t1-t1ce")
    with pytest.raises(ValueError, match=r"the teacher's, t1, t1ce; got flair\. Correct MODALITY"):
        initial_network(student("t1-flair"), teacher, ["t1", "flair"], "teacher")


def test_several_teachers_nobody_and_an_unknown_beginning_are_refused(tmp_path: Path) -> None:
    two = read_teacher([a_teacher(tmp_path / name).folder for name in "ab"])
    with pytest.raises(ValueError, match=r"weights of one teacher; got 2.*INIT=random"):
        initial_network(student("t1"), two, ["t1"], "teacher")
    with pytest.raises(ValueError, match=r"a baseline has none\. Set INIT=random"):
        initial_network(student("t1"), None, ["t1"], "teacher")
    with pytest.raises(ValueError, match=r"must be one of random, teacher; got 'zero'"):
        initial_network(student("t1"), None, ["t1"], "zero")  # type: ignore[arg-type]


def test_a_training_starts_there_and_a_baseline_never(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {**short(write_volumes(tmp_path / "data"), tmp_path / "runs"), "epochs": 1}
    teacher = train(TEACHER, [], settings)
    seen: list[dict[str, torch.Tensor]] = []
    started = TeacherHandler.started

    def watched(self: TeacherHandler, engine: Any) -> None:
        seen.append({name: value.clone() for name, value in engine.network.state_dict().items()})
        started(self, engine)

    monkeypatch.setattr(TeacherHandler, "started", watched)
    taught = {**settings, "teacher": str(teacher.path), "modality": "t2"}
    runs = [train(STUDENT, [], {**taught, "init": init}) for init in ("random", "teacher")]
    assert runs[0].path != runs[1].path
    weights = Teacher(teacher.path).network.state_dict()
    (sliced,) = [name for name, value in seen[1].items() if value.shape != weights[name].shape]
    assert torch.equal(seen[1][sliced], weights[sliced][:, 2:3])
    assert all(torch.equal(value, weights[name]) for name, value in seen[1].items() if name != sliced)
    assert not torch.equal(seen[0][sliced], seen[1][sliced])
    baseline = [overlay(STUDENT, "method", "baseline")]
    with pytest.raises(ValueError, match="a baseline has none"):
        train(STUDENT, baseline, {**settings, "init": "teacher"})
    assert not list((tmp_path / "runs").glob("baseline*/run.json"))


def test_finetune_is_that_start_and_then_the_reference_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {**short(write_volumes(tmp_path / "data"), tmp_path / "runs"), "epochs": 1}
    taught = {**settings, "teacher": str(train(TEACHER, [], settings).path), "modality": "t2"}
    silent = {"terms#soft_dice_bce#weight": 0, "terms#latent_kl#weight": 0, "segmentation_weight": 1.0}
    other = train(STUDENT, [], {**taught, **silent, "init": "teacher"})
    files = [overlay(STUDENT, "method", "finetune")]
    with pytest.raises(ValueError, match=r"\(finetune\) that learns from the reference alone\. Leave UNLABELLED out"):
        train(STUDENT, files, {**taught, "unlabelled": str(write_volumes(tmp_path / "more", 1, first=9))})
    monkeypatch.setattr(TeacherHandler, "started", lambda *_: pytest.fail("the teacher ran"))
    run = train(STUDENT, files, taught)
    ours, theirs = (torch.load(each.model, weights_only=True) for each in (run, other))
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
