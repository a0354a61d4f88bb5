"""The grid tokenizer: known positions, gaps that change nothing, ragged batches, bands by wavelength."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstem.core.errors import ChannelError, InputError
from mainstem.core.stream import Channel, Geometry, Provenance, Sample, Stream
from mainstem.core.tokenizers.grid import GridTokenizer
from mainstem.core.tokenizers.streams import StreamsTokenizer, read_specs
from mainstem.core.trunk import Trunk
from mainstem.core.trunk_config import SIZES

BANDS = (
    Channel(name="B4", unit="1", wavelength_nm=664.6),
    Channel(name="B8", unit="1", wavelength_nm=832.8),
    Channel(name="NDVI", unit="1"),
)
STATISTICS = {"B4": (0.1, 0.05), "B8": (0.3, 0.1), "NDVI": (0.5, 0.2)}
DAY_S = 86_400.0


def grid(days, height=4, width=4, seed=0, channels=BANDS, spacing=10.0) -> Stream:
    values = np.random.default_rng(seed).uniform(0, 1, (len(days), len(channels), height, width))
    times = DAY_S * np.asarray(days, np.float64)
    return Stream(kind="grid", values=values, channels=channels, times=times, geometry=Geometry.of_spacing(spacing))


def tokenizer(patch_size=2) -> GridTokenizer:
    torch.manual_seed(0)
    return GridTokenizer(64, BANDS, STATISTICS, patch_size)


def test_a_token_stands_for_a_date_and_patch_at_its_centre():
    tokens = tokenizer()([grid([3, 40])])
    assert tokens.values.shape == (1, 2 * 4, 64)
    assert tokens.mask.all()
    assert tokens.positions[0, :, 0].tolist() == [3 * DAY_S] * 4 + [40 * DAY_S] * 4
    assert tokens.positions[0, :4, 2:].tolist() == [[10, 10], [10, 30], [30, 10], [30, 30]]  # metres


def test_what_hides_under_a_cloud_changes_nothing_and_a_hidden_patch_is_no_token():
    stream = grid([1, 2])
    valid = np.ones(stream.values.shape, bool)
    valid[0, :, :2, :2] = False
    valid[1, 0, 0, 3] = False
    other = np.where(valid, stream.values, 99.0)
    found = [
        tokenizer()([Stream(kind="grid", values=values, channels=BANDS, times=stream.times, valid=valid,
                            geometry=stream.geometry)])
        for values in (stream.values, other, np.where(valid, stream.values, np.nan))
    ]  # fmt: skip
    assert found[0].mask[0].tolist() == [False, *[True] * 7]
    for one in found[1:]:
        assert torch.equal(one.values, found[0].values)
        assert torch.equal(one.mask, found[0].mask)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 6), st.integers(1, 6)), min_size=2, max_size=4))
def test_a_ragged_batch_equals_its_samples_alone(shapes):
    streams = [grid(np.arange(1, n + 1) * 7, h, w, seed) for seed, (n, h, w) in enumerate(shapes)]
    source = Provenance(data="test", item="1")
    samples = [Sample(streams={"cube": stream}, target=None, source=source) for stream in streams]
    torch.manual_seed(0)
    trunk = Trunk(SIZES["xs"]).eval()
    reader = StreamsTokenizer(read_specs([Sample(streams={"cube": grid([1])}, target=None, source=source)]), 64).eval()

    def pooled(chosen):
        with torch.no_grad():
            return trunk(reader.project(reader.cut(chosen)), None).pooled

    together = pooled(samples)
    alone = torch.cat([pooled([sample]) for sample in samples])
    assert (together - alone).abs().max() <= 1e-5


def test_bands_of_near_wavelengths_have_near_weights_and_lacking_one_is_allowed():
    channels = (
        Channel(name="a", unit="1", wavelength_nm=664.6),
        Channel(name="b", unit="1", wavelength_nm=665.0),
        Channel(name="c", unit="1", wavelength_nm=2202.4),
    )
    torch.manual_seed(0)
    made = GridTokenizer(32, channels, dict.fromkeys("abc", (0.0, 1.0)), 1)
    near, far = (made.weights()[0] - made.weights()[1]).norm(), (made.weights()[0] - made.weights()[2]).norm()
    assert near < 0.1 * far
    assert tokenizer()([grid([1], channels=BANDS[:2])]).mask.all()


def test_another_band_unit_or_an_unknown_pixel_size_is_refused():
    with pytest.raises(ChannelError, match="got channel 'VV', want B4, B8, NDVI"):
        tokenizer()([grid([1], channels=(Channel(name="VV", unit="dB"),))])
    with pytest.raises(ChannelError, match="comes in percent, want 1"):
        tokenizer()([grid([1], channels=(Channel(name="B4", unit="percent"),))])
    stream = grid([1])
    with pytest.raises(InputError, match="give it a Geometry"):
        tokenizer()([Stream(kind="grid", values=stream.values, channels=BANDS, times=stream.times)])
