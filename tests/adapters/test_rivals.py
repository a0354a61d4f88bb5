"""The trunk's rivals: they learn what can be learned, weigh nothing where they know nothing, and come back equal."""

from dataclasses import replace

import numpy as np
import pytest

from mainstem.adapters.crop_yield import TASK
from mainstem.adapters.crop_yield.regional import RegionalPreparation, restore_preparation
from mainstem.adapters.crop_yield.rivals import Rivals
from mainstem.core.evaluation import rmse
from mainstem.core.folds import targets_of
from mainstem.data.earth.simulate import simulate_regions


@pytest.fixture(scope="module")
def regions():
    wanted = {f"SIM{number:02d}" for number in range(24)}
    found = simulate_regions(3)
    return replace(found, samples=tuple(s for s in found.samples if s.source.facts["region"] in wanted))


@pytest.fixture(scope="module")
def preparation(regions) -> RegionalPreparation:
    return RegionalPreparation.fit(regions.training(), "later")


def test_noise_adds_little_and_a_signal_is_learned():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(400, 4))
    found = Rivals.fit(features, features[:, 0] + 0.1 * rng.normal(size=400))
    new = rng.normal(size=(50, 4))
    assert rmse(new[:, 0], found.mean(new)) < 0.4
    assert rmse(np.zeros(50), Rivals.fit(features, rng.normal(size=400)).mean(new)) < 0.4


def test_where_truth_is_known_the_rivals_beat_the_anchor(regions, preparation):
    test = [sample for sample in regions.samples if sample.source.group in regions.test_groups]
    truth, anchor = targets_of(test), preparation(test)[1]
    for name, found in preparation.each_rival(test).items():
        assert rmse(truth, found) < rmse(truth, anchor), name
    assert rmse(truth, preparation.fallback(test, anchor)) < 0.8 * rmse(truth, anchor)


def test_a_fit_is_the_same_each_time_and_after_saving(regions, preparation):
    again = RegionalPreparation.fit(regions.training(), "later")
    restored = restore_preparation(*preparation.state())
    offset = preparation(regions.samples)[1]
    wanted = preparation.fallback(regions.samples, offset)
    np.testing.assert_array_equal(again.fallback(regions.samples, offset), wanted)
    np.testing.assert_array_equal(restored.fallback(regions.samples, offset), wanted)


def test_every_view_and_a_region_never_seen_get_finite_rivals(regions, preparation):
    sample = regions.samples[-1]
    stranger = replace(sample, source=replace(sample.source, facts={**sample.source.facts, "region": "elsewhere"}))
    shown = [view(s) for view in TASK.views.values() for s in (sample, stranger)]
    shown.append(replace(sample, streams={}))
    for found in preparation.each_rival(shown).values():
        assert np.isfinite(found).all()
