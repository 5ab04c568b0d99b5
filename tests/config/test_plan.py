"""A plan is what files and variables come to: read once, changed by nobody, refused where something does not fit."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from monai.bundle import ConfigParser

from kd_monai.config.overlays import SHARED, STUDENT, TEACHER, overlay, stacked, train_files
from kd_monai.config.plan import Plan, Plans, command_line_plan, read_plans
from kd_monai.config.variables import TABLE, read_command
from kd_monai.errors import UserError

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def make(name: str, **content: Any) -> Path:
        file = tmp_path / f"{name}.yaml"
        file.write_text(yaml.safe_dump(content))
        return file

    return make


def plans(*words: str, role: str = "student", verb: str = "student") -> Plans:
    return read_plans(read_command([verb, *words]), role)


# --- overlays


def test_what_is_stacked_is_what_monai_stacks_where_no_section_is_nested() -> None:
    for bundle in (TEACHER, STUDENT):
        files = [*train_files(bundle), overlay(bundle, "recipe", "paper"), overlay(bundle, "network", "dynunet")]
        assert stacked(files) == ConfigParser.load_config_files([str(file) for file in files])


def test_a_nested_section_merges(write: Write) -> None:
    base = write(
        "base", train={"inferer": {"_target_": "a"}, "dataloader": {"_target_": "b", "num_workers": 0}}, epochs=1
    )
    mine = write("mine", train={"dataloader": {"_target_": "c"}}, epochs=2)
    assert stacked([base, mine]) == {
        "train": {"inferer": {"_target_": "a"}, "dataloader": {"_target_": "c"}},
        "epochs": 2,
    }


def test_a_methods_terms_are_its_terms(write: Write) -> None:
    base = write("base", terms={"one": {"weight": 1}}, taps={"a": "b"})
    assert stacked([base, write("mine", terms={"two": {"weight": 2}})])["terms"] == {"two": {"weight": 2}}
    assert set(stacked([base, write("more", **{"+terms": {"two": {"weight": 2}}})])["terms"]) == {"one", "two"}
    assert stacked([base, write("one", **{"terms#one#weight": 3})])["terms"] == {"one": {"weight": 3}}


def test_a_component_is_not_replaced_by_a_part_of_it(write: Write) -> None:
    base = write("base", network_def={"_target_": "BasicUNet", "width": 1})
    with pytest.raises(UserError, match="network_def#width"):
        stacked([base, write("mine", network_def={"width": 2})])


def test_an_id_that_nothing_reads_is_refused_and_one_that_is_read_is_taken(write: Write) -> None:
    base = write("base", learning_rate=1, epochs=2)
    with pytest.raises(UserError, match=r"learing_rate.*did you mean learning_rate"):
        stacked([base, write("mine", learing_rate=2)])
    assert stacked([base, write("yours", factor=2, epochs="$2 * @factor")])["factor"] == 2


@pytest.mark.parametrize("text", ["a: [1", "- 1\n- 2\n", "just words"])
def test_what_is_no_mapping_is_refused_by_name(text: str, tmp_path: Path) -> None:
    file = tmp_path / "odd.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=r"odd\.yaml"):
        stacked([file])


@pytest.mark.parametrize(("kind", "near"), [("method", "kdnet"), ("recipe", "quick"), ("network", "unet")])
def test_an_unknown_overlay_is_refused_with_those_there_are(kind: str, near: str) -> None:
    with pytest.raises(UserError, match=f"{kind.upper()} must be one of .*did you mean {near}"):
        overlay(STUDENT, kind, near + "t")


def test_a_file_of_the_users_is_taken_by_its_path_and_must_be_there(write: Write) -> None:
    file = write("mine", epochs=1)
    assert overlay(STUDENT, "recipe", str(file)) == file
    with pytest.raises(UserError, match="does not exist"):
        overlay(STUDENT, "recipe", str(file.with_name("none.yaml")))


# --- plans


def test_a_student_and_its_teacher_share_the_variables_and_each_has_its_own_sequences() -> None:
    made = plans("FOLD=1", "SEED=3", "MODALITY=flair", "EPOCHS=2")
    assert made.teacher is not None
    for plan, modality in ((made.teacher, "t1-t1ce-t2-flair"), (made.student, "flair")):
        config = plan.config
        assert (config["fold"], config["seed"], config["epochs"], config["modality"]) == (1, 3, 2, modality)
    assert (made.teacher.role, made.student.role, made.teaches) == ("teacher", "student", True)
    assert [file.stem for file in made.student.files[-2:]] == ["quick", "kdnet"]


def test_what_nobody_types_is_left_to_the_bundle_and_its_recipe(write: Write) -> None:
    assert plans(f"RECIPE={write('mine', seed=5, epochs=9)}").student.config["seed"] == 5
    assert plans(f"RECIPE={write('mine', seed=5)}", "SEED=1").student.config["seed"] == 1


def test_a_file_of_the_users_names_its_runs(write: Write) -> None:
    made = plans(f"RECIPE={write('longer', epochs=9)}", f"METHOD={write('ours', segmentation_weight=0.5)}")
    assert (made.student.config["recipe"], made.student.config["method"]) == ("longer", "ours")


@pytest.mark.parametrize("words", [("METHOD=baseline",), ()])
def test_a_baseline_has_no_teacher_and_no_terms(words: tuple[str, ...]) -> None:
    made = plans(*words) if words else plans(role="baseline", verb="baseline")
    assert made.teacher is None
    assert not made.teaches
    assert not made.student.config["terms"]
    assert (made.student.role, made.student.config["method"]) == ("baseline", "baseline")


def test_a_teacher_may_have_a_network_and_settings_of_its_own() -> None:
    made = plans("NETWORK=dynunet", "TEACHER_NETWORK=segresnet", "SET=width=4", "TEACHER_SET=width=16")
    assert made.teacher is not None
    assert (made.teacher.config["width"], made.student.config["width"]) == (16, 4)
    targets = [plan.config["network_def"]["_target_"].rpartition(".")[2] for plan in (made.teacher, made.student)]
    assert targets == ["SegResNet", "DynUNet"]


def test_a_setting_of_the_distillation_changes_neither_teacher_nor_baseline() -> None:
    words = ("SET=segmentation_weight=0.5 terms#latent_kl#weight=1 width=4",)
    made, baseline = plans(*words), plans(*words, role="baseline", verb="demo").student
    assert made.teacher is not None
    assert "segmentation_weight" not in made.teacher.config
    assert (baseline.config["segmentation_weight"], baseline.config["terms"], baseline.config["width"]) == (
        1.0,
        None,
        4,
    )
    student = made.student.config
    assert (student["segmentation_weight"], student["terms"]["latent_kl"]["weight"]) == (0.5, 1)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("METHOD=kd-net", "METHOD.*did you mean kdnet"),
        ("RECIPE=quik", "RECIPE.*did you mean quick"),
        ("NETWORK=vnet", "NETWORK.*'vnet'"),
        ("TEACHER_NETWORK=vnet", "NETWORK.*'vnet'"),
        ("TEACHER_SET=widht=4", "TEACHER_SET.*'widht'.*did you mean width"),
        ("TEACHER_SET=terms#latent_kl#weight=1", "TEACHER_SET.*latent_kl"),
        ("SET=learning_rat=1", "'learning_rat'.*did you mean learning_rate"),
        ("SET=terms#latent_k#weight=1", "latent_k"),
        ("SET=roi_size=[32, 32", "roi_size must be YAML"),
        ("SET=train#samplr=1", "'train#samplr'"),
        ("SET=taps#bottlenek=down_3", "'taps#bottlenek'.*did you mean taps#bottleneck"),
        ("SET=modality=flair", "SET.*MODALITY"),
        ("TEACHER_SET=modality=flair", "TEACHER_SET.*TEACHER_MODALITIES"),
    ],
)
def test_a_wrong_name_is_refused(word: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        plans(word)


def test_a_component_takes_new_arguments_at_any_depth() -> None:
    assert plans("SET=optimizer#weight_decay=0.1").student.config["optimizer"]["weight_decay"] == 0.1
    made = plans("SET=validate#evaluator#additional_metrics#mine=null").student.config
    assert "mine" in made["validate"]["evaluator"]["additional_metrics"]


def test_a_file_may_name_the_sequence_and_the_command_line_goes_before_it(write: Write) -> None:
    mine = f"METHOD={write('mine', modality='flair')}"
    assert plans(mine).student.config["modality"] == "flair"
    assert plans(mine, "MODALITY=t2").student.config["modality"] == "t2"


@pytest.mark.parametrize("section", [{"train": {"dataloadr": {"num_workers": 1}}}, {"train#dataloadr": 1}])
def test_a_misspelt_part_of_a_section_is_refused(write: Write, section: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"nothing reads the id 'train#dataloadr'.*did you mean dataloader"):
        plans(f"RECIPE={write('mine', **section)}")


def test_a_new_part_of_a_section_that_something_reads_is_taken(write: Write) -> None:
    mine = write("mine", train={"inferer#device": "@train#where", "where": "cpu"})
    assert plans(f"RECIPE={mine}").student.config["train"]["where"] == "cpu"
    second = write("second", validate={"key_metric": {"mine": None}})  # the evaluator reads the whole section
    assert "mine" in plans(f"RECIPE={second}").student.config["validate"]["key_metric"]


def test_each_process_of_a_training_has_its_own_gpu() -> None:
    assert plans("GPUS=2", "DEVICE=cpu").student.config["device"] == "cpu"
    for word in ("DEVICE=cuda:0", "SET=device=cuda:0"):
        with pytest.raises(UserError, match=r"GPUS=2.*DEVICE=cuda:0"):
            plans("GPUS=2", word)
    with pytest.raises(UserError, match=r"TEACHER_SET=device=cuda:1"):
        plans("GPUS=2", "TEACHER_SET=device=cuda:1")


def test_settings_of_a_teacher_that_is_trained_already_are_refused() -> None:
    """They would change nothing."""
    with pytest.raises(UserError, match="TEACHER_SET"):
        plans("TEACHER=runs/t", "TEACHER_SET=width=4")
    made = plans("TEACHER=runs/t,runs/u")
    assert made.teacher is None
    assert [path.name for path in made.teacher_runs] == ["t", "u"]


def test_force_does_again_what_was_named() -> None:
    made = plans("FORCE=1")
    assert made.teacher is not None
    assert (made.teacher.config["force"], made.student.config["force"]) == (False, True)
    demo = plans("FORCE=1", verb="demo")
    assert demo.teacher is not None
    assert demo.teacher.config["force"]


@pytest.mark.parametrize("wrong", ["1", "abc", "2.5", "true"])
def test_a_number_of_inner_folds_that_is_none_is_refused(wrong: str) -> None:
    assert plans("TEACHERS=crossfit").inner_folds == 3
    assert plans().inner_folds == 0
    with pytest.raises(UserError, match="inner_folds"):
        _ = plans("TEACHERS=crossfit", f"SET=inner_folds={wrong}").inner_folds


def test_a_plan_is_frozen_and_its_parser_is_a_copy() -> None:
    plan = plans().student
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.role = "teacher"  # type: ignore[misc]
    plan.parser()["terms#latent_kl#weight"] = 99
    assert plan.config["terms"]["latent_kl"]["weight"] == 10.0
    assert plan.changed({"terms#latent_kl#weight": 3}).config["terms"]["latent_kl"]["weight"] == 3
    assert plan.config["terms"]["latent_kl"]["weight"] == 10.0


def test_every_variable_that_overrides_stands_for_an_id_of_the_students_bundle() -> None:
    config = stacked(train_files(STUDENT))
    assert {variable.target for variable in TABLE} - {""} <= set(config)


def test_several_processes_stack_their_overlay_last() -> None:
    plan = plans("GPUS=2").student
    assert (plan.processes, plan.files[-1]) == (2, SHARED / "multi_gpu_train.yaml")


# --- under monai.bundle


def run_line(*words: str) -> list[str]:
    return [str(Path("/lib/monai/bundle/__main__.py")), "run", *words]


def test_under_monai_bundle_the_plan_is_that_of_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    files = [str(file) for file in train_files(TEACHER)]
    words = ["--bundle_root", str(TEACHER), "--config_file", str(files), "--epochs", "3", "--roi_size", "[32, 32, 32]"]
    monkeypatch.setattr("sys.argv", run_line(*words, "--network_def#dropout", "0.1"))
    plan = command_line_plan()
    assert (plan.role, plan.bundle) == ("teacher", TEACHER)
    assert (plan.config["epochs"], plan.config["roi_size"]) == (3, [32, 32, 32])
    assert plan.config["network_def"]["dropout"] == 0.1


def test_under_monai_bundle_a_misspelt_override_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """MONAI trains with the default."""
    files = [str(file) for file in train_files(TEACHER)]
    monkeypatch.setattr("sys.argv", run_line("--config_file", str(files), "--learing_rate", "0.5"))
    with pytest.raises(UserError, match=r"learing_rate.*did you mean learning_rate"):
        command_line_plan()


def test_under_monai_bundle_a_nested_section_is_refused(monkeypatch: pytest.MonkeyPatch, write: Write) -> None:
    """MONAI would replace the whole section."""
    mine = write("mine", validate={"inferer": {"_target_": "x"}})
    files = [*map(str, train_files(TEACHER)), str(mine)]
    monkeypatch.setattr("sys.argv", run_line("--config_file", str(files)))
    with pytest.raises(UserError, match="section#name"):
        command_line_plan()


def test_another_process_has_no_command_line_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["/usr/bin/pytest", "run"])
    with pytest.raises(UserError, match=r"monai\.bundle"):
        command_line_plan()


def test_reading_is_done_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    load = ConfigParser.load_config_file

    def noted(file: Path, **options: Any) -> Any:
        seen.append(str(file))
        return load(file, **options)

    monkeypatch.setattr(ConfigParser, "load_config_file", noted)
    made = plans()
    for plan in (made.teacher, made.student):
        assert isinstance(plan, Plan)
        plan.changed({"epochs": 3}).parser()
    assert len(seen) == sum(len(plan.files) for plan in (made.teacher, made.student) if plan)
