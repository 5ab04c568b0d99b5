"""What a training is going to run, read once and handed on."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import fire
from monai.bundle import ConfigParser, update_kwargs

from kd_monai.errors import UserError

_NOT_OVERRIDES = (
    "run_id", "init_id", "final_id", "meta_file", "config_file", "logging_file", "tracking", "args_file",
    "workflow_name", "workflow_type", "properties_path",
)  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """One training of one bundle.

    Attributes:
        role: teacher, baseline or student.
        bundle: the bundle's folder.
        files: ``train.yaml`` and the overlays behind it.
        overrides: configuration id -> value, over the files.
        config: what files and overrides come to; references and expressions are not resolved.
    """

    role: str
    bundle: Path
    files: tuple[Path, ...]
    overrides: Mapping[str, Any]
    config: Mapping[str, Any]

    @classmethod
    def read(cls, role: str, bundle: Path, files: Sequence[Path], overrides: Mapping[str, Any]) -> Plan:
        """The plan of these files and overrides."""
        parser = ConfigParser(ConfigParser.load_config_files([str(file) for file in files]))
        parser.update(dict(overrides))
        return cls(role, bundle, tuple(files), dict(overrides), parser.get())


def command_line_plan() -> Plan:
    """The plan of the ``python -m monai.bundle run`` that this process is, read from its command line as MONAI does.

    Raises:
        UserError: this process is another command.
    """
    program, *line = sys.argv
    if Path(program).parts[-3:] != ("monai", "bundle", "__main__.py") or line[:1] != ["run"]:
        raise UserError(
            f"A run needs its plan, and only `python -m monai.bundle run` has one on its command line; this is "
            f"{program}. Hand it in: ConfigWorkflow(..., plan=Plan(...))."
        )
    options: dict[str, Any] = {}

    def run(run_id: str | None = None, **named: Any) -> None:
        options.update(named)

    fire.Fire(run, command=line[1:], name="run")
    options = update_kwargs(args=options.pop("args_file", None), **options)
    files = options["config_file"]
    files = [files] if isinstance(files, str) else list(files)
    overrides = {name: value for name, value in options.items() if name not in _NOT_OVERRIDES}
    bundle = Path(str(overrides.get("bundle_root", ".")))
    plan = Plan.read("", bundle, [Path(file) for file in files], overrides)
    return replace(plan, role=str(plan.config.get("role")))
