"""Region scores and calibration under one stated convention, their per-case table, and statistics on it.

It computes from masks, probabilities and tables, and never runs a network or knows of runs.
"""

from kd_monai.metrics.calibration import calibration
from kd_monai.metrics.cases import (
    CASE_COLUMNS,
    MORE_COLUMNS,
    MORE_METRICS,
    MORE_ROWS,
    SUMMARY_ROWS,
    case_row,
    case_values,
    cases_frame,
    read_cases,
    summarise,
    write_cases,
)
from kd_monai.metrics.endpoint import ENDPOINT_REGIONS, endpoint, endpoint_interval, subject_endpoints
from kd_monai.metrics.fixed_mask import best_fixed_mask, fixed_mask_scores
from kd_monai.metrics.region_dice import RegionDice
from kd_monai.metrics.region_scores import HD95_PENALTY_MM, LOWER_IS_BETTER, METRICS, region_scores
from kd_monai.metrics.statistics import (
    Interval,
    PairedTest,
    gap_closed,
    holm,
    mean_interval,
    paired_difference,
    paired_test,
)
from kd_monai.metrics.thresholds import ThresholdChoice

__all__ = [
    "CASE_COLUMNS",
    "ENDPOINT_REGIONS",
    "HD95_PENALTY_MM",
    "LOWER_IS_BETTER",
    "METRICS",
    "MORE_COLUMNS",
    "MORE_METRICS",
    "MORE_ROWS",
    "SUMMARY_ROWS",
    "Interval",
    "PairedTest",
    "RegionDice",
    "ThresholdChoice",
    "best_fixed_mask",
    "calibration",
    "case_row",
    "case_values",
    "cases_frame",
    "endpoint",
    "endpoint_interval",
    "fixed_mask_scores",
    "gap_closed",
    "holm",
    "mean_interval",
    "paired_difference",
    "paired_test",
    "read_cases",
    "region_scores",
    "subject_endpoints",
    "summarise",
    "write_cases",
]
