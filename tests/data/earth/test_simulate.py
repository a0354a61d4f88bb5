"""The simulator against its own sources, and against sense."""

import numpy as np

from mainstem.data.earth.simulate import (
    NUM_REGIONS,
    NUM_YEARS,
    extraterrestrial_radiation,
    outline,
    simulate_regions,
    simulate_truth,
)


def test_radiation_is_fao_56s_example_8():
    assert abs(extraterrestrial_radiation(np.array([-20.0]), np.array([246.0]))[0, 0] - 32.2) < 0.1


def test_a_seed_gives_one_world_and_another_seed_another():
    assert np.array_equal(simulate_truth(1).yields_t_ha, simulate_truth(1).yields_t_ha)
    assert not np.array_equal(simulate_truth(1).yields_t_ha, simulate_truth(2).yields_t_ha)


def test_yields_are_those_of_maize_and_fall_with_drought():
    truth = simulate_truth(0)
    assert truth.yields_t_ha.shape == (NUM_REGIONS, NUM_YEARS)
    assert 4 < truth.yields_t_ha.mean() < 11
    assert (truth.yields_t_ha > 0).all()
    supply = truth.stress[..., 150:250].mean(-1)
    within = [np.corrcoef(supply[region], truth.yields_t_ha[region])[0, 1] for region in range(NUM_REGIONS)]
    assert np.mean(within) > 0.6


def test_everything_says_that_it_is_simulated():
    regions = simulate_regions(0)
    assert regions.simulated
    assert all(sample.source.simulated for sample in regions.samples)
    assert "Simulated" in regions.attribution
    assert len(regions.test_groups) == 3


def test_clouds_leave_gaps_and_dates_stay_in_season():
    lengths = {len(sample.streams["ndvi"].values) for sample in simulate_regions(0).samples}
    assert len(lengths) > 5
    last = max(sample.streams["ndvi"].times[-1] for sample in simulate_regions(0).samples)
    assert last <= 285 * 86_400


def test_neighbours_share_their_corners():
    first, second = outline("SIM00"), outline("SIM01")
    assert np.array_equal(first[1], second[0])
    assert np.array_equal(first[2], second[3])
