"""What a sample lacks: whole streams, and channels that calibration never did without."""

import numpy as np

from mainstem.core.gaps import expected_streams, pattern_of
from mainstem.core.stream import Channel, Provenance, Sample, Stream

NAMES = ("rain", "heat", "wind")


def sample(values: dict[str, list[float]], **scalars: float) -> Sample:
    """A series of the channels given, over two days, and scalars of one channel."""
    streams = {
        name: Stream(kind="scalar", values=np.array([value]), channels=(Channel(name=name, unit="1"),))
        for name, value in scalars.items()
    }
    if values:
        channels = tuple(Channel(name=name, unit="1") for name in values)
        series = np.array(list(values.values())).T
        streams["weather"] = Stream(kind="series", values=series, channels=channels, times=np.array([0.0, 1.0]))
    return Sample(streams=streams, target=None, source=Provenance(data="made", item="1"))


WHOLE = sample({"rain": [1, 2], "heat": [3, 4], "wind": [np.nan, 5]}, soil=0.2)
CALM = sample({"rain": [1, np.nan], "heat": [3, 4], "wind": [np.nan, np.nan]}, soil=0.2)


def test_channels_that_no_sample_lacked_are_expected_of_all():
    expected = expected_streams([WHOLE, CALM])
    assert expected == ("soil", "weather", "weather: heat", "weather: rain")
    assert pattern_of(WHOLE, expected) == pattern_of(CALM, expected) == ""


def test_a_lacking_channel_is_named_whether_it_is_absent_or_empty():
    expected = expected_streams([WHOLE, CALM])
    absent, empty = sample({"rain": [1, 2]}, soil=0.2), sample({"rain": [1, 2], "heat": [np.nan] * 2}, soil=0.2)
    assert pattern_of(absent, expected) == pattern_of(empty, expected) == "weather: heat"
    assert pattern_of(sample({"rain": [1, 2]}), expected) == "soil + weather: heat"


def test_a_lacking_stream_is_named_whole():
    expected = expected_streams([WHOLE, CALM])
    assert pattern_of(sample({}, soil=0.2), expected) == "weather"
    nothing = sample({name: [np.nan, np.nan] for name in NAMES}, soil=0.2)
    assert pattern_of(nothing, expected) == "weather"


def test_a_stream_of_one_channel_is_named_once():
    assert expected_streams([sample({}, soil=0.2)]) == ("soil",)
