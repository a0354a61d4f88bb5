"""Outlines of regions for maps: US counties by name, simulated regions, and points where a set has no polygons."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mainstem.core.errors import InputError
from mainstem.data.catalogue import find_data_set, pull
from mainstem.data.earth.gdal import load_geopandas
from mainstem.data.earth.region_tables import Number, named_by, read_table
from mainstem.data.earth.simulate import outline
from mainstem.data.earth.vectors import read_vectors
from mainstem.data.tabular import LARGEST

MAP_CRS = "EPSG:4326"
POINT_RADIUS_M = 9000.0  # of the circle that stands for a region known by its centre alone
FIPS = {  # US Census Bureau, ANSI state codes
    "01": "AL", "02": "AK", "04": "AZ", "05": "AR", "06": "CA", "08": "CO", "09": "CT", "10": "DE", "11": "DC",
    "12": "FL", "13": "GA", "15": "HI", "16": "ID", "17": "IL", "18": "IN", "19": "IA", "20": "KS", "21": "KY",
    "22": "LA", "23": "ME", "24": "MD", "25": "MA", "26": "MI", "27": "MN", "28": "MS", "29": "MO", "30": "MT",
    "31": "NE", "32": "NV", "33": "NH", "34": "NJ", "35": "NM", "36": "NY", "37": "NC", "38": "ND", "39": "OH",
    "40": "OK", "41": "OR", "42": "PA", "44": "RI", "45": "SC", "46": "SD", "47": "TN", "48": "TX", "49": "UT",
    "50": "VT", "51": "VA", "53": "WA", "54": "WV", "55": "WI", "56": "WY", "72": "PR",
}  # fmt: skip

STATES = {  # USPS abbreviations
    "AL": "Alabama", "AK": "Alaska", "AZ": "Arizona", "AR": "Arkansas", "CA": "California", "CO": "Colorado",
    "CT": "Connecticut", "DE": "Delaware", "DC": "District of Columbia", "FL": "Florida", "GA": "Georgia",
    "HI": "Hawaii", "ID": "Idaho", "IL": "Illinois", "IN": "Indiana", "IA": "Iowa", "KS": "Kansas", "KY": "Kentucky",
    "LA": "Louisiana", "ME": "Maine", "MD": "Maryland", "MA": "Massachusetts", "MI": "Michigan", "MN": "Minnesota",
    "MS": "Mississippi", "MO": "Missouri", "MT": "Montana", "NE": "Nebraska", "NV": "Nevada", "NH": "New Hampshire",
    "NJ": "New Jersey", "NM": "New Mexico", "NY": "New York", "NC": "North Carolina", "ND": "North Dakota",
    "OH": "Ohio", "OK": "Oklahoma", "OR": "Oregon", "PA": "Pennsylvania", "RI": "Rhode Island",
    "SC": "South Carolina", "SD": "South Dakota", "TN": "Tennessee", "TX": "Texas", "UT": "Utah", "VT": "Vermont",
    "VA": "Virginia", "WA": "Washington", "WV": "West Virginia", "WI": "Wisconsin", "WY": "Wyoming",
    "PR": "Puerto Rico",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class Outlines:
    """A GeoDataFrame indexed by region in MAP_CRS, the regions that found none, and whose boundaries they are.

    Of US counties its column `fips` holds the official code, of five digits.

    `background` holds further outlines for orientation.
    """

    frame: Any
    unmatched: tuple[str, ...]
    attribution: str
    background: Any = None


def normalised(name: str) -> str:
    """Return a place name without accents, case, blanks and dots; "Saint" and "Sainte" become "st" and "ste"."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    plain = re.sub(r"\bsaint(e?)\b", r"st\1", plain)
    return re.sub(r"[^a-z0-9]", "", plain)


def county_outlines(regions: Sequence[str], mirror: Path | None = None) -> Outlines:
    """Join STATE_COUNTY names to county polygons on state and normalised name.

    Cities of the same name as a county (Virginia, Missouri, Maryland) yield to the county.
    """
    gpd = load_geopandas()
    folder = pull("us-counties", mirror)
    frame = read_vectors(folder / "gz_2010_us_050_00_20m.shp").to_crs(MAP_CRS)
    frame["key"] = [
        f"{FIPS.get(state, state)}_{normalised(name)}"
        for state, name in zip(frame["STATE"], frame["NAME"], strict=True)
    ]
    frame["is_city"] = frame["LSAD"].str.lower() == "city"
    frame = frame.sort_values(["key", "is_city"]).drop_duplicates("key").set_index("key")
    keys = {region: f"{region[:2]}_{normalised(region[3:])}" for region in sorted(set(regions))}
    matched = {region: key for region, key in keys.items() if key in frame.index}
    joined = frame.loc[list(matched.values())]
    found = gpd.GeoDataFrame(
        {"region": list(matched), "fips": (joined["STATE"] + joined["COUNTY"]).to_list()},
        geometry=joined["geometry"].to_numpy(), crs=MAP_CRS,
    ).set_index("region")  # fmt: skip
    continental = ~frame["STATE"].isin(["02", "15", "72"])
    rest = frame[continental & ~frame.index.isin(matched.values())]
    return Outlines(
        frame=found,
        unmatched=tuple(region for region in keys if region not in matched),
        attribution=find_data_set("us-counties").attribution,
        background=rest[["geometry"]],
    )


def simulated_outlines(regions: Sequence[str], seed: int = 0) -> Outlines:
    """Return the simulator's polygons."""
    gpd = load_geopandas()
    from shapely.geometry import Polygon

    names = sorted(set(regions))
    frame = gpd.GeoDataFrame(
        {"region": names}, geometry=[Polygon(outline(name, seed)) for name in names], crs=MAP_CRS
    ).set_index("region")
    return Outlines(frame=frame, unmatched=(), attribution="Simulated outlines")


def read_centres(path: Path) -> pd.DataFrame:
    """Return the latitude and longitude of regions, by name, that CY-Bench's location file gives.

    Raises:
        InputError: if it cannot be read, is of another crop or country than its folder, a place lies outside the
            globe, or a region has two.
    """
    degrees = Number(low=-LARGEST, high=LARGEST, unit="degrees")
    _, table = read_table(path, {"adm_id": "name", "latitude": degrees, "longitude": degrees}, named_by(path))
    table = table.dropna().drop_duplicates()
    if (table["latitude"].abs() > 90).any() or (table["longitude"].abs() > 180).any():
        raise InputError(f"{path.name}: a latitude or longitude lies outside the globe; give degrees, EPSG:4326")
    if table["adm_id"].duplicated().any():
        region = table.loc[table["adm_id"].duplicated(), "adm_id"].iloc[0]
        raise InputError(f"{path.name}: {region!r} has two centres; give one")
    return table.set_index("adm_id")


def point_outlines(regions: Sequence[str], path: Path) -> Outlines:
    """Return circles around the centres that CY-Bench's location file gives."""
    gpd = load_geopandas()
    table = read_centres(path)
    names = [region for region in sorted(set(regions)) if region in table.index]
    points = gpd.GeoSeries(gpd.points_from_xy(table.loc[names, "longitude"], table.loc[names, "latitude"]), crs=MAP_CRS)
    circles = points.to_crs(points.estimate_utm_crs()).buffer(POINT_RADIUS_M).to_crs(MAP_CRS) if names else points
    frame = gpd.GeoDataFrame({"region": names}, geometry=circles, crs=MAP_CRS)
    missing = tuple(region for region in sorted(set(regions)) if region not in table.index)
    return Outlines(frame=frame.set_index("region"), unmatched=missing, attribution="")
