"""Region scores under one stated convention, their tables, and paired statistics."""

from kd_monai.metrics.cases import CASE_COLUMNS, case_row, case_values, cases_frame, read_cases, write_cases
from kd_monai.metrics.fixed_mask import best_fixed_mask, fixed_mask_scores
from kd_monai.metrics.paired import Interval, gap_closed, mean_interval, paired_difference
from kd_monai.metrics.region_dice import RegionDice
from kd_monai.metrics.region_scores import HD95_PENALTY_MM, LOWER_IS_BETTER, METRICS, region_scores
from kd_monai.metrics.summary import SUMMARY_ROWS, summarise

__all__ = [
    "CASE_COLUMNS",
    "HD95_PENALTY_MM",
    "LOWER_IS_BETTER",
    "METRICS",
    "SUMMARY_ROWS",
    "Interval",
    "RegionDice",
    "best_fixed_mask",
    "case_row",
    "case_values",
    "cases_frame",
    "fixed_mask_scores",
    "gap_closed",
    "mean_interval",
    "paired_difference",
    "read_cases",
    "region_scores",
    "summarise",
    "write_cases",
]
