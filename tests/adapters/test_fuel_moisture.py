"""Fuel moisture: the shared contract on Presto, the seasonal normal with known answers, and a user's own table."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.hostile.harness import run_cli

from mainstem.adapters import find_task
from mainstem.adapters.fuel_moisture import TASK, Nearness, SeasonalNormal, points_of
from mainstem.core.errors import ChannelError, InputError
from mainstem.core.openmodels import load_open_model
from mainstem.core.openmodels import presto_samples as presto
from mainstem.core.stream import Channel, Provenance, Sample, Stream
from mainstem.data.earth.pixels import open_pixels

DAY_S = 86_400.0


def pixel(site: str, latitude: float, moisture: float, month: int = 6, ndvi: float = 0.3) -> Sample:
    bands = (Channel(name="B4", unit="1"), Channel(name="B8", unit="1"), Channel(name="elevation", unit="m"))
    values = np.tile([0.1, 0.1 * (1 + ndvi) / (1 - ndvi), 1500.0], (3, 1))
    place = (Channel(name="latitude", unit="deg"), Channel(name="longitude", unit="deg"))
    return Sample(
        streams={
            "pixel": Stream(kind="series", values=values, channels=bands, times=30 * DAY_S * np.arange(3.0)),
            "place": Stream(kind="scalar", values=np.array([latitude, -110.0]), channels=place),
        },
        target=moisture,
        source=Provenance(data="test", item=f"{site} {month}", group=site, licence="CC0-1.0"),
        origin=f"2018-{month:02d}-01T00:00:00Z",
    )


@pytest.fixture(scope="module")
def real() -> list[Sample]:
    if "MAINSTEM_MIRROR" not in os.environ:
        pytest.skip("MAINSTEM_MIRROR is not set")
    return list(open_pixels("fuel-moisture").training())


@pytest.fixture(scope="module", autouse=True)
def own_home(tmp_path_factory):
    before = os.environ.get("MAINSTEM_HOME")
    os.environ["MAINSTEM_HOME"] = str(tmp_path_factory.mktemp("home"))
    yield
    os.environ.pop("MAINSTEM_HOME") if before is None else os.environ.update(MAINSTEM_HOME=before)


def ragged(samples: list[Sample]) -> list[Sample]:
    """Samples of three months as they may come: of fewer, or of several dates a month."""
    found = []
    for index, sample in enumerate(samples):
        series = last_steps(sample.streams["pixel"], 3 - index % 3 if index % 2 else 3)
        if index % 3 == 2:
            names = [channel.name for channel in series.channels]
            columns = [column for column, name in enumerate(names) if name != "total_precipitation"]  # a month's sum
            series = replace(
                series,
                values=series.values[:, columns],
                channels=tuple(series.channels[column] for column in columns),
                times=series.times[-1] - 9 * DAY_S * np.arange(len(series.times))[::-1],
            )
        found.append(replace(sample, streams={**sample.streams, "pixel": series}))
    return found


@pytest.mark.mirror
def test_less_than_a_twentieth_of_presto_s_weights_is_trained(real):
    base = load_open_model("presto")
    whole = sum(p.numel() for part in (base.trunk, base.tokenizer) for p in part.parameters())
    config = TASK.config.training
    assert config.trunk == "lora"
    from mainstem.core.lora import ALPHA_PER_RANK, OWN, add_lora

    trained = add_lora(base.trunk, OWN, config.lora_rank, ALPHA_PER_RANK * config.lora_rank)
    head = 2 * base.trunk.config.dim + 2
    assert (sum(p.numel() for p in trained) + head) / whole < 0.05


@pytest.mark.mirror
def test_the_set_s_streams_give_the_arrays_it_came_as(real):
    source = open_pixels("fuel-moisture")
    folder = Path(os.environ["MAINSTEM_MIRROR"]) / "earth" / "presto" / "fuel_moisture"
    inputs = presto.inputs_of(source.samples)
    np.testing.assert_array_equal(inputs["month"], np.load(folder / "month.npy"))
    wanted = np.load(folder / "s1_s2_era5_srtm.npy")[..., list(presto.KEPT)]  # B9 is not read
    np.testing.assert_allclose(inputs["bands"][..., list(presto.KEPT)], wanted, atol=1e-9)
    assert (len(real), len(source.samples) - len(real)) == (1578, 735)
    assert not source.test_groups & {sample.source.group for sample in real}


def test_near_places_and_seasons_count_and_the_year_is_a_circle():
    nearness = Nearness(place_deg=1.0, height_m=1000.0, season_days=20.0)
    here = np.array([[40.0, -110.0, 0.0, 364.0]])
    others = np.array([[40.0, -110.0, 0.0, 2.0], [41.0, -110.0, 0.0, 364.0], [40.0, -110.0, 1000.0, 364.0]])
    weights = nearness(here, others)[0]
    assert weights[0] > 0.95  # three days across the new year
    assert weights[1:] == pytest.approx([np.exp(-0.5)] * 2)


def test_the_normal_of_a_place_is_that_of_its_neighbours_in_the_same_season():
    samples = [
        pixel(f"{part}{number}", latitude + 0.1 * number, wet if month == 4 else dry, month)
        for part, latitude, wet, dry in (("north", 46.0, 160.0, 90.0), ("south", 34.0, 120.0, 60.0))
        for number in range(6)
        for month in (4, 8)
    ]
    normal = SeasonalNormal.fit(samples, "any")
    new = [pixel("x", 46.3, 0.0, 4), pixel("x", 46.3, 0.0, 8), pixel("x", 34.3, 0.0, 4), pixel("x", 34.3, 0.0, 8)]
    assert normal.fallback(new, np.zeros(4)) == pytest.approx([160, 90, 120, 60], abs=3)
    assert points_of(new)[0, 2] == 1500.0
    short = replace(new[0], streams={**new[0].streams, "pixel": last_steps(new[0].streams["pixel"], 1)})
    assert np.isfinite(normal.fallback([short, new[0]], np.zeros(2))).all()
    assert normal.fallback([short, new[0]], np.zeros(2))[1] == normal.fallback(new, np.zeros(4))[0]
    again = TASK.restore(*normal.state())
    np.testing.assert_array_equal(again.fallback(new, np.zeros(4)), normal.fallback(new, np.zeros(4)))


def dated(site: str, count: int, days: int, moisture: float = 90.0) -> Sample:
    """A series of dates some days apart, several a month."""
    sample = pixel(site, 40.0, moisture)
    rng = np.random.default_rng(count)
    values = np.tile(sample.streams["pixel"].values[:1], (count, 1)) + rng.uniform(0, 0.1, (count, 3))
    series = replace(sample.streams["pixel"], values=values, times=days * DAY_S * np.arange(float(count)))
    return replace(sample, streams={**sample.streams, "pixel": series})


def test_a_sample_is_predicted_alike_whatever_is_beside_it():
    samples = [dated(f"s{number % 4}", 20 + number, 5, 60.0 + number) for number in range(24)]
    normal = SeasonalNormal.fit(samples, "any")
    assert normal.steps <= 8  # months, not dates: 44 of them five days apart
    asked = [dated("new", 30, 5), dated("new", 48, 5), dated("new", 3, 30), dated("new", 12, 30), dated("new", 1, 5)]
    together, alone = normal.fallback(asked, np.zeros(5)), [normal.fallback([one], np.zeros(1))[0] for one in asked]
    assert together.tolist() == alone
    np.testing.assert_allclose(normal.features(asked), np.vstack([normal.features([one]) for one in asked]), rtol=1e-12)


def test_the_latest_month_is_compared_with_the_latest():
    """Two samples of the same last months, one of which began earlier, show the trees the same."""
    long = dated("a", 36, 5)
    series = long.streams["pixel"]
    short = replace(
        long,
        origin="2018-08-30T00:00:00Z",
        streams={
            **long.streams,
            "pixel": replace(series, values=series.values[18:], times=series.times[18:] - series.times[18]),
        },
    )
    normal = SeasonalNormal.fit(
        [dated(f"s{number % 4}", 8 + number % 3, 5, 60.0 + number) for number in range(24)], "any"
    )
    assert normal.fallback([long], np.zeros(1)) == pytest.approx(normal.fallback([short], np.zeros(1)))


def last_steps(stream: Stream, count: int) -> Stream:
    return replace(stream, values=stream.values[-count:], times=stream.times[-count:])


def own_table(path: Path, **columns: object) -> Path:
    rows = [
        {"sample": f"s{index}", "time": f"2021-{month:02d}-01", "target": 80.0 + index, "group": f"g{index % 3}",
         "licence": "CC0-1.0", "latitude [deg]": 44.0, "longitude [deg]": 3.0, "B4 [1]": 0.05, "B8 [1]": 0.3, **columns}
        for index in range(6)
        for month in (5, 6, 7)
    ]  # fmt: skip
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def test_a_table_of_one_s_own_becomes_pixel_series(tmp_path):
    source = open_pixels(str(own_table(tmp_path / "mine.csv", dynamic_world=2)))
    inputs = presto.inputs_of(source.samples)
    assert inputs["bands"].shape == (6, 3, 18)
    assert inputs["month"][0].tolist() == [4, 5, 6]
    assert inputs["bands"][0, 0, presto.BANDS.index("B8")] == pytest.approx(3000)
    assert inputs["dynamic_world"][0].tolist() == [2, 2, 2]
    with pytest.raises(ChannelError, match="'B13'"):
        presto.inputs_of(open_pixels(str(own_table(tmp_path / "odd.csv", **{"B13 [1]": 0.1}))).samples)
    table = pd.read_csv(tmp_path / "mine.csv")
    table.drop(columns="latitude [deg]").to_csv(tmp_path / "nowhere.csv", index=False)
    with pytest.raises(InputError, match="latitude"):
        open_pixels(str(tmp_path / "nowhere.csv"))
    table.assign(time=np.tile([0, 30, 60], 6)).to_csv(tmp_path / "undated.csv", index=False)
    with pytest.raises(InputError, match="dates"):
        open_pixels(str(tmp_path / "undated.csv"))


def test_tasks_are_found_by_name():
    assert find_task("crop-yield").task == "regional"
    assert find_task("crop-yield", "fuel-moisture") is TASK
    with pytest.raises(InputError, match="crop-yield has regional, pixel"):
        find_task("crop-yield", "pests")


@pytest.mark.long
@pytest.mark.mirror
def test_a_frozen_run_is_trained_scored_and_used_on_a_table_of_one_s_own(real, tmp_path):
    out, table = tmp_path / "run", own_table(tmp_path / "mine.csv")
    home = {"MAINSTEM_HOME": os.environ["MAINSTEM_HOME"]}
    asked = ("--task", "fuel-moisture", "--data", "fuel-moisture", "--frozen", "--out", out, "--set", "num_folds=2")
    run_cli("finetune", "crop-yield", *asked, env=home, limit_s=300).taken()
    features = list((Path(home["MAINSTEM_HOME"]) / "features").iterdir())
    assert len(features) == 1
    run_cli("predict", "crop-yield", table, "--run", out, "--out", tmp_path / "p.csv", env=home).taken()
    predicted = pd.read_csv(tmp_path / "p.csv", comment="#")
    assert len(predicted) == 6
    record = json.loads((out / "record.json").read_text())
    assert (record["task"], record["spec"]["trunk"]) == ("fuel-moisture", "presto")
    assert record["held_out"]["held_out_rmse"] < 30
