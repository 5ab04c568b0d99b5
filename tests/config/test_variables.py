"""Variables of a command line become configuration ids; empty ones are not given."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from kd_monai.config.overlays import STUDENT, TEACHER
from kd_monai.config.variables import (
    LISTS,
    OF_STUDENT,
    OTHERS,
    OVERRIDES,
    defaults,
    overrides_of,
    read_variables,
    settings_of,
)

ROOT = Path(__file__).parents[2]


def overrides(*arguments: str) -> dict[str, object]:
    return overrides_of(read_variables(None, arguments))


def test_nothing_given_overrides_nothing() -> None:
    given = read_variables(None, [])
    assert overrides_of(given) == {}
    assert {name: getattr(given, name) for name in defaults()} == defaults()


def test_an_empty_value_counts_as_not_given() -> None:
    """As an unset variable of make is."""
    named = [name for name in (*OVERRIDES, *OTHERS) if name not in LISTS]
    empty = [part for name in named for part in (f"--{name.replace('_', '-')}", "")]
    given = read_variables(None, empty)
    assert overrides_of(given) == {}
    assert given.modality == "t1ce"
    assert given.teacher is None


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--epochs", "3"], {"epochs": 3}),
        (["--fold", "1"], {"fold": 1}),
        (["--fold", "all"], {"fold": "all"}),
        (["--folds", "5"], {"folds": 5}),
        (["--seed", "0"], {"seed": 0}),
        (["--n-subjects", "4"], {"n_subjects": 4}),
        (["--device", "cpu"], {"device": "cpu"}),
        (["--cache", "disk"], {"cache": "disk"}),
        (["--teachers", "crossfit"], {"teachers": "crossfit"}),
        (["--init", "teacher"], {"init": "teacher"}),
        (["--unlabelled", "rest", "--n-subjects", "4"], {"unlabelled": "rest", "n_subjects": 4}),
        (["--labels", "msd"], {"labels": "msd"}),
        (["--out", "runs/a"], {"output_dir": "runs/a"}),
        (["--out", "2024-01-31"], {"output_dir": "2024-01-31"}),
        (["--out", "007"], {"output_dir": "007"}),
        (["--split", "1e3"], {"split_file": "1e3"}),
        (["--data", "/data/2024-01-31"], {"dataset_dir": "/data/2024-01-31"}),
        (["--force", "1"], {"force": True}),
        (["--force", "0"], {"force": False}),
        (["--force", "true"], {"force": True}),
        (["--set", "learning_rate=0.001"], {"learning_rate": 0.001}),
        (["--set", "roi_size=[32, 32, 32]", "--set", "head=labels"], {"roi_size": [32, 32, 32], "head": "labels"}),
        (["--set", "terms#latent_kl#weight=1.5"], {"terms#latent_kl#weight": 1.5}),
        (["--set", "learning_rate=1e-3"], {"learning_rate": 0.001}),
        (["--set", "val_interval=$1 == 1"], {"val_interval": "$1 == 1"}),
        (["--epochs", "3", "--set", "epochs=4"], {"epochs": 4}),
    ],
)
def test_values_are_read_as_monais_command_line_reads_them_and_paths_as_they_stand(arguments, expected) -> None:
    assert overrides(*arguments) == expected


def test_a_data_folder_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run's configuration is read again from other folders."""
    monkeypatch.chdir(tmp_path)
    assert overrides("--data", "brats") == {"dataset_dir": str(tmp_path / "brats")}
    monkeypatch.setenv("HOME", str(tmp_path))
    assert overrides("--data", "~/brats") == {"dataset_dir": str(tmp_path / "brats")}


def test_the_teachers_settings_are_read_alike_and_are_no_overrides_of_all() -> None:
    given = read_variables(None, ["--set", "width=4", "--teacher-set", "width=1e1", "--teacher-set", "head=labels"])
    assert settings_of(given.teacher_set) == {"width": 10.0, "head": "labels"}
    assert overrides_of(given) == {"width": 4}


def test_a_folder_of_unlabelled_subjects_becomes_absolute_and_must_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said before a teacher is trained, which does not look at them."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=rf"UNLABELLED must be rest, or name a folder.*{tmp_path}/more does not exist"):
        read_variables(None, ["--unlabelled", "more"])
    (tmp_path / "more").mkdir()
    assert overrides("--unlabelled", "more") == {"unlabelled": str(tmp_path / "more")}


def test_the_rest_is_of_a_number_of_subjects() -> None:
    with pytest.raises(ValueError, match="UNLABELLED=rest takes the training subjects that N_SUBJECTS leaves out"):
        read_variables(None, ["--unlabelled", "rest"])


def test_settings_of_a_teacher_that_is_trained_already_are_refused() -> None:
    """They would change nothing."""
    with pytest.raises(ValueError, match=r"TEACHER names one that is trained; got width=4 head=labels, which would"):
        read_variables(None, ["--teacher", "t", "--teacher-set", "width=4", "--teacher-set", "head=labels"])


@pytest.mark.parametrize("name", ["cache", "teachers", "init"])
def test_what_is_no_choice_is_refused_with_the_choices(name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name.upper()} must be \w+ or \w+; got 'both'\. Choose one of them"):
        read_variables(None, [f"--{name}", "both"])


@pytest.mark.parametrize("entry", ["learning_rate", "=3", " =3", ""])
def test_a_setting_without_a_name_and_a_value_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match=r"id=value.*got " + repr(entry)):
        overrides("--set", entry)


def test_a_value_that_is_no_yaml_is_refused_with_its_name() -> None:
    with pytest.raises(ValueError, match=r"roi_size must be YAML; got '\[32, 32'"):
        overrides("--set", "roi_size=[32, 32")


@pytest.mark.parametrize("option", ["--modality", "--teacher-modalities"])
def test_an_unknown_modality_is_refused_before_anything_starts(option: str) -> None:
    with pytest.raises(ValueError, match=r"'t3'.*unknown"):
        read_variables(None, [option, "t1-t3"])


def test_modalities_come_in_canonical_order() -> None:
    assert read_variables(None, ["--modality", "FLAIR-t1"]).modality == "t1-flair"


def test_an_unknown_label_convention_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"brats2018.*msd.*'brats2019'.*Choose one"):
        read_variables(None, ["--labels", "brats2019"])


@pytest.mark.parametrize("text", ["zero", "-1", "1.5", "1e3", "010", "true"])
@pytest.mark.parametrize("name", ["epochs", "folds", "n-subjects", "seed"])
def test_what_is_no_whole_number_is_refused_with_the_name_of_its_variable(name: str, text: str) -> None:
    variable = name.upper().replace("-", "_")
    with pytest.raises(ValueError, match=f"{variable} must be a whole number.*'{text}'.*Correct it"):
        read_variables(None, [f"--{name}", text])


@pytest.mark.parametrize(("name", "least"), [("epochs", 1), ("folds", 2), ("n-subjects", 1), ("seed", 0)])
def test_a_number_that_is_too_small_is_refused_and_the_least_is_taken(name: str, least: int) -> None:
    assert overrides(f"--{name}", str(least)) == {name.replace("-", "_"): least}
    with pytest.raises(ValueError, match=f"at least {least}; got '{least - 1}'"):
        read_variables(None, [f"--{name}", str(least - 1)])


def test_an_unknown_option_ends_with_status_2() -> None:
    with pytest.raises(SystemExit) as stop:
        read_variables(None, ["--modalities", "t1"])
    assert stop.value.code == 2


@pytest.mark.parametrize("bundle", [TEACHER, STUDENT])
def test_every_variable_stands_for_an_id_of_both_bundles(bundle: Path) -> None:
    config = yaml.safe_load((bundle / "configs" / "train.yaml").read_text())
    own = set(OF_STUDENT) if bundle == TEACHER else set()
    assert {target for target, _ in OVERRIDES.values()} - own <= set(config)


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What `make` would run."""
    return subprocess.run(
        ["make", "-n", "-o", ".venv/.installed", *arguments],
        cwd=ROOT,
        # as if no make ran these tests
        env={name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "VENV")},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("wrong", ["MODALTY=flair", "modality=flair", "OUTT=a b=c", "DTA:=/data"])
def test_make_refuses_a_misspelt_variable(wrong: str) -> None:
    """It would train on the phantom, on T1ce, into runs."""
    done = make("student", wrong, "EPOCHS=1")
    assert done.returncode == 2
    assert done.stdout == ""
    assert re.search(
        rf"one of DATA LABELS MODALITY .*; got {wrong.partition('=')[0].rstrip(':')}\. Correct", done.stderr
    )


@pytest.mark.parametrize(
    ("goals", "wrong", "takes"),
    [
        ("student", "MODALITIES=flair", "DATA .*MODALITY .*"),
        ("compare", "FOLD=1", "OUT MODALITY"),
        ("study", "MODALITY=flair", "DATA .*MODALITIES .*"),
        ("report choose", "SEEDS=1", "OUT README OUT METHODS"),
    ],
)
def test_make_refuses_a_variable_of_another_verb(goals: str, wrong: str, takes: str) -> None:
    """It would be ignored."""
    done = make(*goals.split(), wrong)
    assert done.returncode == 2
    assert done.stdout == ""
    assert re.search(rf"make {goals} takes {takes}; got {wrong.partition('=')[0]}, which would", done.stderr)


def test_make_refuses_to_benchmark_data_that_is_not_there_before_it_writes_phantoms(tmp_path: Path) -> None:
    done = make("bench", f"DATA={tmp_path}/no where")
    assert done.returncode == 2
    assert done.stdout == ""
    assert f"{tmp_path}/no where does not exist" in done.stderr
    (tmp_path / "no where").mkdir()
    assert f"--data '{tmp_path}/no where'" in make("bench", f"DATA={tmp_path}/no where").stdout


def test_make_takes_the_variables_of_any_of_its_verbs() -> None:
    done = make("student", "report", "MODALITY=flair", "README=r.md", "DATA=/d")
    assert done.returncode == 0, done.stderr
    assert "--modality 'flair'" in done.stdout
    assert "--readme 'r.md'" in done.stdout


def test_another_number_of_phantom_subjects_is_another_folder() -> None:
    """A finished phantom of 30 would be taken for that of 12."""
    done = make("phantom", "SUBJECTS=12")
    assert "--out 'data/phantom-2mm-12' --subjects 12" in done.stdout
    assert "--data 'data/phantom-2mm-12'" in make("demo", "SUBJECTS=12").stdout
    assert "--out 'data/phantom-2mm' --subjects 30" in make("-W", "data/phantom-2mm/.complete", "phantom").stdout


def test_make_takes_what_programs_read_from_the_environment_and_values_with_blanks() -> None:
    done = make(
        "student", "TRACKING=off", "OMP_NUM_THREADS=1", "VENV=/v", "SET=width=12 MODALTY=1", "FOLD:=1", "OUT=/a b"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip("\n").endswith("--fold '1' --out '/a b' --set 'width=12' --set 'MODALTY=1'")


@pytest.mark.parametrize("line", ["student DATA=/data", "evaluate DATA=/data", "predict RUN=/r", "compare OUT=/o"])
def test_make_prints_its_commands_without_runs_of_blanks(line: str) -> None:
    line = make(*line.split()).stdout.rstrip("\n")
    assert "pipelines" in line
    assert "  " not in line
    assert line == line.rstrip()


@pytest.mark.parametrize("left_out", ["TEACHER", "TEACHER_SET"])  # no command takes both
def test_every_training_variable_of_make_is_an_option_and_reaches_it(left_out: str) -> None:
    """`make student` with every variable set prints a command that the parser takes as it was meant."""
    wanted = re.search(r"^TRAINING := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert wanted is not None
    names = wanted[1].split()
    assert {name.lower() for name in names} | {*LISTS} == {*OVERRIDES, *OTHERS}
    values = {name: f"x{name.lower()}" for name in names} | {"MODALITY": "t2", "TEACHER_MODALITIES": "t1-t2"}
    values |= {"FOLDS": "4", "SEED": "7", "EPOCHS": "2", "N_SUBJECTS": "6"}
    values |= {"LABELS": "msd", "DEVICE": "cpu", "CACHE": "disk"}
    values |= {"SET": "learning_rate=0.1 width=4", "TEACHER_SET": "width=16 head=labels"}
    values |= {"TEACHERS": "crossfit", "UNLABELLED": "rest", "INIT": "teacher"}
    del values[left_out]
    done = make("student", *(f"{name}={value}" for name, value in values.items()))
    (line,) = [line for line in done.stdout.splitlines() if "pipelines/student.py" in line]
    arguments = line.split("pipelines/student.py", 1)[1].replace("'", "").split()
    given = vars(read_variables(None, arguments))
    for name, value in values.items():
        assert given[name.lower()] == (value.split() if name.lower() in LISTS else value), name
