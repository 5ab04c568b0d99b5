"""What a run was trained with, and which part of it a student shares with its baseline."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from kd_monai.config.config_files import ConfigFiles
from kd_monai.runs.identity import content_key
from kd_monai.runs.read import TrainedRun
from kd_monai.training.launch import STUDENT, overlay

GROUP_KEYS = ("data_digest", "split_digest", "labels", "recipe", "n_subjects")
"""Runs that differ in one of these are of two studies."""

# a method may well add steps, handlers or terms of the loss
_STEPS = {"initialize", "run"}
# where the record says what a setting came to
_RECORDED = ("recipe", "n_subjects", "precision", "unlabelled")


def setting_of(run: TrainedRun) -> dict[str, Any]:
    """What runs of one pool share: all that decides what they learned but data, fold, seed and teacher."""
    config = {name: value for name, value in run.identity.items() if name not in {"fold", "seed"}}
    return config | {name: run.get(name) for name in _RECORDED}


def shared_setting_of(run: TrainedRun) -> dict[str, Any]:
    """The part that a student shares with its baseline: numbers and lists of ``train.yaml`` and the network.

    What each modality has of its own, what makes a baseline, and what a method's file adds is left out.
    """
    setting = setting_of(run)
    named = _template_ids() | set(re.findall(r"@(\w+)", str(setting.get("network_def"))))
    return {
        name: value
        for name, value in setting.items()
        if name in named - {"modality"} and (name == "network_def" or not isinstance(value, dict))
    }


@cache
def _template_ids() -> frozenset[str]:
    template = ConfigFiles.load_config_file(STUDENT / "configs" / "train.yaml")
    return frozenset(template.keys() - ConfigFiles.load_config_file(overlay(STUDENT, "method", "baseline")) - _STEPS)


def teachers_setting(run: TrainedRun, teachers: Mapping[str, TrainedRun]) -> str:
    """Digests of the settings of a student's teachers; not of their keys, which differ from fold to fold.

    Args:
        run: of a student.
        teachers: run key -> a teacher's run, of those that are here.
    """
    known = {digest(setting_of(teachers[key]))[:4] for key in run.teacher_keys & teachers.keys()}
    return " ".join(sorted(known)) or "not here"


def digest(setting: Mapping[str, Any]) -> str:
    """Eight hexadecimal digits that tell one setting from another."""
    return content_key(setting)[:8]


def what_differs(settings: Iterable[Mapping[str, Any]]) -> list[str]:
    """For each setting, those of its values in which not all agree, as ``--set`` would take them."""
    settings = list(settings)
    names = differing(settings)
    return [values_of(setting, names) for setting in settings]


def values_of(setting: Mapping[str, Any], names: Iterable[str]) -> str:
    """The named values of a setting, at any depth, as ``--set`` would take them."""
    leaves = dict(_leaves(setting))
    return ", ".join(f"{name}={leaves.get(name, 'not set')}" for name in names)


def differing(settings: Iterable[Mapping[str, Any]]) -> list[str]:
    """Names of the values, at any depth, in which not all settings agree."""
    flat = [dict(_leaves(setting)) for setting in settings]
    names = sorted({name for leaves in flat for name in leaves})
    return [name for name in names if any(leaves.get(name) != flat[0].get(name) for leaves in flat)]


def _leaves(setting: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in setting.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}#")
        else:
            yield f"{prefix}{name}", value
