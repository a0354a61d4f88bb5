"""Postings find what a search through all keys finds, however they were added."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mainstem.data.media.prints_postings import MOST, Postings, keys_of, sampled_bits

Keys = st.lists(st.integers(0, 12), min_size=1, max_size=20)


@given(st.lists(Keys, min_size=1, max_size=9), Keys)
def test_all_rows_of_a_key_are_found(added, asked):
    postings, held = Postings(), []
    for keys in added:
        rows = range(len(held), len(held) + len(keys))
        postings.add(np.array(keys, np.uint32), np.array(rows, np.uint32))
        held += keys
    places, rows = postings.find(np.array(asked, np.uint32))
    wanted = {(place, row) for place, key in enumerate(asked) for row, other in enumerate(held) if key == other}
    assert set(zip(places.tolist(), rows.tolist(), strict=True)) == wanted


def test_a_key_that_all_have_gives_a_bounded_number():
    postings = Postings()
    postings.add(np.zeros(10_000, np.uint32), np.arange(10_000, dtype=np.uint32))
    _, rows = postings.find(np.zeros(1, np.uint32))
    assert len(rows) == MOST


def test_near_codes_share_a_key_as_often_as_is_said():
    random, tables, bits = np.random.default_rng(0), 64, 18
    chosen = sampled_bits(256, tables, bits, seed=0)
    codes = random.random((300, 256)) < 0.5
    near = codes.copy()
    for row in near:
        row[random.permutation(256)[:31]] ^= True
    shared = (keys_of(codes, chosen) == keys_of(near, chosen)).any(1).mean()
    assert shared > 0.98  # 0.999 by the formula
    assert (keys_of(codes, chosen) == keys_of(codes[::-1], chosen)).any(1).mean() < 0.01
