"""The names under which data sets keep the four modalities."""

from kd_monai.task import MODALITIES

SYNONYMS = {
    "t1": ("t1", "t1w", "t1n"),
    "t1ce": ("t1ce", "t1c", "t1gd", "t1wce"),
    "t2": ("t2", "t2w"),
    "flair": ("flair", "t2f"),
}
NAMES_2023 = frozenset(("t1n", "t1c", "t2w", "t2f"))
"""File suffixes of BraTS 2023 and later; the earlier years use the canonical names."""

MODALITY_OF = {synonym: modality for modality in MODALITIES for synonym in SYNONYMS[modality]}


def canonical_modality(name: str) -> str | None:
    """Canonical modality of a channel name such as ``"T1-Gd"`` or ``"T2f"``, or None if it is none.

    >>> canonical_modality("T1-Gd"), canonical_modality("FLAIR"), canonical_modality("CT")
    ('t1ce', 'flair', None)
    """
    return MODALITY_OF.get("".join(letter for letter in name.lower() if letter.isalnum()))
