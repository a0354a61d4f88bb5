"""Which fields to visit first and why; what changed since the last scene beyond noise that is known from the scenes."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstem.dashboards.field_map.board import FieldBoard, load_field_board
from mainstem.dashboards.field_map.changes import changes_of, find_changes
from mainstem.dashboards.field_map.noise import noise_of
from mainstem.dashboards.field_map.overview import farm_words, noise_words
from mainstem.dashboards.field_map.visits import farm_mean, find_farms, find_visits
from tests.dashboards.made import small_map

DAYS = np.cumsum([0, 5, 10, 5, 15, 5, 10, 5, 5, 10, 5, 10]).astype(float)
DATES = tuple(str(pd.Timestamp("2021-05-01") + pd.Timedelta(days=int(day)))[:10] for day in DAYS)
NAMES = ["a", "b", "c", "d", "e", "f"]


def seen(board: FieldBoard, series: np.ndarray) -> FieldBoard:
    """The board as scenes would show it: each field's series, NaN where a cloud hides it."""
    ndvi = np.full((len(DAYS), board.grid.height, board.grid.width), np.nan, np.float32)
    a, _, left, _, _, top = board.grid.transform
    for row, shape in enumerate(board.table.geometry):
        west, south, east, north = ((shape.bounds[0] - left) / a, (top - shape.bounds[1]) / a,
                                    (shape.bounds[2] - left) / a, (top - shape.bounds[3]) / a)  # fmt: skip
        ndvi[:, round(north) : round(south), round(west) : round(east)] = series[row][:, None, None]
    return replace(board, ndvi=ndvi, dates=DATES)


@pytest.fixture
def board(home) -> FieldBoard:
    small_map(home, "farm", NAMES)
    return load_field_board("farm")


def noisy(rng: np.random.Generator, sigma: float, fields: int = len(NAMES)) -> np.ndarray:
    season = 0.2 + 0.6 * np.sin(np.pi * DAYS / 110) ** 2
    return season + rng.normal(0, sigma, (fields, len(DAYS)))


@settings(max_examples=20, deadline=None)
@given(st.floats(0.005, 0.1), st.integers(0, 1000))
def test_the_noise_is_what_was_put_on_a_straight_line(sigma, seed):
    rng = np.random.default_rng(seed)
    series = 0.3 + 0.002 * DAYS + rng.normal(0, sigma, (60, len(DAYS)))
    series[rng.random(series.shape) < 0.2] = np.nan
    found = noise_of(series, DAYS)
    assert found.triples > 300
    assert found.usual == pytest.approx(sigma, rel=0.2)


def test_a_noisy_field_has_noise_of_its_own_and_fields_alike_share_one():
    rng = np.random.default_rng(0)
    days = np.arange(0.0, 200.0, 5)
    alike = noise_of(rng.normal(0, 0.02, (30, len(days))), days)
    assert np.ptp(alike.deviations) < 0.005
    sigma = np.repeat([0.005, 0.05], 15)
    found = noise_of(sigma[:, None] * rng.normal(size=(30, len(days))), days)
    assert np.median(found.deviations[:15]) == pytest.approx(0.005, rel=0.3)
    assert np.median(found.deviations[15:]) == pytest.approx(0.05, rel=0.3)
    assert (found.freedom < alike.freedom).all()


def test_noise_does_not_mind_a_cloud_that_was_missed():
    rng = np.random.default_rng(1)
    series = rng.normal(0, 0.02, (20, len(DAYS)))
    clouded = np.where(rng.random(series.shape) < 0.02, series - 0.2, series)
    assert noise_of(clouded, DAYS).usual < 1.25 * noise_of(series, DAYS).usual


@pytest.mark.long
@pytest.mark.parametrize(("fields", "log_spread"), [(20, 0.0), (20, 0.6), (5, 0.0)])
def test_by_noise_alone_few_farms_tell_a_fall(fields, log_spread):
    rng = np.random.default_rng(2)
    told = []
    for _ in range(200):
        sigma = 0.01 * np.exp(log_spread * rng.normal(size=(fields, 1)))
        series = noisy(rng, 0.0, fields) + sigma * rng.normal(size=(fields, len(DAYS)))
        told.append(changes_of(series, DAYS, [str(n) for n in range(fields)], DATES).table["fell"].any())
    assert np.mean(told) <= 0.1  # .05, and 3 standard errors


def test_a_fall_of_most_fields_is_said_of_the_farm(board):
    series = noisy(np.random.default_rng(0), 0.01)
    series[:, -1] = series[:, -2] + series[:, 0] - series[:, 0].mean()
    still = find_changes(seen(board, series))
    assert still.farm is None
    series[:4, -1] -= 0.4  # of six: against their median no field fell
    changes = find_changes(seen(board, series))
    assert not changes.table["fell"].any()
    assert changes.farm is not None
    assert (changes.farm.fell, changes.farm.fields) == (4, 6)
    assert "Most fields fell: their median by 0.3" in farm_words(changes.farm)
    assert "4 of 6 beyond noise of their own. Harvest, ripening, hail or haze: look." in farm_words(changes.farm)


def test_dates_that_dipped_and_came_back_are_counted(board):
    series = noisy(np.random.default_rng(5), 0.005)
    assert find_changes(seen(board, series)).dips == 0
    series[1, 4] -= 0.3
    changes = find_changes(seen(board, series))
    assert changes.dips == 1
    assert "1 of these dates lay as far below and came back" in noise_words(changes)


def test_without_dates_enough_no_fall_is_told(board):
    series = np.full((len(NAMES), len(DAYS)), np.nan)
    series[:, -2:] = [0.8, 0.2]
    changes = find_changes(seen(board, series))
    assert np.isnan(changes.noise)
    assert changes.table["change"].tolist() == pytest.approx([-0.6] * 6, abs=1e-6)
    assert not changes.table["fell"].any()


def test_a_field_that_falls_beyond_noise_is_told_and_a_farm_that_ripens_is_not(board):
    series = noisy(np.random.default_rng(0), 0.01)
    series[:, -1] = series[:, -2] - 0.15  # all ripen
    assert not find_changes(seen(board, series)).table["fell"].any()
    series[2, -1] -= 0.2
    changes = find_changes(seen(board, series))
    field = board.table["field"].iloc[2]
    assert changes.table["field"][changes.table["fell"]].tolist() == [field]
    assert changes.table["field"].iloc[0] == field
    visits = find_visits(seen(board, series), changes)
    assert visits[0].field == field
    assert "fell by 0.35 NDVI" in visits[0].reasons[0]
    assert "the other fields fell by 0.15" in visits[0].reasons[0]


def test_by_noise_alone_few_maps_tell_a_fall(board):
    rng = np.random.default_rng(1)
    told = [find_changes(seen(board, noisy(rng, 0.03))).table["fell"].any() for _ in range(60)]
    assert np.mean(told) <= 0.12


def test_haze_on_the_last_date_is_no_fall_of_any_field(board):
    series = noisy(np.random.default_rng(2), 0.01)
    series[:, -1] -= 0.2
    assert not find_changes(seen(board, series)).table["fell"].any()


def test_a_cloud_on_the_last_date_compares_the_dates_that_show_the_field(board):
    series = noisy(np.random.default_rng(3), 0.01)
    series[1, -1] = np.nan
    row = find_changes(seen(board, series)).table.set_index("field").loc[board.table["field"].iloc[1]]
    assert (row["before"], row["after"]) == (DATES[-3], DATES[-2])


def test_reasons_are_sorted_not_seen_then_withdrawn_then_fallen_then_lowest(board):
    table = board.table.copy()
    table.loc[3, ["mean", "lower", "upper"]] = np.nan
    table.loc[3, "seen_share"] = 0.12
    table.loc[1, ["claim", "reason"]] = ["withdrawn", "unlike the others"]
    series = noisy(np.random.default_rng(4), 0.005)
    series[4, -1] -= 0.3
    given_board = seen(replace(board, table=table), series)
    visits = find_visits(given_board, find_changes(given_board))
    names = table["field"].tolist()
    assert [visit.field for visit in visits] == [names[3], names[1], names[4], names[0]]
    assert visits[0].reasons == ("not seen: 12% of it is known, too little to say anything",)
    assert visits[1].reasons == ("claim withdrawn: unlike the others",)
    mean = farm_mean(given_board)
    low = table["mean"].min()
    assert visits[3].reasons == (f"the lowest of 5 fields: {low:.1f} t/ha, {mean - low:.1f} below their mean",)


def test_a_claim_that_is_withdrawn_for_all_is_no_reason_for_one(home):
    small_map(home, "farm", NAMES, CLAIM="withdrawn", CLAIM_REASON="another year")
    board = load_field_board("farm")
    told = [reason for visit in find_visits(board, find_changes(board)) for reason in visit.reasons]
    assert not any("withdrawn" in reason for reason in told)


def test_other_farms_stand_in_the_order_of_what_is_not_seen(home):
    for name, unseen in (("one", 0), ("two", 2), ("three", 1)):
        folder = small_map(home, name, ["a", "b", "c"])
        table = pd.read_csv(folder / "fields.csv")
        table.loc[: unseen - 1, "mean"] = np.nan
        table.to_csv(folder / "fields.csv", index=False)
    (small_map(home, "torn", ["a"]) / "fields.csv").write_bytes(b"\xff\x00")
    farms = find_farms("one")
    assert [farm.name for farm in farms][:2] == ["two", "three"]
    assert farms[0].words == "3 fields, 2 not seen, scenes to 2021-06-01"
    assert "cannot be read" in farms[-1].words
