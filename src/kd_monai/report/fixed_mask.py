"""The best fixed mask of a fold, written as a run folder, so that a report compares networks with it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from kd_monai.atomic import write_json
from kd_monai.data import Datalist
from kd_monai.metrics import fixed_mask_scores, write_cases
from kd_monai.phases import phase
from kd_monai.report.comparable import STUDY_KEYS
from kd_monai.runs.read import TrainedRun


@phase("fixed mask")
def write_fixed_mask(run_folder: Path, datalist: Datalist) -> Path:
    """Score the best fixed mask of the training and validation labels on the test labels.

    Args:
        run_folder: a network of this fold, which is compared with the mask.
        datalist: of that network.

    Returns:
        The folder ``fixed_mask-fold<fold>-<key>`` in the same output folder: ``run.json`` with role ``fixed_mask``, and
        ``cases.csv``. An existing one is not written again.

    Raises:
        UserError: label files on different grids.
    """
    run = TrainedRun.read(run_folder)
    # a fixed mask has no seed; one is enough for the networks of all
    record = {"role": "fixed_mask", "method": "fixed_mask", "modality": "none", "seed": 0, "fold": run.record["fold"]}
    record |= {key: run.get(key) for key in STUDY_KEYS}
    key = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:8]
    folder = run.folder.parent / f"fixed_mask-fold{record['fold']}-{key}"
    if not (folder / "cases.csv").is_file():
        cases = fixed_mask_scores([*datalist.train, *datalist.val], datalist.test, datalist.convention)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "run.json", record)
        write_cases(cases, folder / "cases.csv")
    return folder
