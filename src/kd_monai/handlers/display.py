"""What a user sees while a network trains: progress, and the prediction drawn over an image."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from matplotlib.figure import Figure
from torch import Tensor
from tqdm import tqdm

from kd_monai.atomic import replacing
from kd_monai.outputs import Head
from kd_monai.task import REGIONS


class ProgressHandler:
    """A bar over all steps of a run: last loss, latest validation Dice, time left.

    Where standard error is no terminal it writes one line per epoch, which keeps logs readable.

    Args:
        description: in front of the bar.
        validator: engine whose latest `dice_mean` is shown.
        unit: what an iteration is.
    """

    def __init__(self, description: str, validator: Engine | None = None, unit: str = "step") -> None:
        self.description, self.validator, self.unit = description, validator, unit
        self._bar: tqdm | None = None

    def attach(self, engine: Engine) -> None:
        """Register; of several processes the first shows a bar."""
        if idist.get_rank() > 0:
            return
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.step)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.epoch)
        engine.add_event_handler(Events.COMPLETED, self.close)

    def _open(self, engine: Engine) -> tqdm:
        total = engine.state.max_epochs * engine.state.epoch_length
        quiet = not sys.stderr.isatty()
        return tqdm(
            total=total,
            initial=engine.state.iteration,
            desc=self.description,
            unit=self.unit,
            position=0,  # else it stands below the bar of a run that failed before it in this process
            mininterval=math.inf if quiet else 0.5,
            maxinterval=math.inf if quiet else 10,
        )

    def step(self, engine: Engine) -> None:
        """Count a step; the loss is read once an epoch, so that no device waits for it.

        The first one of a run opens the bar: by then handlers have resumed what they resume, networks that do not fit
        have been refused, and what only a first step costs is no part of the estimate.
        """
        if self._bar is None:
            self._bar = self._open(engine)
        else:
            self._bar.update()

    def epoch(self, engine: Engine) -> None:
        """Show the epoch's last loss and the latest validation Dice."""
        if self._bar is None:
            return
        postfix = {}
        if engine.state.max_epochs > 1:
            postfix["epoch"] = f"{engine.state.epoch}/{engine.state.max_epochs}"
        if isinstance(engine.state.output, dict) and "loss" in engine.state.output:
            postfix["loss"] = f"{engine.state.output['loss'].item():.3f}"
        if self.validator is not None and "dice_mean" in self.validator.state.metrics:
            postfix["val_dice"] = f"{self.validator.state.metrics['dice_mean']:.3f}"
        self._bar.set_postfix(postfix, refresh=False)
        self._bar.refresh()
        if not sys.stderr.isatty():
            sys.stderr.write("\n")

    def close(self, engine: Engine) -> None:
        """Leave the finished bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


COLOURS = {"TC": "gold", "WT": "tab:cyan", "ET": "tab:red"}


class OverlayHandler:
    """Draw the first case of each validation into ``folder/overlays/epoch_0005.png``.

    The slice is the axial one that cuts most of the reference's whole tumour, of the predicted one where the reference
    is empty, the middle one where both are. The upper row shows the reference's contours on each modality, the lower
    row the prediction's (probability above 0.5); of a single modality they stand side by side. As radiology has it, the
    patient's right is on the left.

    Args:
        folder: the run's folder.
        head: reads the logits: ``region_probabilities(B C H W D) -> B 3 H W D``.
        on_saved: called with the picture's path, e.g. to log it.

    The evaluator's output has image ``B M H W D``, label ``B 3 H W D`` (TC, WT, ET) and pred, the logits
    ``B C H W D``, or is a list of such items without B; axes are right, anterior, superior.
    """

    def __init__(self, folder: Path, head: Head, on_saved: Callable[[Path], Any] | None = None) -> None:
        self.folder = Path(folder) / "overlays"
        self.head = head
        self.on_saved = on_saved

    def attach(self, engine: Engine) -> None:
        """Attach to the evaluator; of several processes, to the first one's."""
        if idist.get_rank() > 0:
            return
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Draw at the validation's first iteration."""
        if (engine.state.iteration - 1) % (engine.state.epoch_length or 1) != 0:
            return
        image, label, logits = first_case(engine.state.output)
        index = widest_slice(label, lambda: self._regions(logits))
        figure = draw_overlay(
            image[..., index], label[..., index] > 0.5, self._regions(logits[..., index : index + 1])[..., 0]
        )
        batch = engine.state.batch
        subject = batch.get("subject", [""])[0] if isinstance(batch, Mapping) else ""
        figure.suptitle(f"{subject} epoch {engine.state.epoch}, slice {index}".strip(), color="white", fontsize=10)
        path = self.folder / f"epoch_{engine.state.epoch:04d}.png"
        with replacing(path) as file:
            figure.savefig(file, format="png", facecolor="black")
        if self.on_saved is not None:
            self.on_saved(path)

    def _regions(self, logits: Tensor) -> Tensor:
        return self.head.region_probabilities(logits[None].float())[0] > 0.5


def first_case(output: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Image ``M H W D``, label ``3 H W D``, logits ``C H W D`` of the first item of a batched or decollated output."""
    if isinstance(output, list):
        item = [output[0][key] for key in ("image", "label", "pred")]
    else:
        item = [output[key][0] for key in ("image", "label", "pred")]
    # plain tensors: a MetaTensor would carry the affine through every slice
    image, label, logits = (torch.as_tensor(value).detach().as_subclass(Tensor).cpu() for value in item)
    return image, label, logits


def widest_slice(label: Tensor, predicted: Callable[[], Tensor]) -> int:
    """Axial index with the largest area of WT in `label` ``3 H W D``, else in `predicted()`, else the middle."""
    tumour = REGIONS.index("WT")
    for regions in (lambda: label > 0.5, predicted):
        area = regions()[tumour].sum(dim=(0, 1))
        if area.max() > 0:
            return int(area.argmax())
    return label.shape[-1] // 2


def draw_overlay(image: Tensor, reference: Tensor, predicted: Tensor) -> Figure:
    """Figure of one slice: image ``M H W``, reference and predicted regions ``3 H W``, boolean."""
    channels = image.shape[0]
    rows, columns = (2, channels) if channels > 1 else (1, 2)
    figure = Figure(figsize=(3 * columns, 3 * rows + 0.6), dpi=100, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).reshape(2, channels)
    for row, (name, regions) in enumerate((("reference", reference), ("prediction", predicted))):
        for column in range(channels):
            axis = axes[row, column]
            picture = image[column].float().numpy().T
            axis.imshow(picture, cmap="gray", origin="lower")
            for region, mask in zip(REGIONS, regions, strict=True):
                if mask.any() and not mask.all():
                    axis.contour(mask.numpy().T, levels=[0.5], colors=COLOURS[region], linewidths=1)
            axis.invert_xaxis()
            axis.set_axis_off()
            axis.set_title(name, color="white", fontsize=9)
    for line, region in enumerate(REGIONS):
        axes[0, 0].text(0.02, 0.02 + 0.07 * line, region, color=COLOURS[region], transform=axes[0, 0].transAxes)
    axes[0, 0].text(0.02, 0.93, "R", color="white", transform=axes[0, 0].transAxes)
    return figure
