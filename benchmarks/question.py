"""What every benchmark's command line shares."""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from kd_monai.networks.inferers import has_fast_bf16
from row import Row


@dataclass(frozen=True)
class Given:
    """What a benchmark is given.

    Attributes:
        size: `full`, or `tiny`: seconds, on a data set of 4 mm and few subjects; its ratios mean nothing.
        data: folder of full-size (1 mm) subjects in a BraTS layout.
        small_data: folder of 2 mm subjects.
        device: where networks run.
        out: `OUT`, where a benchmark may look for finished runs.
        work: an empty folder that is deleted afterwards.
    """

    size: Literal["full", "tiny"]
    data: Path
    small_data: Path
    device: torch.device
    out: Path
    work: Path

    @property
    def tiny(self) -> bool:
        """Whether this run only shows that the benchmark works."""
        return self.size == "tiny"

    def pick(self, full: int, tiny: int) -> int:
        """A number of rounds, steps or subjects."""
        return tiny if self.tiny else full


class ContractError(AssertionError):
    """The two sides of a benchmark did not do the same work."""


def contract(holds: bool, rule: str, got: object) -> None:
    """Fail the benchmark where its two sides differ in what must be equal.

    Raises:
        ContractError: it does not hold.
    """
    if not holds:
        raise ContractError(f"{rule}; got {got}. The two sides are not comparable: mend the benchmark.")


def in_turn(*sides: Callable[[], float], rounds: int) -> tuple[list[float], ...]:
    """Figures of each side, A B A B or A B C A B C: what disturbs the machine disturbs all."""
    taken = [[side() for side in sides] for _ in range(rounds)]
    return tuple(list(figures) for figures in zip(*taken, strict=True))


def without_slow_bf16(given: Given, ways: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Ways of predicting, without those in bf16 where the hardware lacks it: minutes a case, or float32 after all.

    Args:
        given: the benchmark's; a tiny run asks all.
        ways: name -> arguments of `predict`.
    """
    if given.tiny or has_fast_bf16(given.device):
        return dict(ways)
    left_out = [name for name, way in ways.items() if way.get("bf16")]
    logging.warning("No bf16 instructions here, so not asked: %s.", ", ".join(left_out))
    return {name: way for name, way in ways.items() if name not in left_out}


def answer(measure: Callable[[Given], Sequence[Row]]) -> None:
    """Parse, measure, write the rows as JSON (``--rows FILE``, else to the terminal)."""
    parser = argparse.ArgumentParser(description=measure.__doc__)
    parser.add_argument("--size", choices=("full", "tiny"), default="full")
    parser.add_argument("--data", type=Path, default=Path("data/phantom-1mm-8"))
    parser.add_argument("--small-data", type=Path, default=Path("data/phantom-2mm"))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--rows", type=Path)
    line = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    warnings.filterwarnings("ignore", module="monai")
    with tempfile.TemporaryDirectory(prefix="kd_monai-bench-", ignore_cleanup_errors=True) as work:
        given = Given(line.size, line.data, line.small_data, torch.device(line.device), line.out, Path(work))
        rows = [row.as_json() for row in measure(given)]
    text = json.dumps(rows, indent=1)
    if line.rows:
        line.rows.write_text(text + "\n")
    else:
        print(text)
