"""Synthetic BraTS-like subjects, so that everything can be tried where no patient data are.

It writes files and nothing else: it never trains, and never reads patient data. It needs the extra [demo].
"""

from kd_monai.phantom.write import write_phantom

__all__ = ["write_phantom"]
