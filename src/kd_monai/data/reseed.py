"""The states of random transforms, set without making new generators."""

from __future__ import annotations

import numpy as np
from monai.transforms import Compose, Randomizable

_PROBE = 20200
"""Any seed: what a transform does with it tells what it does with others."""


def _alike(transform: Randomizable) -> list[Randomizable]:
    """A transform and those inside it, where one seed sets all of them alike; none where that is not known.

    Known it is of MONAI's own ``set_random_state``, on states that are each part's own.
    """
    parts, rest = [], [transform]
    while rest:
        part = rest.pop()
        parts.append(part)
        inside = [value for value in vars(part).values() if isinstance(value, Randomizable)]
        rest += [value for value in inside if not any(value is known for known in (*parts, *rest))]
    owns = [type(part).set_random_state.__module__.split(".")[0] != "monai" for part in parts]
    if any(owns) or any(isinstance(part, Compose) for part in parts):
        return []
    transform.set_random_state(seed=_PROBE)
    expected = np.random.RandomState(_PROBE).bytes(32)
    return parts if all("R" in vars(part) and part.R.bytes(32) == expected for part in parts) else []


class Reseed:
    """Sets every state of a Compose as its ``set_random_state(seed=...)`` does, to the bit.

    That makes a ``numpy.random.RandomState`` for each transform and each one inside it, and every new one first asks
    the system for entropy, which the seed then overwrites: 0.2 ms each on the machine of benchmarks/README.md. What has
    a ``set_random_state`` of its own gets it called, as do transforms that seed their parts otherwise.

    Args:
        compose: random transforms. A new tuple of them is looked at anew; a part that is replaced inside one of them
            later is not noticed, and goes on with a state of its own.
    """

    def __init__(self, compose: Compose) -> None:
        self.compose = compose
        self._look()

    def _look(self) -> None:
        self._seen = self.compose.transforms
        self._alike = [(item, _alike(item)) for item in self._seen if isinstance(item, Randomizable)]
        self.compose.set_random_state(seed=_PROBE)  # a generator of its own, not the one that all classes share

    def __call__(self, seed: int) -> None:
        """Set the states by a seed from 0 to 2**32 - 1."""
        if type(self.compose).set_random_state is not Compose.set_random_state:
            self.compose.set_random_state(seed=seed)
            return
        if self.compose.transforms is not self._seen:
            self._look()
        self.compose.R.seed(seed)
        for transform, parts in self._alike:
            own = int(self.compose.R.randint(2**32, dtype="uint32"))
            for part in parts:
                part.R.seed(own)
            if not parts:
                transform.set_random_state(seed=own)
