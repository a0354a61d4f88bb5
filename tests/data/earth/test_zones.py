"""Zones: found where years share a pattern, said to be chance where they do not, and filling the field exactly."""

import numpy as np
import pytest
from scipy import ndimage
from shapely.geometry import Polygon

from mainstem.core.errors import InputError
from mainstem.data.earth.chance import agreement
from mainstem.data.earth.field_grids import field_grid
from mainstem.data.earth.zone_polygons import near_values, zone_polygons
from mainstem.data.earth.zones import ZoneSpec, draw_zones, merge_small

SIDE, CELL_M = 40, 10.0
INSIDE = np.zeros((SIDE, SIDE), dtype=bool)
INSIDE[2:38, 3:36] = True
BANDS = np.repeat([0.0, 1.0, 2.0], [14, 13, 13])[:, None] * np.ones(SIDE)  # three plateaus, north to south


def patchy(seed: int, sigma: float = 4.0) -> np.ndarray:
    """A standardised random map whose cells are alike over some `sigma` cells."""
    raw = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(3 * SIDE, 3 * SIDE)), sigma)
    found = raw[SIDE : 2 * SIDE, SIDE : 2 * SIDE]
    return (found - found.mean()) / found.std()


def test_plateaus_that_years_share_become_zones_better_than_chance():
    noise = np.random.default_rng(0).normal(size=(3, SIDE, SIDE))
    years = np.stack([level + scale * BANDS for level, scale in ((8, 1), (5, 0.5), (300, 40))]) + 0.2 * noise
    years[2] += 5 * noise[2]
    years[:, 10:12, 10:12] = np.nan  # a gap that zones grow over
    zones = draw_zones(years, INSIDE, CELL_M, ZoneSpec(num_zones=3))
    assert (zones.labels[~INSIDE] == 0).all()
    for zone, rows in ((1, slice(4, 11)), (2, slice(17, 24)), (3, slice(30, 36))):
        assert (zones.labels[rows, 5:34] == zone).all()
    assert zones.agreement is not None
    assert zones.agreement.is_better_than_chance
    assert zones.agreement.r > 0.8
    assert zones.stable()[INSIDE].mean() > 0.85


@pytest.mark.long
def test_years_that_share_nothing_are_said_to_be_chance():
    told = []
    for seed in range(12):
        years = np.stack([10 + patchy(10 * seed + year) for year in range(2)])
        found = draw_zones(years, INSIDE, CELL_M, ZoneSpec()).agreement
        assert found is not None
        told.append(found.is_better_than_chance)
    assert sum(told) <= 2  # 5 % in 12 are 0.6; 2 or more in one of 40 such tests


def test_smooth_maps_count_few_independent_cells():
    rough = np.random.default_rng(1).normal(size=(2, SIDE, SIDE))
    assert agreement(rough[0], rough[1], CELL_M).num_effective > 400
    assert agreement(patchy(1, 8), patchy(2, 8), CELL_M).num_effective < 40
    same = agreement(patchy(3), patchy(3), CELL_M)
    assert same.r == pytest.approx(1)
    assert same.p < 1e-3


def test_one_year_says_nothing_of_the_next():
    zones = draw_zones(10 + patchy(5)[None], INSIDE, CELL_M, ZoneSpec())
    assert (zones.agreement, len(zones.folds), zones.num_zones) == (None, 0, 3)
    assert not zones.stable().any()


def test_land_that_one_year_alone_saw_is_not_judged():
    noise = np.random.default_rng(0).normal(size=(2, SIDE, SIDE))
    years = BANDS + 0.1 * noise
    years[0, :20] = np.nan  # the first year saw no more than the south
    zones = draw_zones(years, INSIDE, CELL_M, ZoneSpec(num_zones=3))
    assert zones.seen_shares(1).tolist() == [0, 1]
    assert [zones.judges(zone) for zone in (1, 2, 3)] == [[], [0, 1], [0, 1]]
    assert np.isnan(zones.stable_share(1))
    assert 0 < zones.usual_stable_share() <= 1


def test_fewer_zones_are_drawn_where_more_do_not_stay():
    shared, own = patchy(1, 8), [patchy(seed, 3) for seed in (2, 3, 4)]
    years = np.stack([10 + shared + 0.9 * one for one in own])
    zones = draw_zones(years, INSIDE, CELL_M, ZoneSpec(smooth_m=20))
    more = draw_zones(years, INSIDE, CELL_M, ZoneSpec(num_zones=7))
    assert more.usual_stable_share() < 0.5
    assert zones.usual_stable_share() > more.usual_stable_share()


def test_nothing_is_drawn_beyond_two_cells_of_any_value():
    years = np.full((2, 30, 30), np.nan)
    years[0, :, :10], years[1, :, 8:12] = 1, 1
    near = near_values(years)
    assert near[:, :14].all()
    assert not near[:, 14:].any()


def test_a_flat_year_and_one_that_shows_nothing_are_refused():
    years = np.stack([10 + patchy(1), np.full((SIDE, SIDE), 7.0)])
    with pytest.raises(InputError, match="raster 2 is the same everywhere"):
        draw_zones(years, INSIDE, CELL_M, ZoneSpec())
    years[1] = np.nan
    with pytest.raises(InputError, match="raster 2 shows 0 cells"):
        draw_zones(years, INSIDE, CELL_M, ZoneSpec())
    with pytest.raises(InputError, match="want 3 to 7"):
        ZoneSpec(num_zones=9)


def test_no_patch_is_smaller_than_asked_for():
    labels = np.where(np.random.default_rng(2).random((30, 30)) < 0.2, 2, 1)
    labels[10:20, 10:20] = 3
    merged = merge_small(labels, 40)
    for zone in np.unique(merged):
        sizes = np.bincount(ndimage.label(merged == zone)[0].ravel())[1:]
        assert sizes.min() >= 40
    assert (merged[11:19, 11:19] == 3).all()


def test_zones_fill_the_field_to_its_border_and_no_further():
    border = Polygon([(500_003, 5_000_004), (500_380, 5_000_020), (500_361, 5_000_333), (500_020, 5_000_301)])
    laid = field_grid(border, "a", "EPSG:32633", CELL_M)
    labels = np.where(laid.share >= 0.5, 1 + (np.arange(laid.grid.width) > 20), 0).astype(np.int64)
    zones = zone_polygons(labels, laid)
    assert sorted(zones) == [1, 2]
    assert sum(zone.area for zone in zones.values()) == pytest.approx(border.area, rel=1e-9)
    assert all(zone.within(border.buffer(1e-6)) for zone in zones.values())
    assert zones[1].intersection(zones[2]).area == pytest.approx(0, abs=1e-6)
    half = zone_polygons(np.where(np.arange(laid.grid.width) > 25, 0, labels), laid)
    assert half[0].area > 3000  # too far from any zone: said, not guessed


def test_a_field_across_the_antimeridian_is_refused():
    wide = Polygon([(0, 0), (20_000_000, 0), (20_000_000, 100), (0, 100)])
    with pytest.raises(InputError, match="antimeridian"):
        field_grid(wide, "a", "EPSG:32601", CELL_M)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("sigma", [2.0, 4.0, 8.0])
def test_chance_is_told_from_a_shared_pattern(sigma: float) -> None:
    """Of 200 fields whose two seasons share only their patchiness about 10 are claimed; half shared, most of 40 are."""
    told = {"nothing": 0, "half": 0}
    for seed in range(200):
        noise = np.random.default_rng(seed).normal(size=(2, SIDE, SIDE))
        own = np.stack([patchy(1000 + 2 * seed + year, sigma) for year in range(2)])
        for name, share in (("nothing", 0.0), ("half", 0.5))[: 2 if seed < 40 else 1]:
            years = 10 + np.sqrt(share) * patchy(seed, sigma) + np.sqrt(1 - share) * own + 0.5 * noise
            found = draw_zones(years, INSIDE, CELL_M, ZoneSpec()).agreement
            assert found is not None
            told[name] += found.is_better_than_chance
    print(f"patches of {sigma:g} cells: of 200 sharing nothing {told['nothing']} claimed, of 40 half {told['half']}")
    assert told["nothing"] <= 20  # 5 % and three standard errors
    assert told["half"] >= {2.0: 30, 4.0: 15, 8.0: 6}[sigma]  # few independent cells: much cannot be told
