"""What every pipeline shares: quiet logs, and errors that a user can read."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

import torch

from kd_monai.handlers import NaNLossError

OUT_OF_MEMORY = (
    "The GPU is too small for this, or shared with others. "
    'A training with smaller patches (SET="roi_size=[64,64,64]"), NETWORK=unet or fewer JOBS needs less of it.'
)
NOISY = ("monai.bundle.workflows", "ignite.engine", "matplotlib", "alembic")


def run_command(main: Callable[[], None]) -> None:
    """Run a pipeline; what is wrong with its input, or too large for the GPU, is one message, and the exit status is 2.

    Any other exception keeps its traceback: it is a defect, not a mistake of the user's.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what went wrong is said once, below
    try:
        main()
    except (ValueError, OSError, NaNLossError) as problem:
        logging.getLogger(__name__).debug("", exc_info=True)
        sys.stderr.write(f"\n{type(problem).__name__}: {problem}\n")
        sys.exit(2)
    except torch.OutOfMemoryError as problem:
        sys.stderr.write(f"\n{type(problem).__name__}: {problem}\n{OUT_OF_MEMORY}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted; the same command continues from the last finished epoch.\n")
        sys.exit(130)
