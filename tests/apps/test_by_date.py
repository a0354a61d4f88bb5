"""Fields by date: each row is what a map made on that day would have told, and no interval narrows backwards."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.hostile.harness import run_cli

from mainstem.adapters import shipped_runs
from mainstem.adapters.crop_yield.leads import VIEWS
from mainstem.adapters.crop_yield.pixel import TASK
from mainstem.adapters.land_cover import TASK as LAND_COVER
from mainstem.apps.fields.by_date import check_by_date
from mainstem.apps.fields.by_date_table import BY_DATE, read_by_date
from mainstem.apps.map_context import ContextSpec
from mainstem.apps.map_models import MapSpec
from mainstem.apps.map_pixels import map_scenes
from mainstem.core.errors import InputError
from mainstem.core.fitted import load_run
from mainstem.data.earth.farms import simulate_farm, write_farm

pytestmark = pytest.mark.long

RUN = shipped_runs("crop-yield")["pixel"]
DATES = ["2021-06-19", "2021-07-19", "2021-08-18", "2021-09-17", "2021-10-17"]


@pytest.fixture(scope="module")
def farm(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("farm")
    write_farm(simulate_farm(9002), folder)
    return folder


def spec_of(farm: Path, weather: str = "weather.csv") -> MapSpec:
    context = ContextSpec(weather=(farm / weather,), soil=farm / "soil.tif", fields=farm / "fields.gpkg")
    return MapSpec(context=context, is_by_date=True)


@pytest.fixture(scope="module")
def made(farm, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("made") / "map"
    done = map_scenes(TASK, RUN, sorted(farm.glob("*_S2_*.tif")), out, spec_of(farm))
    assert done["by_date"] == str(out / BY_DATE)
    return out


def test_each_field_has_a_row_a_date_and_the_last_is_the_map_s(made):
    table = read_by_date(made)
    fields = pd.read_csv(made / "fields.csv", dtype={"field": str}).set_index("field")
    assert set(table["field"]) == set(fields.index)
    errors = load_run(RUN, TASK).manifest.training["mean_errors"]
    for name, rows in table.groupby("field"):
        assert rows["known_until"].dt.strftime("%Y-%m-%d").tolist() == DATES
        assert rows["view"].tolist() == list(VIEWS[::-1])
        for column in ("mean", "lower", "upper", "area_ha", "seen_share"):
            assert rows[column].iloc[-1] == pytest.approx(fields.loc[name, column], rel=1e-5)
        assert rows["claim"].iloc[-1] == fields.loc[name, "claim"]
        assert rows["typical_error"].tolist() == [errors["rmse"][view] for view in VIEWS[::-1]]
    assert (table["average_error"] == errors["average"]).all()
    assert (table["units"] == "t/ha").all()
    assert (table["training"] == "simulated").all()


def test_no_interval_is_narrower_than_one_that_followed(made):
    table = read_by_date(made)
    half = np.maximum(table["upper"] - table["mean"], table["mean"] - table["lower"])
    widths = half.to_numpy().reshape(-1, len(VIEWS))
    assert (np.diff(widths, axis=1) <= 1e-9).all()
    assert (table["lower"] <= table["lower_issued"] + 1e-9).all()
    assert (table["upper_issued"] <= table["upper"] + 1e-9).all()


def test_a_map_made_in_season_tells_what_the_table_says_of_its_date(farm, made, tmp_path):
    weather = pd.read_csv(farm / "weather.csv")
    weather[weather["date"] <= "2021-08-30"].to_csv(farm / "until.csv", index=False)
    scenes = [path for path in sorted(farm.glob("*_S2_*.tif")) if path.stem[-10:] <= "2021-08-30"]
    assert len(scenes) > 5
    map_scenes(TASK, RUN, scenes, tmp_path / "map", spec_of(farm, "until.csv"))
    notes = json.loads((tmp_path / "map" / "notes.json").read_text())
    assert notes["tags"]["KNOWN_UNTIL"] == "2021-08-18"
    then, later = read_by_date(tmp_path / "map"), read_by_date(made)
    later = later[later["known_until"] <= "2021-08-18"]
    assert then["known_until"].tolist() == later["known_until"].tolist()
    for column in ("mean", "lower_issued", "upper_issued"):
        np.testing.assert_allclose(then[column], later[column], rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"context": ContextSpec()}, "add --fields"),
        ({"shard": (0, 2)}, "leave --shard out"),
    ],
)
def test_what_cannot_be_told_by_date_is_refused(farm, change, told):
    with pytest.raises(InputError, match=told):
        check_by_date(TASK, replace(spec_of(farm), **change))
    with pytest.raises(InputError, match="would change nothing"):
        check_by_date(LAND_COVER, spec_of(farm))


def test_weather_that_ends_before_june_is_refused(farm, tmp_path):
    weather = pd.read_csv(farm / "weather.csv")
    weather[weather["date"] < "2021-05-01"].to_csv(farm / "spring.csv", index=False)
    scenes = sorted(farm.glob("*_S2_*.tif"))
    with pytest.raises(InputError, match="lacks 50 days of 2021, first 2021-05-01; give that of every day until 2021"):
        map_scenes(TASK, RUN, scenes, tmp_path / "map", spec_of(farm, "spring.csv"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: text.replace("known_until", "known"), "no column known_until"),
        (lambda text: text.replace(DATES[0], "in June"), "a date that is none"),
        (lambda text: '"' + text, "cannot be read|no column"),
        (lambda text: text.replace(",t/ha,", ",kg/ha,", 1), r"several units \(kg/ha, t/ha\)"),
    ],
)
def test_a_damaged_table_is_refused(made, tmp_path, change, told):
    (tmp_path / BY_DATE).write_text(change((made / BY_DATE).read_text()))
    with pytest.raises(InputError, match=told):
        read_by_date(tmp_path)
    assert read_by_date(tmp_path / "nowhere") is None


def test_the_command_writes_it_and_a_map_made_again_without_takes_it_away(farm, tmp_path):
    scenes = sorted(farm.glob("*_S2_*.tif"))
    asked = ("--weather", farm / "weather.csv", "--fields", farm / "fields.gpkg", "--out", tmp_path / "map")
    done = run_cli("map", "crop-yield", *scenes, *asked, "--by-date", limit_s=600).taken()
    assert f"fields by date: {tmp_path / 'map' / BY_DATE}" in done.out
    assert read_by_date(tmp_path / "map") is not None
    run_cli("map", "crop-yield", *scenes, *asked, limit_s=600).taken()
    assert not (tmp_path / "map" / BY_DATE).exists()
