"""The order of an epoch."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from monai.engines import SupervisedTrainer
from monai.inferers import SimpleInferer
from torch.utils.data import DataLoader, Dataset

from kd_monai.data import EpochSampler


def epoch_of(sampler: EpochSampler, epoch: int) -> list[tuple[int, int, int]]:
    sampler.set_epoch(epoch)
    return list(sampler)


def test_the_order_is_that_of_seed_and_epoch() -> None:
    first, again = EpochSampler(10, 10, seed=1), EpochSampler(10, 10, seed=1)
    assert epoch_of(first, 3) == epoch_of(again, 3) == epoch_of(first, 3)
    runs = [epoch_of(EpochSampler(10, 10, seed), epoch) for seed in (1, 2) for epoch in (1, 2)]
    assert len({tuple(index for _, _, index in run) for run in runs}) == 4


@pytest.mark.parametrize("num_samples", [3, 10, 25])
def test_no_subject_comes_twice_before_all_have_come(num_samples: int) -> None:
    samples = epoch_of(EpochSampler(10, num_samples), 0)
    assert len(samples) == len(EpochSampler(10, num_samples)) == num_samples
    counts = Counter(index for _, _, index in samples)
    assert max(counts.values()) - min(counts.get(index, 0) for index in range(10)) <= 1
    assert len({(repeat, index) for _, repeat, index in samples}) == num_samples


def test_ranks_share_an_epoch() -> None:
    whole = epoch_of(EpochSampler(5, 12, seed=4), 2)
    ranks = [epoch_of(EpochSampler(5, 12, seed=4, rank=rank, world_size=3), 2) for rank in range(3)]
    assert [ranks[position % 3][position // 3] for position in range(12)] == whole
    assert {len(EpochSampler(5, 10, rank=rank, world_size=3)) for rank in range(3)} == {4}


def test_an_epoch_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="n = 0"):
        EpochSampler(0, 4)


class Seen(Dataset):
    """Gives the index that it is asked for."""

    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: tuple[int, int, int]) -> dict[str, torch.Tensor]:
        return {"image": torch.zeros(1, 2), "label": torch.zeros(1, 2), "index": torch.tensor(index)}


@pytest.mark.parametrize("workers", [0, 2])
def test_monais_engine_sets_the_epoch_before_the_epochs_iterator_is_made(workers: int) -> None:
    sampler = EpochSampler(5, 4, seed=7)
    network = torch.nn.Linear(2, 2)
    seen: list[list[int]] = []

    def prepare_batch(batch: dict[str, torch.Tensor], *_: object, **__: object) -> tuple[torch.Tensor, torch.Tensor]:
        seen.extend(batch["index"].tolist())
        return batch["image"], batch["label"]

    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=3,
        train_data_loader=DataLoader(
            Seen(), sampler=sampler, batch_size=2, num_workers=workers, persistent_workers=workers > 0
        ),
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), 0.1),
        loss_function=torch.nn.MSELoss(),
        inferer=SimpleInferer(),
        prepare_batch=prepare_batch,
        decollate=False,
    )
    trainer.run()
    assert [tuple(index) for index in seen] == [sample for epoch in (1, 2, 3) for sample in epoch_of(sampler, epoch)]
