"""The one table of variables: what each verb takes, and what is refused with the nearest known name."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import kd_monai
from kd_monai.__main__ import _VERBS
from kd_monai.config.variables import (
    OF_MAKE,
    ONE_RUN,
    TABLE,
    TRAINED,
    VERBS,
    command_line,
    help_text,
    read_command,
)
from kd_monai.errors import UserError

ROOT = Path(__file__).parents[2]


def test_a_verb_takes_at_most_one_variable_of_a_name() -> None:
    for verb in VERBS:
        names = [variable.name for variable in TABLE if verb in variable.verbs]
        assert len(names) == len(set(names)), verb
    assert set(_VERBS) == set(VERBS)


@pytest.mark.parametrize("variable", TABLE, ids=lambda variable: f"{variable.name} of {variable.verbs[0]}")
def test_every_default_and_example_is_a_value_that_the_variable_takes(variable) -> None:
    assert variable.help
    assert variable.example
    for text in filter(None, (variable.default, variable.example)):
        for verb in variable.verbs:
            assert read_command([verb, f"{variable.name}={text}"])[variable.name] is not None


def test_nothing_typed_is_the_table_s_defaults() -> None:
    command = read_command(["student"])
    assert not command.typed
    assert (command["MODALITY"], command["METHOD"], command["RECIPE"], command["SEED"]) == ("t1ce", "kdnet", "quick", 0)
    assert command["NETWORK"] is None


def test_an_empty_value_counts_as_not_typed() -> None:
    """As an unset variable of make does."""
    assert read_command(["student", "SEED=", "MODALITY= "]) == read_command(["student"])


def test_nothing_leaks_in_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEED", "7")
    monkeypatch.setenv("OUT", "elsewhere")
    command = read_command(["student"])
    assert (command["SEED"], command["OUT"].name) == (0, "runs")


def test_no_module_reads_a_variable_from_the_environment() -> None:
    source = "".join(file.read_text() for file in Path(kd_monai.__file__).parent.rglob("*.py"))
    read = set(re.findall(r"environ(?:\.get\(|\[|\.pop\()[\"'](\w+)", source))
    assert "OMP_NUM_THREADS" in read  # the search finds what is there
    assert not read & {variable.name for variable in TABLE}


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("FOLD=1", 1),
        ("FOLD=all", "all"),
        ("FOLDS=5", 5),
        ("FORCE=1", True),
        ("FORCE=0", False),
        ("FORCE=true", True),
        ("MODALITY=FLAIR-t1", "t1-flair"),
        ("UNLABELLED=rest", "rest"),
        ("LABELS=msd", "msd"),
    ],
)
def test_a_value_has_the_type_of_its_variable(typed: str, value: object) -> None:
    assert read_command(["student", typed])[typed.partition("=")[0]] == value


@pytest.mark.parametrize("name", ["2024-01-31", "007", "1e3", "o#1", "a b", "it's", 'say "x"', "~x"])
def test_a_path_means_what_was_typed(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for variable in ("OUT", "DATA", "SPLIT"):
        assert read_command(["student", f"{variable}={name}"])[variable] == tmp_path / name


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read_command(["student", "OUT=~/runs"])["OUT"] == tmp_path / "runs"


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("width=12", {"width": "12"}),
        ("width=12 learning_rate=1e-3", {"width": "12", "learning_rate": "1e-3"}),
        ("roi_size=[96, 96, 96]", {"roi_size": "[96, 96, 96]"}),
        ("width=12 roi_size=[96, 96, 96] head=labels", {"width": "12", "roi_size": "[96, 96, 96]", "head": "labels"}),
        ("val_interval=$1 == 1", {"val_interval": "$1 == 1"}),
        ("terms#kl#weight=0.5 terms::kl::term=x", {"terms#kl#weight": "0.5", "terms::kl::term": "x"}),
        ("taps={a: b, c: d}", {"taps": "{a: b, c: d}"}),
        ("name='a b=c'", {"name": "'a b=c'"}),
    ],
)
def test_settings_keep_their_blanks(text: str, settings: dict[str, str]) -> None:
    assert read_command(["student", f"SET={text}"])["SET"] == settings


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["studnt"], "did you mean student"),
        (["student", "SEEED=1"], "did you mean SEED"),
        (["student", "modality=t1"], "did you mean MODALITY"),
        (["student", "MODALITIES=t1"], "a variable of study"),
        (["baseline", "METHOD=kdnet"], "METHOD"),
        (["student", "CACHE=dsk"], "did you mean disk"),
        (["student", "LABELS=brats2019"], "did you mean brats20"),
        (["student", "MODALITY=t1-t3"], "'t3'"),
        (["study", "MODALITIES=t1,t1"], "once"),
        (["student", "SEED=1", "SEED=2"], "twice"),
        (["student", "--seed"], "NAME=value"),
        (["student", "SET=width"], "id=value"),
        (["student", "SET==3"], "id=value"),
    ],
)
def test_what_is_misspelt_is_refused_with_the_nearest_known_one(words: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        read_command(words)


@pytest.mark.parametrize("text", ["zero", "-1", "1.5", "1e3", "010", "true"])
@pytest.mark.parametrize("name", ["EPOCHS", "FOLDS", "N_SUBJECTS", "SEED"])
def test_what_is_no_whole_number_is_refused(name: str, text: str) -> None:
    with pytest.raises(UserError, match=f"{name} must be a whole number.*'{text}'"):
        read_command(["student", f"{name}={text}"])


@pytest.mark.parametrize(("name", "least"), [("EPOCHS", 1), ("FOLDS", 2), ("N_SUBJECTS", 1), ("SEED", 0)])
def test_a_number_that_is_too_small_is_refused_and_the_least_is_taken(name: str, least: int) -> None:
    assert read_command(["student", f"{name}={least}"])[name] == least
    with pytest.raises(UserError, match=f"at least {least}"):
        read_command(["student", f"{name}={least - 1}"])


def test_a_command_line_is_read_as_it_was_made() -> None:
    command = read_command(["student", "OUT=a b", "SET=width=4 roi_size=[1, 2]", "SEED=3"])
    assert read_command(command_line("student", command.typed)) == command


def test_the_help_names_every_verb_and_variable() -> None:
    text = help_text()
    assert all(f"  {verb} " in text for verb in VERBS)
    assert all(f"  {variable.name} " in text for variable in TABLE)


def test_the_help_needs_nothing_that_must_be_installed() -> None:
    code = "import sys; sys.modules |= dict.fromkeys(['torch', 'monai', 'yaml', 'numpy']); sys.argv = ['x', 'help']\n"
    code += "from kd_monai.__main__ import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "student" in done.stdout


def test_the_verbs_that_train_one_network_are_part_of_those_that_train() -> None:
    assert set(ONE_RUN) <= set(TRAINED) <= set(VERBS)


def make(*arguments: str, **environment: str) -> list[str]:
    """The words that `make` would hand to Python."""
    outside = {name: text for name, text in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "VENV")}
    done = subprocess.run(
        ["make", "-n", "-o", ".venv/.installed", *arguments],
        cwd=ROOT, env={**outside, **environment}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    (line,) = [line for line in done.stdout.splitlines() if "kd_monai" in line]
    return shlex.split(line.removeprefix("@"))[3:]


@pytest.mark.parametrize(
    "typed",
    [
        "SET=width=12 roi_size=[96, 96, 96]",
        "OUT=a b#1",
        "NOTE=it's",
        'DATA=/say "x"',
        "SET=val_interval=$1 == 1",
        "X=1",
    ],
)
def test_make_hands_on_what_was_typed_as_it_was_typed(typed: str) -> None:
    assert make("student", typed) == ["student", typed]


def test_make_hands_on_nothing_that_stands_in_the_environment() -> None:
    assert make("student", SEED="7", OUT="elsewhere") == ["student"]


def test_make_has_every_verb_and_its_own_variables_are_passed_over() -> None:
    for verb in set(VERBS) - {"bench"}:
        assert make(verb) == [verb]
    assert read_command(["student", *(f"{name}=x" for name in OF_MAKE)]) == read_command(["student"])
    assert set(re.findall(r"^(?:export )?(\w+) \?=", (ROOT / "Makefile").read_text(), re.MULTILINE)) == set(OF_MAKE)


@pytest.mark.parametrize("verb", sorted(set(VERBS) - {"bench"}))
def test_every_verb_has_a_pipeline_of_a_few_lines(verb: str) -> None:
    name = {"mlflow": "serve"}.get(verb, verb).replace("-", "_")  # a script called mlflow.py would be taken for MLflow
    text = (ROOT / "pipelines" / f"{name}.py").read_text()
    assert f'main(["{verb}", *sys.argv[1:]])' in text
    assert len(text.splitlines()) < 12
