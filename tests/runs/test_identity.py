"""A run is identified by what it computes, and by nothing else."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigParser, ConfigWorkflow

from kd_monai.config.overlays import SHARED, STUDENT, TEACHER, overlay, stacked, train_files
from kd_monai.config.plan import Plan
from kd_monai.runs import identity as module
from kd_monai.runs.identity import ELSEWHERE, IDENTITY, WATCHERS, content_key, identity, run_key

FILES = train_files(STUDENT)
PLAN = Plan.read("student", STUDENT, FILES, {})


def merged(**overrides: Any) -> dict[str, Any]:
    """The configuration as a launch with these overrides has it."""
    return dict(PLAN.changed(overrides).config)


def key(**overrides: Any) -> str:
    return run_key(merged(**overrides), data="d")


@pytest.fixture(scope="module")
def plain() -> str:
    return key()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bundle_root", "/elsewhere"),
        ("dataset_dir", "/data/brats"),
        ("output_dir", "/tmp/runs"),
        ("device", "cuda:1"),
        ("cache", "disk"),
        ("cache_dir", "/tmp/cache"),
        ("num_workers", 8),
        ("force", True),
        ("experiment", "mine"),
        ("teacher", "/runs/teacher"),
        ("split_file", "/runs/teacher/split.json"),
        ("unlabelled", "/data/unlabelled"),
        ("memory_format", "contiguous"),
        ("teacher_runtime", "torch"),
        ("datalist#remember", "/tmp/checked.json"),
        ("tracker#experiment", "mine"),
    ],
)
def test_where_and_how_a_run_happens_is_not_what_it_computes(plain: str, name: str, value: Any) -> None:
    assert name.split("#")[0] in merged()
    assert key(**{name: value}) == plain


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", 1),
        ("fold", 1),
        ("epochs", 13),
        ("modality", "flair"),
        ("n_subjects", 4),
        ("teachers", "crossfit"),
        ("init", "teacher"),
        ("taps#bottleneck", "down_3"),
        ("terms#latent_kl#weight", 9.0),
        ("terms::latent_kl::term::axis", "space"),
        ("terms#latent_kl#term#_target_", "kd_monai.losses.Attention"),
        ("segmentation_weight", 0.5),
        ("network_def#dropout", 0.1),
        ("optimizer#weight_decay", 0.1),
        ("lr_scheduler#power", 0.5),
        ("train#random_transforms#transforms#3#prob", 0.1),
        ("train#trainer#max_epochs", 3),
        ("train#sampler#num_samples", 3),
        ("train#dataloader#collate_fn", "$mixup"),
        ("train#dataset#track_meta", True),
        ("validate#inferer#overlap", 0.25),
        ("validate#best#metric", "loss"),
    ],
)
def test_what_changes_the_weights_changes_the_key_however_deep_it_stands(plain: str, name: str, value: Any) -> None:
    assert key(**{name: value}) != plain


def test_another_number_for_what_the_package_computes_changes_every_key(
    plain: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "COMPUTES", module.COMPUTES + 1)
    assert key() != plain


def handlers(of: str) -> list[Any]:
    return copy.deepcopy(merged()[of]["handlers"])


def test_progress_bars_and_pictures_may_be_changed_added_and_left_out(plain: str) -> None:
    watched = handlers("train")
    (bar,) = [handler for handler in watched if handler["_target_"].endswith("ProgressHandler")]
    bar["description"] = "another"
    more = [*watched, {"_target_": "monai.handlers.StatsHandler", "tag_name": "loss"}]
    without = [handler for handler in watched if handler is not bar]
    assert {key(**{"train#handlers": changed}) for changed in (watched, more, without)} == {plain}
    pictures = [handler for handler in handlers("validate") if "Overlay" not in str(handler)]
    assert len(pictures) < len(handlers("validate"))
    assert key(**{"validate#handlers": pictures}) == plain


def test_a_handler_that_a_user_adds_counts_unless_it_is_known_to_look_on(plain: str) -> None:
    schedule = {"_target_": "ignite.handlers.CosineAnnealingScheduler", "start_value": 0.1}
    assert key(**{"train#handlers": [*handlers("train"), schedule]}) != plain
    assert key(**{"train#handlers": [*handlers("train"), {"_target_": "mine.Unheard"}]}) != plain


@pytest.mark.parametrize("name", ["terms#soft_dice_bce#term#_target_", "network_def#_target_", "loss#_target_"])
def test_where_a_class_is_imported_from_is_no_part(plain: str, name: str) -> None:
    path = ConfigParser(merged())[name]
    assert key(**{name: f"my_package.{path.rpartition('.')[2]}"}) == plain


def test_where_a_function_of_an_expression_is_imported_from_is_no_part() -> None:
    config = merged() | {"imports": ["$import a.b as old", "$import c as new"]}
    by = {name: {**config, "lr_metric": f"${name}.metric(@epochs)"} for name in ("old", "new.deep", "monai.x")}
    assert len({run_key(changed) for changed in by.values()}) == 1
    others = ("old.other(@epochs)", "old.metric(@seed)", "@loss.terms")
    keys = {run_key({**config, "lr_metric": f"${text}"}) for text in others}
    assert len(keys | {run_key(by["old"])}) == 4


def test_what_an_id_refers_to_belongs_too_and_what_nobody_refers_to_does_not(plain: str) -> None:
    assert key(mine=3) == plain
    keys = {key(mine=mine, **{"lr_scheduler#power": "$@mine * 2"}) for mine in (1, 2)}
    assert len(keys) == 2


def test_relative_references_are_followed() -> None:
    keys = {key(**{"train#mine": mine, "train#trainer#epoch_length": "@##mine"}) for mine in (1, 2)}
    assert len(keys) == 2


def test_what_the_left_out_ids_come_to_is_in_the_key_as_facts() -> None:
    config = merged()
    keys = [run_key(config, data=data, teacher=teacher) for data in ("d", "e") for teacher in ("t", "u", None)]
    assert len(set(keys)) == 6


def test_labels_and_precision_count_for_what_they_come_to() -> None:
    """`labels: auto` that finds brats2018 is brats2018; `precision: auto` on a processor without bf16 is fp32."""
    assert key(labels="brats2018", precision="fp32") == key(labels="auto", precision="auto")
    keys = {run_key(merged(), labels=labels, precision=p) for labels in ("msd", "brats2018") for p in ("bf16", "fp32")}
    assert len(keys) == 4


def test_a_whole_number_is_the_same_with_and_without_a_point() -> None:
    assert key(spacing_mm=2) == key(spacing_mm=2.0)
    assert key(n4=1) != key(n4=True)
    assert content_key({"a": 1, "b": [2.0]}) == content_key({"b": [2], "a": 1.0})


def test_neither_the_order_of_keys_nor_overlays_that_change_nothing_matter(plain: str) -> None:
    assert run_key(dict(reversed(merged().items())), data="d") == plain
    overlays = [overlay(STUDENT, "recipe", "quick"), overlay(STUDENT, "method", "kdnet")]
    assert run_key(stacked([*FILES, *overlays]), data="d") == plain
    assert len(plain) == 64


def test_a_configuration_is_left_as_it_was_and_may_have_been_read_by_monai(plain: str) -> None:
    config = merged()
    before = copy.deepcopy(config)
    identity(config)
    assert config == before
    workflow = ConfigWorkflow(config_file=[str(file) for file in FILES], workflow_type="train", logging_file=False)
    workflow.parser.parse()
    assert run_key(workflow.parser.get(), data="d") == plain


def test_every_named_id_and_handler_is_one_of_the_shipped_configurations() -> None:
    """A name that was renamed in the YAML would silently leave every key, or enter it."""
    known: set[str] = set()
    for bundle in (TEACHER, STUDENT):
        config = stacked(train_files(bundle))
        known |= {*config, *(f"{name}::{inner}" for name in ("train", "validate") for inner in config[name])}
    assert set(IDENTITY) <= known
    assert known >= ELSEWHERE
    ours = {name for name in WATCHERS if name in (SHARED / "train.yaml").read_text()}
    assert ours >= {"ProgressHandler", "OverlayHandler", "TrackingHandler", "ResumeHandler"}


@pytest.mark.parametrize("bundle", [TEACHER, STUDENT], ids=lambda path: path.name)
def test_no_path_and_no_watcher_is_in_a_shipped_identity(bundle: Path) -> None:
    text = str(identity(Plan.read("", bundle, train_files(bundle), {"output_dir": "/tmp/here"}).config))
    assert "/tmp/here" not in text
    assert "kd_monai." not in text
    assert not [name for name in WATCHERS if name in text]
