"""What a bundle computes beside stock MONAI, and that no program stands in its YAML."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from bundle_samples import BUNDLES
from monai.data import MetaTensor
from scripts import CheckImaged, Outputd, find_inputs, output_files, resolved_runtime, windows_at_once

from kd_monai.networks.heads import head

SHIPPED = sorted(BUNDLES.rglob("*.yaml"))
REFUSED = (
    ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.IfExp, ast.BoolOp, ast.NamedExpr,
    ast.JoinedStr, ast.Await, ast.Yield,
)  # fmt: skip
ARITHMETIC = (ast.Mult, ast.Div, ast.Add)
"""Widths are multiples of ``width``, an epoch has ``steps * batch`` samples, and a path is a folder and a name."""
PREDICATES = {"@spacing_mm is None", "not @n4"}


def expressions(content: Any) -> list[str]:
    """Every ``$`` expression of a configuration, imports aside."""
    if isinstance(content, dict):
        return [text for value in content.values() for text in expressions(value)]
    if isinstance(content, list):
        return [text for value in content for text in expressions(value)]
    is_one = isinstance(content, str) and content.startswith("$") and not content.startswith("$import ")
    return [content[1:]] if is_one else []


@pytest.mark.parametrize("file", SHIPPED, ids=lambda path: "/".join(path.parts[-2:]))
def test_no_program_stands_in_yaml(file: Path) -> None:
    for text in expressions(yaml.safe_load(file.read_text())):
        if text in PREDICATES:
            continue
        tree = ast.parse(text.replace("@", "ref_").replace("#", "_").strip(), mode="eval")
        for node in ast.walk(tree):
            assert not isinstance(node, (*REFUSED, ast.Compare, ast.UnaryOp)), f"{file}: {text}"
            assert not isinstance(node, ast.BinOp) or isinstance(node.op, ARITHMETIC), f"{file}: {text}"


def test_recipes_networks_and_licence_stand_once() -> None:
    files = [path for path in BUNDLES.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    names, contents = [path.name for path in files], [path.read_bytes() for path in files]
    of_each_bundle = {"train.yaml", "inference.yaml", "metadata.json", "README.md"}
    assert sorted({name for name in names if names.count(name) > 1} - of_each_bundle) == []
    assert [file for file, content in zip(files, contents, strict=True) if contents.count(content) > 1] == []


@pytest.mark.parametrize(("name", "channels"), [("regions", 3), ("labels", 4)])
def test_output_agrees_with_the_heads_of_training(name: str, channels: int) -> None:
    logits = torch.randn(channels, 5, 6, 7, generator=torch.Generator().manual_seed(0))
    label_map = Outputd("pred", name)({"pred": logits})["pred"]
    assert label_map.dtype == torch.uint8
    assert torch.equal(label_map, head(name).label_map(logits[None])[0])
    probabilities = Outputd("pred", name, "probabilities")({"pred": logits})["pred"]
    torch.testing.assert_close(probabilities, head(name).region_probabilities(logits[None])[0])


def test_enhancing_lies_over_core_over_oedema() -> None:
    regions = torch.tensor([[t, w, e] for t in (-1.0, 1) for w in (-1.0, 1) for e in (-1.0, 1)]).T.reshape(3, 8, 1, 1)
    #        TC WT ET: 000 001 010 011 100 101 110 111
    assert Outputd("pred", "regions")({"pred": regions})["pred"].flatten().tolist() == [0, 3, 2, 3, 1, 3, 1, 3]
    values = {"core": 2, "oedema": 1, "enhancing": 4}
    labels = Outputd("pred", "regions", label_values=values)({"pred": regions})["pred"]
    assert labels.flatten().tolist() == [0, 4, 1, 4, 2, 4, 2, 4]


@pytest.mark.parametrize("name", ["regions", "labels"])
def test_where_the_network_never_looked_nothing_is_written(name: str) -> None:
    logits = torch.zeros(3 if name == "regions" else 4, 2, 2, 2)
    for write in ("label_map", "probabilities"):
        assert not Outputd("pred", name, write)({"pred": logits})["pred"].any()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="must be finite"):
        Outputd("pred", "regions")({"pred": torch.full((3, 2, 2, 2), bad)})


@pytest.mark.parametrize(
    ("voxels", "rule"),
    [
        (np.full((2, 80, 80, 80), 1.0), "reads 1 channel"),
        (np.full((1, 80, 80, 80), np.nan), "finite"),
        (np.zeros((1, 80, 80, 80)), "all zero"),
        (np.full((1, 10, 10, 10), 1.0), "skull-stripped"),
        (np.full((1, 160, 160, 160), 1.0), "skull-stripped"),
    ],
)
def test_bad_images_are_refused_by_name(voxels: np.ndarray, rule: str) -> None:
    image = MetaTensor(torch.from_numpy(voxels), affine=torch.eye(4), meta={"filename_or_obj": "x.nii"})
    with pytest.raises(ValueError, match=rule) as caught:
        CheckImaged("image", ["t1ce"])({"image": image})
    assert "x.nii" in str(caught.value)


def test_a_brain_passes() -> None:
    image = MetaTensor(torch.ones(1, 100, 100, 100), affine=torch.eye(4))
    assert CheckImaged("image", ["t1ce"])({"image": image})["image"] is image


def test_inputs_and_their_outputs(tmp_path: Path) -> None:
    for name in ("a_t1.nii.gz", "a_t1ce.nii.gz", "b-t1c.nii", "b_seg.nii.gz", "free.mha", "notes.txt"):
        (tmp_path / name).touch()
    found = find_inputs(str(tmp_path), ["t1ce"])
    assert [Path(item["image"]).name for item in found] == ["a_t1ce.nii.gz", "b-t1c.nii", "free.mha"]
    names = [path.name for path in output_files(found, "out", "label_map")]
    assert names == ["a_t1ce_seg.nii.gz", "b-t1c_seg.nii.gz", "free_seg.nii.gz"]
    with pytest.raises(ValueError, match="label_map, probabilities"):
        output_files(found, "out", "labelmap")
    (case, other) = find_inputs(str(tmp_path), ["t1", "t1ce"])
    assert [Path(file).name for file in case["image"]] == ["a_t1.nii.gz", "a_t1ce.nii.gz"]
    assert other["image"][0] is None


def test_runtime_and_windows(tmp_path: Path) -> None:
    assert resolved_runtime("auto", str(tmp_path / "none.xml"), "cpu") == "torch"
    with pytest.raises(ValueError, match="needs OpenVINO"):
        resolved_runtime("openvino", str(tmp_path / "none.xml"), "cpu")
    counts = [windows_at_once("torch", False), windows_at_once("torch", True), windows_at_once("openvino", False)]
    assert counts == [2, 1, 1]
