"""The vocabulary of BraTS: modalities, tumour regions, and what a label value means in each year."""

from collections.abc import Iterable
from dataclasses import dataclass

from kd_monai.errors import UserError

MODALITIES = ("t1", "t1ce", "t2", "flair")
REGIONS = ("TC", "WT", "ET")
"""Channel order of every region tensor: tumour core, whole tumour, enhancing tumour (nested: ET in TC in WT)."""

OUTPUT_LABELS = {"core": 1, "oedema": 2, "enhancing": 3}
"""Exclusive values of a written label map (BraTS 2023's)."""


@dataclass(frozen=True)
class LabelConvention:
    """The exclusive label values of one data source; ``others`` are legal values that belong to no region."""

    name: str
    core: int
    oedema: int
    enhancing: int
    others: tuple[int, ...] = ()

    @property
    def tumour(self) -> tuple[int, int, int]:
        """Values of (core, oedema, enhancing)."""
        return self.core, self.oedema, self.enhancing

    @property
    def values(self) -> frozenset[int]:
        """Every legal value, the background 0 included."""
        return frozenset((0, *self.tumour, *self.others))

    @property
    def regions(self) -> dict[str, tuple[int, ...]]:
        """Values that make up each of TC, WT, ET."""
        return {
            "TC": (self.core, self.enhancing),
            "WT": (self.core, self.oedema, self.enhancing),
            "ET": (self.enhancing,),
        }


LABEL_CONVENTIONS = {
    # 2017 to 2022: necrotic and non-enhancing core, oedema, enhancing tumour; 3 is not used
    "brats2018": LabelConvention("brats2018", core=1, oedema=2, enhancing=4),
    "brats2023": LabelConvention("brats2023", core=1, oedema=2, enhancing=3),
    # post-treatment glioma: 4 is the resection cavity, part of no region
    "brats2024": LabelConvention("brats2024", core=1, oedema=2, enhancing=3, others=(4,)),
    # Medical Segmentation Decathlon Task01: oedema and core change places, against what many tutorials say
    "msd": LabelConvention("msd", core=2, oedema=1, enhancing=3),
}

CANONICAL = LABEL_CONVENTIONS["brats2018"]
"""The convention of labels inside the pipeline, whatever the files on disk use."""


def parse_modalities(text: str | Iterable[str]) -> tuple[str, ...]:
    """Modalities of a ``-``-joined subset such as ``"t1-t2"``, or of a sequence of names, in canonical order.

    Raises:
        UserError: an unknown or repeated modality, or none at all.
    """
    names = text.split("-") if isinstance(text, str) else list(text)
    names = [name.strip().lower() for name in names if name.strip()]
    unknown = sorted(set(names) - set(MODALITIES))
    if unknown:
        raise UserError(
            f"modality must be one of {', '.join(MODALITIES)}, or several joined by '-' (e.g. t1ce-flair): "
            f"got {text!r}, where {', '.join(map(repr, unknown))} is unknown. Correct MODALITY or TEACHER_MODALITIES."
        )
    if len(set(names)) != len(names):
        raise UserError(f"a modality may stand once in a subset: got {text!r}. Remove the repetition.")
    if not names:
        raise UserError(f"at least one modality is needed: got {text!r}. Name one of {', '.join(MODALITIES)}.")
    return tuple(name for name in MODALITIES if name in names)
