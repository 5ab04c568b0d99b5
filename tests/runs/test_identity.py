"""A run is identified by all of its configuration that says what it computes, and by nothing else."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from monai.bundle import ConfigParser, ConfigWorkflow

from kd_monai.config.overlays import STUDENT, TEACHER
from kd_monai.runs.identity import NOT_IDENTITY, SAME_BATCHES, current_parser, run_key

TRAIN = STUDENT / "configs" / "train.yaml"


def resolved(**overrides: Any) -> dict[str, Any]:
    """The configuration as a launch with these overrides has it, before anything is evaluated."""
    workflow = ConfigWorkflow(config_file=str(TRAIN), workflow_type="train", logging_file=False, **overrides)
    return copy.deepcopy(workflow.parser.get())


def key(**overrides: Any) -> str:
    return run_key(resolved(**overrides), data="d")


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
    ],
)
def test_where_a_run_happens_is_not_what_it_computes(plain: str, name: str, value: Any) -> None:
    assert name in yaml.safe_load(TRAIN.read_text())
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
        ("terms#latent_kl#weight", 9.0),
        ("terms::latent_kl::term::axis", "space"),
        ("network_def#dropout", 0.1),
        ("train#random_transforms#transforms#3#prob", 0.1),
        ("train#trainer#max_epochs", 3),
        ("train#dataloader#collate_fn", "$mixup"),
        ("train#dataset#track_meta", True),
        ("validate#inferer#overlap", 0.25),
    ],
)
def test_what_changes_the_weights_changes_the_key_however_deep_it_stands(plain: str, name: str, value: Any) -> None:
    assert key(**{name: value}) != plain


def test_the_shipped_way_to_a_batch_is_none_of_the_identity() -> None:
    """Runs of before it are the same runs; what is not asked for is not in the key."""
    config = resolved()
    before = copy.deepcopy(config)
    assert before["train"]["dataloader"].pop("collate_fn") == SAME_BATCHES
    assert run_key(config) == run_key(before)
    assert "collate_fn" in config["train"]["dataloader"]


def test_what_the_left_out_keys_point_to_is_in_the_key_as_facts() -> None:
    config = resolved()
    keys = [run_key(config, data=data, teacher=teacher) for data in ("d", "e") for teacher in ("t", "u", None)]
    assert len(set(keys)) == 6


def test_labels_and_precision_count_for_what_they_come_to() -> None:
    """`labels: auto` that finds brats2018 is brats2018; `precision: auto` on a processor without bf16 is fp32."""
    assert key(labels="brats2018") == key(labels="auto")
    keys = {
        run_key(resolved(), labels=labels, precision=p) for labels in ("msd", "brats2018") for p in ("bf16", "fp32")
    }
    assert len(keys) == 4


def test_a_whole_number_is_the_same_with_and_without_a_point() -> None:
    assert key(spacing_mm=2) == key(spacing_mm=2.0)
    assert key(n4=1) != key(n4=True)


def test_neither_the_order_of_keys_nor_the_overlays_that_change_nothing_matter(plain: str) -> None:
    config = resolved()
    assert run_key(dict(reversed(config.items())), data="d") == plain
    stacked = ConfigParser.load_config_files(
        [TRAIN, STUDENT / "configs" / "recipes" / "quick.yaml", STUDENT / "configs" / "methods" / "kdnet.yaml"]
    )
    assert run_key(stacked, data="d") == plain
    assert len(plain) == 64


@pytest.mark.parametrize("bundle", [TEACHER, STUDENT])
def test_every_name_that_is_no_identity_is_one_of_a_shipped_configuration(bundle: Path) -> None:
    """A name that was renamed in the YAML would silently become part of every key."""
    known = {"_meta_", "teacher", "unlabelled"}  # MONAI's own, and the student's
    for path in (bundle / "configs").glob("*.yaml"):
        known |= {name.removeprefix("+").split("#")[0] for name in yaml.safe_load(path.read_text())}
    assert known >= NOT_IDENTITY


class Kept:
    """What current_parser gave while a configuration built this."""

    def __init__(self, inner: object = None) -> None:
        self.parser = current_parser()


def test_the_parser_that_is_evaluating_is_found_with_its_overrides() -> None:
    parser = ConfigParser({"a": {"b": 1}, "kept": {"_target_": f"{__name__}.Kept"}})
    parser.update({"a#b": 2})
    found = parser.get_parsed_content("kept").parser
    assert found is parser
    assert found.get()["a"]["b"] == 2


def test_a_configuration_that_was_read_on_the_way_is_not_mistaken_for_it() -> None:
    """As a teacher's is, before the student's run folder is built."""
    inner = ConfigParser({"kept": {"_target_": f"{__name__}.Kept"}})
    outer = ConfigParser({"kept": {"_target_": f"{__name__}.Kept", "inner": "$@parser.get_parsed_content('kept')"}})
    outer["parser"] = inner
    assert outer.get_parsed_content("kept").parser is outer
    assert inner.get_parsed_content("kept").parser is inner


def test_outside_of_a_configuration_the_remedy_is_named() -> None:
    with pytest.raises(RuntimeError, match=r"monai\.bundle run.*config="):
        current_parser()
