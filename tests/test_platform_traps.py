"""Traps of torch, MONAI, Ignite, MLflow and packaging that this project has code beside: each is held by a test.

The behaviour of the libraries themselves is pinned where the project leans on it, so that a new version says so here.
"""

from __future__ import annotations

import configparser
import copy
import importlib
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from ignite.engine import Engine, Events
from ignite.handlers import TerminateOnNan
from monai.bundle import ComponentLocator, ConfigParser
from monai.data import MetaTensor, list_data_collate
from monai.engines import SupervisedTrainer
from monai.engines.utils import IterationEvents
from monai.losses import DiceLoss
from torch import nn

from kd_monai.config.overlays import STUDENT, TEACHER, train_files
from kd_monai.data import LabelToRegions, SeededDataset
from kd_monai.handlers import PrepareBatch, TeacherHandler
from kd_monai.losses import DistillationLoss, SegmentationLoss
from kd_monai.losses.terms.outputs.soft_dice_bce import SoftDiceBCE
from kd_monai.networks import RegionsHead
from kd_monai.networks.inferers import AutocastInferer
from kd_monai.task import LABEL_CONVENTIONS, REGIONS

ROOT = Path(__file__).parents[1]
YAMLS = sorted((ROOT / "bundles").rglob("*.yaml"))
both = pytest.mark.parametrize("bundle", [TEACHER, STUDENT], ids=lambda path: path.name)


def configuration(bundle: Path) -> dict[str, Any]:
    """What every training of a bundle stacks."""
    return ConfigParser.load_config_files(train_files(bundle))


# --- packaging ---


def setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def test_settings_stand_where_the_tools_read_them() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert pyproject["build-system"]["requires"]
    assert set(pyproject["tool"]) == {"ruff"}
    assert {"metadata", "options", "tool:pytest", "mypy"} <= set(setup_cfg().sections())


def test_every_requirement_has_a_tested_version() -> None:
    cfg = setup_cfg()
    needed = [*cfg["options"]["install_requires"].splitlines(), *cfg["options.extras_require"]["test"].splitlines()]
    names = {line.strip().split(">=")[0].split(",")[0].lower() for line in needed if line.strip()[:1] not in ("", "#")}
    pins = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    assert all(line.count("==") == 1 for line in pins)
    assert names <= {line.split("==")[0].lower() for line in pins}
    assert "torch>=2.8" in cfg["options"]["install_requires"]


def targets(node: Any) -> set[str]:
    """Every _target_ of a nested configuration."""
    if isinstance(node, dict):
        own = {value for name, value in node.items() if name.split("#")[-1] == "_target_"}
        return own.union(*(targets(value) for value in node.values()))
    return set().union(*(targets(value) for value in node)) if isinstance(node, list) else set()


@pytest.mark.parametrize("path", YAMLS, ids=lambda path: str(path.relative_to(ROOT / "bundles")))
def test_every_target_resolves_from_any_folder(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    locator = ComponentLocator()
    for target in targets(yaml.safe_load(path.read_text())):
        if "." not in target:
            modules = locator.get_component_module_name(target)
            assert isinstance(modules, str), f"{target} is in {modules}: write its full name"
        else:
            module, _, name = target.rpartition(".")
            try:
                assert hasattr(importlib.import_module(module), name), target
            except ModuleNotFoundError:  # a method of a class
                module, _, owner = module.rpartition(".")
                assert hasattr(getattr(importlib.import_module(module), owner), name), target


# --- engine ---


class Traced(nn.Module):
    """A network that notes when it runs."""

    def __init__(self, name: str, channels: int, events: list[str]) -> None:
        super().__init__()
        self.layer, self.name, self.events = nn.Conv3d(channels, 3, 1), name, events

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.events.append(f"{self.name}, {'with' if torch.is_grad_enabled() else 'without'} gradients")
        return self.layer(image)


def trainer_of(events: list[str], loss: nn.Module, batches: int = 1, **settings: Any) -> SupervisedTrainer:
    network = Traced("student", 1, events)
    batch = {"image": torch.randn(2, 2, 4, 4, 4), "label": torch.ones(2, 3, 4, 4, 4), "subject": ["a", "b"]}
    return SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=1,
        train_data_loader=[batch] * batches,
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), 0.1),
        loss_function=loss,
        prepare_batch=PrepareBatch(["t1", "t1ce"], ["t1ce"]),
        decollate=False,
        **settings,
    )


def test_events_of_a_step_come_in_the_order_that_handlers_rely_on() -> None:
    events: list[str] = []
    trainer = trainer_of(events, nn.MSELoss())
    for event in [*IterationEvents, Events.ITERATION_STARTED, Events.ITERATION_COMPLETED]:
        trainer.add_event_handler(event, lambda engine, name=event.name: events.append(name))
    trainer.run()
    assert [event for event in events if not event.startswith("INNER")] == [
        "ITERATION_STARTED", "student, with gradients", "FORWARD_COMPLETED", "LOSS_COMPLETED", "BACKWARD_COMPLETED",
        "MODEL_COMPLETED", "ITERATION_COMPLETED",
    ]  # fmt: skip


def handler_for(loss: DistillationLoss, events: list[str]) -> TeacherHandler:
    head, inferer = RegionsHead(), AutocastInferer("cpu", "fp32")
    teacher = Traced("teacher", 2, events)
    both = ["t1", "t1ce"]
    return TeacherHandler(teacher, head, head, loss, both, both, ["t1ce"], inferer, [4, 4, 4])


def distilling() -> DistillationLoss:
    return DistillationLoss(SegmentationLoss(RegionsHead()), 0.5, {"kd": {"weight": 1.0, "term": SoftDiceBCE()}})


def test_the_teacher_handler_is_attached_before_the_engine_has_a_network() -> None:
    engine = Engine(lambda engine, batch: None)
    engine.register_events(*IterationEvents)
    handler_for(distilling(), []).attach(engine)
    assert not hasattr(engine, "network")


def test_the_teacher_runs_before_the_student_and_gives_no_inference_tensors() -> None:
    events, loss = [], distilling()  # type: ignore[var-annotated]
    trainer = trainer_of(events, loss)
    handler_for(loss, events).attach(trainer)

    @trainer.on(IterationEvents.FORWARD_COMPLETED)
    def look(engine: Engine) -> None:
        assert loss._slot is not None
        logits = loss._slot[1].logits
        assert not logits.is_inference()
        assert not logits.requires_grad

    trainer.run()
    assert events == ["teacher, without gradients", "student, with gradients"]


def test_named_terms_are_detached_scalars() -> None:
    seen, loss = [], distilling()  # type: ignore[var-annotated]
    trainer = trainer_of([], loss)
    handler_for(loss, []).attach(trainer)
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: seen.append(dict(loss.named)))
    trainer.run()
    assert set(seen[0]) == {"segmentation", "kd"}
    assert all(value.ndim == 0 and not value.requires_grad for value in seen[0].values())


def test_ignites_own_nan_handler_would_let_a_run_finish() -> None:
    class NaN(nn.Module):
        def forward(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
            return logits.mean() * float("nan")

    trainer = trainer_of([], NaN(), batches=3)
    trainer.add_event_handler(Events.ITERATION_COMPLETED, TerminateOnNan())
    trainer.run()  # no exception: whoever looks at the end sees a run that ended
    assert trainer.state.iteration == 1


def network_of(bundle: Path, **settings: Any) -> nn.Module:
    parser = ConfigParser(configuration(bundle))
    parser.update({"width": 2, **settings})
    network: nn.Module = parser.get_parsed_content("network_def")
    return network


@both
def test_the_network_of_the_paper_has_a_convolution_before_an_upsampling_that_narrows(bundle: Path) -> None:
    """Five levels, four max-pools, two Conv-InstanceNorm-LeakyReLU each, trilinear upsampling."""
    modules = list(network_of(bundle).modules())
    kinds = [type(module).__name__ for module in modules]
    assert kinds.count("MaxPool3d") == 4
    assert kinds.count("InstanceNorm3d") == kinds.count("LeakyReLU") == 2 * (5 + 4)
    upsamplings = [module for module in modules if isinstance(module, nn.Upsample)]
    assert [module.mode for module in upsamplings] == ["trilinear"] * 4
    pointwise = [module for module in modules if isinstance(module, nn.Conv3d) and set(module.kernel_size) == {1}]
    assert len(pointwise) == 3 + 1  # the uppermost level keeps its width; and the last layer


@pytest.mark.parametrize("path", YAMLS, ids=lambda path: str(path.relative_to(ROOT / "bundles")))
def test_no_configuration_uses_monais_amp(path: Path) -> None:
    assert "amp:" not in path.read_text()


@both
def test_what_is_saved_is_the_plain_network(bundle: Path) -> None:
    """`network_def`, and neither the trainer's nor a wrapped one."""
    config = configuration(bundle)
    assert config["validate"]["best"]["network"] == "@network_def"
    (resume,) = [item for item in config["train"]["handlers"] if item["_target_"].endswith("ResumeHandler")]
    assert resume["objects"]["network"] == "@network_def"


# --- data ---


def random_transforms(bundle: Path, roi: list[int]) -> Any:
    parser = ConfigParser(configuration(bundle))
    parser["roi_size"] = roi
    return parser.get_parsed_content("train#dataset#random_transform")


def cached_sample(*sides: int) -> dict[str, Any]:
    """As a cache holds it."""
    label = torch.zeros(1, *sides, dtype=torch.uint8)
    label[:, :3, :3, :3], label[:, 0, 0, 0], label[:, 1, 1, 1] = 2, 1, 4
    image = MetaTensor(torch.randn(2, *sides, generator=torch.Generator().manual_seed(0)).half())
    return {"image": image, "label": MetaTensor(label), "subject": "a"}


@both
def test_the_shipped_random_transforms_write_nothing_into_the_cache(bundle: Path) -> None:
    sample = cached_sample(8, 8, 8)
    before = copy.deepcopy(sample)
    dataset = SeededDataset([sample], random_transforms(bundle, [8, 8, 8]), seed=0)  # type: ignore[arg-type]
    seen = [item for epoch in range(8) for item in dataset[(epoch, 0, 0)]]
    assert not any(torch.equal(seen[0]["image"], other["image"]) for other in seen[1:])
    for item in seen:
        batch = list_data_collate([item])
        batch["image"].fill_(9)  # a batch may be the sample's memory, and no cache's
        batch["label"].fill_(9)
    for name in ("image", "label"):
        assert torch.equal(sample[name], before[name])
        assert sample[name].applied_operations == before[name].applied_operations
        assert sample[name].dtype == before[name].dtype


@both
def test_a_brain_smaller_than_the_patch_is_padded(bundle: Path) -> None:
    dataset = SeededDataset([cached_sample(5, 9, 6)], random_transforms(bundle, [8, 8, 8]), 0)  # type: ignore[arg-type]
    (item,) = dataset[0]
    assert item["image"].shape == (2, 8, 8, 8)
    assert item["label"].shape == (3, 8, 8, 8)
    assert (item["image"].dtype, item["label"].dtype) == (torch.float32, torch.float32)


@both
def test_regions_are_made_after_the_random_crop(bundle: Path) -> None:
    order = [type(part).__name__ for part in random_transforms(bundle, [8, 8, 8]).flatten().transforms]
    assert order[-1] == "LabelToRegions"
    assert order.index("SpatialPadd") < order.index("RandCropByPosNegLabeld") < len(order) - 1


def test_regions_are_float_in_the_order_of_the_model_zoo() -> None:
    label = torch.tensor([0, 1, 2, 4], dtype=torch.uint8).reshape(1, 4, 1, 1)
    regions = LabelToRegions()({"label": label})["label"]
    assert REGIONS == ("TC", "WT", "ET")
    assert regions.dtype == torch.float32
    assert regions.flatten(1).tolist() == [[0, 1, 0, 1], [0, 1, 1, 1], [0, 0, 0, 1]]


@pytest.mark.parametrize(
    ("name", "regions"),
    [
        ("brats2018", {"TC": {1, 4}, "WT": {1, 2, 4}, "ET": {4}}),
        ("brats2023", {"TC": {1, 3}, "WT": {1, 2, 3}, "ET": {3}}),
        ("brats2024", {"TC": {1, 3}, "WT": {1, 2, 3}, "ET": {3}}),
        ("msd", {"TC": {2, 3}, "WT": {1, 2, 3}, "ET": {3}}),
    ],
)
def test_label_conventions_are_those_of_the_table(name: str, regions: dict[str, set[int]]) -> None:
    convention = LABEL_CONVENTIONS[name]
    assert {region: set(values) for region, values in convention.regions.items()} == regions
    assert (4 in convention.others) == (name == "brats2024")


# --- metrics ---


def test_monais_dice_loss_is_not_0_at_equality_of_soft_targets() -> None:
    soft = torch.full((1, 1, 2, 2, 2), 0.5)
    assert DiceLoss()(soft, soft) > 0.1
    assert DiceLoss(soft_label=True)(soft, soft) == pytest.approx(0, abs=1e-4)


@both
def test_validation_computes_dice_alone(bundle: Path) -> None:
    validate = configuration(bundle)["validate"]
    assert list(validate["key_metric"]) == ["dice_mean"]
    assert set(validate["evaluator"]["additional_metrics"]) == {"loss"}
