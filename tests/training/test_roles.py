"""What each verb trains: which bundle, which overlays, which overrides, and in which order."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from monai.bundle import ConfigParser
from teacher_runs import teacher_run

from kd_monai.config.overlays import STUDENT, TEACHER
from kd_monai.config.variables import read_variables
from kd_monai.metrics import METRICS, case_row, cases_frame, write_cases
from kd_monai.task import REGIONS
from kd_monai.training import roles
from kd_monai.training import score as scoring


class Launches:
    """Stands in for the training: notes what it was asked to do."""

    def __init__(self, out: Path) -> None:
        self.out, self.calls = out, []  # type: ignore[var-annotated]

    def __call__(self, bundle: Path, overlays: list[Path], overrides: dict[str, Any]) -> SimpleNamespace:
        self.calls.append((bundle, [path.stem for path in overlays], overrides))
        return SimpleNamespace(path=self.out / f"run{len(self.calls)}")


@pytest.fixture
def launches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Launches:
    made = Launches(tmp_path)
    monkeypatch.setattr(roles, "train", made)
    for check in ("check_inner_folds", "check_unlabelled"):
        monkeypatch.setattr(roles, check, lambda *_: None)  # there are no data
    return made


def given(*arguments: str) -> Any:
    return read_variables(None, arguments)


def test_a_teacher_reads_the_teachers_modalities_by_its_recipe(launches: Launches) -> None:
    roles.train_teacher(given("--teacher-modalities", "t1-t2", "--recipe", "study", "--modality", "flair"))
    assert launches.calls == [(TEACHER, ["study"], {"modality": "t1-t2"})]


def test_a_baseline_is_the_student_without_terms_and_needs_no_teacher(launches: Launches) -> None:
    roles.train_baseline(given("--modality", "flair", "--epochs", "2"))
    assert launches.calls == [(STUDENT, ["quick", "baseline"], {"modality": "flair", "epochs": 2})]


def test_a_student_without_a_teacher_trains_it_first_with_the_same_data_split_and_seed(launches: Launches) -> None:
    roles.train_student(given("--fold", "1", "--seed", "3"))
    (first, _, of_teacher), (second, files, of_student) = launches.calls
    assert (first, second) == (TEACHER, STUDENT)
    assert files == ["quick", "kdnet"]
    assert of_teacher == {"fold": 1, "seed": 3, "modality": "t1-t1ce-t2-flair"}
    assert of_student == {
        "fold": 1, "seed": 3, "modality": "t1ce", "teacher": str(launches.out / "run1"), "method": "kdnet",
    }  # fmt: skip


ADAPTER = "terms#latent_kl#term#adapter=true"


def test_a_teacher_may_have_a_network_and_settings_of_its_own(launches: Launches) -> None:
    variables = given(
        "--network", "dynunet", "--teacher-network", "segresnet", "--set", "width=4", "--teacher-set", "width=16",
        "--set", ADAPTER,
    )  # fmt: skip
    for train in (roles.train_student, roles.train_baseline):
        train(variables)
    assert [(bundle, files, overrides["width"]) for bundle, files, overrides in launches.calls] == [
        (TEACHER, ["quick", "segresnet"], 16),
        (STUDENT, ["quick", "dynunet", "kdnet"], 4),
        (STUDENT, ["quick", "dynunet", "baseline"], 4),
    ]
    launches.calls.clear()
    roles.train_student(given("--teacher-network", "segresnet", "--set", ADAPTER))
    assert [files for _, files, _ in launches.calls] == [["quick", "segresnet"], ["quick", "kdnet"]]


def test_a_teacher_that_is_named_is_taken(launches: Launches) -> None:
    roles.train_student(given("--teacher", "runs/mine"))
    ((bundle, _, overrides),) = launches.calls
    assert (bundle, overrides["teacher"]) == (STUDENT, "runs/mine")


@pytest.mark.parametrize("verb", [roles.train_teacher, roles.train_baseline, roles.train_student])
def test_a_method_of_another_head_is_refused_before_anything_is_trained(verb: Any, launches: Launches) -> None:
    with pytest.raises(ValueError, match="SET=head=labels"):
        verb(given("--method", "standardized"))
    assert not launches.calls
    verb(given("--method", "standardized", "--set", "head=labels"))
    assert {overrides["head"] for _, _, overrides in launches.calls} == {"labels"}


INNER = ["0/3", "1/3", "2/3"]


def test_a_cross_fitted_student_trains_the_teacher_and_one_for_each_inner_fold_first(launches: Launches) -> None:
    roles.train_student(given("--teachers", "crossfit", "--fold", "1"))
    *teachers, (bundle, _, overrides) = launches.calls
    assert [called for called, _, _ in teachers] == [TEACHER] * 4
    assert [files for _, files, _ in teachers] == [["quick"], *[["config"]] * 3]  # what the first was trained with
    assert teachers[0][2] == {"fold": 1, "modality": "t1-t1ce-t2-flair"}
    assert [own["inner_fold"] for _, _, own in teachers[1:]] == INNER
    assert bundle == STUDENT
    assert overrides["teacher"] == ",".join(str(launches.out / f"run{n}") for n in (1, 2, 3, 4))
    assert overrides["teachers"] == "crossfit"


def test_of_a_cross_fitted_student_one_named_teacher_is_that_of_all_subjects_and_several_are_all(
    launches: Launches,
) -> None:
    mine = str(teacher_run(launches.out / "mine"))
    roles.train_student(given("--teachers", "crossfit", "--teacher", mine, "--set", "inner_folds=2"))
    assert [own.get("inner_fold") for _, _, own in launches.calls] == ["0/2", "1/2", None]
    assert launches.calls[-1][2]["teacher"] == f"{mine},{launches.out / 'run1'},{launches.out / 'run2'}"
    launches.calls.clear()
    roles.train_student(given("--teachers", "crossfit", "--teacher", "a,b"))
    assert [own["teacher"] for _, _, own in launches.calls] == ["a,b"]


@pytest.mark.parametrize("wrong", [("--set", "learning_rat=1"), ("--teacher", "none"), ("--method", "standardized")])
def test_inner_teachers_of_a_named_one_are_not_trained_in_vain(launches: Launches, wrong: tuple[str, str]) -> None:
    mine = str(teacher_run(launches.out / "mine"))
    with pytest.raises(ValueError, match=r"learning_rat|none has no run\.json|SET=head=labels"):
        roles.train_student(given("--teachers", "crossfit", "--teacher", mine, *wrong))
    assert not launches.calls


def test_a_methods_file_may_ask_for_cross_fitted_teachers(launches: Launches, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(yaml.safe_dump({"teachers": "crossfit"}))
    assert len(roles.train_teachers(given("--method", str(mine)))) == 4
    assert [own.get("inner_fold") for _, _, own in launches.calls] == [None, *INNER]
    launches.calls.clear()
    assert len(roles.train_teachers(given())) == 1


@pytest.mark.parametrize("option", [("--teachers", "crossfit"), ("--init", "teacher"), ("--set", "inner_folds=4")])
def test_what_teachers_know_changes_neither_the_teacher_nor_the_baseline(launches: Launches, option: Any) -> None:
    roles.train_teacher(given(*option))
    roles.train_baseline(given(*option))
    assert [own for _, _, own in launches.calls] == [{"modality": "t1-t1ce-t2-flair"}, {"modality": "t1ce"}]


def test_the_method_baseline_is_the_baseline(launches: Launches) -> None:
    roles.train_student(given("--method", "baseline"))
    assert [files for _, files, _ in launches.calls] == [["quick", "baseline"]]


def test_stacked_methods_name_the_run_together(launches: Launches, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(yaml.safe_dump({"method": "other", "+terms": {"more": {"weight": 1, "term": None}}}))
    roles.train_student(given("--method", f"kdnet,{mine}", "--teacher", "t"))
    ((_, files, overrides),) = launches.calls
    assert files == ["quick", "kdnet", "mine"]
    assert overrides["method"] == "kdnet-mine"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--method", "kd-net"], "METHOD.*kd-net"),
        (["--recipe", "fast"], "RECIPE.*fast"),
        (["--network", "vnet"], "NETWORK.*vnet"),
        (["--teacher-network", "vnet"], "NETWORK.*vnet"),
        (["--teacher-set", "widht=4"], "'widht'.*TEACHER_SET"),
        (["--teacher-set", "terms#latent_kl#weight=1"], "latent_kl.*TEACHER_SET"),
        (["--set", "learning_rat=1"], "learning_rat"),
        (["--method", "kdnet,baseline"], "stands alone"),
    ],
)
def test_a_wrong_name_is_refused_before_even_the_teacher_is_trained(launches, arguments: list[str], named: str) -> None:
    for train in (roles.train_student, roles.train_teacher):
        with pytest.raises(ValueError, match=named):
            train(given(*arguments))
    assert not launches.calls


def test_a_setting_of_the_distillation_changes_neither_teacher_nor_baseline(launches: Launches) -> None:
    variables = given("--set", "segmentation_weight=0.5", "--set", "terms#latent_kl#weight=1", "--set", "width=4")
    for train in (roles.train_baseline, roles.train_student):
        train(variables)
    settings = [
        {name: value for name, value in overrides.items() if name not in ("modality", "teacher", "method")}
        for _, _, overrides in launches.calls
    ]
    assert settings == [
        {"width": 4},
        {"width": 4},
        {"segmentation_weight": 0.5, "terms#latent_kl#weight": 1, "width": 4},
    ]


def record(folder: Path, **changes: Any) -> SimpleNamespace:
    """A finished run's folder, and the object that its training returns."""
    config = ConfigParser.load_config_file(STUDENT / "configs" / "train.yaml")
    told = {
        "role": "student", "method": "kdnet", "modality": "t1ce", "fold": 0, "seed": 0, "n_test": 2, "n_train": 3,
        "data_digest": "d", "split_digest": "s", "labels": "brats2018", "recipe": "quick", "status": "FINISHED",
        **changes,
    }  # fmt: skip
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps(told))
    (folder / "config.yaml").write_text(yaml.safe_dump(config | {"seed": told["seed"]}))
    return SimpleNamespace(path=folder, record=told, config=config)


def score(folder: Path, dice: float) -> None:
    scores = {metric: dict.fromkeys(REGIONS, dice) for metric in METRICS}
    rows = [case_row(name, None, scores, dict.fromkeys(REGIONS, False), (1, 1, 1)) for name in ("a", "b")]
    write_cases(cases_frame(rows), folder / "cases.csv")


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    calls: list[Any] = []
    monkeypatch.setattr(scoring, "evaluate", lambda *arguments: calls.append(arguments))
    monkeypatch.setattr(scoring, "export_bundle", lambda folder, template, bundle: bundle.mkdir(exist_ok=True))
    monkeypatch.setattr(scoring, "bundle_of", lambda folder: (folder / "bundle").mkdir(exist_ok=True))
    return calls


def test_a_run_is_scored_once_and_again_by_force(tmp_path: Path, evaluated: list[Any]) -> None:
    run = record(tmp_path / "run")
    cases = roles.evaluate_run(run, given("--data", "/data", "--device", "cpu", "--epochs", "3"))
    assert cases == run.path / "cases.csv"
    assert evaluated == [(STUDENT, run.path, {"dataset_dir": "/data", "device": "cpu"})]
    score(run.path, 0.5)
    roles.evaluate_run(run, given())
    assert len(evaluated) == 1
    roles.evaluate_run(run, given("--force", "1"))
    assert len(evaluated) == 2


def test_a_teacher_is_scored_by_its_own_bundle(tmp_path: Path, evaluated: list[Any]) -> None:
    roles.evaluate_run(record(tmp_path / "run", role="teacher"), given())
    assert evaluated[0][0] == TEACHER


def test_a_run_on_every_subject_has_no_test_but_a_bundle(tmp_path: Path, evaluated: list[Any]) -> None:
    run = record(tmp_path / "run", n_test=0, fold="all")
    assert roles.evaluate_run(run, given()) is None
    assert not evaluated
    assert (run.path / "bundle").is_dir()
    assert "FOLD=all" in roles.side_by_side([run])


def test_a_scored_run_whose_bundle_is_gone_gets_it_again(tmp_path: Path, evaluated: list[Any]) -> None:
    run = record(tmp_path / "run")
    score(run.path, 0.5)
    roles.evaluate_run(run, given())
    assert not evaluated
    assert (run.path / "bundle").is_dir()


@pytest.mark.parametrize("status", ["RUNNING", "FAILED"])
def test_an_unfinished_run_is_not_scored(tmp_path: Path, evaluated: list[Any], status: str) -> None:
    with pytest.raises(ValueError, match=f"is {status}"):
        roles.evaluate_run(record(tmp_path / "run", status=status), given())


def test_the_baseline_of_the_same_settings_stands_beside_the_student(tmp_path: Path) -> None:
    student = record(tmp_path / "kdnet_t1ce-fold0-1")
    score(student.path, 0.9)
    for name, changes in (
        ("same", {}),
        ("seed", {"seed": 1}),
        ("data", {"data_digest": "e"}),
        ("few", {"n_subjects": 1}),
    ):
        baseline = record(tmp_path / f"baseline_t1ce-fold0-{name}", role="baseline", method="baseline", **changes)
        score(baseline.path, 0.4 if name == "same" else 0.1)
    text = roles.side_by_side([student])
    assert "0.400" in text
    assert "0.100" not in text


@pytest.mark.parametrize("last", ["teacher", "baseline", "student"])
def test_whatever_was_trained_last_the_table_has_what_the_folder_has(tmp_path: Path, last: str) -> None:
    runs = {
        "teacher": record(tmp_path / "teacher-fold0-1", role="teacher", modality="t1-t1ce-t2-flair", run_key="mine"),
        "baseline": record(tmp_path / "baseline_t1ce-fold0-1", role="baseline", method="baseline"),
        "student": record(tmp_path / "kdnet_t1ce-fold0-1", teacher_key="mine"),
    }
    stranger = record(tmp_path / "teacher-fold0-2", role="teacher", modality="t1-t2", run_key="another")
    for run, dice in zip([*runs.values(), stranger], (0.8, 0.4, 0.6, 0.1), strict=True):
        score(run.path, dice)
    text = roles.side_by_side([runs[last]])
    assert "Missing" not in text
    assert all(dice in text for dice in ("0.800", "0.400", "0.600"))
    assert "0.100" not in text


def test_a_baseline_stands_beside_the_teacher_of_its_study_where_there_is_no_student(tmp_path: Path) -> None:
    teacher = record(tmp_path / "teacher-fold0-1", role="teacher", modality="t1-t1ce-t2-flair", run_key="mine")
    baseline = record(tmp_path / "baseline_t1ce-fold0-1", role="baseline", method="baseline")
    for run, dice in ((teacher, 0.8), (baseline, 0.4)):
        score(run.path, dice)
    text = roles.side_by_side([baseline])
    assert "0.800" in text
    assert "an evaluated teacher" not in text


def test_the_line_to_predict_with_can_be_typed_as_it_stands() -> None:
    assert roles.predict_line(Path("/a b/run"), "t1ce") == (
        "Segment with it: make predict RUN='/a b/run' INPUT=t1ce.nii.gz"
    )
    assert roles.predict_line(Path("/run"), "t1-t2").endswith("RUN=/run INPUT=FOLDER")


def test_a_baseline_of_other_epochs_does_not_stand_beside_the_student(tmp_path: Path) -> None:
    student = record(tmp_path / "kdnet_t1ce-fold0-1")
    score(student.path, 0.9)
    baseline = record(tmp_path / "baseline_t1ce-fold0-1", role="baseline", method="baseline")
    file = baseline.path / "config.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | {"epochs": 13}))
    score(baseline.path, 0.4)
    assert "0.400" not in roles.side_by_side([student])


def test_runs_without_scores_give_no_table(tmp_path: Path) -> None:
    assert "Nothing to compare" in roles.side_by_side([record(tmp_path / "run")])
