"""What a command says when it goes wrong: a user's mistake in one message, a defect with its traceback."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kd_monai.errors import UserError

OUT_OF_MEMORY = (
    "The GPU is too small for this, or shared with others. "
    'Smaller patches (SET="roi_size=[64,64,64]"), NETWORK=unet or fewer JOBS need less of it.'
)
NOISY = ("ignite.engine", "matplotlib", "alembic")


@contextmanager
def component_errors() -> Iterator[None]:
    """Let the error through that a component raised, without MONAI's "Failed to evaluate" around it."""
    try:
        yield
    except RuntimeError as error:
        cause: BaseException = error
        while str(cause).startswith("Failed to ") and cause.__cause__ is not None:
            cause = cause.__cause__
        if cause is error:
            raise
        raise cause from None


def run_command(main: Callable[[], int | None]) -> int:
    """Run a command with quiet logs; its exit status.

    A `UserError` and what the operating system refuses are one message and status 2. An interruption by the user is
    130. Any other exception keeps its traceback.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what went wrong is said once, below
    try:
        return main() or 0
    except (UserError, OSError) as problem:
        logging.getLogger(__name__).debug("", exc_info=True)
        sys.stderr.write(f"\n{type(problem).__name__}: {problem}\n")
        return 2
    except RuntimeError as problem:
        if type(problem).__name__ != "OutOfMemoryError":  # torch's, which may not be imported
            raise
        sys.stderr.write(f"\n{type(problem).__name__}: {problem}\n{OUT_OF_MEMORY}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted; the same command continues from the last finished epoch.\n")
        return 130
