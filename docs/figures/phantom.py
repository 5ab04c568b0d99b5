"""A phantom subject with reference, teacher and student outlined, from a small study of phantoms."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
from command import kd_monai
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from style import REFERENCE, STUDENT, TEACHER, save

STUDY = {"RECIPE": "quick", "NETWORK": "unet", "MODALITIES": "t1ce,flair", "METHODS": "baseline,kdnet,softlabels"}
SEQUENCES = (("t1ce", "T1ce"), ("flair", "FLAIR"))


def phantom_study(work: Path) -> tuple[Path, Path]:
    """Folder of the phantoms and of the study's runs; some ten minutes on two cores, and nothing if it is there."""
    phantom, runs = work / "phantom", work / "phantom_runs"
    kd_monai("phantom", PHANTOM=phantom, SUBJECTS=30, SPACING_MM=2)
    kd_monai("study", DATA=phantom, OUT=runs, FOLD=0, JOBS=2, **STUDY)
    return phantom, runs


def _run(runs: Path, name: str) -> Path:
    """The run folder of a job that this version of the study has trained."""
    jobs = json.loads((runs / "study.json").read_text())["jobs"]
    (marker,) = [runs / "jobs" / f"{job}.done" for job in jobs if job.startswith(name)]
    return runs / marker.read_text().strip()


def draw(work: Path) -> Path:
    """Two sequences of the test subject with the largest tumour, the whole tumour outlined by three hands."""
    phantom, runs = phantom_study(work)
    teacher, student = (_run(runs, name) for name in ("teacher-fold0", "softlabels_flair-fold0"))
    subjects = json.loads((student / "split.json").read_text())["folds"][0]
    references = {name: _largest_slice(next(phantom.rglob(f"{name}_seg.nii.gz"))) for name in subjects}
    name = max(references, key=lambda subject: references[subject][1])
    folder = next(phantom.rglob(f"{name}_seg.nii.gz")).parent
    depth = references[name][0]
    flair = folder / f"{name}_flair.nii.gz"
    reference = _read(folder / f"{name}_seg.nii.gz")[..., depth]
    outlines = [
        ("reference", REFERENCE, reference > 0),
        ("teacher, four sequences", TEACHER, _predict(teacher, folder, work / "by_teacher")[..., depth] > 0),
        ("student, FLAIR alone", STUDENT, _predict(student, flair, work / "by_student")[..., depth] > 0),
    ]
    brain = _read(flair)[..., depth] > 0
    (left, right), (front, back) = ((np.flatnonzero(brain.any(axis))[[0, -1]] + (-3, 4)) for axis in (1, 0))
    figure = Figure(figsize=(9.0, 5.3), facecolor="white")
    panels = figure.subplots(1, 2)
    figure.subplots_adjust(left=0.01, right=0.99, top=0.93, bottom=0.09, wspace=0.02)
    for axes, (kind, title) in zip(panels, SEQUENCES, strict=True):
        image = _read(folder / f"{name}_{kind}.nii.gz")[left:right, front:back, depth]
        axes.imshow(image.T, cmap="gray", origin="lower", vmax=np.quantile(image[image > 0], 0.995))
        for _, colour, mask in outlines:
            axes.contour(mask[left:right, front:back].T.astype(float), [0.5], colors=[colour], linewidths=2.2)
        axes.set_title(f"{title} of a phantom", fontsize=11)
        axes.axis("off")
    lines = [Line2D([], [], color=colour, linewidth=2.5, label=label) for label, colour, _ in outlines]
    figure.legend(handles=lines, loc="lower center", ncols=3, frameon=False, fontsize=10)
    return save(figure, "phantom.png")


def _read(path: Path) -> np.ndarray:
    return np.asanyarray(nibabel.load(path).dataobj)


def _largest_slice(label: Path) -> tuple[int, int]:
    """Depth of the slice with the most tumour, and its number of voxels."""
    areas = (_read(label) > 0).sum((0, 1))
    return int(areas.argmax()), int(areas.max())


def _predict(run: Path, source: Path, out: Path) -> np.ndarray:
    """Label map of a run's network."""
    kd_monai("predict", RUN=run, INPUT=source, PREDICTIONS=out)
    (written,) = out.rglob("*_seg.nii.gz")
    return _read(written)
