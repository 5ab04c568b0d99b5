"""Building cached samples in several threads."""

import copy
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import ignite.distributed as idist
from tqdm import tqdm

from kd_monai.data.cached import CachedTransforms

Job = TypeVar("Job")
Made = TypeVar("Made")


def build(
    transform: CachedTransforms,
    jobs: Sequence[Job],
    make: Callable[[CachedTransforms, Job], Made],
    workers: int | None = None,
) -> Iterator[Made]:
    """``make(transform, job)`` of each job, in order, by ``workers`` threads: by default as many as processors.

    Every thread has its own copy of the transforms: MONAI 1.6.1's keep state between two lines (NibabelReader the names
    of its last files, CropForegroundd its box), and what another thread put there would be taken silently. Threads,
    not processes: unpacking and arithmetic release Python's lock, and no shared memory is needed.
    """
    own = threading.local()

    def run(job: Job) -> Made:
        if not hasattr(own, "transform"):
            own.transform = copy.deepcopy(transform)
        return make(own.transform, job)

    with ThreadPoolExecutor(workers or os.cpu_count(), "cache") as pool:
        # None: where standard error is no terminal there is no bar
        silent = True if not jobs or idist.get_rank() > 0 else None
        yield from tqdm(pool.map(run, jobs), "Caching", len(jobs), disable=silent)
