"""All pictures of the documents: python docs/figures/make_figures.py [WORK [PICTURE ...]]

Diagrams take a second. Forest plot and curve unpack the packed runs, a minute. The phantom and MLflow's page train a
small study of phantoms, some ten minutes on two cores, once. What is computed is kept in WORK (data/figures).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import mlflow_page
import packed
import road
import rooms
import step
from command import ROOT

import phantom

PICTURES: dict[str, Callable[[Path], Path]] = {
    "road": lambda work: road.draw(),
    "rooms": lambda work: rooms.draw(),
    "step": lambda work: step.draw(),
    "forest": packed.draw_forest,
    "label_efficiency": packed.draw_label_efficiency,
    "phantom": phantom.draw,
    "mlflow": mlflow_page.draw,
}


def main(arguments: list[str]) -> None:
    """Draw what is named, or everything."""
    work = Path(arguments[0]).absolute() if arguments else ROOT / "data" / "figures"
    work.mkdir(parents=True, exist_ok=True)
    for name in arguments[1:] or PICTURES:
        try:
            sys.stdout.write(f"{PICTURES[name](work).relative_to(ROOT)}\n")
        except ModuleNotFoundError as missing:
            if missing.name != "playwright":
                raise
            sys.stdout.write(f"{name} is left as it was: {missing}. Install it with pip install -e '.[figures]'\n")


if __name__ == "__main__":
    main(sys.argv[1:])
