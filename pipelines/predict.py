"""Label maps of images: `python pipelines/predict.py --run RUN_FOLDER --input image.nii.gz --out predictions`."""

from __future__ import annotations

import argparse
from pathlib import Path

from kd_monai.config.command import run_command
from kd_monai.export.bundle import bundle_of
from kd_monai.export.predict import predict
from kd_monai.task import LABEL_CONVENTIONS


def main() -> None:
    """Parse, call, say where the label maps lie."""
    parser = argparse.ArgumentParser(description=__doc__)
    network = parser.add_mutually_exclusive_group()
    network.add_argument("--run", type=Path, help="folder of a finished run; a missing bundle is exported")
    network.add_argument("--bundle", type=Path, help="folder of an exported bundle")
    parser.add_argument("--input", type=Path, help="an image, or a folder of images or BraTS-like cases")
    parser.add_argument("--out", type=Path, required=True, help="folder of the label maps")
    parser.add_argument("--labels", choices=LABEL_CONVENTIONS, default="brats2023", help="label values (%(default)s)")
    parser.add_argument("--probabilities", action="store_true", help="write probabilities of TC, WT, ET instead")
    parser.add_argument("--check_skull_stripped", choices=("True", "False"), default="True", help="(%(default)s)")
    parser.add_argument("--bf16", action="store_true", help="faster where processor or GPU has bf16")
    parser.add_argument(
        "--runtime",
        choices=("auto", "openvino", "torch"),
        default="auto",
        help="what computes the network; auto: OpenVINO on a CPU where the bundle was exported with it ([fast])",
    )
    parser.add_argument("--device", help="cpu, cuda, cuda:1, ... (default: a GPU where there is one)")
    options = parser.parse_args()
    if not (options.run or options.bundle) or not options.input:
        raise ValueError(
            "A prediction needs RUN, the folder of a finished run (ls OUT, by default runs), and INPUT, an image or a "
            f"folder; got RUN={options.run or options.bundle or ''} INPUT={options.input or ''}. "
            "For example: make predict RUN=runs/kdnet_t1ce-fold0-KEY INPUT=t1ce.nii.gz"
        )
    written = predict(
        options.bundle or bundle_of(options.run),
        options.input,
        options.out,
        labels=options.labels,
        probabilities=options.probabilities,
        check_skull_stripped=options.check_skull_stripped == "True",
        bf16=options.bf16,
        runtime=options.runtime,
        device=options.device,
    )
    print(f"{len(written)} written to {options.out}")


if __name__ == "__main__":
    run_command(main)
