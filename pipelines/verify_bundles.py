"""MONAI's own checks of both bundles, offline: `python pipelines/verify_bundles.py`."""

from __future__ import annotations

import argparse
import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

from kd_monai.export.verify import untrained_run, verify_properties, verify_static
from kd_monai.phantom import write_phantom
from kd_monai.training.launch import BUNDLES, SHARED, STUDENT, TEACHER, inference_files, train_files


def main(arguments: list[str] | None = None) -> None:
    """Check files, then workflows on a few phantom subjects."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="BraTS-like folder for train and evaluate (default: a new phantom)")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("kd_monai.export.verify").setLevel(logging.INFO)
    for name in ("scripts", "workflows"):
        logging.getLogger(f"monai.bundle.{name}").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="monai")
    try:
        with tempfile.TemporaryDirectory() as folder:
            data = options.data or write_phantom(Path(folder) / "phantom", 6, spacing_mm=2, seed=0, progress=False)
            settings: dict[str, Any] = {
                "dataset_dir": str(data),
                "output_dir": str(Path(folder) / "runs"),
                "device": "cpu",
                "n_subjects": 1,
            }
            for bundle in (TEACHER, STUDENT):
                verify_static(bundle, BUNDLES / "schema")
                verify_properties(bundle, "infer", inference_files(bundle), device="cpu")
                verify_properties(bundle, "train", train_files(bundle), **settings)
                run = untrained_run(bundle, train_files(bundle), **settings)
                files = [*train_files(bundle), run / "config.yaml", SHARED / "evaluate.yaml"]
                verify_properties(bundle, "infer", files, **settings, run_dir=str(run))
                settings["teacher"] = str(run)
    except (KeyError, OSError, RuntimeError, ValueError) as problem:
        parser.exit(1, f"{problem}\n")
    print("Both bundles pass MONAI's checks.")


if __name__ == "__main__":
    main()
