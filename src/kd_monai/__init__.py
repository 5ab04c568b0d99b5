"""Distil a multi-modal brain tumour segmentation network into a mono-modal one."""

import os

# MONAI imports MLflow, which would report its use to its makers
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
