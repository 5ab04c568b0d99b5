"""JSON files written by others."""

import json
from pathlib import Path
from typing import Any

from kd_monai.data.errors import DataError


def read_json(path: Path) -> Any:
    """Contents of a JSON file.

    Raises:
        DataError: it cannot be read, or is not JSON.
    """
    try:
        return json.loads(path.read_text())
    except (OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} must be a JSON file, but reading it failed: {error}. Correct its name or it."
        ) from error
