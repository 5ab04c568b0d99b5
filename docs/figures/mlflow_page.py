"""MLflow's compare view of the phantom study, as a browser shows it."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from command import ROOT
from phantom import phantom_study
from style import IMAGES

PORT = 5177
