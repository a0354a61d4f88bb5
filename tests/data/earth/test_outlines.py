"""Outlines: names joined as people write them, and nothing lost without a word."""

import geopandas
import pytest

from mainstem.core.errors import InputError
from mainstem.data.earth.outlines import county_outlines, normalised, point_outlines, simulated_outlines


@pytest.mark.parametrize(
    ("one", "other"),
    [("St. Joseph", "ST._JOSEPH"), ("Saint Clair", "st clair"), ("Doña Ana", "DONA_ANA"), ("De Kalb", "DEKALB")],
)
def test_names_meet_whatever_their_spelling(one, other):
    assert normalised(one) == normalised(other)


def test_simulated_regions_tile_without_overlap():
    frame = simulated_outlines([f"SIM{number:02d}" for number in range(64)]).frame
    assert frame.geometry.is_valid.all()
    metric = frame.to_crs("EPSG:3035").geometry
    assert metric.union_all().area == pytest.approx(metric.area.sum(), rel=1e-6)


def test_centres_become_circles_and_odd_ones_are_refused(tmp_path):
    path = tmp_path / "location_maize_NL.csv"
    path.write_text("adm_id,latitude,longitude\nNL11,53.2,6.7\n")
    outlines = point_outlines(["NL11", "NL99"], path)
    assert outlines.unmatched == ("NL99",)
    box = outlines.frame.to_crs("EPSG:32631").total_bounds
    assert box[2] - box[0] == pytest.approx(18_000, rel=0.02)  # a circle on the ground, not in degrees
    assert box[3] - box[1] == pytest.approx(18_000, rel=0.02)
    path.write_text("adm_id,latitude,longitude\nNL11,6.7,530.2\n")
    with pytest.raises(InputError, match="outside the globe"):
        point_outlines(["NL11"], path)


@pytest.mark.mirror
def test_every_us_county_finds_its_polygon(home):
    from mainstem.data.earth.open_regions import open_regions

    counties = open_regions("us-maize")
    assert all("USDA" in sample.source.licence for sample in counties.samples)
    names = {str(sample.source.facts["region"]) for sample in counties.samples}
    outlines = county_outlines([*names, "ZZ_NOWHERE"])
    assert outlines.unmatched == ("ZZ_NOWHERE",)
    assert len(outlines.frame) == 916
    indiana = outlines.frame.loc["IN_ST._JOSEPH", "geometry"].centroid
    assert (indiana.x, indiana.y) == pytest.approx((-86.3, 41.6), abs=0.2)
    assert isinstance(outlines.background, geopandas.GeoDataFrame)
