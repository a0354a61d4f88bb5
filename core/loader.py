"""Batches of samples, cut on the CPU, in an order that is a function of seed, epoch and place alone."""

import copy
import math
import multiprocessing
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mainstem.core.cases import steps_in
from mainstem.core.errors import MainstemError
from mainstem.core.samples import is_lazy, read_now
from mainstem.core.stream import Sample
from mainstem.core.tokens import OpenTokenizer, Patches

Batch = tuple[Tensor, Patches]  # the rows of samples (batch,), and what cutting makes of them
MOST_STEPS = 12_800  # of a batch of prediction in memory, so that a core's cache holds its widest layer
READ_AT_ONCE = 64  # of samples that are not held in memory, where no plan of training says how many


def permutations(seed: int, num: int, epoch: int = 0) -> Iterator[Tensor]:
    """Yield the order of samples (num,) of an epoch and each one after it, without end.

    That of epoch 3 is the fourth that the seed's generator draws, wherever one begins: a run that goes on draws the
    earlier ones again, which takes some 10 ms a million samples.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = iter(lambda: torch.randperm(num, generator=generator), None)
    return islice(drawn, epoch, None)


def order(seed: int, num: int, batch_size: int, first: int = 0) -> Iterator[Tensor]:
    """Yield the rows of batch after batch, from the `first`, without end; an epoch's last may be smaller."""
    epoch, skipped = divmod(first, math.ceil(num / batch_size))
    for permutation in permutations(seed, num, epoch):
        yield from torch.split(permutation, batch_size)[skipped:]
        skipped = 0


def cut_batches(
    tokenizer: OpenTokenizer, samples: Sequence[Sample], rows: Iterable[Tensor], num_workers: int = 0
) -> Iterator[Batch]:
    """Yield the batches of these rows: of samples in memory cut once, of others read and cut a batch at a time.

    Workers change no bit of a batch; samples in memory need none.
    """
    if not is_lazy(samples):
        return rows_of(tokenizer.cut(samples), rows)
    return _read_batches(tokenizer, samples, rows, num_workers)


def rows_of(patches: Patches, rows: Iterable[Tensor]) -> Iterator[Batch]:
    """Yield the batches of these rows."""
    return ((chosen, patches.rows(chosen)) for chosen in rows)


def in_turn(samples: Sequence[Sample], most: int | None = None) -> Sequence[Tensor]:
    """Return the rows of batches of all samples as they come, of `most` or all at once where they are in memory."""
    size = READ_AT_ONCE if is_lazy(samples) else most or len(samples)
    return torch.split(torch.arange(len(samples)), size)


def by_length(samples: Sequence[Sample], most: int) -> Sequence[Tensor]:
    """Return the rows of batches for prediction: of `most`, or fewer where they are long, and each of one length.

    A batch is padded to its longest sample, so that one of thirty steps would cost as much as its neighbour of a year.
    """
    if is_lazy(samples):
        return in_turn(samples)
    steps = np.maximum(steps_in(samples), 1)
    left, batches = torch.from_numpy(np.argsort(-steps, kind="stable")), []
    while len(left):
        longest = int(steps[left[0]])
        batches.append(left[: min(most, max(MOST_STEPS // longest, 1))])
        left = left[len(batches[-1]) :]
    return batches


def _read_batches(
    tokenizer: OpenTokenizer, samples: Sequence[Sample], rows: Iterable[Tensor], num_workers: int
) -> Iterator[Batch]:
    if multiprocessing.current_process().daemon:
        num_workers = 0  # a worker has none of its own
    weightless = copy.deepcopy(tokenizer).to("meta")  # cutting touches no weights, so that workers are sent none
    loader: DataLoader[tuple[int, Sample]] = DataLoader(
        _Read(samples),
        batch_sampler=(chosen.tolist() for chosen in rows),  # type: ignore[arg-type]
        collate_fn=_Cut(weightless),
        num_workers=num_workers,
        multiprocessing_context="spawn" if num_workers else None,
        generator=torch.Generator(),  # else it draws from the one that dropout and noise draw from
    )
    for found in loader:
        if isinstance(found, MainstemError):
            raise found
        yield found


class _Read(Dataset[tuple[int, Sample]]):
    """Samples by row, their streams read."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, row: int) -> tuple[int, Sample]:
        return row, self.samples[row]


class _Cut:
    """What a worker makes of samples; a user's mistake is handed back, to be raised as it is."""

    def __init__(self, tokenizer: OpenTokenizer) -> None:
        self.tokenizer = tokenizer

    def __call__(self, found: Sequence[tuple[int, Sample]]) -> Batch | MainstemError:
        try:
            cut = self.tokenizer.cut([read_now(sample) for _, sample in found])
        except MainstemError as error:
            return error
        return torch.tensor([row for row, _ in found]), cut
