"""The processes of one training, started by torchrun: their devices, their start, their share of a list."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import TypeVar

import torch
import torch.distributed as dist

Item = TypeVar("Item")


def default_device() -> str:
    """A GPU where there is one: of several processes on a machine, each its own."""
    return f"cuda:{os.environ['LOCAL_RANK']}" if torch.cuda.is_available() and "LOCAL_RANK" in os.environ else _any()


def _any() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def join(device: str) -> int:
    """Meet the other processes; the first speaks for all. Returns this one's number."""
    if not dist.is_initialized():
        dist.init_process_group("nccl" if "cuda" in str(device) else "gloo")
    if "cuda" in str(device):
        torch.cuda.set_device(device)
    if dist.get_rank():
        logging.disable(logging.INFO)
    return dist.get_rank()


def share(items: Sequence[Item]) -> Sequence[Item]:
    """Every n-th item, n being the number of processes; all where there are fewer items than processes."""
    rank, size = dist.get_rank(), dist.get_world_size()
    return items[rank::size] if len(items) >= size else items
