"""Which method files can stand behind each other: MONAI would let a later one silently replace an earlier."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from kd_monai.config.methods import check_heads, heads_needed, stack
from monai.bundle import ConfigParser

from kd_monai.config.overlays import STUDENT, overlay

BASE = STUDENT / "configs" / "train.yaml"
SHIPPED = sorted((STUDENT / "configs" / "methods").glob("*.yaml"))
PARTS = ["Idea", "Formula", "Source", "Adapted", "Extra parameters", "Cost per step"]
TERM = {"weight": 1.0, "term": {"_target_": "kd_monai.losses.terms.outputs.soft_dice_bce.SoftDiceBCE"}}


def method(folder: Path, name: str, **content) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({"method": name, **content}))
    return path


def added(*names: str) -> dict:
    return {"+terms": dict.fromkeys(names, TERM)}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_method_stands_alone(path: Path) -> None:
    assert stack(BASE, [path]) == [path]


def test_terms_of_different_names_stack_and_monai_merges_them(tmp_path: Path) -> None:
    files = [overlay(STUDENT, "method", "kdnet"), method(tmp_path, "one", **added("attention"))]
    files.append(method(tmp_path, "two", **added("pairwise")))
    assert stack(BASE, files) == files
    merged = ConfigParser.load_config_files([BASE, *files])
    assert list(merged["terms"]) == ["soft_dice_bce", "latent_kl", "attention", "pairwise"]


@pytest.mark.parametrize("first", ["kdnet", "hinton"])
def test_a_shipped_method_lends_its_terms_to_the_one_before_it(first: str) -> None:
    files = [overlay(STUDENT, "method", name) for name in (first, "boundary", "attention")]
    base, alone, *lent = (ConfigParser.load_config_file(file) for file in (BASE, *files))
    stacked = stack(BASE, files)
    merged = ConfigParser.load_config_files([BASE, *stacked])
    assert merged["terms"] == {**alone.get("terms", base["terms"]), **lent[0]["terms"], **lent[1]["terms"]}
    assert merged["segmentation_weight"] == {**base, **alone}["segmentation_weight"] != lent[0]["segmentation_weight"]
    assert [path.stem for path in stacked] == [first, "boundary", "attention"]


def test_what_a_method_of_the_users_sets_beside_its_terms_reaches_the_stack(tmp_path: Path) -> None:
    mine = method(tmp_path, "mine", terms={"kl": TERM}, teachers="crossfit")
    merged = ConfigParser.load_config_files([BASE, *stack(BASE, [overlay(STUDENT, "method", "kdnet"), mine])])
    assert merged["teachers"] == "crossfit"
    assert {"kl", "latent_kl"} < merged["terms"].keys()


def test_a_method_of_the_bases_terms_comes_first() -> None:
    files = [overlay(STUDENT, "method", name) for name in ("hinton", "kdnet")]
    with pytest.raises(ValueError, match=r"kdnet\.yaml has those of train\.yaml alone.*METHOD=kdnet,\.\.\."):
        stack(BASE, files)


def test_a_term_that_the_base_has_may_not_be_defined_again(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'latent_kl' stands in .*train\.yaml and in .*one\.yaml"):
        stack(BASE, [method(tmp_path, "one", **added("latent_kl"))])


def test_two_files_may_not_define_one_term(tmp_path: Path) -> None:
    files = [method(tmp_path, "one", **added("pairwise")), method(tmp_path, "two", **added("pairwise"))]
    with pytest.raises(ValueError, match=r"'pairwise' stands in .*one\.yaml and in .*two\.yaml"):
        stack(BASE, files)


def test_the_first_may_replace_all_terms_or_change_one(tmp_path: Path) -> None:
    stack(BASE, [method(tmp_path, "one", terms={"latent_kl": TERM}), method(tmp_path, "two", **added("kl"))])
    stack(BASE, [method(tmp_path, "one", **{"terms#latent_kl#weight": 5.0})])


@pytest.mark.parametrize("key", ["terms#latent_kl#weight", "terms::latent_kl", "+terms#latent_kl"])
def test_a_later_one_may_not_change_what_others_say(key: str, tmp_path: Path) -> None:
    """Repeating a key in a stacked overlay silently overwrites it."""
    files = [method(tmp_path, "one", **added("pairwise")), method(tmp_path, "two", **{key: {"a": 1}})]
    with pytest.raises(ValueError, match=r"adds its terms under '\+terms:'; .*two\.yaml.*METHOD=two"):
        stack(BASE, files)


def test_one_file_sets_the_segmentation_weight(tmp_path: Path) -> None:
    one, two = (method(tmp_path, name, segmentation_weight=0.5, **added(name)) for name in ("one", "two"))
    stack(BASE, [one, method(tmp_path, "three", **added("kl"))])
    with pytest.raises(ValueError, match=r"segmentation weight; got .*one\.yaml, .*two\.yaml"):
        stack(BASE, [one, two])


@pytest.mark.parametrize("names", ["baseline,kdnet", "kdnet,baseline"])
def test_the_baseline_stands_alone(names: str) -> None:
    with pytest.raises(ValueError, match="stands alone; got " + names.replace(",", ", ")):
        stack(BASE, [overlay(STUDENT, "method", name) for name in names.split(",")])


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    methods = ", ".join(sorted(path.stem for path in (STUDENT / "configs" / "methods").iterdir()))
    for kind, known in (("method", methods), ("recipe", "paper, quick, study")):
        with pytest.raises(ValueError, match=rf"{kind.upper()} must be one of {known}.*got 'kd-net'"):
            overlay(STUDENT, kind, "kd-net")


def test_a_file_of_the_users_own_is_taken_by_its_path(tmp_path: Path) -> None:
    path = method(tmp_path, "mine", **added("pairwise"))
    assert overlay(STUDENT, "method", str(path)) == path


def test_a_term_of_one_head_is_refused_with_the_other_and_taken_with_its_own() -> None:
    files = [BASE, overlay(STUDENT, "method", "standardized")]
    with pytest.raises(
        ValueError, match=r"'standardized_kl' of .*standardized\.yaml reads.*'regions'.*SET=head=labels"
    ):
        check_heads(files, {})
    check_heads(files, {"head": "labels"})
    check_heads([BASE, overlay(STUDENT, "recipe", "paper"), files[1]], {})


def test_terms_of_either_head_need_none_whatever_stands_in_their_place() -> None:
    assert heads_needed(ConfigParser.load_config_file(BASE)) == {}
    assert heads_needed({"terms": None}) == {}
    assert (
        heads_needed({"terms": {"one": {"weight": 1, "term": None}, "two": {"weight": 1, "term": "@elsewhere"}}}) == {}
    )
