"""The distillation terms that there are, read from the folder: facts of all of them run over what stands there."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path
from typing import Any

from torch import nn

import kd_monai.losses.terms

FOLDER = Path(kd_monai.losses.terms.__path__[0])


def terms_in(folder: str) -> list[type[Any]]:
    """Classes of `losses/terms/FOLDER` that are called with student, teacher and batch; bases without a formula not."""
    modules = [
        import_module(f"kd_monai.losses.terms.{folder}.{file.stem}") for file in sorted((FOLDER / folder).glob("*.py"))
    ]
    return [
        cls
        for module in modules
        for cls in vars(module).values()
        if inspect.isclass(cls)
        and cls.__module__ == module.__name__
        and issubclass(cls, nn.Module)
        and not inspect.isabstract(cls)
        and list(inspect.signature(cls.forward).parameters) == ["self", "student", "teacher", "batch"]
    ]


def all_terms() -> list[type[Any]]:
    """Of every folder."""
    return [cls for folder in sorted(FOLDER.iterdir()) if folder.is_dir() for cls in terms_in(folder.name)]
