"""UNLABELLED: the teacher labels whole volumes, once; the references of those subjects are never read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.engines.utils import IterationEvents
from small_run import datalist, run_folder
from small_volumes import once, short, write_volumes
from teacher_runs import teacher_run, with_unlabelled
from tiny import train
from torch import nn

from kd_monai.config.overlays import STUDENT, TEACHER, overlay, train_files
from kd_monai.config.plan import Plan
from kd_monai.data import Unlabelled
from kd_monai.data.reader import VolumeReader
from kd_monai.handlers import ProgressHandler, TeacherHandler
from kd_monai.networks import LabelsHead, RegionsHead
from kd_monai.teachers import pseudo_labels as module
from kd_monai.teachers.pseudo_labels import pseudo_label, pseudo_labels
from kd_monai.teachers.single import Teacher
from kd_monai.training.preflight import read_datalist

SHAPE = (6, 5, 4)


class Drawn(nn.Module):
    """Logits that a hand-drawn map of labels 0 background, 1 core, 2 oedema, 3 enhancing asks for."""

    def __init__(self, drawn: np.ndarray, head: str) -> None:
        super().__init__()
        core, whole, enhancing = np.isin(drawn, (1, 3)), drawn > 0, drawn == 3
        channels = [core, whole, enhancing] if head == "regions" else [drawn == k for k in range(4)]
        self.logits = torch.from_numpy(np.stack(channels)).float()[None] * 2 - 1

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.logits


def drawing(seed: int = 0) -> np.ndarray:
    drawn = np.zeros(SHAPE, np.uint8)
    drawn[1:5, 1:4, 1:3] = np.random.default_rng(seed).integers(0, 4, (4, 3, 2))
    return drawn


@pytest.mark.parametrize("head", [RegionsHead(), LabelsHead()])
def test_a_label_has_the_values_of_cached_ones_enhancing_4(head: Any) -> None:
    drawn = drawing()
    label = pseudo_label(torch.zeros(1, *SHAPE), Drawn(drawn, head.name), head, lambda image, network: network(image))
    expected = np.array([0, 1, 2, 4], np.uint8)[drawn]
    np.testing.assert_array_equal(label.numpy(), expected[None])
    assert label.dtype == torch.uint8


def labelled(folder: Path, networks: list[nn.Module], route: dict[str, int] | None) -> tuple[list[np.ndarray], int]:
    """Labels of two subjects, and how many passes they took."""
    passes = []

    def inferer(image: torch.Tensor, network: nn.Module) -> torch.Tensor:
        passes.append(image.shape)
        return network(image)

    samples = [{"image": torch.zeros(4, *SHAPE).half(), "subject": name} for name in ("x.1", "x")]
    found = pseudo_labels(samples, networks, RegionsHead(), [0, 2], inferer, route, "cpu", folder)  # type: ignore[arg-type]
    assert all(shape == (1, 2, *SHAPE) for shape in passes)
    return [label[0].numpy() for label in found], len(passes)


def test_the_teacher_that_teaches_a_subject_labels_it_and_labels_are_kept(tmp_path: Path) -> None:
    networks = [Drawn(drawing(seed), "regions") for seed in (1, 2)]
    expected = [np.array([0, 1, 2, 4])[drawing(seed)] for seed in (2, 1)]
    for passes in (2, 0):
        labels, taken = labelled(tmp_path, networks, {"x.1": 1, "x": 0})
        np.testing.assert_array_equal(labels, expected)
        assert taken == passes


def test_a_damaged_label_is_made_again(tmp_path: Path) -> None:
    networks = [Drawn(drawing(1), "regions")]
    labels, _ = labelled(tmp_path, networks, None)
    file = tmp_path / "x.1.npz"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))
    again, taken = labelled(tmp_path, networks, None)
    assert taken == 1
    np.testing.assert_array_equal(again, labels)


def test_a_baseline_has_nobody_to_label_its_subjects(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"labelled by a teacher; got 1 of them and a baseline without teacher"):
        run_folder(tmp_path, role="baseline", data=with_unlabelled("x"))


def test_unlabelled_subjects_make_another_run(tmp_path: Path) -> None:
    teacher = Teacher(teacher_run(tmp_path / "teacher"))
    entries = with_unlabelled("x").unlabelled.entries
    lists = [datalist(), *(replace(datalist(), unlabelled=Unlabelled(entries, identity)) for identity in ("rest", "d"))]
    runs = [run_folder(tmp_path / "runs", teacher=teacher, data=data) for data in lists]
    assert len({run.key for run in runs}) == 3
    assert [run.record["unlabelled"] for run in runs] == [None, "rest", "d"]
    assert runs[1].record["seen"] == ["a", "b", "c", "d", "x"]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Label files that a training reads."""
    paths: list[str] = []
    get_data = VolumeReader.get_data

    def watched(self: VolumeReader, img: tuple[str, ...]) -> Any:
        paths.extend(img if self.convention is not None else ())
        return get_data(self, img)

    monkeypatch.setattr(VolumeReader, "get_data", watched)
    return paths


@pytest.mark.parametrize(("unlabelled", "cache"), [("rest", "disk"), ("folder", "memory")])
def test_a_student_learns_from_unlabelled_subjects_and_resumes_bit_for_bit(
    unlabelled: str, cache: str, tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {**short(write_volumes(tmp_path / "data"), tmp_path / "runs"), "n_subjects": 2, "cache": cache}
    if unlabelled == "folder":
        for label in write_volumes(tmp_path / "hospital", 2, first=20).glob("*/*/*_seg.nii.gz"):
            label.write_bytes(b"nobody may open this")
    named = "rest" if unlabelled == "rest" else str(tmp_path / "hospital")
    teacher = train(TEACHER, [], {**settings, "epochs": 1})
    opened.clear()
    own = {**settings, "teacher": str(teacher.path), "modality": "t1ce", "unlabelled": named, "steps_per_epoch": 4}
    own["epochs"] = 2
    seen: dict[str, list[Any]] = {}
    attach = TeacherHandler.attach

    def watched(self: TeacherHandler, engine: Any) -> None:
        attach(self, engine)

        @engine.on(IterationEvents.LOSS_COMPLETED)
        def look(engine: Any) -> None:
            (subject,) = engine.state.batch["subject"]
            named = set(self.loss.named)
            seen.setdefault(subject, []).append((bool(engine.state.batch["labelled"]), named))

    monkeypatch.setattr(TeacherHandler, "attach", watched)
    labelling: list[str] = []
    monkeypatch.setattr(module, "_write", _noting(module._write, labelling))
    with pytest.MonkeyPatch.context() as patch:
        once(patch, ProgressHandler, "step", 6, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            train(STUDENT, [], own)
    resumed = train(STUDENT, [], own)
    data = read_datalist(Plan.read("student", STUDENT, train_files(STUDENT), own))
    without = {entry["subject"] for entry in data.unlabelled.entries}
    assert sorted(labelling) == sorted(without)  # once, before the interruption
    whole = train(STUDENT, [], {**own, "output_dir": str(tmp_path / "undisturbed")})
    ends = [torch.load(run.model, weights_only=True) for run in (resumed, whole)]
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())

    labelled = {entry["subject"] for entry in data.train}
    assert without
    assert seen.keys() == without | labelled
    for subject, steps in seen.items():
        terms = {"soft_dice_bce", "latent_kl"} | ({"segmentation"} if subject in labelled else set())
        assert all(step == (subject in labelled, terms) for step in steps)
    read = {Path(path).name.removesuffix("_seg.nii.gz") for path in opened}
    assert not read & without
    if cache == "memory":
        assert read >= labelled


def _noting(write: Any, subjects: list[str]) -> Any:
    def noting(path: Path, label: Any) -> None:
        subjects.append(path.stem)
        write(path, label)

    return noting


def test_patches_of_unlabelled_subjects_are_drawn_where_the_teacher_sees_tumour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A teacher that sees one voxel: two patches in three are centred there, so it lies in them."""
    settings = short(write_volumes(tmp_path / "data"), tmp_path / "runs")
    settings |= {"n_subjects": 2, "unlabelled": "rest", "epochs": 1, "steps_per_epoch": 120, "roi_size": [16, 16, 16]}
    settings["width"] = 2
    network = {"network_def": {"_target_": "monai.networks.nets.SegResNet", "spatial_dims": 3, "init_filters": 2,
               "in_channels": "$len(@modalities)", "out_channels": 3, "norm": ["group", {"num_groups": 1}],
               "blocks_down": [1], "blocks_up": []}}  # fmt: skip
    kd = {"terms": {"kd": {"weight": 1.0, "term": {"_target_": "kd_monai.losses.terms.outputs.kl.KL"}}}}
    teacher = train(TEACHER, [], {**settings, "unlabelled": None, "steps_per_epoch": 2, **network})

    def one_voxel(image: torch.Tensor, *_: Any) -> Any:
        label = np.zeros(image.shape[1:], np.uint8)
        label[5, 6, 7] = 3
        return pseudo_label(image, Drawn(label, "regions"), RegionsHead(), lambda image, network: network(image))

    monkeypatch.setattr(module, "pseudo_label", one_voxel)
    centred: list[bool] = []
    attach = TeacherHandler.attach

    def watched(self: TeacherHandler, engine: Any) -> None:
        attach(self, engine)

        @engine.on(IterationEvents.LOSS_COMPLETED)
        def look(engine: Any) -> None:
            if not engine.state.batch["labelled"]:
                label = engine.state.batch["label"]
                centred.append(bool(label.any()))
                if label.any():
                    assert label.sum() == 3  # the one voxel, in TC, WT and ET: what terms read as classes

    monkeypatch.setattr(TeacherHandler, "attach", watched)
    train(STUDENT, [], {**settings, **network, **kd, "teacher": str(teacher.path)})
    assert len(centred) == 40
    assert np.mean(centred) > 0.5  # a patch anywhere would hold the voxel in one of twenty


def test_a_baseline_of_the_bundle_leaves_unlabelled_subjects_out(tmp_path: Path) -> None:
    settings = short(write_volumes(tmp_path / "data"), tmp_path / "runs")
    with pytest.raises(ValueError, match=r"a baseline without teacher\. Leave UNLABELLED out"):
        train(STUDENT, [overlay(STUDENT, "method", "baseline")], {**settings, "n_subjects": 2, "unlabelled": "rest"})
