"""Galileo and Prithvi on samples: months of irregular dates, clouds hidden or filled, saved and loaded equal."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mainstem.core.adapter import Adapter
from mainstem.core.blocks import Block
from mainstem.core.cases import Cases
from mainstem.core.errors import ChannelError, InputError
from mainstem.core.openmodels import presto_samples as presto
from mainstem.core.openmodels import restore_tokenizer
from mainstem.core.openmodels.composites import monthly
from mainstem.core.openmodels.galileo import GalileoTokenizer
from mainstem.core.openmodels.galileo_samples import BANDS, MEAN, SPACE_TIME, STD
from mainstem.core.openmodels.prithvi import MEAN_STD, PrithviTokenizer
from mainstem.core.stream import Channel, Geometry, Provenance, Sample, Stream
from mainstem.core.targets.classes import ClassHead
from mainstem.core.trunk import Trunk
from mainstem.core.trunk_config import TrunkConfig

DAY_S = 86_400.0
PLACES = {band.name: place for place, band in enumerate(BANDS)}
SENTINEL = ("B2", "B3", "B4", "B8A", "B11", "B12")
PLACE = (Channel(name="latitude", unit="deg"), Channel(name="longitude", unit="deg"))


def series(days, names=("B4", "B8", "NDVI"), side=3, seed=0, cloudy=(), place=None) -> Sample:
    values = np.random.default_rng(seed).uniform(0.05, 0.5, (len(days), len(names), side, side))
    for where in cloudy:
        values[where] = np.nan
    stream = Stream(
        kind="grid", values=values, channels=tuple(Channel(name=name, unit="1") for name in names),
        times=DAY_S * np.asarray(days, np.float64), geometry=Geometry.of_spacing(10.0),
    )  # fmt: skip
    streams = {"cube": stream}
    if place is not None:
        streams["place"] = Stream(kind="scalar", values=np.array(place), channels=PLACE)
    source = Provenance(data="test", item=f"s{seed}")
    return Sample(streams=streams, target=None, source=source, origin="2020-01-01T00:00:00Z")


def galileo() -> GalileoTokenizer:
    torch.manual_seed(0)
    return GalileoTokenizer(64, 8, 24).eval()


def prithvi(codes=()) -> PrithviTokenizer:
    torch.manual_seed(0)
    return PrithviTokenizer(192, 16, 14, 2, ("BLUE", "GREEN", "RED", "NIR_NARROW", "SWIR_1", "SWIR_2"), codes).eval()


def trunk_of(dim: int) -> Trunk:
    return Trunk(TrunkConfig(dim=dim, depth=2, num_heads=4, hidden=dim, num_registers=0)).eval()


def test_months_are_means_of_clear_dates_and_empty_ones_are_left_out():
    sample = series([3, 20, 40, 70], cloudy=[(0, 0, 1, 1), (2,)])
    stream = sample.streams["cube"]
    found = monthly(stream, sample.origin, 24)
    assert found.numbers().tolist() == [0, 2]  # February was under cloud
    assert found.values[0, 1] == pytest.approx(stream.values[:2, 1].mean(0))
    assert found.values[0, 0, 1, 1] == pytest.approx(stream.values[1, 0, 1, 1])
    assert monthly(stream, sample.origin, 1).numbers().tolist() == [2]


def test_galileo_is_given_its_own_scale_and_hides_what_is_missing():
    sample = series([10, 40, 75], cloudy=[(1, 2, 0, 0), (2, 2)], place=(48.0, 11.0))
    batch = galileo().cut([sample])
    red = sample.streams["cube"].values[0, 0, 1, 2]
    index = PLACES["B4"]
    wanted = (1e4 * red - MEAN[index] + 2 * STD[index]) / (4 * STD[index])
    assert float(batch["s_t_x"][0, 1, 2, 0, index]) == pytest.approx(wanted, rel=1e-5)
    assert float(batch["s_t_x"][0, 1, 2, 0, PLACES["NDVI"]]) == pytest.approx(
        sample.streams["cube"].values[0, 2, 1, 2], rel=1e-5
    )
    groups = list(SPACE_TIME)
    seen = {name: ~batch["s_t_m"][0, :, :, :, groups.index(name)] for name in groups}
    assert seen["S2_NIR_10m"].all()
    assert not seen["S2_RGB"].any()  # red alone does not make the group
    assert seen["NDVI"][:, :, :2].all()
    assert not seen["NDVI"][:, :, 2].any()
    patch = sample.streams["cube"].values[1, 2]
    assert float(batch["s_t_x"][0, 0, 0, 1, PLACES["NDVI"]]) == pytest.approx(
        np.nanmean(patch), rel=1e-5
    )  # its patch's
    assert batch["months"].tolist() == [[0, 1, 2]]
    assert not batch["st_m"][0, 1]
    assert float((batch["st_x"][0, 1:4] ** 2).sum()) == pytest.approx(1.0)


def test_ragged_samples_equal_those_run_alone():
    samples = [series([10, 40, 75]), series([5, 200], seed=1, cloudy=[(0, 0)]), series([33], seed=2)]
    tokenizer, trunk = galileo(), trunk_of(64)

    def pooled(chosen):
        with torch.no_grad():
            return trunk(tokenizer.project(tokenizer.cut(chosen)), None).pooled

    together = pooled(samples)
    assert (together - torch.cat([pooled([sample]) for sample in samples])).abs().max() <= 1e-5


def test_prithvi_fills_clouds_from_the_nearest_month_and_knows_when_and_where():
    sample = series([10, 45, 80], SENTINEL, side=20, cloudy=[(1, 0, 4, 5)], place=(48.0, 11.0))
    batch = prithvi(("time", "location")).cut([sample])
    assert tuple(batch["pixels"].shape) == (1, 6, 3, 32, 32)  # padded to two patches
    mean, std = (values[0] for values in MEAN_STD[2])
    filled = sample.streams["cube"].values[0, 0, 4, 5]
    assert float(batch["pixels"][0, 0, 1, 4, 5]) == pytest.approx((1e4 * filled - mean) / std, rel=1e-4)
    assert batch["temporal_coords"][0].tolist() == [[2020, 15], [2020, 46], [2020, 75]]
    assert batch["location_coords"].tolist() == [[48.0, 11.0]]
    subset = prithvi().cut([series([10], SENTINEL[2:4], side=16)])
    assert subset["index"].tolist() == [[2, 3]]


@pytest.mark.parametrize("make", [galileo, prithvi])
def test_an_adapter_s_tokenizer_is_built_again_from_its_facts(make):
    tokenizer = make()
    again = restore_tokenizer(tokenizer.facts(), tokenizer.dim)
    again.load_state_dict(tokenizer.state_dict())
    names, side = (("B4", "B8"), 3) if make is galileo else (SENTINEL, 16)
    samples = [series([10, 40], names, side, seed) for seed in range(2)]
    trunk, head = trunk_of(tokenizer.dim), ClassHead(tokenizer.dim, 3)
    with torch.no_grad():
        first, second = (Adapter(one.eval(), head)(samples, trunk).logits for one in (tokenizer, again))
    assert torch.equal(first, second)


def test_what_a_family_cannot_read_is_named():
    with pytest.raises(ChannelError, match="got channel 'B1', want VV, VH"):
        galileo().cut([series([1], ("B1",))])
    with pytest.raises(InputError, match="has 0 dated image series"):
        galileo().cut([Sample(streams={}, target=None, source=Provenance(data="t", item="x"))])
    with pytest.raises(InputError, match="a pixel that no month shows"):
        prithvi().cut([series([1, 40], SENTINEL, 16, cloudy=[(slice(None), 0, 0, 0)])])
    with pytest.raises(InputError, match="different numbers of months"):
        prithvi().cut([series([1], SENTINEL, 16), series([1, 40], SENTINEL, 16)])
    with pytest.raises(InputError, match="takes the place"):
        prithvi(("location",)).cut([series([1], SENTINEL, 16)])


def coarse(sample: Sample, geometry: Geometry | None) -> Sample:
    grid = replace(sample.streams["cube"], geometry=geometry)
    return replace(sample, streams={**sample.streams, "cube": grid})


def test_samples_of_two_resolutions_equal_those_run_alone():
    samples = [coarse(series([10, 40], seed=seed), Geometry.of_spacing(10.0 + 20 * seed)) for seed in (0, 1)]
    tokenizer, trunk = galileo(), trunk_of(64)

    def pooled(chosen):
        with torch.no_grad():
            return trunk(tokenizer.project(tokenizer.cut(chosen)), None).pooled

    for order in (samples, samples[::-1]):
        alone = torch.cat([pooled([sample]) for sample in order])
        assert (pooled(order) - alone).abs().max() <= 1e-5
    with pytest.raises(InputError, match="Geometry in m"):
        tokenizer.cut([samples[0], coarse(samples[1], None)])
    with pytest.raises(InputError, match="want squares"):
        tokenizer.cut([coarse(samples[1], Geometry.of_spacing((10.0, 20.0, 1.0)))])


def test_prithvi_refuses_samples_that_show_different_bands():
    red, both = series([10], SENTINEL[2:3], side=16), series([10], SENTINEL[2:4], side=16, seed=1)
    for order in ([red, both], [both, red]):
        with pytest.raises(ChannelError, match="other bands"):
            prithvi().cut(order)


def test_a_place_goes_by_name_not_by_position():
    sample = series([10, 40], place=(48.0, 11.0))
    turned = replace(sample.streams["place"], values=np.array([11.0, 48.0]), channels=PLACE[::-1])
    other = replace(sample, streams={**sample.streams, "place": turned})
    one, two = (galileo().cut([each])["st_x"] for each in (sample, other))
    assert torch.equal(one, two)


def dated(days, values, names=("B4", "B8")) -> Sample:
    bands = Stream(
        kind="series", values=np.asarray(values, np.float64), times=DAY_S * np.asarray(days, np.float64),
        channels=tuple(Channel(name=name, unit="m" if "precip" in name else "1") for name in names),
    )  # fmt: skip
    place = Stream(kind="scalar", values=np.array([48.0, 11.0]), channels=PLACE)
    source = Provenance(data="test", item="s")
    return Sample(streams={"pixel": bands, "place": place}, target=None, source=source, origin="2020-01-01T00:00:00Z")


def test_presto_composes_dates_by_calendar_month_and_hides_the_months_between():
    found = presto.inputs_of([dated([3, 20, 70], [[0.1, 0.3], [0.3, np.nan], [0.2, 0.4]])])
    assert found["month"].tolist() == [[0, 1, 2]]
    red, infrared = (found["bands"][0, :, presto.BANDS.index(name)] for name in ("B4", "B8"))
    assert red == pytest.approx([2000.0, np.nan, 2000.0], nan_ok=True)
    assert infrared == pytest.approx([3000.0, np.nan, 4000.0], nan_ok=True)
    with pytest.raises(InputError, match="spans 30 months"):
        presto.inputs_of([dated([0, 900], [[0.1, 0.3], [0.2, 0.4]])])
    with pytest.raises(ChannelError, match="several dates"):
        presto.inputs_of([dated([3, 20], [[0.01], [0.02]], ["total_precipitation"])])


def test_presto_keeps_composites_of_thirty_days_one_by_one():
    found = presto.inputs_of([dated([0, 30, 60], [[0.1, 0.3], [0.2, 0.4], [0.3, 0.5]])])
    assert found["month"].tolist() == [[0, 0, 2]]
    assert found["bands"][0, :, presto.BANDS.index("B4")] == pytest.approx([1000.0, 2000.0, 3000.0])


def test_windows_of_one_clock_read_as_their_samples_do():
    """A map's windows together, dates that show nothing included, or one by one on the dates that each shows."""
    rng = np.random.default_rng(0)
    times = 86_400.0 * np.arange(0, 400, 9)
    values = rng.uniform(-0.1, 0.9, (12, len(times), 1, 3, 3))
    values[rng.random(values.shape) < 0.5] = np.nan
    values[rng.random(values.shape[:2]) < 0.5] = np.nan
    values[3, 5:] = np.nan  # a window of one month, beside others of fourteen
    channels, geometry = (Channel(name="NDVI", unit="1"),), Geometry.of_spacing(10.0)
    source, origin = Provenance(data="d", item="i"), "2020-01-01T00:00:00Z"
    together = Cases(num=12, source=source, origin=origin, streams={
        "cube": Block(kind="grid", values=values, channels=channels, times=times, geometry=geometry)
    })  # fmt: skip
    alone = []
    for window in values:
        shown = np.isfinite(window).any((1, 2, 3))
        stream = Stream(kind="grid", values=window[shown], channels=channels, times=times[shown], geometry=geometry)
        alone.append(Sample(streams={"cube": stream}, target=None, source=source, origin=origin))
    for longest in (24, 5):
        torch.manual_seed(0)
        tokenizer = GalileoTokenizer(64, 8, longest).eval()
        with torch.no_grad():
            for parameter in tokenizer.parameters():
                torch.nn.init.normal_(parameter, std=0.1)
            found, wanted = (tokenizer.project(tokenizer.cut(each)) for each in (together, alone))
        assert torch.equal(found.mask, wanted.mask)
        assert len(set(found.mask.sum(1).tolist())) > 2 or longest == 5
        torch.testing.assert_close(found.values[found.mask], wanted.values[wanted.mask], atol=1e-6, rtol=1e-6)
