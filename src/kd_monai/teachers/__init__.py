"""Who teaches: one finished run, several that teach as one, or cross-fitted ones; pseudo-labels and initial weights.

Never trains a teacher, and never hands on one that has seen what its student is tested on.
"""

from kd_monai.teachers.pseudo_labels import with_pseudo_labels
from kd_monai.teachers.single import Teacher, initial_network, read_teacher

__all__ = ["Teacher", "initial_network", "read_teacher", "with_pseudo_labels"]
