"""Masking: something is always shown and something hidden, a burst has no holes, and a seed says it all."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstem.core.errors import InputError
from mainstem.core.masking import BURST, NOTHING, PATCHES, WHOLE_STREAM, Hidden, Masking, draw_hidden
from mainstem.core.tokens import TokenBatch, cells

ONLY = {"whole_stream": 0.0, "burst": 0.0, "patches": 0.0}


def tokens_of(lengths: list[list[int]], places: str = "time") -> TokenBatch:
    """Samples of streams with so many tokens; every seventh place is masked, and is no token."""
    widest = [max(row[index] for row in lengths) for index in range(len(lengths[0]))]
    stream = torch.cat([torch.full((len(lengths), wide), index) for index, wide in enumerate(widest)], 1)
    mask = torch.cat(
        [torch.arange(wide) < torch.tensor([[row[index]] for row in lengths]) for index, wide in enumerate(widest)], 1
    )
    positions = torch.zeros(*mask.shape, 4, dtype=torch.float64)
    steps = torch.cat([torch.arange(wide) for wide in widest]).double()
    side = torch.cat([torch.arange(wide) % max(int(wide**0.5), 1) for wide in widest]).double()
    if places == "time":
        positions[..., 0] = steps**2
    if places == "space":
        rows = torch.cat([torch.arange(wide) // max(int(wide**0.5), 1) for wide in widest]).double()
        positions[..., 2], positions[..., 3] = rows, side
    return TokenBatch(
        values=torch.zeros(*mask.shape, 2), positions=positions, stream=stream, mask=mask, cell=cells(mask)
    )


def drawn(tokens: TokenBatch, seed: int = 0, **masking: float) -> Hidden:
    return draw_hidden(tokens, Masking(**masking), torch.Generator().manual_seed(seed))


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.integers(1, 4).flatmap(
        lambda num: st.lists(st.lists(st.integers(0, 9), min_size=num, max_size=num), min_size=1, max_size=6)
    ),
    seed=st.integers(0, 10**6),
    places=st.sampled_from(["time", "space", "nowhere"]),
    weights=st.tuples(*[st.sampled_from([0.0, 1.0])] * 3).filter(any),
)
def test_a_sample_is_never_hidden_whole_and_hides_something_where_it_can(lengths, seed, places, weights):
    if not any(max(row[index] for row in lengths) for index in range(len(lengths[0]))):
        return
    tokens = tokens_of(lengths, places)
    hidden = drawn(tokens, seed, **dict(zip(ONLY, weights, strict=True)))
    counts, num = tokens.mask.sum(1), hidden.tokens.sum(1)
    assert not (hidden.tokens & ~tokens.mask).any()
    assert (num[counts > 0] < counts[counts > 0]).all()
    assert ((num > 0) == (counts > 1)).all()
    assert ((hidden.kind == NOTHING) == (counts < 2)).all()
    whole = hidden.kind == WHOLE_STREAM
    own = tokens.mask & (tokens.stream == hidden.stream[:, None])
    assert (hidden.tokens[whole] == own[whole]).all()
    assert not (hidden.tokens & ~own)[hidden.kind == BURST].any()
    again = drawn(tokens, seed, **dict(zip(ONLY, weights, strict=True)))
    assert torch.equal(hidden.tokens, again.tokens)


@pytest.mark.parametrize("seed", range(5))
def test_a_burst_in_time_hides_neighbours_and_no_others(seed):
    tokens = tokens_of([[12, 4]] * 40)
    hidden = drawn(tokens, seed, **{**ONLY, "burst": 1.0}, least=0.25, most=0.5)
    assert (hidden.kind == BURST).all()
    for row, stream in zip(hidden.tokens, hidden.stream, strict=True):
        places = np.flatnonzero(row.numpy())
        length = 12 if stream == 0 else 4
        assert len(places) == places[-1] - places[0] + 1
        assert 0.25 * length - 0.5 <= len(places) <= 0.5 * length + 0.5


def test_a_burst_in_space_hides_a_square_around_a_patch():
    tokens = tokens_of([[49]] * 30, "space")
    hidden = drawn(tokens, 0, **{**ONLY, "burst": 1.0}, least=0.18, most=0.19)  # 9 of 49
    squares = 0
    for row in hidden.tokens:
        rows, columns = np.nonzero(row.view(7, 7).numpy())
        assert len(rows) == 9
        tall, wide = np.ptp(rows) + 1, np.ptp(columns) + 1
        squares += (tall, wide) == (3, 3)
        assert max(tall, wide) <= 5  # in a corner
    assert squares > 5


def test_streams_are_hidden_whole_alike_often_and_ways_by_their_weights():
    tokens = tokens_of([[30, 2, 1]] * 3000)
    whole = drawn(tokens, 0, **{**ONLY, "whole_stream": 1.0})
    shares = np.bincount(whole.stream.numpy(), minlength=3) / 3000
    np.testing.assert_allclose(shares, 1 / 3, atol=0.04)
    kinds = np.bincount(drawn(tokens, 1, whole_stream=2.0, burst=1.0, patches=1.0).kind.numpy(), minlength=3) / 3000
    np.testing.assert_allclose(kinds[[WHOLE_STREAM, BURST, PATCHES]], [0.5, 0.25, 0.25], atol=0.04)


def test_padding_and_other_samples_change_no_share():
    hidden = drawn(tokens_of([[20, 0], [3, 20]] * 20), 0, **{**ONLY, "patches": 1.0}, least=0.5, most=0.5)
    assert set(hidden.tokens.sum(1).tolist()) == {10, 12}  # half of 20, and of 23, rounded to even


@pytest.mark.parametrize("given", [{"least": 0.6, "most": 0.5}, ONLY])
def test_masking_that_cannot_be_is_refused(given):
    with pytest.raises(InputError, match="the least first, and one weight above 0"):
        Masking(**given)
