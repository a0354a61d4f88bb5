"""Counts of cells: the stain's known answers, the ridge on it, the shared contract, and the real smears."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.data.medical.smears import places, write_smear, write_smears

from mainstem.adapters import find_task
from mainstem.adapters.diagnostics.cells import (
    STAIN,
    TASK,
    StainRidge,
    measured,
    mirrored,
    restore,
    stains_of,
    threshold,
)
from mainstem.apps.evaluate import evaluate
from mainstem.apps.protocols import EvaluationSpec
from mainstem.core.finetuning import FitSpec
from mainstem.core.predict import outside_scope
from mainstem.core.samples import SampleSet
from mainstem.core.stream import Provenance, Sample, Stream
from mainstem.core.task import DataRequest
from mainstem.core.tokens import Patches


def smears(folder: Path, num: int = 48) -> SampleSet:
    """Drawn smears of twelve slides, whose platelets are counted."""
    source = TASK.read(DataRequest(data=str(write_smears(folder, num)), options={"cell": "platelets"}))
    grouped = [
        replace(sample, source=replace(sample.source, group=f"slide {row % 12}", licence="CC0-1.0"))
        for row, sample in enumerate(source.samples)
    ]
    return replace(source, samples=tuple(grouped))


def test_the_task_is_found_by_name():
    assert find_task("diagnostics", "cells") is TASK


@pytest.mark.parametrize(("red", "platelets"), [(0, 3), (5, 0), (8, 4)])
def test_cells_that_lie_apart_are_counted(tmp_path, red, platelets):
    cells = places(["WBC", *["RBC"] * red, *["Platelets"] * platelets], np.random.default_rng(red))
    write_smear(tmp_path, "a", cells)
    (sample,) = TASK.read(DataRequest(data=str(tmp_path))).samples
    told = dict(zip((channel.name for channel in STAIN), sample.streams["stain"].values.tolist(), strict=True))
    assert (told["single red cells"], told["clumps"], told["white cells"]) == (red, 0, 1)
    assert told["spots beyond 0.15"] == platelets
    assert sample.target == red
    assert sample.source.facts["cell"] == "red"


def test_two_kinds_of_pixels_are_parted_between_them():
    values = np.repeat([0.2, 0.25, 0.7, 0.75], [40, 10, 30, 20])
    assert 0.25 <= threshold(np.random.default_rng(0).permutation(values)) < 0.7


def stained(values: np.ndarray, target: float) -> Sample:
    return Sample(
        streams={"stain": Stream(kind="scalar", values=values, channels=STAIN)},
        target=target,
        source=Provenance(data="made", item=f"{target}"),
    )


def test_the_ridge_learns_a_line_and_is_restored_as_it_was():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(400, len(STAIN)))
    samples = [stained(row, 5 + 3 * row[8]) for row in values]
    ridge = StainRidge.fit(samples, "any")
    found = ridge.fallback(samples, ridge(samples)[1])
    assert np.corrcoef(found, values[:, 8])[0, 1] > 0.99
    assert np.std(found) == pytest.approx(3 / 1.1, rel=0.1)  # drawn to the mean by the penalty
    again = restore(*ridge.state())
    np.testing.assert_array_equal(again.fallback(samples, again(samples)[1]), found)
    bare = replace(samples[0], streams={})
    assert np.isnan(stains_of([bare])).all()
    assert ridge.fallback([bare], ridge([bare])[1]) == pytest.approx([ridge.mean])


def test_pictures_are_mirrored_in_training_each_as_it_falls():
    smears, aims = torch.arange(12.0).reshape(1, 1, 1, 3, 4).repeat(64, 1, 1, 1, 1), torch.arange(64.0)
    parts = {"smear.values": smears, "stain.values": aims[:, None]}
    found, same = mirrored(Patches(parts=parts), aims, torch.Generator().manual_seed(0))
    again, _ = mirrored(Patches(parts=parts), aims, torch.Generator().manual_seed(0))
    ways = [smears[0], smears[0].flip(-1), smears[0].flip(-2), smears[0].flip(-1, -2)]
    counts = [sum(torch.equal(one, way) for one in found["smear.values"]) for way in ways]
    assert sum(counts) == 64
    assert min(counts) >= 6
    assert same is aims
    assert torch.equal(found["stain.values"], parts["stain.values"])
    assert torch.equal(found["smear.values"], again["smear.values"])


def test_a_run_counts_the_cells_that_it_was_trained_to_count(tmp_path):
    source = smears(tmp_path, 2)
    scope = TASK.scope_of(source.samples)
    (red,) = TASK.read(DataRequest(data=str(tmp_path / "JPEGImages" / "Smear_00000.jpg"))).samples
    assert "cell is red" in outside_scope(scope, red)  # a run that counts platelets
    assert not outside_scope(scope, source.samples[0])


@pytest.mark.long
@pytest.mark.mirror
def test_real_platelets_are_counted_better_than_by_their_mean_on_tens_never_seen(home):
    config = replace(TASK.config, num_folds=3, training=replace(TASK.config.training, epochs=1))
    request = DataRequest(data="bccd", options={"cell": "platelets"})
    found = evaluate(TASK, request, EvaluationSpec(fit=FitSpec(config=config)))
    assert (found["protocol"], found["n"]) == ("grouped-folds", 292)
    assert set(found["baselines"]) == {"average", "ridge", "random_forest", "gradient_boosting"}
    assert next(iter(found["metrics"])) == "rmse_cells"
    assert found["difference"]["average"]["verdict"] == "better"
    assert found["coverage"]["pooled"] == pytest.approx(0.9, abs=0.06)


def test_measuring_leaves_the_picture_as_it_is(tmp_path):
    (sample,) = TASK.read(DataRequest(data=str(write_smears(tmp_path, 1)))).samples
    again = measured(replace(sample, streams={"smear": sample.streams["smear"]}))
    np.testing.assert_array_equal(again.streams["stain"].values, sample.streams["stain"].values)
    assert again.streams["smear"] is sample.streams["smear"]
