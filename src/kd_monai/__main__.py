"""``python -m kd_monai VERB NAME=value ...``: a command is read once and walks down the rooms."""

from __future__ import annotations

import logging
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from kd_monai.config.errors import run_command
from kd_monai.config.variables import Command, command_line, help_text, read_command
from kd_monai.errors import UserError

if TYPE_CHECKING:
    from kd_monai.config.plan import Plans

# Each verb imports what it needs: `help` runs before anything is installed, and a prediction needs no MLflow.


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("help", "-h", "--help"):
        _tell(help_text())
        return 0
    return run_command(lambda: _dispatch(read_command(words)))


def _dispatch(command: Command) -> int | None:
    # a study's jobs may run on other machines than this one
    if command.values.get("DEVICE") and not command.values.get("PROFILE"):
        from kd_monai.networks.inferers import check_device

        check_device(command["DEVICE"])
    return _VERBS[command.verb](command)


def _tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _with_data(command: Command) -> Command:
    """The command with its DATA; without one that is the phantom, which is written if it is not there."""
    if command["DATA"] is not None:
        for name in ("SUBJECTS", "SPACING_MM", "PHANTOM"):
            if name in command.typed:
                raise UserError(f"{name} says how a phantom is made, and DATA names other data. Leave one of them out.")
        return command
    folder = _phantom(command)
    typed, values = {**command.typed, "DATA": str(folder)}, {**command.values, "DATA": folder}
    return replace(command, typed=MappingProxyType(typed), values=MappingProxyType(values))


def _phantom(command: Command) -> Path:
    from kd_monai.phantom import write_phantom

    recipe = command.values.get("RECIPE")
    spacing_mm = int(command["SPACING_MM"] or (1 if recipe == "paper" else 2))
    subjects = command["SUBJECTS"]
    # another number of subjects is another folder: a finished phantom of 30 would be taken for that of 12
    name = f"phantom-{spacing_mm}mm" + (f"-{subjects}" if subjects != 30 else "")
    folder: Path = command["PHANTOM"] or Path("data", name).absolute()
    return write_phantom(folder, subjects, spacing_mm, 0 if recipe else command["SEED"])


def _evaluation(command: Command) -> dict[str, Any]:
    chosen = {"dataset_dir": command["DATA"], "device": command["DEVICE"]}
    return {name: str(value) for name, value in chosen.items() if value is not None}


def _trained(
    command: Command, runs: Sequence[Path], *, scored: Sequence[Path], beside: Callable[[], list[Path]] = list
) -> None:
    """What follows a training: scores, the note of the run, one table with what stands beside it.

    FORCE scores `runs` again, which the command named, and no teacher that was there.
    """
    from kd_monai.atomic import write_bytes
    from kd_monai.report.report import short
    from kd_monai.training.score import score

    for run in scored:
        score(run, _evaluation(command), command["FORCE"] and run in runs)
    if command["NOTE"]:
        write_bytes(command["NOTE"], f"{runs[-1]}\n".encode())
    _tell(short(scored[-1].parent, [*scored, *beside()]))


def _teacher(command: Command) -> None:
    from kd_monai.config.plan import read_plans
    from kd_monai.training.workflow import train_teachers

    plans = read_plans(_with_data(command), "student")
    teacher, *_ = train_teachers(plans)
    _trained(command, [teacher], scored=[teacher])


def _baseline(command: Command) -> None:
    from kd_monai.config.plan import read_plans
    from kd_monai.training.workflow import train_student

    command = _with_data(command)
    run = train_student(read_plans(command, "baseline"), [])
    _trained(command, [run], scored=[run])


def _student(command: Command) -> None:
    from kd_monai.config.plan import read_plans
    from kd_monai.training.preflight import preflight
    from kd_monai.training.workflow import train_student, train_teachers

    command = _with_data(command)
    plans = read_plans(command, "student")
    preflight(plans)
    teachers = train_teachers(plans) if plans.teaches else []
    student = train_student(plans, teachers)
    _trained(command, [student], scored=[*(teachers[:1] if plans.teacher else []), student])
    _tell(_predict_line(student, plans))


def _predict_line(run_folder: Path, plans: Plans) -> str:
    modality = plans.student.config["modality"]
    image = "FOLDER" if "-" in modality else f"{modality}.nii.gz"
    return f"Segment with it: make predict RUN={shlex.quote(str(run_folder))} INPUT={image}"


def _demo(command: Command) -> None:
    from kd_monai.config.plan import read_plans
    from kd_monai.training.preflight import preflight
    from kd_monai.training.workflow import train_student, train_teachers

    began = time.monotonic()
    if command["METHOD"] == "baseline":
        raise UserError("demo trains a student beside a baseline; METHOD=baseline is none. Choose another METHOD.")
    command = _with_data(command)
    plans, baseline = read_plans(command, "student"), read_plans(command, "baseline")
    preflight(plans)
    steps: list[tuple[str, Callable[[], list[Path]]]] = [
        ("teacher", lambda: train_teachers(plans)),
        ("baseline", lambda: [train_student(baseline, [])]),
        ("student", lambda: [train_student(plans, runs["teacher"])]),
    ]
    runs: dict[str, list[Path]] = {}
    for number, (name, step) in enumerate(steps, start=1):
        _tell(f"{number}/3 {name}, after {(time.monotonic() - began) / 60:.1f} minutes")
        runs[name] = step()
    folders = [runs[name][0] for name, _ in steps]
    _trained(command, folders, scored=folders, beside=lambda: _fixed_mask(folders[-1], plans))
    _tell(_predict_line(folders[-1], plans))
    _tell(
        f"{(time.monotonic() - began) / 60:.1f} minutes. The runs: make mlflow OUT={shlex.quote(str(command['OUT']))}"
    )


def _fixed_mask(student: Path, plans: Plans) -> list[Path]:
    """The best fixed mask of the fold, which a network must beat; none without test fold or one grid."""
    from kd_monai.report.fixed_mask import write_fixed_mask
    from kd_monai.training.preflight import read_datalist

    try:
        datalist = read_datalist(plans.student, read_modalities=plans.student.config["modality"].split("-"))
        return [write_fixed_mask(student, datalist)] if datalist.test else []
    except UserError as problem:
        _tell(f"The table has no fixed mask: {problem}")
        return []


def _study(command: Command) -> int:
    from kd_monai.grid.workflow import study

    return study(_with_data(command))


def _evaluate(command: Command) -> int:
    from pickle import UnpicklingError

    from kd_monai.export.bundle import finished_runs
    from kd_monai.report.report import NOTHING, short
    from kd_monai.training.score import score

    folders = [command["RUN"]] if command["RUN"] else finished_runs(command["OUT"])
    if not folders:
        raise UserError(f"OUT must hold finished trainings; {command['OUT']} holds none. Train first, or correct OUT.")
    scored, complaints = [], []
    for folder in folders:
        try:
            scored.append(score(folder, _evaluation(command), command["FORCE"]))
        except (ValueError, OSError, RuntimeError, UnpicklingError) as problem:  # data elsewhere, damaged weights
            if command["RUN"] and isinstance(problem, UserError):
                raise
            complaints.append(f"{folder.name} was not scored. {type(problem).__name__}: {problem}")
    with_scores = [path.parent for path in scored if path]
    if with_scores or not complaints:
        _tell(short(command["OUT"], with_scores) if with_scores else NOTHING)
    sys.stderr.write("".join(f"\n{complaint}\n" for complaint in complaints))
    return 1 if complaints else 0


def _compare(command: Command) -> None:
    from kd_monai.report.report import short

    _tell(short(command["OUT"], modality=command["MODALITY"]))


def _report(command: Command) -> None:
    from kd_monai.report.report import report

    _tell(report(command["OUT"], command["README"]))


def _choose(command: Command) -> None:
    from kd_monai.report.selection import choose

    _tell(choose(command["OUT"], command["METHODS"] or ()))


def _archive(command: Command) -> Path:
    if command["PACK"] is None:
        raise UserError(f"{command.verb} wants PACK, the archive of the runs. Write PACK=study.tar.xz")
    pack: Path = command["PACK"]
    return pack


def _pack(command: Command) -> None:
    from kd_monai.runs.archive import pack

    archive = _archive(command)
    _tell(f"{pack(command['OUT'], archive)} runs of {command['OUT']} are in {archive}")


def _unpack(command: Command) -> None:
    from kd_monai.runs.archive import unpack

    archive = _archive(command)
    written = unpack(archive, command["OUT"])
    _tell(f"{len(written)} runs of {archive} are new in {command['OUT']}; they have no weights")


def _predict(command: Command) -> None:
    from kd_monai.export.bundle import bundle_of
    from kd_monai.export.predict import predict

    run, bundle = command["RUN"], command["BUNDLE"]
    if bool(run) == bool(bundle) or not command["INPUT"]:
        raise UserError(
            "A prediction needs INPUT, an image or a folder, and either RUN, a run folder, or BUNDLE, an exported "
            "bundle. For example: make predict RUN=runs/kdnet_t1ce-fold0-KEY INPUT=t1ce.nii.gz"
        )
    written = predict(
        bundle or bundle_of(run),
        command["INPUT"],
        command["PREDICTIONS"],
        labels=command["LABELS"],
        probabilities=command["PROBABILITIES"],
        check_skull_stripped=command["CHECK_SKULL_STRIPPED"],
        runtime=command["RUNTIME"],
        device=command["DEVICE"],
    )
    _tell(f"{len(written)} written to {command['PREDICTIONS']}")


def _mlflow(command: Command) -> int:
    from kd_monai.tracking import serve, tracking_uri

    return serve(tracking_uri(command["OUT"]), port=command["PORT"])


def _write_phantom(command: Command) -> None:
    folder = _phantom(command)
    _tell(f"phantom: {command['SUBJECTS']} subjects in {folder}")


def _verify_bundles(command: Command) -> None:
    from kd_monai.export.verify import verify_bundles

    logging.getLogger("monai.bundle.scripts").setLevel(logging.ERROR)
    verify_bundles()
    _tell("Both bundles pass MONAI's checks.")


def _bench(command: Command) -> int:
    raise UserError(f"bench runs from a checkout: make {shlex.join(command_line('bench', command.typed))}")


_VERBS: Mapping[str, Callable[[Command], int | None]] = {
    "demo": _demo,
    "teacher": _teacher,
    "baseline": _baseline,
    "student": _student,
    "study": _study,
    "evaluate": _evaluate,
    "compare": _compare,
    "report": _report,
    "choose": _choose,
    "pack": _pack,
    "unpack": _unpack,
    "predict": _predict,
    "mlflow": _mlflow,
    "phantom": _write_phantom,
    "verify-bundles": _verify_bundles,
    "bench": _bench,
}

if __name__ == "__main__":
    sys.exit(main())
