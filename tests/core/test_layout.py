"""Channels go by name and unit: order, gaps and other units, in training and in prediction."""

from dataclasses import replace

import numpy as np
import pytest

from mainstem.core.errors import ChannelError, InputError
from mainstem.core.fit import fit
from mainstem.core.fitted import load_fitted, save_fitted
from mainstem.core.member import Ensemble
from mainstem.core.preparation import from_the_mean, restore_plain
from mainstem.core.samples import SampleSet
from mainstem.core.stream import Channel, Provenance, Sample, Stream
from mainstem.core.targets import Quantity
from mainstem.core.task import FitConfig, Recipe, Task
from mainstem.core.tokenizers.streams import read_specs
from mainstem.core.training import TrainingConfig

DAY_S = 86_400.0
BOTH = (Channel(name="rain", unit="mm"), Channel(name="heat", unit="degC"))
QUICK = FitConfig(trunk_size="xs", training=TrainingConfig(epochs=2, batch_size=16), num_folds=2)
FACTS = {
    "adapter": "made", "task": "table", "version": "1", "scope": {}, "training": {},
    "licence": "CC0-1.0", "attribution": "made", "simulated": False,
}  # fmt: skip


def samples(count: int = 40) -> list[Sample]:
    rng = np.random.default_rng(0)
    made = []
    for row in range(count):
        days = rng.normal((60.0, 10.0), (9.0, 3.0), (5, 2))
        streams = {"days": Stream(kind="series", values=days, channels=BOTH, times=DAY_S * np.arange(5.0))}
        source = Provenance(data="made", item=f"s{row}", group=f"g{row % 4}")
        made.append(Sample(streams=streams, target=float(days[:, 0].mean()), source=source))
    return made


TASK = Task(
    name="made", task="table", version="1", target=Quantity(units="t/ha"), config=QUICK, read=lambda request: None,
    prepare=from_the_mean,
)  # fmt: skip


def fitted_to(made: list[Sample]) -> Ensemble:
    source = SampleSet(name="made", samples=tuple(made), flagged={}, attribution="")
    return fit(TASK, source, made, Recipe(config=QUICK)).ensemble


def mean_of(ensemble: Ensemble, asked: list[Sample]) -> np.ndarray:
    return ensemble.outputs(asked, "whole")["mean"]


def with_channels(sample: Sample, columns: list[int], units: tuple[str, ...] = ()) -> Sample:
    stream = sample.streams["days"]
    channels = [BOTH[column] for column in columns]
    named = tuple(replace(channel, unit=unit) for channel, unit in zip(channels, units, strict=True)) if units else ()
    changed = replace(stream, values=stream.values[:, columns], channels=named or tuple(channels))
    return replace(sample, streams={"days": changed})


@pytest.fixture(scope="module")
def regressor():
    return fitted_to(samples())


def test_channels_in_another_order_give_the_same_prediction(regressor):
    turned = [with_channels(sample, [1, 0]) for sample in samples()]
    one, two = (regressor.outputs(asked, "whole") for asked in (samples(), turned))
    assert all(np.array_equal(one[name], two[name]) for name in ("mean", "scale"))
    assert np.array_equal(regressor.features(samples()), regressor.features(turned))


def test_training_on_mixed_orders_gives_the_same_model(regressor):
    mixed = [with_channels(sample, [row % 2, 1 - row % 2]) for row, sample in enumerate(samples())]
    again = fitted_to(mixed)
    assert np.array_equal(mean_of(again, mixed), mean_of(regressor, samples()))


def test_a_lacking_channel_is_missing_and_other_units_or_names_are_refused(regressor):
    whole = samples(8)
    masked = []
    for sample in whole:
        values = sample.streams["days"].values.copy()
        values[:, 1] = np.nan
        masked.append(replace(sample, streams={"days": replace(sample.streams["days"], values=values)}))
    lacking = [with_channels(sample, [0]) for sample in whole]
    assert np.array_equal(mean_of(regressor, lacking), mean_of(regressor, masked))
    with pytest.raises(ChannelError, match=r"s0, days.*degF"):
        mean_of(regressor, [with_channels(whole[0], [0, 1], ("mm", "degF"))])
    renamed = replace(whole[0].streams["days"], channels=(BOTH[0], Channel(name="Heat", unit="degC")))
    with pytest.raises(ChannelError, match="heat"):
        mean_of(regressor, [replace(whole[0], streams={"days": renamed})])


def test_the_order_of_training_is_saved(regressor, tmp_path):
    save_fitted(tmp_path, regressor, ({}, {}), FACTS)
    again = load_fitted(tmp_path, TASK.target, restore_plain).ensemble
    turned = [with_channels(sample, [1, 0]) for sample in samples()]
    assert np.array_equal(mean_of(again, turned), mean_of(regressor, samples()))


def test_what_is_marked_as_not_valid_is_missing_in_another_order_too(regressor):
    whole, masked = samples(8), []
    for sample in whole:
        stream = sample.streams["days"]
        valid = np.ones(stream.values.shape, bool)
        valid[1:4, 1] = False
        masked.append(replace(sample, streams={"days": replace(stream, valid=valid)}))
    turned = [
        replace(sample, streams={"days": replace(with_channels(sample, [1, 0]).streams["days"], valid=valid[:, ::-1])})
        for sample in whole
    ]
    assert np.array_equal(mean_of(regressor, turned), mean_of(regressor, masked))
    assert not np.array_equal(mean_of(regressor, turned), mean_of(regressor, whole))
    assert np.array_equal(regressor.features(turned), regressor.features(masked))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_band_of_another_wavelength_is_refused(order):
    bands = (Channel(name="red", unit="1", wavelength_nm=665.0), Channel(name="nir", unit="1", wavelength_nm=842.0))
    made = []
    for sample in samples(16):
        values = sample.streams["days"].values
        stream = Stream(kind="series", values=values, channels=bands, times=DAY_S * np.arange(5.0))
        made.append(replace(sample, streams={"bands": stream}))
    fitted = fitted_to(made)
    other = (bands[0], replace(bands[1], wavelength_nm=1600.0))
    stream = made[0].streams["bands"]
    columns = list(order)
    changed = replace(stream, values=stream.values[:, columns], channels=tuple(other[column] for column in columns))
    with pytest.raises(ChannelError, match=r"s0, bands.*'nir'.*1600 nm.*842 nm"):
        mean_of(fitted, [replace(made[0], streams={"bands": changed})])
    unsaid = replace(stream, channels=(bands[0], replace(bands[1], wavelength_nm=None)))
    before, after = (mean_of(fitted, [replace(made[0], streams={"bands": found})]) for found in (stream, unsaid))
    assert np.array_equal(before, after)  # nobody says that it is another


def test_statistics_are_of_all_samples_by_name():
    made = samples(10)
    spec = read_specs([with_channels(made[0], [1, 0]), *made[1:5], *(with_channels(s, [0]) for s in made[5:])])["days"]
    rain = np.concatenate([sample.streams["days"].values[:, 0] for sample in made])
    heat = np.concatenate([sample.streams["days"].values[:, 1] for sample in made[:5]])
    assert spec.statistics["rain"] == pytest.approx((rain.mean(), rain.std()))
    assert spec.statistics["heat"] == pytest.approx((heat.mean(), heat.std()))
    with pytest.raises(ChannelError, match="convert"):
        read_specs([made[0], with_channels(made[1], [0, 1], ("cm", "degC"))])
    scalar = Stream(kind="scalar", values=np.zeros(2), channels=BOTH)
    with pytest.raises(InputError, match="scalar"):
        read_specs([made[0], replace(made[1], streams={"days": scalar})])
