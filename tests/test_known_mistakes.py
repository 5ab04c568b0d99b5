"""Mistakes found in published distillation code, where more than one room must keep them out.

A negative KL (softmax forgotten or applied twice), a batchmean KL, a teacher in train mode, an optimiser rebuilt at
every step, a schedule that is never applied, a class skipped unless the whole batch has it, temperature along image
depth, labels scored where regions are meant, the model selected on its test fold, one modality mask for a whole batch:
tests of losses, handlers, heads, metrics and data hold what concerns one room alone.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from monai.engines import SupervisedEvaluator
from torch import nn

from kd_monai.config.overlays import BUNDLES, stacked, train_files
from kd_monai.handlers import PrepareBatch
from kd_monai.losses import SegmentationLoss
from kd_monai.losses.terms.features.latent_kl import latent_kl
from kd_monai.losses.terms.outputs.soft_dice_bce import SoftDiceBCE
from kd_monai.metrics import RegionDice
from kd_monai.networks import LabelsHead, RegionsHead
from kd_monai.outputs import Batch, Outputs
from kd_monai.task import REGIONS

HEADS = (RegionsHead(), LabelsHead())


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def one_with_enhancement() -> torch.Tensor:
    """Two samples of nested regions; only the first has ET."""
    regions = torch.zeros(2, 3, 6, 5, 4)
    regions[:, 1, :4], regions[:, 0, :3], regions[0, 2, :2] = 1, 1, 1
    return regions


def test_a_softmax_applied_twice_would_be_seen() -> None:
    """Features 9 apart: the divergence is nearly 9; between softmaxes of softmaxes it could not exceed 1."""
    teacher, student = torch.zeros(1, 2, 1, 1, 1), torch.zeros(1, 2, 1, 1, 1)
    teacher[:, 0], student[:, 1] = 9, 9
    assert latent_kl(teacher, student, "channel").item() == pytest.approx(9, rel=0.01)


@pytest.mark.parametrize("head", HEADS)
def test_the_segmentation_loss_does_not_grow_with_the_number_of_voxels(head: Any) -> None:
    logits, regions = random(2, head.out_channels, 6, 5, 4), one_with_enhancement()
    loss = SegmentationLoss(head)
    torch.testing.assert_close(
        loss(logits, regions), loss(torch.cat([logits] * 2, 2), torch.cat([regions] * 2, 2)), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("head", [RegionsHead(), LabelsHead()])
def test_a_class_that_one_sample_has_counts_for_that_sample(head: Any) -> None:
    regions = one_with_enhancement()
    logits = random(2, head.out_channels, 6, 5, 4)
    loss = SegmentationLoss(head)
    alone = [loss(logits[i : i + 1], regions[i : i + 1]) for i in range(2)]
    torch.testing.assert_close(loss(logits, regions), torch.stack(alone).mean())
    # and it is learned from: the gradient on the enhancing channel differs from that of a batch without any
    without = regions.clone()
    without[:, 2] = 0
    gradients = []
    for target in (regions, without):
        leaf = logits.clone().requires_grad_()
        loss(leaf, target).backward()
        assert leaf.grad is not None
        gradients.append(leaf.grad[0, -1])
    assert not torch.allclose(*gradients)


def test_a_region_that_one_case_has_counts_in_validation() -> None:
    """Of two cases one has ET, found in full; in the other none is seen where none is: both are right."""
    regions = one_with_enhancement()
    batch = {"image": regions, "label": regions}
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=[batch],
        network=nn.Identity(),
        inferer=lambda image, network: 20 * (2 * image - 1),  # type: ignore[arg-type]
        key_val_metric={"dice_mean": RegionDice(RegionsHead())},
        decollate=False,
    )
    evaluator.run()
    assert [evaluator.state.metrics[f"dice_{region}"] for region in REGIONS] == [1, 1, 1]


@pytest.mark.parametrize("head", [RegionsHead(), LabelsHead()])
def test_probabilities_do_not_depend_on_other_voxels(head: Any) -> None:
    logits = random(2, head.out_channels, 3, 4, 5)
    changed = logits.clone()
    changed[:, :, 1:] = random(2, head.out_channels, 2, 4, 5, seed=1)
    for temperature in (1.0, 5.0):
        one, other = (head.probabilities(z, temperature) for z in (logits, changed))
        assert torch.equal(one[:, :, 0], other[:, :, 0])
    if head.name == "labels":
        torch.testing.assert_close(head.probabilities(logits, 5.0).sum(1), torch.ones(2, 3, 4, 5))


@pytest.mark.parametrize("bundle", ["brats_multimodal_teacher", "brats_monomodal_student"])
def test_training_reads_no_test_subject_and_the_best_model_is_that_of_the_validation_part(bundle: str) -> None:
    files = train_files(BUNDLES / bundle)
    config = stacked(files)
    assert not any("datalist.test" in file.read_text() for file in files)
    assert config["train"]["cached_dataset"]["entries"] == "$@datalist.train"
    validate = config["validate"]
    assert validate["cached_dataset"]["entries"] == "$@datalist.val"
    assert validate["dataset"]["data"] == "@validate#cached_dataset"
    assert validate["dataloader"]["dataset"] == "@validate#dataset"
    assert validate["evaluator"]["val_data_loader"] == "@validate#dataloader"
    assert validate["best"]["_target_"] == "kd_monai.handlers.BestModelHandler"
    assert "@validate#best" in validate["handlers"]
    assert not any("BestModel" in str(handler) for handler in config["train"]["handlers"])
    evaluation = yaml.safe_load((BUNDLES / "shared" / "evaluate.yaml").read_text())
    assert evaluation["dataset"]["data"]["entries"] == "$@datalist.test"


def test_no_sample_of_a_batch_depends_on_another() -> None:
    """What a network reads of a sample, and each term's value of it, is the same alone and in a batch."""
    prepare, head = PrepareBatch(["t1", "t1ce", "t2"], ["t1ce"]), RegionsHead()
    batch = {"image": random(3, 3, 4, 4, 4), "label": (random(3, 3, 4, 4, 4, seed=1) > 0).float()}
    teacher = random(3, 3, 4, 4, 4, seed=2)
    outcomes = []
    for parts in ([slice(0, 3)], [slice(i, i + 1) for i in range(3)]):
        images, terms = [], []
        for part in parts:
            image, label = prepare({name: value[part] for name, value in batch.items()})
            student = Outputs(image.expand(-1, 3, -1, -1, -1), head)
            images.append(image)
            terms.append(SoftDiceBCE()(student, Outputs(teacher[part], head), Batch(label, image, image)))
        outcomes.append(SimpleNamespace(image=torch.cat(images), term=torch.cat(terms)))
    assert torch.equal(outcomes[0].image, outcomes[1].image)
    torch.testing.assert_close(outcomes[0].term, outcomes[1].term)
