"""A finished run becomes a bundle that stock MONAI runs, and such a bundle predicts.

Neither kd_monai nor a teacher is needed by what is exported; nothing here trains or scores.
"""
