"""The order of an epoch, from (seed, epoch) alone."""

from collections.abc import Iterator

import torch
from torch.utils.data.distributed import DistributedSampler


class EpochSampler(DistributedSampler[tuple[int, int, int]]):
    """Yields (epoch, repeat, index) from permutations of n subjects, seeded by (seed, epoch) and strung together.

    ``num_samples`` is the length of an epoch over all ranks; ``repeat`` counts how often a subject has come before in
    the epoch. With several ranks each takes every ``world_size``-th sample, the last ones from the next permutation
    where the number does not divide. As a DistributedSampler it gets its epoch from MONAI's engines at EPOCH_STARTED,
    before the iterator of that epoch is made; that holds while the engine's epoch is the loader's length.

    Raises:
        ValueError: no subject, or no sample.
    """

    def __init__(
        self, n: int, num_samples: int | None = None, seed: int = 0, rank: int = 0, world_size: int = 1
    ) -> None:
        num_samples = n if num_samples is None else num_samples
        if n < 1 or num_samples < 1:
            raise ValueError(
                f"an epoch needs subjects and samples: got n = {n}, num_samples = {num_samples}. Add data."
            )
        super().__init__(range(n), num_replicas=world_size, rank=rank, seed=seed)
        self.n = n
        self.num_samples = -(-num_samples // world_size)

    def __len__(self) -> int:
        return self.num_samples

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        # (seed, epoch) mixed so that neighbouring seeds and epochs share no stream
        mixed = (self.seed * 0x9E3779B97F4A7C15 + self.epoch * 0xBF58476D1CE4E5B9 + 1) % (1 << 63)
        generator = torch.Generator().manual_seed(mixed)
        order: list[int] = []
        for position in range(self.rank, self.num_samples * self.num_replicas, self.num_replicas):
            repeat, place = divmod(position, self.n)
            while len(order) < (repeat + 1) * self.n:
                order += torch.randperm(self.n, generator=generator).tolist()
            yield self.epoch, repeat, order[repeat * self.n + place]
