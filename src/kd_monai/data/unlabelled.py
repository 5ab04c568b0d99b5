"""Subjects to train on whose references are never read, and their samples beside the labelled ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kd_monai.data.checks.files import check_files, with_sound_images
from kd_monai.data.entries import Entry, data_digest, data_error, file_contents
from kd_monai.data.layouts.any_layout import read_source
from kd_monai.errors import UserError

REST = "rest"
"""The training subjects that N_SUBJECTS leaves out."""


@dataclass(frozen=True)
class Unlabelled:
    """Entries without ``label``, whatever lies beside their images, and what identifies them."""

    entries: list[Entry] = field(default_factory=list)
    identity: str | None = None
    """``"rest"``, or sha256 of names and images; None where there are none."""


def rest_of(
    everyone: Sequence[Entry], train: Sequence[Entry], val: Sequence[Entry], n_subjects: int | None
) -> Unlabelled:
    """The training subjects of a fold that a nested subset leaves out, and that nobody validates with.

    The check of the data set and its stratified split, which all runs on it share, have read every reference; the
    training reads none of these.

    Raises:
        UserError: no subset is asked for, or it leaves nobody out.
    """
    used = {entry["patient"] for entry in [*train, *val]}
    left = [_without_label(entry) for entry in everyone if entry["patient"] not in used]
    if not left:
        raise UserError(
            f"UNLABELLED={REST} takes the training subjects that N_SUBJECTS leaves out; got N_SUBJECTS={n_subjects}, "
            f"which leaves none of {len(everyone)}. Set N_SUBJECTS lower, or name a folder of unlabelled subjects."
        )
    return Unlabelled(left, REST)


def read_unlabelled(
    path: str | Path,
    modalities: tuple[str, ...],
    labelled: Sequence[Entry],
    used: Mapping[str, Sequence[Entry]],
    check: bool,
    remember: Path | None,
) -> Unlabelled:
    """Subjects of a folder or datalist JSON; their images are checked as all are.

    Args:
        path: where they lie; labels beside the images are not opened.
        modalities: those that this run's networks read.
        labelled: all entries of the data set. A copy of one under another name is known by its bytes; an image that
            was written anew, resampled or compressed otherwise, is not known for what it is.
        used: entries of the data set by what this fold does with them: train, validate, test.
        check: read every voxel of the images.
        remember: JSON file that notes files that passed, and checksums.

    Raises:
        UserError: no subject, something wrong with the images, a patient whom this fold uses already, or a labelled
            subject under another name.
    """
    source = read_source(path, modalities, with_label=False, variable="UNLABELLED")
    entries = [_without_label(entry) for entry in source.entries]
    problems = [*source.problems, *check_files(entries, modalities if check else (), remember)[1]]
    use_of = {entry["patient"]: use for use, part in used.items() for entry in part}
    problems += [
        f"subject {entry['subject']}: an unlabelled subject must be of no patient with whom this fold is to "
        f"{', '.join(used)}; {path} has it, and patient {entry['patient']} is there to {use_of[entry['patient']]}. "
        "Move it out of UNLABELLED, or choose another FOLD or SPLIT."
        for entry in entries
        if entry["patient"] in use_of
    ]
    problems += _renamed(entries, labelled, remember)
    if problems:
        raise data_error(problems)
    return Unlabelled(with_sound_images(entries, modalities, check, remember), data_digest(entries, remember))


def _without_label(entry: Entry) -> Entry:
    return Entry(**{key: value for key, value in entry.items() if key != "label"})  # type: ignore[typeddict-item]


def _renamed(entries: Sequence[Entry], labelled: Sequence[Entry], remember: Path | None) -> Iterator[str]:
    """Complaints on subjects one of whose images is, to the byte, a labelled patient's of another name."""
    contents = file_contents([*entries, *labelled], remember)
    owner = {(kind, contents.get(file)): entry for entry in labelled for kind, file in entry["image"].items()}
    for entry in entries:
        for kind, file in entry["image"].items():
            twin = owner.get((kind, contents[file])) if file in contents else None
            if twin is not None and twin["patient"] != entry["patient"]:
                yield (
                    f"subject {entry['subject']}: an unlabelled subject must be no labelled one under another name; "
                    f"its {kind}, {file}, is the file of subject {twin['subject']}, {twin['image'][kind]}. Move it "
                    "out of UNLABELLED."
                )
                break
