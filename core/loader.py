"""Batches of samples, cut on the CPU, in an order that is a function of seed, epoch and place alone."""

import copy
import math
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice, tee

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mainstem.core.cases import bytes_in, steps_in
from mainstem.core.errors import MainstemError
from mainstem.core.permutation import Permutation
from mainstem.core.samples import is_lazy, read_now
from mainstem.core.stream import Sample
from mainstem.core.tokens import OpenTokenizer, Patches

Batch = tuple[Tensor, Patches]  # the rows of samples (batch,), and what cutting makes of them
MOST_STEPS = 12_800  # of a batch of prediction in memory, so that a core's cache holds its widest layer
MOST_BYTES = 64 << 20  # of the streams of such a batch, padded to the largest
MOST_CUT = 2 << 30  # bytes of streams, padded to the largest, that are cut once and kept for all epochs
MOST_DRAWN = 1 << 20  # samples whose order is drawn at once; that of more is computed batch by batch
COMPUTED_AT_ONCE = 4096  # places, or one batch
READ_AT_ONCE = 64  # of samples that are not held in memory, where no plan of training says how many


@dataclass(frozen=True)
class Idle:
    """A batch that counts nothing: a process that has no sample left passes it, as the others pass theirs."""

    batch: Batch


def shared(
    read: Callable[[Iterable[Tensor]], Iterator[Batch]],
    batches: Iterable[Tensor],
    place: tuple[int, int],
    parts: int = 1,
) -> Iterator[Batch | Idle]:
    """Yield one process's parts of batches, `parts` of each: `place` is its rank, and how many processes there are.

    Every row of a batch is in one part of one process; where there are fewer rows than parts, some are idle.
    """
    rank, size = place
    here, read_ahead = tee(
        (batch, part) for batch in batches for part in torch.tensor_split(torch.tensor_split(batch, size)[rank], parts)
    )
    found = read(part if len(part) else batch[:1] for batch, part in read_ahead)
    return (batch if len(part) else Idle(batch) for batch, (_, part) in zip(found, here, strict=False))


def permutations(seed: int, num: int, epoch: int = 0) -> Iterator[Tensor]:
    """Yield the order of samples (num,) of an epoch and each one after it, without end.

    That of epoch 3 is the fourth that the seed's generator draws, wherever one begins: a run that goes on draws the
    earlier ones again, which takes some 10 ms a million samples.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = iter(lambda: torch.randperm(num, generator=generator), None)
    return islice(drawn, epoch, None)


def order(seed: int, num: int, batch_size: int, first: int = 0) -> Iterator[Tensor]:
    """Yield the rows of batch after batch, from the `first`, without end; an epoch's last may be smaller.

    Nobody's share enters: processes that divide each batch among them see the same samples, however many they are.
    """
    epoch, skipped = divmod(first, math.ceil(num / batch_size))
    if num > MOST_DRAWN:
        for computed in count(epoch):
            yield from _computed(Permutation(num=num, seed=seed, epoch=computed), batch_size, skipped)
            skipped = 0
    for permutation in permutations(seed, num, epoch):
        yield from torch.split(permutation, batch_size)[skipped:]
        skipped = 0


def _computed(permutation: Permutation, batch_size: int, skipped: int) -> Iterator[Tensor]:
    """Yield the rows of an epoch's batches but for the first."""
    step = batch_size * math.ceil(COMPUTED_AT_ONCE / batch_size)
    for start in range(skipped * batch_size, permutation.num, step):
        places = np.arange(start, min(start + step, permutation.num))
        yield from torch.split(torch.from_numpy(permutation.at(places)), batch_size)


def cut_batches(
    tokenizer: OpenTokenizer, samples: Sequence[Sample], rows: Iterable[Tensor], num_workers: int = 0
) -> Iterator[Batch]:
    """Yield the batches of these rows: of samples in memory cut once, of others read and cut a batch at a time.

    Samples that would take far more memory once they are padded to the largest are cut a batch at a time too. Workers
    change no bit of a batch; samples in memory need none.
    """
    if not is_lazy(samples) and fit_together(samples):
        return rows_of(tokenizer.cut(samples), rows)
    return _read_batches(tokenizer, samples, rows, num_workers if is_lazy(samples) else 0)


def fit_together(samples: Sequence[Sample]) -> bool:
    """True where samples, padded to the largest, take no more than MOST_CUT bytes."""
    return len(samples) * int(bytes_in(samples).max(initial=0)) <= MOST_CUT


def rows_of(patches: Patches, rows: Iterable[Tensor]) -> Iterator[Batch]:
    """Yield the batches of these rows."""
    return ((chosen, patches.rows(chosen)) for chosen in rows)


def in_turn(samples: Sequence[Sample]) -> Sequence[Tensor]:
    """Return the rows of batches of all samples as they come, all at once where they are in memory and fit together."""
    at_once = len(samples) if not is_lazy(samples) and fit_together(samples) else READ_AT_ONCE
    return torch.split(torch.arange(len(samples)), at_once)


def by_length(samples: Sequence[Sample], most: int) -> Sequence[Tensor]:
    """Return the rows of batches for prediction: of `most`, or fewer where they are long or large; like beside like.

    A batch is padded to its longest and largest sample, so that one of thirty steps would cost as much as its neighbour
    of a year, and a small volume as much as a large one.
    """
    if is_lazy(samples):
        return in_turn(samples)
    steps, sizes = np.maximum(steps_in(samples), 1), np.maximum(bytes_in(samples), 1)
    left, batches = torch.from_numpy(np.lexsort((np.arange(len(steps)), -sizes, -steps))), []
    while len(left):
        longest, ahead = int(steps[left[0]]), left[:most].numpy()
        room = MOST_BYTES // np.maximum.accumulate(sizes[ahead]) >= np.arange(1, len(ahead) + 1)
        batches.append(left[: max(min(MOST_STEPS // longest, int(room.argmin()) if not room.all() else most), 1)])
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
        batch_sampler=(chosen.tolist() for chosen in rows),
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
