"""Regional yields: what is read, what is flagged, and what is refused in one line."""

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mainstem.core.errors import InputError
from mainstem.core.evaluation import median_over_groups, nrmse_percent
from mainstem.data.earth.regions import DAY_S, YEAR_S, load_cybench
from mainstem.data.earth.us_maize import lag_years, load_us_maize, us_season_channels

SAMPLE = Path(os.environ.get("MAINSTEM_MIRROR", "")) / "earth" / "cybench_sample"


def write_folder(root: Path, yields: pd.DataFrame, ndvi: pd.DataFrame | None = None) -> Path:
    place = root / "wheat" / "NL"
    place.mkdir(parents=True)
    yields.to_csv(place / "yield_wheat_NL.csv", index=False)
    if ndvi is not None:
        ndvi.to_csv(place / "ndvi_wheat_NL.csv", index=False)
    return root


def table(values: list[float], region: str = "NL11", first_year: int = 2010) -> pd.DataFrame:
    years = range(first_year, first_year + len(values))
    return pd.DataFrame({"adm_id": region, "harvest_year": years, "yield": values})


def test_files_may_lie_side_by_side_or_in_folders_by_crop_and_country(tmp_path):
    yields = pd.DataFrame({"adm_id": ["NL1"] * 3, "harvest_year": [2001, 2002, 2003], "yield": [8.0, 9.0, 8.5]})
    nested = write_folder(tmp_path, yields)
    flat = tmp_path / "flat"
    shutil.copytree(nested / "wheat" / "NL", flat)
    one, other = load_cybench(nested, "wheat", "NL"), load_cybench(flat, "wheat", "NL")
    assert [sample.target for sample in one.samples] == [sample.target for sample in other.samples] == [8.0, 9.0, 8.5]


def test_history_holds_only_earlier_years_on_their_clock(tmp_path):
    regions = load_cybench(write_folder(tmp_path, table([8.0, 9.0, 0.0, 7.0])), "wheat", "NL")
    first, *_, last = regions.samples
    assert "history" not in first.streams
    assert last.target == 7.0
    assert last.source.group == "2013"
    assert last.streams["history"].values[:, 0].tolist() == [8.0, 9.0]
    assert last.streams["history"].times.tolist() == [-3 * YEAR_S, -2 * YEAR_S]


def test_zero_yields_and_a_broken_year_are_flagged_not_dropped(tmp_path):
    regions = load_cybench(write_folder(tmp_path, table([8.0, 8.2, 3.0, 8.1, 0.0, 8.3])), "wheat", "NL")
    assert len(regions.samples) == 6
    assert set(regions.flagged) == {"NL11 2012", "NL11 2014"}
    assert len(regions.unflagged()) == 4


def test_series_keep_their_own_dates_and_stay_inside_the_harvest_year(tmp_path):
    dates = [20091225, 20100115, 20100103, 20110105]
    ndvi = pd.DataFrame({"adm_id": "NL11", "date": dates, "ndvi": [1.0, 3.0, 2.0, 4.0]})
    sample = load_cybench(write_folder(tmp_path, table([8.0]), ndvi), "wheat", "NL").samples[0]
    assert sample.streams["ndvi"].values[:, 0].tolist() == [2.0, 3.0]
    assert sample.streams["ndvi"].times.tolist() == [2 * DAY_S, 14 * DAY_S]


@pytest.mark.parametrize(
    ("yields", "message"),
    [
        (table([8.0]).rename(columns={"yield": "yeild"}), "rename 'yeild'"),
        (table([180.0, 175.0]), "bu/ac"),
        (pd.concat([table([8.0]), table([8.5])]), "twice"),
        (table([np.nan, np.nan]), "missing"),
        (table([]), "no rows"),
    ],
)
def test_unusable_yields_are_refused_in_one_line(tmp_path, yields, message):
    with pytest.raises(InputError, match=message) as caught:
        load_cybench(write_folder(tmp_path, yields), "wheat", "NL")
    assert "\n" not in str(caught.value)


def test_an_empty_folder_and_an_impossible_date_are_refused(tmp_path):
    with pytest.raises(InputError, match="CY-Bench's layout"):
        load_cybench(tmp_path, "wheat", "NL")
    ndvi = pd.DataFrame({"adm_id": "NL11", "date": [20101345], "ndvi": [1.0]})
    with pytest.raises(InputError, match="YYYYMMDD"):
        load_cybench(write_folder(tmp_path, table([8.0]), ndvi), "wheat", "NL")


def test_units_of_the_us_aggregates():
    streams = us_season_channels(["SM_WHC", "avgTAVGp0", "avgCWBp2", "avgFAPARp2", "Z+TMAXp3"])
    assert list(streams) == ["phase0", "phase2", "phase3", "soil"]
    units = {channel.name: channel.unit for channels in streams.values() for channel in channels}
    assert units == {"SM_WHC": "cm", "avgTAVGp0": "degC", "avgCWBp2": "mm", "avgFAPARp2": "1", "Z+TMAXp3": "1"}


@pytest.mark.mirror
def test_the_us_set_has_its_counties():
    regions = load_us_maize(SAMPLE / "features" / "maize" / "US")
    years = [int(sample.source.group) for sample in regions.samples]
    assert sum(year <= 2011 for year in years) == 7170
    assert sum(year > 2011 for year in years) == 4137
    streams = regions.samples[0].streams
    assert sum(len(streams[name].channels) for name in streams if name not in ("history", "trend")) == 26


@pytest.mark.mirror
@pytest.mark.parametrize(("kept", "published"), [("unflagged", 13.80), ("all", 18.72)])
def test_the_average_yield_baseline_is_the_published_one(kept, published):
    regions = load_cybench(SAMPLE, "maize", "NL")
    samples = regions.unflagged() if kept == "unflagged" else regions.samples
    rows = pd.DataFrame([(s.source.facts["region"], s.source.group, s.target) for s in samples], columns=list("ryt"))
    truths, predictions = [], []
    for year, held in rows.groupby("y"):
        rest = rows[rows["y"] != year]
        means = held["r"].map(rest.groupby("r")["t"].mean()).fillna(rest["t"].mean())
        truths.append(held["t"].to_numpy())
        predictions.append(means.to_numpy())
    assert median_over_groups(nrmse_percent)(truths, predictions) == pytest.approx(published, abs=0.01)


def test_past_records_get_their_own_years_back():
    records = {2000: 10.2, 2005: 4.6, 2011: 5.9, 2012: 3.8, 2016: 11.7}
    assert lag_years(2005, np.array([10.2, 9.1, 6.5, 5.2, 11.7]), records).tolist() == [2000, 2001, 2002, 2003, 2004]
    assert lag_years(2016, np.array([10.1, 10.3, 8.8, 5.9, 3.8]), records).tolist() == [2008, 2009, 2010, 2011, 2012]


@pytest.mark.mirror
def test_a_county_with_gaps_shows_its_drought_in_2012():
    regions = load_us_maize(SAMPLE / "features" / "maize" / "US")
    (sample,) = [s for s in regions.samples if s.source.item == "MO_COOPER 2016"]
    history = sample.streams["history"]
    assert (history.times[-1] / YEAR_S).round() == -4
    assert history.values[-1, 0] == pytest.approx(3.8, abs=0.05)
