"""Claims of single regions: past yields and soil that are not the region's own withdraw its claim, and no other's."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from mainstem.adapters.crop_yield import TASK
from mainstem.apps.finetune import finetune
from mainstem.core.finetuning import FitSpec
from mainstem.core.fitted import Fitted, load_run
from mainstem.core.predict import predict
from mainstem.core.stream import Sample
from mainstem.data.earth.simulate import simulate_regions

QUICK = replace(
    TASK.config,
    num_folds=3,
    num_gap_draws=1,
    training=replace(TASK.config.training, epochs=1, min_steps=1, batch_size=64),
)
REGIONS = {f"SIM{number:02d}" for number in range(20)}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Fitted, list[Sample]]:
    """A quick fit on simulated regions, and the samples of a later year that all keep their claim or lose it alone."""
    whole, out = simulate_regions(3), Path(tmp_path_factory.mktemp("regions")) / "run"
    few = tuple(sample for sample in whole.samples if str(sample.source.facts["region"]) in REGIONS)
    regions = replace(whole, samples=few)
    finetune(TASK, regions, FitSpec(config=QUICK), out)
    artifact = load_run(out, TASK)
    later = [sample for sample in regions.samples if sample.source.group in regions.test_groups]
    for group in sorted(regions.test_groups):
        year = [sample for sample in later if sample.source.group == group]
        if states(artifact, year).count("stated") > len(year) / 2:
            return artifact, year
    raise AssertionError("every later year is withdrawn")


def states(artifact: Fitted, samples: Sequence[Sample]) -> list[str]:
    return [one.claim.state for one in predict(artifact, list(samples), TASK.view_of)]


def spoiled(sample: Sample, factor: float, names: Sequence[str]) -> Sample:
    streams = {
        name: replace(stream, values=stream.values * factor) if name in names else stream
        for name, stream in sample.streams.items()
    }
    return replace(sample, streams=streams)


@pytest.mark.long
@pytest.mark.parametrize(
    ("names", "factor"),
    [
        (("history", "trend"), 0.5),
        (("history",), 0.5),
        (("history",), 0.0628),  # bushels an acre taken for t/ha
        (("history", "trend"), 2.0),
        (("soil",), 1.5),
    ],
)
def test_a_region_whose_past_or_soil_is_not_its_own_loses_its_claim_alone(fitted, names, factor):
    artifact, year = fitted
    before = states(artifact, year)
    row = before.index("stated")
    after = states(artifact, [*year[:row], spoiled(year[row], factor, names), *year[row + 1 :]])
    assert after[row] == "withdrawn"
    assert [*after[:row], *after[row + 1 :]] == [*before[:row], *before[row + 1 :]]


@pytest.mark.long
def test_past_yields_that_drift_withdraw_no_year(fitted):
    artifact, year = fitted
    drifted = [spoiled(sample, 1.03, ("history", "trend")) for sample in year]
    assert states(artifact, drifted).count("stated") > len(year) / 2
