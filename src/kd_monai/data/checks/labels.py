"""Which label convention a data set has."""

from collections.abc import Collection, Mapping, Sequence

from kd_monai.data.entries import DataSource
from kd_monai.errors import UserError
from kd_monai.task import LABEL_CONVENTIONS, LabelConvention

CHOICES = ", ".join(LABEL_CONVENTIONS)


def choose_convention(labels: str, source: DataSource, values: Collection[int]) -> LabelConvention:
    """Convention named by ``labels``, or with ``"auto"`` the one that follows from layout and values.

    ``values`` are all label values that occur. brats2023 and msd share {1, 2, 3} with 1 and 2 exchanged, so values
    alone never choose between those two.

    Raises:
        UserError: an unknown name, or a data set from which no single convention follows.
    """
    if labels != "auto":
        if labels not in LABEL_CONVENTIONS:
            raise UserError(f"LABELS must be auto or one of {CHOICES}: got {labels!r}. Correct LABELS.")
        return LABEL_CONVENTIONS[labels]
    if source.layout == source.convention == "brats2023" and 4 in values:
        return LABEL_CONVENTIONS["brats2024"]
    if source.convention is not None:
        return LABEL_CONVENTIONS[source.convention]
    if source.layout in ("nnunet", "datalist") and 4 in values:
        return LABEL_CONVENTIONS["brats2024" if 3 in values else "brats2018"]
    hint = f" ({source.hint})" if source.hint else ""
    where = ", or as 'label_convention' in the datalist JSON" if source.layout == "datalist" else ""
    raise UserError(
        f"the label convention must be declared: it does not follow from a data set of layout {source.layout} with "
        f"label values {sorted(values)}{hint}. Set LABELS to one of {CHOICES}{where}. In brats2023, 1 is core and 2 "
        "oedema; in msd, and in what nnU-Net's BraTS converters write, 1 is oedema and 2 core."
    )


def convention_problems(
    values: Mapping[str, Collection[int]], path_of: Mapping[str, str], convention: LabelConvention
) -> list[str]:
    """Complaints on label files with values that the convention does not have, one for all that have the same ones.

    Args:
        values: label values by subject.
        path_of: label file by subject.
        convention: the one that they should have.
    """
    alike: dict[tuple[int, ...], list[str]] = {}
    for subject, present in values.items():
        extra = tuple(sorted(set(present) - convention.values))
        if extra:
            alike.setdefault(extra, []).append(subject)
    return [_complaint(subjects, extra, values, path_of, convention) for extra, subjects in alike.items()]


def _complaint(
    subjects: Sequence[str],
    extra: Sequence[int],
    values: Mapping[str, Collection[int]],
    path_of: Mapping[str, str],
    convention: LabelConvention,
) -> str:
    present = {value for subject in subjects for value in values[subject]}
    fitting = [name for name, other in LABEL_CONVENTIONS.items() if present <= other.values]
    remedy = f"Set LABELS={' or '.join(fitting)} if that is what they mean, or correct" if fitting else "Correct"
    (first, *others), path = subjects, path_of[subjects[0]]
    who = f"subject {first}" if not others else f"{len(subjects)} of {len(values)} subjects, {', '.join(subjects[:3])}"
    who += " ..." if len(subjects) > 3 else ""
    also = f"{path} also has" if not others else f"theirs, {path} first, also have"
    files = "files" if others else "file"
    rule = f"labels of {convention.name} are {sorted(convention.values)}"
    return f"{who}: {rule}, but {also} {list(extra)}. {remedy} the {files}."
