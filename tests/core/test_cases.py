"""Cases held as arrays answer everything as the list of their Samples does."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mainstem.core.blocks import Block
from mainstem.core.cases import Cases, steps_in
from mainstem.core.errors import ChannelError, InputError
from mainstem.core.folds import groups_of, targets_of
from mainstem.core.gaps import CHANNEL, patterns_in
from mainstem.core.layout import Layout
from mainstem.core.means import labels_by, sizes_by
from mainstem.core.preparation import stream_means
from mainstem.core.samples import SampleSet
from mainstem.core.stream import Channel, Geometry, Provenance, Sample, Stream
from mainstem.core.taught import prints_of
from mainstem.core.tokenizers.streams import StreamsTokenizer, read_specs
from mainstem.core.told import distinct, facts_in, targets_in, told_in

RAIN, WARMTH = Channel(name="rain", unit="mm"), Channel(name="warmth", unit="degC")
BANDS = (Channel(name="red", unit="1", wavelength_nm=665.0), Channel(name="ndvi", unit="1"))
SPACING = Geometry.of_spacing(10.0)


def ragged(seed: int, num: int = 17) -> list[Sample]:
    """Samples that lack streams, channels, steps, facts and targets by chance, each with its own clock."""
    rng = np.random.default_rng(seed)
    samples = []
    for row in range(num):
        weather = rng.normal(size=(5, 2))
        weather[rng.random(weather.shape) < 0.3] = np.nan
        weather[:, rng.random(2) < 0.2] = np.nan
        times = np.cumsum(rng.uniform(1, 9, 5))
        cube = rng.normal(size=(3, 2, 4, 4)).astype(np.float32)
        streams = {
            "weather": Stream(kind="series", values=weather, channels=(RAIN, WARMTH), times=times),
            "soil": Stream(kind="scalar", values=rng.normal(size=1), channels=(Channel(name="clay", unit="%"),)),
            "cube": Stream(kind="grid", values=cube, channels=BANDS, times=np.arange(3.0), geometry=SPACING,
                           valid=rng.random(cube.shape) < 0.8),
        }  # fmt: skip
        kept = {name: stream for name, stream in streams.items() if rng.random() < 0.7}
        facts = {"year": 2000 + row % 3, **({"field": f"f{row % 2}", "samples_of_field": 9} if row % 5 else {})}
        source = Provenance(data="d", item=f"item {row}", group=f"g{row % 4}", licence="CC0-1.0", facts=facts)
        target = None if rng.random() < 0.2 else float(rng.normal())
        samples.append(Sample(streams=kept, target=target, source=source, origin="2021-01-01T00:00:00Z"))
    return samples


@pytest.fixture(params=range(4))
def both(request) -> tuple[Cases, list[Sample]]:
    samples = ragged(request.param)
    return Cases.of(samples), samples


def test_means_of_no_cases_are_none():
    cases = Cases.of(ragged(0))
    widths = Layout.of(cases).widths()
    assert stream_means(cases.rows(np.empty(0, np.intp)), widths).shape == (0, sum(widths.values()))
    lacking = np.array([row for row, one in enumerate(ragged(0)) if "cube" not in one.streams])
    assert np.isnan(stream_means(cases.rows(lacking), {"cube": 2})).all()  # a block that no case has


def assert_same(found: Sample, wanted: Sample) -> None:
    assert found.source == wanted.source
    assert (found.target, found.origin) == (wanted.target, wanted.origin)
    assert set(found.streams) == set(wanted.streams)
    for name, stream in wanted.streams.items():
        held = found.streams[name]
        assert (held.kind, held.channels, held.geometry) == (stream.kind, stream.channels, stream.geometry)
        np.testing.assert_array_equal(held.observed(), stream.observed())
        np.testing.assert_array_equal(held.values, stream.values)
        if stream.times is not None:
            np.testing.assert_array_equal(held.times, stream.times)


def test_cases_are_a_sequence_of_their_samples(both):
    cases, samples = both
    assert len(cases) == len(samples)
    for found, wanted in zip(cases, samples, strict=True):
        assert_same(found, wanted)
    assert_same(cases[-1], samples[-1])
    chosen = np.array([5, 2, 2])
    for found, row in zip(cases.rows(chosen), chosen, strict=True):
        assert_same(found, samples[row])
    assert [sample.source.item for sample in cases[3:6]] == ["item 3", "item 4", "item 5"]
    with pytest.raises(IndexError):
        cases[len(cases)]


def test_what_is_told_of_them_is_the_same(both):
    cases, samples = both
    np.testing.assert_array_equal(targets_in(cases), targets_in(samples))
    for name in ("data", "item", "group", "licence", "simulated"):
        assert told_in(cases, name) == told_in(samples, name)
    for name in ("year", "field", "nothing"):
        assert facts_in(cases, name) == facts_in(samples, name)
    assert groups_of(cases) == groups_of(samples)
    steps = [
        sum(stream.observed().any(tuple(range(1, stream.values.ndim))).sum()
            for stream in sample.streams.values() if stream.times is not None)
        for sample in samples
    ]  # fmt: skip
    assert steps_in(cases).tolist() == steps_in(samples).tolist() == steps
    assert len(set(steps)) > 3
    assert labels_by(cases, "field") == labels_by(samples, "field")
    assert sizes_by(cases, "field") == sizes_by(samples, "field")
    first, like = distinct(cases, ["group"], ["year", "field"])
    assert [samples[first[place]].source.facts for place in like] == [sample.source.facts for sample in samples]
    np.testing.assert_array_equal(prints_of(cases), prints_of(samples))


def test_gaps_layout_and_means_are_the_same(both):
    cases, samples = both
    layout = Layout.of(samples)
    assert Layout.of(cases) == layout
    parts = [(name, channel.name) for name, held in layout.channels.items() for channel in held if len(held) > 1]
    expected = [*layout.channels, *(f"{name}{CHANNEL}{channel}" for name, channel in parts)]
    assert len(set(patterns_in(samples, expected))) > 4
    assert patterns_in(cases, expected) == patterns_in(samples, expected)
    assert patterns_in(cases, ()) == [""] * len(samples)
    turned = Layout(channels={**layout.channels, "weather": (WARMTH, Channel(name="wind", unit="m/s"), RAIN)})
    for found, wanted in zip(turned(cases), turned(samples), strict=True):
        assert_same(found, wanted)
    np.testing.assert_allclose(
        stream_means(turned(cases), turned.widths()), stream_means(turned(samples), turned.widths()), rtol=1e-12
    )
    with pytest.raises(ChannelError, match="item 0, weather: channel 'rain' comes in mm, want m"):
        Layout(channels={"weather": (Channel(name="rain", unit="m"),)})(cases)


def test_tokens_are_the_same(both):
    cases, samples = both
    specs = read_specs(samples)
    for name, spec in read_specs(cases).items():
        assert spec.channels == specs[name].channels
        for channel, (mean, std) in spec.statistics.items():
            assert (mean, std) == pytest.approx(specs[name].statistics[channel], rel=1e-12)
    torch.manual_seed(0)
    tokenizer = StreamsTokenizer(specs, 16).eval()
    found, wanted = tokenizer({"samples": cases}), tokenizer({"samples": samples})
    for part in ("values", "positions", "stream", "mask"):
        assert torch.equal(getattr(found, part), getattr(wanted, part))


def test_a_set_keeps_the_same_rows(both):
    cases, samples = both
    more = {"flagged": {"item 3": "odd", "item 8": "odd"}, "test_groups": frozenset({"g1"})}
    held, listed = (
        SampleSet(name="d", samples=each, attribution="", **more) for each in (cases, tuple(samples))
    )  # fmt: skip
    for part in ("labelled", "unflagged", "training"):
        found, wanted = getattr(held, part)(), getattr(listed, part)()
        assert isinstance(found, Cases)
        assert told_in(found, "item") == told_in(wanted, "item")
        np.testing.assert_array_equal(targets_of(found), targets_of(wanted))


def test_what_all_share_is_never_copied():
    days = Stream(kind="series", values=np.ones((365, 4)), channels=BANDS * 2, times=np.arange(365.0))
    block = Block.shared(days, 1_000_000)
    chosen = block.rows(np.arange(0, 1_000_000, 2))
    assert len(chosen) == 500_000
    assert np.shares_memory(chosen.values, days.values)
    assert np.shares_memory(chosen[7].values, days.values)


def test_what_does_not_fit_is_refused():
    sample = ragged(0)[0]
    longer = replace(sample, streams={
        "weather": Stream(kind="series", values=np.ones((2, 2)), channels=(RAIN, WARMTH), times=np.arange(2.0))
    })  # fmt: skip
    with pytest.raises(InputError, match="streams 'weather' differ in shape"):
        Cases.of([*ragged(0), longer])
    values = np.ones((3, 2, 1))
    with pytest.raises(InputError, match="finite and strictly increasing"):
        Block(kind="series", values=values, channels=(RAIN,), times=np.array([[0.0, 1], [0, 1], [1, 1]]))
    with pytest.raises(InputError, match="need as many times"):
        Block(kind="series", values=values, channels=(RAIN,), times=np.arange(3.0))
    with pytest.raises(InputError, match="for 2 channels"):
        Block(kind="series", values=values, channels=(RAIN, WARMTH), times=np.arange(2.0))
    with pytest.raises(InputError, match="got 2 of item for 3 cases"):
        Cases(num=3, streams={}, source=sample.source, told={"item": np.array(["a", "b"], object)})
