"""Evaluations train on nothing of what they judge, speak for all seeds, and say what can be told apart."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from mainstem.adapters.crop_yield import TASK
from mainstem.adapters.crop_yield.baselines import average_and_trend
from mainstem.adapters.crop_yield.seasons import YEAR_S, forget
from mainstem.apps.cli import app
from mainstem.apps.evaluate import evaluate, score_part
from mainstem.apps.protocols import EvaluationSpec, split_samples
from mainstem.core.finetuning import FitSpec
from mainstem.core.fit import fit
from mainstem.core.preparation import MeanOffset
from mainstem.core.samples import SampleSet
from mainstem.core.task import DataRequest, FitConfig, Recipe
from mainstem.core.training import TrainingConfig

QUICK = FitConfig(trunk_size="xs", training=TrainingConfig(epochs=1), num_folds=2)
LEFT_OUT = "leave-one-year-out"
YEAR = "2012"
BARE = replace(  # none of what takes long to fit
    TASK,
    prepare=lambda samples, order: MeanOffset.fit(samples),
    baselines=lambda train, test, seed: average_and_trend(train, test),
    rivals=None,
    views={"lead0": TASK.views["lead0"]},
    view_of=lambda sample: "lead0",
    optional=(),
)


def write_yields(root: Path, garbage_year: int | None = None) -> DataRequest:
    """Six regions of 2008-2016 that rise and fall; one year's yields may be garbage of a possible size."""
    place, rng = root / "wheat" / "NL", np.random.default_rng(0)
    place.mkdir(parents=True)
    yields, ndvi = [], []
    for region in range(6):
        for year in range(2008, 2017):
            vigour = rng.normal()
            value = 7 + region / 4 + 0.8 * vigour + rng.normal(0, 0.2)
            yields.append((f"NL{region}", year, 9.5 - region / 2 if year == garbage_year else value))
            dates = pd.date_range(f"{year}-03-01", f"{year}-07-20", freq="20D").strftime("%Y%m%d")
            ndvi += [(f"NL{region}", date, 0.5 + 0.1 * vigour + rng.normal(0, 0.02)) for date in dates]
    pd.DataFrame(yields, columns=["adm_id", "harvest_year", "yield"]).to_csv(place / "yield_wheat_NL.csv", index=False)
    pd.DataFrame(ndvi, columns=["adm_id", "date", "ndvi"]).to_csv(place / "ndvi_wheat_NL.csv", index=False)
    return DataRequest(data=str(root), options={"crop": "wheat", "country": "NL"})


@pytest.fixture(scope="module")
def request_(tmp_path_factory) -> DataRequest:
    return write_yields(tmp_path_factory.mktemp("farms"))


def left_out(source: SampleSet, year: str):
    """Train without a year and predict it, baselines too."""
    parts = split_samples(source.unflagged(), LEFT_OUT, forget=TASK.forget)
    (part,) = [part for part in parts if {sample.source.group for sample in part[1]} == {year}]
    spec = EvaluationSpec(fit=FitSpec(config=QUICK, order="any"))
    return score_part((TASK, source), [part], spec, (0, 0))[0]


@pytest.mark.long
def test_garbage_in_the_year_left_out_changes_no_prediction_of_it(request_, tmp_path):
    true, garbage = TASK.read(request_), TASK.read(write_yields(tmp_path, garbage_year=int(YEAR)))
    found, other = left_out(true, YEAR), left_out(garbage, YEAR)
    assert np.abs(found.truth - other.truth).max() > 1
    for name in TASK.views:
        for part in ("mean", "scale"):
            np.testing.assert_array_equal(found.told[name][part], other.told[name][part])
        np.testing.assert_array_equal(found.quantile[name], other.quantile[name])
    for name in found.baselines:
        np.testing.assert_allclose(found.baselines[name], other.baselines[name], rtol=1e-12)  # threads add


@pytest.mark.long
def test_a_member_is_judged_on_years_that_nothing_in_its_training_knows(request_, tmp_path):
    config = replace(QUICK, num_folds=9)  # a year a fold
    judged = [
        fit(TASK, source, source.unflagged(), Recipe(config=config, order="any")).judged["lead0"]
        for source in map(TASK.read, (request_, write_yields(tmp_path, garbage_year=int(YEAR))))
    ]
    rows = np.array(judged[0].groups) == YEAR
    for part in ("past", "plain", "trunk", "scale"):
        np.testing.assert_array_equal(judged[0].raw[part][rows], judged[1].raw[part][rows])


def test_past_yields_of_years_left_out_are_gone_and_trends_drawn_again(request_):
    samples = TASK.read(request_).unflagged()
    hidden = forget(samples, frozenset({"2012", "2013"}))
    for plain, sample in zip(samples, hidden, strict=True):
        years = known_years(sample)
        assert not years & {2012, 2013}
        assert years == known_years(plain) - {2012, 2013}
    assert hidden[0] is samples[0]  # 2008: no past, nothing to hide


def known_years(sample) -> set[int]:
    if "history" not in sample.streams:
        return set()
    return {round(t / YEAR_S) + int(sample.source.facts["year"]) for t in sample.streams["history"].times.tolist()}


@pytest.mark.mirror
def test_us_counties_forget_a_year_in_lags_and_trend():
    samples = [s for s in TASK.read(DataRequest(data="us-maize")).training() if s.source.group == "2009"][:200]
    hidden = forget(samples, frozenset({"2007"}))
    for plain, sample in zip(samples, hidden, strict=True):
        assert known_years(sample) == known_years(plain) - {2007}
        if 2007 in known_years(plain):
            times, values = (getattr(sample.streams["history"], key) for key in ("times", "values"))
            _, level = np.polyfit(times / YEAR_S, values[:, 0], 1)
            assert sample.streams["trend"].values[0] == pytest.approx(level)


@pytest.fixture(scope="module")
def two_seeds(request_):
    return evaluate(BARE, request_, EvaluationSpec(fit=FitSpec(config=QUICK), seeds=2))


@pytest.mark.long
def test_every_figure_speaks_for_all_seeds(request_, two_seeds):
    single = evaluate(BARE, request_, EvaluationSpec(fit=FitSpec(config=QUICK)))
    assert two_seeds["metrics"]["nrmse_percent"] == pytest.approx(
        np.mean([found["nrmse_percent"] for found in two_seeds["metrics_by_seed"]])
    )
    assert two_seeds["by_group"][YEAR]["nrmse_percent"] != single["by_group"][YEAR]["nrmse_percent"]
    assert two_seeds["coverage"]["mean_width"] != single["coverage"]["mean_width"]
    # the difference of a group is that of its own figures, which are means over seeds
    for name, difference in two_seeds["difference"].items():
        for year, figures in two_seeds["by_group"].items():
            wanted = figures["nrmse_percent"] - figures[f"{name}_nrmse_percent"]
            assert difference["by_group"][year] == pytest.approx(wanted)
        assert difference["value"] == pytest.approx(np.mean(list(difference["by_group"].values())))
        assert difference["num_groups"] == 9
        assert difference["low"] <= difference["value"] <= difference["high"]


@pytest.mark.long
def test_faults_are_scored_only_where_asked_for(request_):
    def read(asked: DataRequest) -> SampleSet:
        source = BARE.read(asked)
        wrong = source.samples[0]
        ruined = [replace(sample, target=100.0) if sample is wrong else sample for sample in source.samples]
        return replace(source, samples=tuple(ruined), flagged={str(wrong.source.item): "made wrong"})

    spec = EvaluationSpec(fit=FitSpec(config=QUICK), with_flagged=True)
    result = evaluate(replace(BARE, read=read), request_, spec)
    assert result["flagged_rows"] == 1
    usual, ruined = (found["baselines"]["average"]["nrmse_percent"] for found in (result, result["with_flagged_rows"]))
    assert ruined > 5 * usual


@pytest.mark.long
def test_it_says_what_can_be_told_apart_and_what_was_known(request_, two_seeds):
    assert "unknown to training" in two_seeds["protocol_note"]
    assert "with_flagged_rows" not in two_seeds
    assert json.dumps(two_seeds, allow_nan=False)
    done = CliRunner().invoke(
        app, ["evaluate", "crop-yield", "--data", request_.data, "--crop", "wheat", "--country", "NL", "--help"]
    )
    assert "--with-flagged" in done.output
