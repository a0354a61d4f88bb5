"""What a fitted adapter has seen is known again by name and by content."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from mainstem.core.errors import ArtifactError
from mainstem.core.fitted_file import read_taught
from mainstem.core.groups import Keys
from mainstem.core.stream import Channel, Provenance, Sample, Stream
from mainstem.core.taught import Taught, print_of, prints_of

RAIN, HEAT = Channel(name="rain", unit="mm"), Channel(name="heat", unit="degC")
KEYS = Keys(salt="5a17")
FIELD = KEYS("field 3")
TRAINING = {"groups": ["2005", FIELD], "seen": {"own": ["2005", FIELD]}, "calibrated": {"own": ["2009"]}}


def sample(group: str = "2005", data: str = "own", value: float = 1.0) -> Sample:
    values = np.array([[value, 2.0], [3.0, np.nan]])
    weather = Stream(kind="series", values=values, channels=(RAIN, HEAT), times=np.array([0.0, 86400.0]))
    soil = Stream(kind="scalar", values=np.array([0.3]), channels=(Channel(name="water", unit="cm/m"),))
    source = Provenance(data=data, item=f"{data} {group}", group=group)
    return Sample(streams={"weather": weather, "soil": soil}, target=8.0, source=source)


def turned(one: Sample) -> Sample:
    """The same sample, its streams and channels in another order, its gap marked and not NaN."""
    weather = one.streams["weather"]
    values = weather.values[:, ::-1].copy()
    valid = np.isfinite(values)
    values[~valid] = 99.0
    weather = replace(weather, values=values, valid=valid, channels=weather.channels[::-1])
    return replace(one, streams={"soil": one.streams["soil"], "weather": weather})


def test_a_sample_is_known_whatever_it_is_called_and_however_it_is_ordered():
    first = print_of(sample())
    assert print_of(sample("2005.0", "copy")) == first
    assert print_of(turned(sample())) == first
    assert print_of(replace(sample(), target=None)) == first


@pytest.mark.parametrize(
    "other",
    [
        sample("2006"),
        sample(value=1.001),
        replace(sample(), streams={"weather": sample().streams["weather"]}),
        replace(sample(), streams={**sample().streams, "more": sample().streams["soil"]}),
    ],
)
def test_another_group_or_content_is_another_sample(other):
    assert print_of(other) != print_of(sample())


def test_names_and_content_both_count():
    taught = Taught(training=TRAINING, keys=KEYS, trained=prints_of([sample(), sample("field 3")]))
    assert taught.has_seen(sample("2005.00", value=7.0))  # its group, of the same data
    assert taught.has_seen(sample(data="copy"))
    assert not taught.has_seen(sample(data="other", value=7.0))
    assert taught.has_seen(sample("2009", value=7.0))
    assert not taught.was_trained_on(sample("2009"))
    assert taught.was_trained_on(sample(data="other", value=7.0))  # a year is one everywhere
    assert not taught.was_trained_on(sample("field 3", data="other", value=7.0))  # a field's name is not
    assert taught.was_trained_on(sample("field 3", data="copy"))


def test_views_and_later_labels_are_known_too():
    blind = lambda one: replace(one, streams={"soil": one.streams["soil"]})  # noqa: E731
    taught = Taught(training=TRAINING, keys=KEYS, trained=prints_of([sample()], [blind]))
    assert taught.has_seen(blind(sample(data="copy")))
    new = sample("2010", "copy")
    assert not taught.was_calibrated_on(new)
    more = taught.with_calibrated(TRAINING, prints_of([new]))
    assert more.was_calibrated_on(new)
    assert not more.was_trained_on(new)
    assert more.has_seen(sample(data="copy"))


@pytest.mark.parametrize(
    "tensors",
    [
        {"taught/trained": torch.tensor([1.5])},
        {"taught/trained": torch.tensor([[1]])},
        {"taught/tested": torch.tensor([1])},
    ],
)
def test_damaged_prints_are_refused(tensors):
    manifest: Any = SimpleNamespace(training=TRAINING)
    with pytest.raises(ArtifactError, match="train it again"):
        read_taught(manifest, tensors)
