"""The loss of a training: the segmentation loss, and the weighted terms by which a teacher distils into a student.

A term is a file below `terms/`, named by its full path in a method's YAML: a new one changes no other file.
Nothing here knows an engine, a data set or a network's class.
"""

from kd_monai.losses.loss import DistillationLoss, SegmentationLoss, build_terms, dry_run

__all__ = ["DistillationLoss", "SegmentationLoss", "build_terms", "dry_run"]
