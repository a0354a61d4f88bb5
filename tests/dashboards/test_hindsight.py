"""Past seasons beside their harvests: told without what learned from them, never narrower with less known, in order."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mainstem.apps import clinic_demo, demo, region_sets
from mainstem.apps.hindsight import (
    COLUMNS,
    FORECAST,
    HELD_OUT,
    LEVELS,
    Judged,
    held_out,
    issue,
    keep_looked_back,
    look_back,
    looked_back,
    looked_back_file,
    never_shown,
    season_figures,
    skill_by_lead,
    worst,
)
from mainstem.apps.media import demo as media_demo
from mainstem.core.stream import Sample
from mainstem.dashboards.yield_map import controls
from mainstem.dashboards.yield_map.board import doubt_of, region_story, season_table

pytestmark = pytest.mark.long

LEADS = range(5)


@pytest.fixture(scope="module")
def tables(simulated_home) -> dict[tuple[str, int], pd.DataFrame]:
    """Tables of a season never trained on and of one that was, at every lead."""
    from mainstem.apps.region_sets import choices
    from mainstem.dashboards.yield_map.board import load_board

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAINSTEM_HOME", str(simulated_home))
        (choice,) = choices()
        found = load_board(choice.read(), choice.run())
        return {(season, lead): season_table(found, season, lead, 0.9, 7.0)
                for season in ("2023", "2010") for lead in LEADS}  # fmt: skip


def test_levels_are_those_of_the_page():
    assert LEVELS == controls.LEVELS


def test_a_season_of_training_is_told_by_members_and_scores_that_never_met_it(board):
    assert board.seasons()[:3] == ("2023", "2022", "2021")
    assert "2010" in board.seasons()
    shown = board.fitted_for("2010")
    assert 0 < len(shown.ensemble.members) < len(board.fitted.ensemble.members)
    for member in shown.ensemble.members:
        assert 2010.0 not in member.preparation.anchor.known.year
        assert not [year for _, year in member.preparation.climatology.seasons if year == 2010.0]
    for view, calibration in board.fitted.calibration.items():
        left = shown.calibration[view]
        assert "2010" not in left.groups
        assert len(left.scores) == sum(group != "2010" for group in calibration.groups)
    assert board.fitted_for("2023") is board.fitted
    assert "Held out, not a forecast" in board.provenance_of("2010")
    assert board.provenance_of("2023") == ""
    assert held_out(replace(board.fitted, ensemble=shown.ensemble), "2023") is not None
    blind = replace(board.fitted.ensemble, members=tuple(
        member for member in board.fitted.ensemble.members if member not in never_shown(board.fitted, "2010")
    ))  # fmt: skip
    assert held_out(replace(board.fitted, ensemble=blind), "2010") is None


def test_no_interval_is_narrower_where_less_is_known(tables, board):
    for season in ("2023", "2010"):
        widths = np.array([tables[season, lead]["width"] for lead in LEADS])
        assert np.isfinite(widths).all()
        assert (np.diff(widths, axis=0) >= -1e-9).all()
        wider = [tables[season, lead] for lead in LEADS]
        assert all((table["low"] <= table["low_issued"] + 1e-9).all() for table in wider)
        assert all((table["high"] >= table["high_issued"] - 1e-9).all() for table in wider)
    for season in ("2023", "2010"):
        story = region_story(board, "SIM07", season, 0.9)
        assert (np.diff(story["high"] - story["low"]) <= 1e-9).all()
        for row in story.itertuples():  # the map at each lead says the same
            own = tables[season, row.lead].set_index("region").loc["SIM07"]
            assert (row.value, row.low, row.high) == pytest.approx((own["value"], own["low"], own["high"]), abs=1e-5)


def test_what_came_after_a_lead_changes_nothing_that_was_issued_at_it(board):
    sample = board.samples("2023", "SIM07")[0]
    whole = issue(board.fitted, [sample], 2)
    fpar = sample.streams["fpar"]
    late = np.where(fpar.times[:, None] > fpar.times[-1] - 20 * 86_400, 3.0, fpar.values)
    other: Sample = replace(sample, streams={**sample.streams, "fpar": replace(fpar, values=late)})
    assert not np.array_equal(late, fpar.values)
    changed = issue(board.fitted, [other], 2)
    assert changed.mean == whole.mean
    assert changed.half(0.9) == whole.half(0.9)
    assert issue(board.fitted, [other], 0).mean != issue(board.fitted, [sample], 0).mean


def test_errors_stand_beside_harvests_the_worst_first(tables):
    table = tables["2023", 0]
    assert np.allclose(table["error"], table["value"] - table["observed"])
    ten = worst(table, 10)
    assert (np.diff(ten["error"].abs()) <= 0).all()
    assert ten["error"].abs().min() >= table.drop(ten.index)["error"].abs().max()
    for lead in (0, 3):  # also where intervals are drawn wider than they were issued
        table = tables["2023", lead]
        inside = table["observed"].between(table["low"], table["high"])
        assert (table["inside"].astype(bool) == inside).all()
        assert table["season_coverage"].iloc[0] == pytest.approx(inside.mean())


def test_a_season_whose_harvests_contradict_its_level_says_so(tables):
    table = tables["2023", 0]
    assert doubt_of(table) == ""
    off = table.assign(observed=np.where(np.arange(len(table)) < 16, table["high_issued"] + 1, table["value"]))
    assert "75% of its 64 known harvests" in doubt_of(off.assign(low=off["low_issued"], high=off["high_issued"]))
    few = off.assign(observed=np.where(np.arange(len(table)) < 15, np.nan, off["observed"]))
    assert doubt_of(few) == ""  # 1 of 49 outside


def made(season: str, how: str, errors: list[float], past: float) -> pd.DataFrame:
    """Regions harvested at 8 t/ha, told with these errors and intervals of 1 t/ha either way."""
    value = 8 + np.array(errors)
    ends = {f"{end}_{level:.0%}": value + side for level in LEVELS for end, side in (("low", -1), ("high", 1))}
    names = [f"R{row}" for row in range(len(errors))]
    return pd.DataFrame({"season": season, "region": names, "how": how, "lead": 0, "harvest": 8.0, "past": 8 + past,
                         "value": value, **ends})[list(COLUMNS)]  # fmt: skip


def test_figures_of_seasons_have_known_answers():
    years = [made(str(2000 + year), HELD_OUT, [0.5, -0.5], 0.1 * year) for year in range(12)]
    looked = pd.concat([*years, made("2012", FORECAST, [2.0] * 30, 3.0)], ignore_index=True)
    found = season_figures(looked, 0, 0.9).set_index("season")
    assert found.loc["2012", ["rmse", "bias", "coverage", "past_rmse", "past_bias"]].tolist() == [2, 2, 0, 3, 3]
    assert found.loc["2012", "doubted"]
    assert not found.loc["2000":"2011", "doubted"].any()
    assert found.loc["2000", "rmse"] == pytest.approx(0.5)
    assert found.loc["2012", "past_width"] == pytest.approx(2 * 1.1)  # 12 of 13 hold 90 %: the largest of the others'
    assert found.loc["2011", "past_width"] == pytest.approx(2 * 1.0)  # its own error does not count
    assert found.loc["2011", "past_coverage"] == 0.0
    (skill,) = skill_by_lead(looked, 0.9).itertuples()
    assert (skill.how, skill.seasons) == (FORECAST, 1)
    assert skill.saved == pytest.approx(1 / 3)
    assert found.loc["2012", "raised_rmse"] == pytest.approx(3.0 - 0.55)  # averages of training lay .55 too high
    assert found.loc["2011", "raised_rmse"] == pytest.approx(1.1 - 0.5)  # by the other seasons alone
    assert (skill.saved_of_raised, skill.better) == (pytest.approx(1 - 2 / 2.45), 1)
    assert Judged.of(*(np.array([np.nan]) for _ in range(4))).num == 0
    ends = np.where(np.arange(40) < 10, 1.0, np.nan)  # ten of forty with an interval, eight of them inside
    harvest = np.where(np.arange(40) < 8, 0.0, 5.0)
    few = Judged.of(harvest, np.zeros(40), -ends, ends)
    assert (few.num, few.num_bounded, few.num_inside, few.coverage) == (40, 10, 8, 0.8)
    assert not few.contradicts(0.9)  # as forty they would


def test_looking_back_tells_every_harvest_at_every_lead_and_is_kept_for_this_model_alone(board, home):
    some = replace(board.source, samples=[s for s in board.source.samples if s.source.facts["region"] < "SIM02"])
    shares: list[float] = []
    looked = look_back(board.fitted, some, lambda _, share: shares.append(share))
    assert tuple(looked.columns) == COLUMNS
    assert (looked.groupby(["season", "region"]).size() == 5).all()
    assert len(looked) == 5 * len(some.samples)
    assert set(looked.loc[looked["season"] >= "2021", "how"]) == {FORECAST}
    assert set(looked.loc[looked["season"] < "2021", "how"]) == {HELD_OUT}
    assert shares == sorted(shares)
    path = looked_back_file("a set", "0" * 64)
    keep_looked_back(looked, looked_back_file("a set", "1" * 64))
    keep_looked_back(looked, looked_back_file("a", "1" * 64))
    keep_looked_back(looked, path)
    kept = looked_back(path)
    assert kept is not None
    pd.testing.assert_frame_equal(kept, looked, atol=1e-4, check_dtype=False)
    assert looked_back(looked_back_file("a set", "1" * 64)) is None  # another model's
    assert looked_back(looked_back_file("a", "1" * 64)) is not None  # another set's
    path.write_text("season\n1\n")
    assert looked_back(path) is None


def test_the_demonstration_looks_back_once_the_model_is_there(simulated_home, monkeypatch):
    monkeypatch.setenv("MAINSTEM_HOME", str(simulated_home))
    monkeypatch.setattr(clinic_demo, "ensure_studies", lambda *_: None)
    monkeypatch.setattr(media_demo, "ensure_archive", lambda *_: None)
    monkeypatch.setattr(demo, "ensure_demo", lambda progress: None)
    monkeypatch.setattr(demo, "ensure_real", lambda mirror, progress: None)
    demo.prepare(simulated_home / "nothing is here")
    choice = next(choice for choice in region_sets.choices() if choice.name == region_sets.SIMULATED)
    assert choice.has_looked_back()
