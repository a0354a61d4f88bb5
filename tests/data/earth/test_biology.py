"""Biology by farm: drawn by its number within ranges, and each world changes what it says and nothing else."""

from dataclasses import asdict

import numpy as np
import pytest

from mainstem.core.errors import InputError
from mainstem.data.earth.biology import RANGES, WORLDS, Biology, biology_of, draw_biology, grain_set, worlds_of
from mainstem.data.earth.farm_sets import open_farms
from mainstem.data.earth.farms import Farm, simulate_farm

SIDE = 48


def farm(*worlds: str, number: int = 12) -> Farm:
    return simulate_farm(number, SIDE, worlds)


def same_but_yields(one: Farm, other: Farm) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True)
        for name in ("reflectance", "days", "fields", "management", "soil_cm_m")
    ) and all(np.array_equal(values, getattr(other.weather, name)) for name, values in vars(one.weather).items())


def shares(changed: Farm, plain: Farm) -> np.ndarray:
    """What each pixel of the fields yields, as a share of what it did."""
    inside = plain.fields >= 0
    return (changed.yield_t_ha / plain.yield_t_ha)[inside]


def test_a_farm_s_biology_is_drawn_by_its_number_within_the_ranges():
    drawn = [asdict(draw_biology(number)) for number in range(300)]
    assert drawn[7] == asdict(draw_biology(7)) != drawn[8]
    for name, (low, high) in RANGES.items():
        values = np.array([each[name] for each in drawn])
        assert low <= values.min() < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < values.max() <= high
    names = list(RANGES)
    correlation = np.corrcoef([[each[name] for each in drawn] for name in names]) - np.eye(len(names))
    assert np.abs(correlation).max() < 0.2


def test_the_nominal_biology_is_inside_the_ranges_and_its_world_gives_it_to_all():
    nominal = asdict(Biology())
    assert all(low <= nominal[name] <= high for name, (low, high) in RANGES.items())
    assert biology_of(3, ("fixed",)) == biology_of(4, ("fixed",)) == Biology()
    assert not draw_biology(3).follows_growth
    assert draw_biology(3).patch_losses == 0.0  # no farm to train on knows these worlds


def test_a_nominal_farm_is_what_it_was_before_farms_differed():
    nominal = simulate_farm(5, worlds=("fixed",))
    assert float(np.nanmean(nominal.yield_t_ha)) == pytest.approx(6.7264194, rel=1e-6)
    assert float(np.nanmean(simulate_farm(4001, worlds=("fixed",)).yield_t_ha)) == pytest.approx(8.345882, rel=1e-6)


@pytest.mark.parametrize(("world", "share"), [("rue-15", 0.85), ("losses", 0.88)])
def test_a_world_of_one_factor_takes_it_off_every_yield_and_shows_in_no_scene(world, share):
    plain, changed = farm(), farm(world)
    assert same_but_yields(plain, changed)
    np.testing.assert_allclose(shares(changed, plain), share, rtol=1e-5)


def test_efficiency_by_farm_is_one_factor_a_farm_spread_evenly():
    factors = [
        biology_of(number, ("rue-20-by-farm",)).radiation_use_g_mj / draw_biology(number).radiation_use_g_mj
        for number in range(400)
    ]
    assert 0.8 <= min(factors) < 0.82
    assert 1.18 < max(factors) <= 1.2
    assert np.mean(factors) == pytest.approx(1.0, abs=0.02)
    plain, changed = farm(), farm("rue-20-by-farm")
    assert same_but_yields(plain, changed)
    np.testing.assert_allclose(shares(changed, plain), factors[12], rtol=1e-5)


def test_patches_take_two_fifths_of_some_and_nothing_of_the_rest():
    plain, changed = farm(), farm("patches")
    assert same_but_yields(plain, changed)
    whole = np.isclose(shares(changed, plain), 1.0, rtol=1e-5)
    np.testing.assert_allclose(shares(changed, plain)[~whole], 0.6, rtol=1e-5)
    assert 0.2 < (~whole).mean() < 0.4


def test_grain_set_by_growth_changes_the_grain_alone_and_drought_costs_it_more_than_enough_water():
    plain, changed = farm(), farm("grain-set")
    assert same_but_yields(plain, changed)
    assert not np.allclose(shares(changed, plain), 1.0)
    free = np.array([24.0, 24.0, 24.0, 24.0])  # g/m2 a day: three grams a plant
    set_ = grain_set(np.array([24.0, 16.0, 9.36, 0.0]), free)
    assert set_[0] == pytest.approx(1.0)
    assert set_[1] == pytest.approx((0.83 / (1 + 0.67 * 0.83)) / (1.83 / (1 + 0.67 * 1.83)))
    assert set_[2:].tolist() == [0.0, 0.0]  # 1.17 g a day a plant set nothing
    assert grain_set(np.zeros(1), np.zeros(1)).tolist() == [1.0]  # never flowered: nothing is known to be lost


def test_another_canopy_is_seen_greener_and_takes_less_light():
    plain, changed = farm(), farm("canopy")
    assert np.array_equal(plain.fields, changed.fields)
    drawn, other = draw_biology(12), biology_of(12, ("canopy",))
    assert other.extinction == pytest.approx(0.8 * drawn.extinction)
    assert other.seen_extinction == pytest.approx(1.2 * drawn.seen_extinction)
    assert shares(changed, plain).mean() < 1


def test_worlds_join_and_all_is_told_by_its_parts():
    assert worlds_of("fixed+rue-15") == ("fixed", "rue-15")
    assert set(worlds_of("all")) == {"rue-20-by-farm", "canopy", "grain-set", "losses"}
    assert biology_of(3, ("fixed", "rue-15")).radiation_use_g_mj == pytest.approx(0.85 * Biology().radiation_use_g_mj)
    for name in ("rue", "", "rue-15+", "fixed,all"):
        with pytest.raises(InputError, match="want one of fixed, rue-15"):
            worlds_of(name)
    assert set(worlds_of("all")) <= set(WORLDS)


@pytest.mark.parametrize("data", ["simulated-farms:", "simulated-farms:rue", "few-simulated-farms:all", "farms:all"])
def test_a_set_of_no_known_world_is_refused_before_anything_is_simulated(data):
    with pytest.raises(InputError, match=r"want .*rue-15"):
        open_farms(data)
