"""A study: many trainings of one data set, each a command that a user could type.

It lists the jobs, checks what can be refused before the first one runs, and has Snakemake run them.
It never trains, scores, or starts and watches a process of a job itself.
"""

from kd_monai.grid.workflow import study

__all__ = ["study"]
