"""Region scores under one stated convention, their tables, and paired statistics."""

from kd_monai.metrics.calibration import calibration
from kd_monai.metrics.cases import (
    CASE_COLUMNS,
    MORE_COLUMNS,
    MORE_METRICS,
    case_row,
    case_values,
    cases_frame,
    read_cases,
    write_cases,
)
from kd_monai.metrics.endpoint import ENDPOINT_REGIONS, endpoint, endpoint_interval, subject_endpoints
from kd_monai.metrics.fixed_mask import best_fixed_mask, fixed_mask_scores
from kd_monai.metrics.holm import holm
from kd_monai.metrics.paired import Interval, gap_closed, mean_interval, paired_difference
from kd_monai.metrics.paired_test import PairedTest, paired_test
from kd_monai.metrics.region_dice import RegionDice
from kd_monai.metrics.region_scores import HD95_PENALTY_MM, LOWER_IS_BETTER, METRICS, region_scores
from kd_monai.metrics.summary import MORE_ROWS, SUMMARY_ROWS, summarise
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
