"""Batches: an order that is a function of seed, epoch and place, and the same losses however samples are read."""

from itertools import chain, islice

import numpy as np
import pytest
import torch
from tests.core.lazy_images import DrawnImages, images

from mainstem.core import loader
from mainstem.core.adapter import Adapter
from mainstem.core.errors import ChannelError
from mainstem.core.loader import by_length, cut_batches, in_turn, order, permutations
from mainstem.core.openmodels.images import PatchConfig, PatchTokenizer
from mainstem.core.samples import read_now
from mainstem.core.stream import Channel, Provenance, Sample, Stream
from mainstem.core.targets import Quantity
from mainstem.core.tokenizers.streams import StreamsTokenizer, read_specs
from mainstem.core.training import TrainingConfig, train
from mainstem.core.trunk import Trunk
from mainstem.core.trunk_config import TrunkConfig

NUM, SIDE, DIM = 300, 32, 16
TRUNK = TrunkConfig(dim=DIM, depth=1, num_heads=2, hidden=DIM, num_registers=0, pooling="cls", num_prefix=1)
TARGET = Quantity(units="1")


def tokenizer() -> PatchTokenizer:
    torch.manual_seed(0)
    return PatchTokenizer(PatchConfig(dim=DIM, patch_size=8, side=4))


def test_the_order_is_what_one_generator_draws_epoch_after_epoch():
    generator = torch.Generator().manual_seed(5)
    wanted = [torch.randperm(10, generator=generator) for _ in range(4)]
    for epoch in range(4):
        found = list(islice(permutations(5, 10, epoch), 4 - epoch))
        assert all(torch.equal(own, other) for own, other in zip(found, wanted[epoch:], strict=True))


@pytest.mark.parametrize("num", [12, 14])
def test_a_run_goes_on_at_any_batch(num):
    every = [rows.tolist() for rows in islice(order(3, num, 4), 12)]
    steps = -(-num // 4)
    for epoch in range(12 // steps):
        assert sorted(chain.from_iterable(every[epoch * steps : (epoch + 1) * steps])) == list(range(num))
    for first in range(12):
        assert [rows.tolist() for rows in islice(order(3, num, 4, first), 12 - first)] == every[first:]
    assert every != [rows.tolist() for rows in islice(order(4, num, 4), 12)]


def trained(samples, workers: int = 0, trunk: str = "full", dropout: float = 0.1):
    adapter, body = Adapter(tokenizer(), TARGET.head(DIM, {})), Trunk(TRUNK, seed=1)
    if trunk == "frozen":
        adapter.tokenizer.requires_grad_(False)
    aims = torch.tensor([sample.target for sample in samples], dtype=torch.float32)
    config = TrainingConfig(epochs=2, batch_size=64, trunk=trunk, dropout=dropout, num_workers=workers, device="cpu")
    losses = train((adapter, body), samples, aims, TARGET.loss, config)
    return losses, {**adapter.state_dict(), **body.state_dict()}


@pytest.mark.long
@pytest.mark.parametrize(("workers", "trunk"), [(0, "full"), (0, "frozen"), (2, "full")])
def test_training_from_what_is_read_as_it_goes_is_training_from_memory(workers, trunk, home):
    lazy = images(NUM * 7 // 6, SIDE)
    lazy = lazy.rows(np.flatnonzero(np.isfinite(lazy.truth())))
    assert len(lazy) == NUM
    losses, weights = trained(list(map(read_now, lazy)), trunk=trunk)
    read_losses, read_weights = trained(lazy, workers, trunk)
    assert losses == read_losses
    assert all(torch.equal(weight, read_weights[name]) for name, weight in weights.items())


@pytest.mark.long
def test_any_number_of_workers_gives_the_same_batches():
    lazy, rows = images(40, SIDE), list(islice(order(0, 40, 16), 5))
    wanted = list(cut_batches(tokenizer(), list(map(read_now, lazy)), rows))
    for workers in (0, 1, 3):
        found = list(cut_batches(tokenizer(), lazy, rows, workers))
        assert len(found) == 5
        for (own_rows, own), (other_rows, other) in zip(found, wanted, strict=True):
            assert torch.equal(own_rows, other_rows)
            assert torch.equal(own["pixels"], other["pixels"])


@pytest.mark.parametrize("workers", [0, 1])
def test_a_mistake_in_a_sample_is_told_as_it_is(workers):
    lazy = images(20, SIDE, DrawnImages(SIDE, frozenset({11})))
    with pytest.raises(ChannelError, match="image 11: got red") as error:
        list(cut_batches(tokenizer(), lazy, in_turn(lazy), workers))
    assert len(str(error.value).splitlines()) == 1


def test_reading_draws_no_random_number_of_training():
    lazy = images(20, SIDE)
    own = tokenizer()
    state = torch.get_rng_state()
    list(cut_batches(own, lazy, in_turn(lazy)))
    assert torch.equal(torch.get_rng_state(), state)


def test_batches_of_prediction_hold_every_row_once_in_samples_of_like_length():
    rng = np.random.default_rng(0)
    source = Provenance(data="d", item="i")
    steps = rng.integers(1, 400, 300)
    samples = [
        Sample(streams={"days": Stream(kind="series", values=np.ones((num, 1)), channels=(Channel(name="t", unit="1"),),
                                       times=np.arange(float(num)))}, target=None, source=source)
        for num in steps
    ]  # fmt: skip
    batches = by_length(samples, 50)
    assert sorted(np.concatenate(batches).tolist()) == list(range(300))
    padded = [len(rows) * steps[rows].max() for rows in batches]
    assert max(padded) <= 12_800
    assert max(len(rows) for rows in batches) == 50
    assert sum(padded) < 1.3 * steps.sum()
    assert [rows.tolist() for rows in by_length(samples[:1] * 5, 3)] == [[0, 1, 2], [3, 4]]


def volumes(sides):
    source, channels = Provenance(data="d", item="i"), (Channel(name="ct", unit="HU"),)
    scans = [np.zeros((1, side, side, side), np.int16) for side in sides]
    streams = [{"scan": Stream(kind="volume", values=scan, channels=channels)} for scan in scans]
    return [Sample(streams=one, target=None, source=source) for one in streams]


def test_a_large_volume_is_no_batch_of_small_ones():
    samples = volumes([8] * 60 + [64] + [8] * 60 + [256])
    batches = by_length(samples, 1024)
    assert sorted(np.concatenate(batches).tolist()) == list(range(122))
    sides = np.array([sample.streams["scan"].values.shape[-1] for sample in samples])
    padded = [len(rows) * 2 * sides[rows].max() ** 3 for rows in batches]
    assert max(padded) <= 64 << 20
    assert len(batches) == 2


def test_what_is_too_large_together_is_cut_a_batch_at_a_time_and_the_same(monkeypatch):
    samples = volumes([4, 8, 16, 4, 8])
    for row, sample in enumerate(samples):
        sample.streams["scan"].values[:] = row
    reads = StreamsTokenizer(read_specs(samples), 16)
    rows = [torch.tensor([0, 3]), torch.tensor([1, 4, 2])]
    whole = list(cut_batches(reads, samples, rows))
    monkeypatch.setattr(loader, "MOST_CUT", 1)
    apart = list(cut_batches(reads, samples, rows, 4))
    assert [chosen.tolist() for chosen, _ in apart] == [[0, 3], [1, 4, 2]]
    assert [len(chosen) for chosen in in_turn(samples * 20)] == [64, 36]
    for (_, one), (_, other) in zip(whole, apart, strict=True):
        mine, theirs = reads.project(one), reads.project(other)
        assert theirs.mask.shape[1] <= mine.mask.shape[1]
        width = theirs.mask.shape[1]
        assert torch.equal(mine.mask[:, :width], theirs.mask)
        assert not mine.mask[:, width:].any()
        torch.testing.assert_close(mine.values[:, :width][theirs.mask], theirs.values[theirs.mask])
