"""Traps of torch, MONAI, Ignite, MLflow and packaging that this project has code beside: each is held by a test.

The behaviour of the libraries themselves is pinned where the project leans on it, so that a new version says so here.
"""

from __future__ import annotations

import configparser
import copy
import importlib
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from ignite.engine import Engine, Events
from monai.bundle import ComponentLocator, ConfigParser
from monai.data import MetaTensor
from monai.engines import SupervisedTrainer
from monai.engines.utils import IterationEvents
from monai.handlers import TerminateOnNaN  # noqa: F401  (see below)
from monai.losses import DiceLoss
from monai.networks.nets import BasicUNet
from monai.transforms import ConvertToMultiChannelBasedOnBratsClasses
from named_tests import missing
from torch import nn

from kd_monai.brats import LABEL_CONVENTIONS, REGIONS
from kd_monai.data import LabelToRegions, SeededDataset
from kd_monai.handlers import PrepareBatch, RaiseOnNaN, TeacherHandler
from kd_monai.inferers import AutocastInferer
from kd_monai.losses import DistillationLoss, SegmentationLoss, SoftDiceBCE
from kd_monai.networks import RegionsHead

ROOT = Path(__file__).parents[1]
BUNDLES = sorted((ROOT / "bundles").glob("brats_*"))
YAMLS = sorted((ROOT / "bundles").glob("brats_*/configs/**/*.yaml"))
HERE = "test_platform_traps.py"
