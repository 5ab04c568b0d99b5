"""States set in place are those of MONAI's set_random_state, whatever was drawn before."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.transforms import (
    Compose,
    OneOf,
    RandAffined,
    RandCropByPosNegLabeld,
    RandFlipd,
    RandGaussianNoised,
    Randomizable,
    RandomizableTransform,
    RandScaleIntensityd,
    RandShiftIntensityd,
    ScaleIntensityd,
)

from kd_monai.config.overlays import STUDENT, TEACHER
from kd_monai.data.reseed import Reseed, _alike


def simple() -> Compose:
    return Compose([RandFlipd("image", prob=0.5), ScaleIntensityd("image"), RandScaleIntensityd("image", 0.1, prob=1)])


def nested() -> Compose:
    """With a transform that gives each of its parts a seed of its own, and one within one within one."""
    choice = OneOf([RandShiftIntensityd("image", 0.1, prob=1), RandGaussianNoised("image", prob=1)])
    crop = RandCropByPosNegLabeld(["image", "label"], "label", (2, 2, 2))
    affine = RandAffined("image", prob=1, rotate_range=0.1)
    return Compose([crop, choice, Compose([RandFlipd("image", prob=0.5)]), affine])


def shipped(bundle: Path) -> Compose:
    parser = ConfigParser(ConfigParser.load_config_file(bundle / "configs" / "train.yaml"))
    compose: Compose = parser.get_parsed_content("train#random_transforms")
    return compose


def foreign() -> Compose:
    return Compose([RandFlipd("image", prob=0.5), Children()])


# and how many states each has
COMPOSES = [(simple, 4), (nested, 13), (foreign, 5), (lambda: shipped(STUDENT), 10), (lambda: shipped(TEACHER), 10)]


class Children(RandomizableTransform):
    """Seeds its children as one, in a way that its attributes do not show."""

    def __init__(self) -> None:
        super().__init__(1.0)
        self.children = [RandFlipd("image", prob=0.5), RandFlipd("image", prob=0.5)]
        self.generator = torch.Generator()

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> Children:
        super().set_random_state(seed, state)
        for child in self.children:
            child.set_random_state(seed, state)
        self.generator.manual_seed(seed or 0)
        return self

    def __call__(self, data: object) -> object:
        return data


class Unseeded(RandFlipd):
    """Has a part that MONAI's set_random_state does not know, and that knows it."""

    def __init__(self) -> None:
        super().__init__("image", prob=0.5)
        self.other = RandFlipd("image", prob=0.5)
        self.other.whole = self


def states(transform: Randomizable) -> Iterator[np.random.RandomState]:
    yield transform.R
    for value in vars(transform).values():
        for part in value if isinstance(value, list | tuple) else [value]:
            if isinstance(part, Randomizable):
                yield from states(part)


@pytest.mark.parametrize(("make", "count"), COMPOSES, ids=["simple", "nested", "foreign", "student", "teacher"])
@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
def test_every_state_is_as_monai_sets_it(make: Callable[[], Compose], count: int, seed: int) -> None:
    ours, theirs = make(), make()
    reseed = Reseed(ours)
    for _ in range(2):
        for state in states(ours):
            state.bytes(7)
        reseed(seed)
        theirs.set_random_state(seed=seed)
        drawn = [[state.bytes(64) for state in states(compose)] for compose in (ours, theirs)]
        assert len(drawn[0]) == count
        assert drawn[0] == drawn[1]


def test_a_state_that_is_no_numpys_is_set_too() -> None:
    compose = foreign()
    Reseed(compose)(5)
    theirs = foreign().set_random_state(seed=5)
    ours, expected = (item.transforms[1].generator.initial_seed() for item in (compose, theirs))
    assert ours == expected


def test_a_compose_that_seeds_itself_is_asked() -> None:
    asked = []

    class Own(Compose):
        def set_random_state(self, seed: int | None = None, state: object = None) -> Own:
            asked.append(seed)
            return self

    Reseed(Own([RandFlipd("image")]))(5)
    assert asked[-1] == 5


def test_transforms_that_are_replaced_are_set() -> None:
    ours, theirs = simple(), Compose([*simple().transforms, RandShiftIntensityd("image", 0.1, prob=1)])
    reseed = Reseed(ours)
    reseed(3)
    ours.transforms += (RandShiftIntensityd("image", 0.1, prob=1),)
    reseed(3)
    theirs.set_random_state(seed=3)
    assert [state.bytes(64) for state in states(ours)] == [state.bytes(64) for state in states(theirs)]


def test_states_that_somebody_else_replaced_are_set_too() -> None:
    """As MONAI's DataLoader does in every worker process."""
    ours, theirs = simple(), simple()
    reseed = Reseed(ours)
    ours.set_random_state(seed=99)
    reseed(5)
    theirs.set_random_state(seed=5)
    assert [state.bytes(64) for state in states(ours)] == [state.bytes(64) for state in states(theirs)]


def test_a_pickled_copy_sets_its_own_transforms() -> None:
    ours, theirs = simple(), simple()
    copy = pickle.loads(pickle.dumps(Reseed(ours)))
    copy(5)
    theirs.set_random_state(seed=5)
    assert [state.bytes(64) for state in states(copy.compose)] == [state.bytes(64) for state in states(theirs)]


@pytest.mark.parametrize("bundle", [STUDENT, TEACHER], ids=lambda path: path.name)
def test_no_shipped_transform_is_given_new_generators(bundle: Path) -> None:
    """What is faster at all: every one of them is set in place."""
    compose = shipped(bundle)
    reseed = Reseed(compose)
    before = list(states(compose))
    reseed(1)
    assert all(now is then for now, then in zip(states(compose), before, strict=True))


def test_a_transform_whose_parts_are_seeded_otherwise_is_left_to_monai() -> None:
    crop, choice, inner, _ = nested().transforms
    assert [len(_alike(crop)), _alike(choice), _alike(inner)] == [2, [], []]
    assert _alike(Children()) == []
    assert _alike(Unseeded()) == []


def test_the_state_that_all_classes_share_is_left_alone() -> None:
    Randomizable.R.bytes(4)  # somewhere between two fillings of its store
    before = Randomizable.R.get_state()
    Reseed(Compose([*simple().transforms, Unseeded()]))(3)
    assert all(map(np.array_equal, Randomizable.R.get_state(), before))
