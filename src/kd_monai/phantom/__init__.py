"""Synthetic BraTS-like subjects, so that everything can be tried where no patient data are."""

from kd_monai.phantom.subject import grade_of, make_subject, subject_name
from kd_monai.phantom.write import write_phantom

__all__ = ["grade_of", "make_subject", "subject_name", "write_phantom"]
