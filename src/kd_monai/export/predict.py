"""Run an exported bundle's inference in this process."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Literal

import torch
from monai.bundle import ConfigWorkflow

from kd_monai.config.overlays import bundle_scripts
from kd_monai.errors import UserError
from kd_monai.export.openvino import openvino_model
from kd_monai.task import LABEL_CONVENTIONS


def predict(
    bundle: str | Path,
    images: str | Path,
    out: str | Path,
    labels: str = "brats2023",
    probabilities: bool = False,
    check_skull_stripped: bool = True,
    bf16: bool = False,
    runtime: Literal["auto", "openvino", "torch"] = "auto",
    device: str | None = None,
) -> list[Path]:
    """Write one label map for each image, in the image's own geometry.

    Args:
        bundle: folder of an exported bundle.
        images: an image, or a folder of images or of BraTS-like cases.
        out: folder of the label maps ``<name>_seg.nii.gz``.
        labels: convention of the label values, a key of `LABEL_CONVENTIONS`.
        probabilities: write ``<name>_prob.nii.gz`` with channels TC, WT, ET instead.
        check_skull_stripped: whether the volume of non-zero voxels must be a brain's.
        bf16: faster where processor or GPU has it.
        runtime: `auto` is OpenVINO on a CPU where it is installed and the export wrote ``models/model.xml``; `openvino`
            writes that file where it is missing.
        device: a GPU where there is one, unless named.

    Returns:
        The files written.

    Raises:
        ValueError: the bundle has no weights, there are no images, or one breaks a rule of the bundle; says which.
        ImportError: openvino is asked for and not installed.
    """
    bundle, convention = Path(bundle), LABEL_CONVENTIONS[labels]
    if not (bundle / "models" / "model.pt").is_file():
        raise UserError(f"A bundle has weights in models/model.pt; {bundle} has none. Name an exported bundle.")
    if not Path(images).exists():
        raise UserError(f"INPUT must be an image or a folder; {images} does not exist. Correct INPUT (--input).")
    if runtime == "openvino":
        openvino_model(bundle)
    with bundle_scripts(bundle), warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", module="monai"
        )  # that a configuration runs code: this one is the user's choice
        workflow = ConfigWorkflow(
            config_file=str(bundle / "configs" / "inference.yaml"),
            workflow_type="infer",
            logging_file=False,
            bundle_root=str(bundle),
            dataset_dir=str(images),
            output_dir=str(out),
            write="probabilities" if probabilities else "label_map",
            label_values={"core": convention.core, "oedema": convention.oedema, "enhancing": convention.enhancing},
            check_skull_stripped=check_skull_stripped,
            bf16=bf16,
            runtime=runtime,
            **({"device": device} if device else {}),
        )
        workflow.initialize()
        try:
            workflow.run()
        except RuntimeError as error:
            cause: BaseException = error
            while cause.__cause__ is not None:  # MONAI wraps what went wrong once per layer
                cause = cause.__cause__
            # a defect, or a device that is too small: no fault of the images
            if isinstance(cause, TypeError | AttributeError | LookupError | torch.OutOfMemoryError):
                raise cause from None
            reason = str(cause).replace("`dataset_dir`", "INPUT")  # as the bundle alone calls it
            raise UserError(f"No prediction for {images}: {reason}") from error
        return list(workflow.parser.get_parsed_content("targets"))
