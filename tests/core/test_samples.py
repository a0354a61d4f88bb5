"""Samples that are not in memory: what an index knows is told without reading, and rows are rows of the whole."""

import copy
import weakref
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from tests.core.lazy_images import RGB, DrawnImages, images

from mainstem.core.cases import Cases
from mainstem.core.finetuning import FitSpec, fit_and_save
from mainstem.core.fit import fit
from mainstem.core.folds import groups_of, season_in, targets_of
from mainstem.core.gaps import drop_streams, expected_streams, pattern_of
from mainstem.core.layout import Layout
from mainstem.core.loader import READ_AT_ONCE
from mainstem.core.means import labels_by
from mainstem.core.predict import predict
from mainstem.core.preparation import from_the_mean, stream_means
from mainstem.core.samples import LazySamples, SampleSet, is_lazy, read_now
from mainstem.core.split import member_splits
from mainstem.core.stream import Channel, Provenance, Sample, Stream, groups_by_data
from mainstem.core.summary import Summary
from mainstem.core.targets import Quantity
from mainstem.core.task import FitConfig, Recipe, Task
from mainstem.core.taught import prints_of
from mainstem.core.tokenizers.streams import read_specs
from mainstem.core.training import TrainingConfig

TASK = Task(
    name="drawn", task="images", version="1", target=Quantity(units="1"), config=FitConfig(), prepare=from_the_mean,
    read=lambda request: None,
)  # fmt: skip


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
    some = lazy.rows(np.flatnonzero(known))
    same = [sample for sample in every if sample.target is not None]
    assert len(some) == len(same) == 35
    assert groups_of(some) == groups_of(same)
    assert (targets_of(some) == targets_of(same)).all()
    assert labels_by(some, "sensor") == labels_by(same, "sensor")
    assert [season_in(one, "year") for one in some] == [season_in(one, "year") for one in same]
    assert groups_by_data(some, str) == groups_by_data(same, str)
    assert [one.source for one in some] == [one.source for one in same]
    for name in ("item", "group", "part", "data", "licence", "simulated"):
        assert some.column(name).tolist() == [getattr(one.source, name) for one in same]
    assert (some.truth() == targets_of(same)).all()
    for ours, theirs in zip(member_splits(some, 3), member_splits(same, 3), strict=True):
        assert (ours.train == theirs.train).all()
        assert (ours.calibrate == theirs.calibrate).all()


def test_parts_of_a_set_are_chosen_without_reading():
    lazy, every = as_source(images(40, 8, unread)), as_source(held(images(40, 8)))
    for part in ("labelled", "unflagged", "training"):
        ours, theirs = getattr(lazy, part)(), getattr(every, part)()
        assert isinstance(ours, LazySamples)
        assert [one.source.item for one in ours] == [one.source.item for one in theirs]
    assert len(lazy.training()) == 40 - 5 - 5 - 1  # of testing, without a target, blurred; none is two of these


@pytest.mark.parametrize(
    ("targets", "wanted"),
    [
        ([1.0, np.nan, 0.0], [0, 2]),
        ([[1.0, np.nan], [np.nan, np.nan], [0.0, 1.0]], [0, 2]),
        ([[[0.0, np.nan]], [[np.nan, np.nan]], [[1.0, 1.0]]], [0, 2]),
        ([], []),
    ],
)
def test_a_sample_is_labelled_where_any_part_of_its_target_is_known_however_it_is_held(targets, wanted):
    truth = np.array(targets)
    known = Cases(num=len(truth), streams={}, source=Provenance(data="d", item="i"), targets=truth,
                  told={"item": np.arange(len(truth)).astype(str).astype(object)})  # fmt: skip
    one = Sample(streams={}, target=None, source=Provenance(data="d", item="i"))
    items = [replace(one.source, item=str(row)) for row in range(len(truth))]
    listed = [replace(one, target=each, source=source) for each, source in zip(truth, items, strict=True)]
    unnamed = [replace(each, target=None) if np.isnan(each.target).all() else each for each in listed]
    for samples in (known, LazySamples.of(known, unread), listed, unnamed):
        for part in ("labelled", "unflagged", "training"):
            found = getattr(as_source(samples), part)()
            assert [int(sample.source.item) for sample in found] == wanted


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
    some = lazy[4:16:2].rows(np.array([5, 0, 1]))
    assert [one.source.item for one in some] == ["image 14", "image 4", "image 6"]
    assert some[-1].source.item == "image 6"
    assert (some[0].streams["image"].values == DrawnImages(8)(14)["image"].values).all()
    for places in (3, -4):
        with pytest.raises(IndexError):
            some[places]


class Counted:
    """Reads images, and knows how many samples' streams were held at once."""

    def __init__(self, side: int) -> None:
        self.load, self.alive, self.most = DrawnImages(side), weakref.WeakSet(), 0

    def __call__(self, row: int):
        found = self.load(row)
        self.alive |= set(found.values())
        self.most = max(self.most, len(self.alive))
        return found


def test_a_fit_reads_what_it_needs_and_holds_no_more_than_a_batch():
    counted = Counted(8)
    lazy, every = as_source(images(420, 8, counted)), as_source(held(images(420, 8)))
    task = replace(TASK, config=FitConfig(training=TrainingConfig(epochs=1, device="cpu"), num_folds=2))
    ours, theirs = (fit(task, source, source.training(), Recipe(config=task.config)) for source in (lazy, every))
    assert counted.most <= 2 * READ_AT_ONCE
    assert ours.judged["whole"].groups == theirs.judged["whole"].groups
    assert (ours.judged["whole"].truth == theirs.judged["whole"].truth).all()
    for name, told in theirs.judged["whole"].raw.items():
        np.testing.assert_allclose(ours.judged["whole"].raw[name], told, atol=1e-4)
    specs = [made.ensemble.members[0].adapter.tokenizer.specs["image"] for made in (ours, theirs)]
    for channel, moments in specs[1].statistics.items():
        np.testing.assert_allclose(specs[0].statistics[channel], moments, rtol=1e-12)


def test_a_run_of_a_lazy_set_is_fitted_calibrated_and_saved_without_holding_it(tmp_path):
    counted = Counted(8)
    config = FitConfig(training=TrainingConfig(epochs=1, device="cpu"), num_folds=2)
    source = as_source(images(420, 8, counted))
    fitted, _ = fit_and_save(TASK, source, source.training(), FitSpec(config=config), tmp_path)
    assert counted.most <= 2 * READ_AT_ONCE
    asked = source.training()[:100]
    counted.most = 0
    assert len(predict(fitted, asked, TASK.view_of, 0.9)) == 100
    assert counted.most <= 2 * READ_AT_ONCE


class Numbered:
    """Reads images, and counts how often each was read."""

    def __init__(self, load) -> None:
        self.load, self.times = load, Counter()

    def __call__(self, row: int):
        self.times[row] += 1
        return self.load(row)


@pytest.mark.parametrize("num_folds", [1, 3])
def test_a_fit_reads_a_set_once_beside_what_training_and_judging_take(num_folds, tmp_path):
    """Samples are read once to be summed up, `epochs` times by each member that learns from them, and `1 + draws` times
    by each that judges them: as they are, and with streams missing by chance.
    """
    epochs, draws, read = 2, 1, Numbered(DrawnImages(8))
    source = as_source(images(420, 8, read))
    training = TrainingConfig(epochs=epochs, device="cpu")
    config = FitConfig(training=training, num_folds=num_folds, num_gap_draws=draws)
    train = source.training()
    fit_and_save(TASK, source, train, FitSpec(config=config), tmp_path)
    splits = member_splits(train, num_folds)
    learned = sum(len(split.train) for split in splits)
    judged = sum(len(split.calibrate) for split in splits)
    assert read.times.total() == len(train) + epochs * learned + (1 + draws) * judged
    assert max(read.times.values()) == 1 + epochs * max(num_folds - 1, 1) + (1 + draws) * (num_folds > 1)


class Mixed:
    """Reads two streams, the image's channels in another order, and one or no stream missing, by the row."""

    def __call__(self, row: int):
        image = DrawnImages(8)(row)["image"]
        seen = np.random.default_rng(row).random(image.values.shape) < 0.7
        seen[2] &= row % 4 != 0
        order = np.random.default_rng(row).permutation(3)[: 2 if row % 6 == 0 else 3]
        told = Stream(
            kind="image", values=image.values[order], valid=seen[order], channels=tuple(RGB[place] for place in order)
        )
        mass = Stream(kind="scalar", values=np.array([np.nan if row % 5 == 0 else row]), channels=(MASS,))
        return {"image": told, "mass": mass} if row % 3 else {"image": told}


MASS = Channel(name="mass", unit="g")


def darker(sample: Sample) -> Sample:
    """A view without the mass."""
    return replace(sample, streams={"image": sample.streams["image"]})


def test_what_is_told_of_samples_in_short_is_what_reading_them_tells():
    read = Numbered(Mixed())
    every, lazy = held(images(60, 8, Mixed())), images(60, 8, read)
    summary = Summary.of(lazy, [darker])
    assert set(read.times.values()) == {1}
    short = Layout.of(every)(summary.samples)
    in_memory = Layout.of(every)(every)
    assert Layout.of(summary.samples) == Layout.of(every)
    np.testing.assert_array_equal(np.unique(summary.prints), prints_of(every, [darker]))
    widths = Layout.of(every).widths()
    np.testing.assert_array_equal(stream_means(short, widths), stream_means(in_memory, widths))
    for ours, theirs in ((short, in_memory), (drop_streams(short, 3), None)):
        theirs = held(ours) if theirs is None else theirs
        before = read.times.total()
        expected = expected_streams(ours)
        patterns, specs = [pattern_of(one, expected) for one in ours], read_specs(ours)
        assert read.times.total() == before
        assert expected == expected_streams(theirs)
        assert patterns == [pattern_of(one, expected) for one in theirs]
        wanted = read_specs(theirs)
        assert list(specs) == list(wanted)
        for name, spec in wanted.items():
            assert replace(specs[name], statistics=spec.statistics) == spec
            for channel, moments in spec.statistics.items():
                np.testing.assert_allclose(specs[name].statistics[channel], moments, rtol=1e-12)


def test_workers_are_sent_nothing_of_what_is_told_in_short():
    short = Summary.of(images(4, 8)).samples
    assert short[0].streams.briefs
    sent = copy.copy(short[0].streams)  # as what goes to another process is taken apart and made again
    assert sent.briefs is None
    np.testing.assert_array_equal(sent["image"].values, short[0].streams["image"].values)


def test_a_change_of_values_is_not_told_in_short():
    short = Summary.of(images(4, 8)).samples[0]
    assert short.streams.changed(Twice()).briefs is None


def test_channels_in_another_order_and_streams_missing_by_chance_stay_unread():
    lazy = images(30, 8)
    layout = Layout(channels={"image": RGB[::-1]})
    turned = layout(lazy)
    assert is_lazy(turned)
    np.testing.assert_array_equal(turned[4].streams["image"].values, DrawnImages(8)(4)["image"].values[::-1])
    two = [replace(one, streams=one.streams.changed(Twice())) for one in lazy]
    gone = drop_streams(two, 1, share=0.5)
    assert is_lazy(gone)
    names = [tuple(one.streams) for one in gone]
    assert names == [tuple(one.streams) for one in gone]  # every time they are read
    assert set(names) == {("again", "image"), ("again",), ("image",)}
    assert drop_streams(two, 1, 0.5, optional=("again",))[0].streams["image"] is not None


class Twice:
    """Gives each image twice."""

    def __call__(self, streams):
        return {"again": streams["image"], **streams}
