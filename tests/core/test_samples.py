"""Samples that are not in memory: what an index knows is told without reading, and rows are rows of the whole."""

from dataclasses import replace

import numpy as np
import pytest
from tests.core.lazy_images import DrawnImages, images

from mainstem.core.errors import InputError
from mainstem.core.folds import groups_of, has_groups, hold_out, season_in, targets_of
from mainstem.core.means import labels_by
from mainstem.core.samples import Index, LazySamples, is_lazy, read_now
from mainstem.core.stream import Sample, SampleSet, groups_by_data


def unread(row):
    raise AssertionError(f"the streams of {row} were read")


def as_source(samples) -> SampleSet:
    return SampleSet(name="drawn", samples=samples, flagged={"image 3": "blurred"}, attribution="")


def held(samples) -> tuple[Sample, ...]:
    return tuple(map(read_now, samples))


def test_groups_targets_facts_and_parts_are_known_without_reading():
    lazy, every = images(40, 8, unread), held(images(40, 8))
    known = [sample.target is not None for sample in lazy]
    assert known == [row % 7 != 6 for row in range(40)]
    some = lazy.chosen(np.flatnonzero(known))
    same = [sample for sample in every if sample.target is not None]
    assert len(some) == len(same) == 35
    assert groups_of(some) == groups_of(same)
    assert (targets_of(some) == targets_of(same)).all()
    assert labels_by(some, "sensor") == labels_by(same, "sensor")
    assert [season_in(one, "year") for one in some] == [season_in(one, "year") for one in same]
    assert groups_by_data(some, str) == groups_by_data(same, str)
    assert [one.source for one in some] == [one.source for one in same]
    for ours, theirs in zip(hold_out(some, 3), hold_out(same, 3), strict=True):
        assert all((own == other).all() for own, other in zip(ours, theirs, strict=True))


def test_parts_of_a_set_are_chosen_without_reading():
    lazy, every = as_source(images(40, 8, unread)), as_source(held(images(40, 8)))
    for part in ("labelled", "unflagged", "training"):
        ours, theirs = getattr(lazy, part)(), getattr(every, part)()
        assert isinstance(ours, LazySamples)
        assert [one.source.item for one in ours] == [one.source.item for one in theirs]
    assert len(lazy.training()) == 40 - 5 - 5 - 1  # of testing, without a target, blurred; none is two of these


def test_streams_are_read_when_they_are_looked_at_and_not_kept():
    lazy, read = images(5, 8), []
    lazy = replace(lazy, load=lambda row: read.append(row) or DrawnImages(8)(row))
    sample = lazy[3]
    assert not read
    assert (sample.streams["image"].values == DrawnImages(8)(3)["image"].values).all()
    assert list(sample.streams) == ["image"]
    assert len(sample.streams.items()) == 1
    assert read == [3] * 4  # a list asks for the length too
    assert not is_lazy([read_now(sample)])
    assert is_lazy([sample])
    assert not is_lazy([])


def test_rows_of_rows_are_rows_of_the_whole():
    lazy = images(20, 8)
    some = lazy[4:16:2].chosen([5, 0, 1])
    assert [one.source.item for one in some] == ["image 14", "image 4", "image 6"]
    assert some[-1].source.item == "image 6"
    assert (some[0].streams["image"].values == DrawnImages(8)(14)["image"].values).all()
    for places in (3, -4):
        with pytest.raises(IndexError):
            some[places]


def test_facts_and_groups_that_a_sample_lacks_are_not_there():
    index = Index(
        data="d", items=np.array(["a", "b"]), groups=np.array(["", "g"]), targets=np.array([[1, np.nan], [np.nan] * 2]),
        facts={"x_m": np.array([np.nan, 2.5]), "crop": np.array(["maize", ""])},
    )  # fmt: skip
    first, second = LazySamples(index=index, load=unread)
    assert (first.source.group, second.source.group) == (None, "g")
    assert first.source.facts == {"crop": "maize"}
    assert second.source.facts == {"x_m": 2.5}
    assert np.array_equal(first.target, [1, np.nan], equal_nan=True)
    assert second.target is None
    assert has_groups(LazySamples(index=index, load=unread))
    assert not has_groups(LazySamples(index=replace(index, groups=None), load=unread))


def test_an_index_of_unequal_arrays_is_refused():
    with pytest.raises(InputError, match="3 groups for 2 samples"):
        Index(data="d", items=np.array(["a", "b"]), groups=np.array(["x", "y", "z"]))
    with pytest.raises(InputError, match="1 year for 2 samples"):
        Index(data="d", items=np.array(["a", "b"]), facts={"year": np.array([2000])})
