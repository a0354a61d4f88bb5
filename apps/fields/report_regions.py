"""Pages of regions: forecasts from a table of `mainstem predict`, or from a file of polygons that a page exported."""

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mainstem.apps.crop_phases import phases_in_words
from mainstem.apps.fields.report_pages import Page, Picture, age, claim_in_words, in_words, interval_in_words
from mainstem.core.errors import InputError
from mainstem.core.plain import plain
from mainstem.data.earth.vectors import READERS, read_vectors
from mainstem.data.tabular import open_table

if TYPE_CHECKING:
    import geopandas as gpd

MOST_ROWS = 200_000
REGION, SEASON = ("region", "item"), ("season", "year")
NUMBERS = ("value", "low", "high", "level")
FACTS = {
    "crop": "Crop", "country": "Country", "state": "State", "fips": "FIPS", "known_at": "Known", "lead": "Lead",
    "dates": "Dates", "data": "Data set",
}  # fmt: skip
AMOUNTS = {"harvest": "Harvest", "past_average": "Average of the past"}
CONTRADICTED = "season_contradicts_level"  # a column of the yield page's files
AGAINST = "In this season the harvests at hand fell outside more often than the level says."
MOST_NEIGHBOURS = 4000  # polygons drawn around a region
AROUND = 2.5  # times a region's own width that its map shows


def region_pages(path: Path) -> dict[str, Page]:
    """A page a region; of several seasons the newest is told first and the others stand in the table.

    Raises:
        InputError: if the table lacks a column, or a cell is no number.
    """
    shapes = read_vectors(path) if path.suffix.lower() in READERS else None
    frame = pd.DataFrame(shapes.drop(columns=shapes.geometry.name)) if shapes is not None else _read(path)
    frame = frame.rename(columns={column: str(column).strip().casefold() for column in frame.columns})
    region = next((name for name in REGION if name in frame), None)
    if region is None or "value" not in frame:
        raise InputError(f"{path.name} has no columns region and value; give a table of mainstem predict, or an export")
    if not 0 < len(frame) <= MOST_ROWS:
        raise InputError(f"{path.name} has {len(frame)} rows, want 1 to {MOST_ROWS}; choose the regions to report")
    for name in NUMBERS:
        frame[name] = _numbers(frame, name, path.name) if name in frame else np.nan
    season = next((name for name in SEASON if name in frame), None)
    frame["season"] = frame[season].map(_plain_season) if season else ""
    frame["region"] = frame[region].map(plain)
    places = _places(shapes, frame) if shapes is not None else None
    ends = _ends(frame)
    return {
        str(name): _page(rows.sort_values("season", ascending=False, kind="stable"), places, ends)
        for name, rows in frame.groupby("region", sort=True)
    }


def _read(path: Path) -> pd.DataFrame:
    table = open_table(path, "name a .csv or .parquet table, or polygons (.gpkg, .geojson, .shp, .zip)")
    return pd.DataFrame({name: table.raw(name) for name in table.columns})


def _numbers(frame: pd.DataFrame, name: str, where: str) -> "pd.Series[float]":
    cells = frame[name].replace("", np.nan)
    numbers = pd.to_numeric(cells, errors="coerce")
    odd = np.flatnonzero(numbers.isna() & cells.notna())
    if odd.size:
        raise InputError(f"{where}, row {odd[0] + 2}, column {name!r}: got {cells.iloc[odd[0]]!r:.40}, want a number")
    return numbers.astype(float)


def _plain_season(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else plain(value)


def _ends(frame: pd.DataFrame) -> tuple[float, float]:
    known = frame["value"].dropna()
    if known.empty:
        return 0.0, 1.0
    low, high = float(known.min()), float(known.max())
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _places(shapes: "gpd.GeoDataFrame", frame: pd.DataFrame) -> "gpd.GeoDataFrame":
    """One polygon a region with its newest value, in an equal-area CRS about their middle."""
    known = shapes[[shapes.geometry.name]].copy()
    known["region"], known["value"], known["season"] = (
        frame[name].to_numpy() for name in ("region", "value", "season")
    )
    known = known.sort_values("season", kind="stable").drop_duplicates("region", keep="last").to_crs("EPSG:4326")
    west, south, east, north = known.total_bounds
    crs = f"+proj=laea +lat_0={(south + north) / 2:.3f} +lon_0={(west + east) / 2:.3f} +units=m"
    return known.to_crs(crs)


def _page(rows: pd.DataFrame, places: "gpd.GeoDataFrame | None", ends: tuple[float, float]) -> Page:
    row = rows.iloc[0]
    unit = _told(row, "units", "(unit not told)")
    level = float(row["level"])
    is_simulated = _told(row, "simulated", "").lower() == "true"
    reason = _told(row, "reasons", "") or _told(row, "reason", "")
    state = _told(row, "claim", "none")
    is_known = bool(np.isfinite(row["value"])) and _told(row, "abstained", "").lower() != "true"
    claim = claim_in_words(state, reason, level, is_simulated)
    if _told(row, CONTRADICTED, "").lower() in ("true", "1"):
        claim += f" {AGAINST}"
    facts = [("Season", row["season"] or "not told"), *_facts(row)]
    return Page(
        title=_title(str(row["region"])),
        subtitle=", ".join(part for part in (_told(row, "crop", ""), str(row["season"])) if part),
        mark=", ".join(filter(None, ["SIMULATED" if is_simulated else "", _told(row, "shown_as", "")[:20].upper()])),
        value=f"{in_words(float(row['value']))} {unit}" if is_known else "Cannot say",
        interval=interval_in_words(float(row["low"]), float(row["high"]), level, unit) if is_known else "",
        claim=claim,
        facts=facts,
        pictures=[] if places is None else [_picture(places, str(row["region"]), state, unit, ends)],
        table_title="Season by season",
        header=["season", f"value, {unit}", "interval", *(["harvest"] if "harvest" in rows else []), "claim"],
        rows=[_season_row(one) for _, one in rows.iterrows()],
        origin=[
            f"Model: {_told(row, 'adapter', _told(row, 'model', 'not told'))} "
            f"({_told(row, 'adapter_sha256', _told(row, 'model_sha256', ''))[:12]}). Licence: "
            f"{_told(row, 'licence', 'not told')}. {_told(row, 'attribution', 'Attribution not told')}"
        ],
    )


def _facts(row: "pd.Series[Any]") -> list[tuple[str, str]]:
    """What else a table tells of a forecast, in words."""
    found = [(title, phases_in_words(_told(row, name, ""))) for name, title in FACTS.items()]
    if _told(row, "data_from", ""):
        newest = _told(row, "data_until", "")
        found.append(("Data", phases_in_words(f"{_told(row, 'data_from', '')} to {newest}")))
        found.append(("Newest data", age(newest, datetime.datetime.now(datetime.UTC).date())))
    for name, title in AMOUNTS.items():
        if name in row and np.isfinite(_number(row[name])):
            found.append((title, f"{in_words(_number(row[name]))} {_told(row, 'units', '')}"))
    chance, threshold = (_number(row.get(name)) for name in ("chance_below_threshold", "threshold"))
    if np.isfinite(chance) and np.isfinite(threshold):
        found.append((f"Chance of less than {in_words(threshold)} {_told(row, 'units', '')}", f"{100 * chance:.0f} %"))
    return [(title, value) for title, value in found if value]


def _number(value: Any) -> float:  # noqa: ANN401 - a cell
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def _season_row(row: "pd.Series[Any]") -> list[str]:
    is_known = np.isfinite(row["low"]) and np.isfinite(row["high"])
    interval = f"{in_words(float(row['low']))} to {in_words(float(row['high']))}" if is_known else "not told"
    harvest = [in_words(_number(row["harvest"]))] if "harvest" in row else []
    return [str(row["season"]), in_words(float(row["value"])), interval, *harvest, _told(row, "claim", "none")]


def _told(row: "pd.Series[Any]", name: str, otherwise: str) -> str:
    value = row.get(name)
    text = "" if value is None or value != value else plain(value).strip()
    return text or otherwise


def _title(region: str) -> str:
    """STATE_COUNTY as people write it; other names as they are."""
    state, _, county = region.partition("_")
    return f"{county.title()}, {state}" if len(state) == 2 and state.isupper() and county.isupper() else region


def _picture(places: "gpd.GeoDataFrame", region: str, state: str, unit: str, ends: tuple[float, float]) -> Picture:
    own = places.loc[places["region"] == region].geometry.iloc[0]
    left, bottom, right, top = own.bounds
    reach = AROUND * max(right - left, top - bottom)
    bounds = (left - reach, bottom - reach, right + reach, top + reach)
    near = places.cx[bounds[0] : bounds[2], bounds[1] : bounds[3]].head(MOST_NEIGHBOURS).clip(bounds)
    areas: list[tuple[Any, float, str]] = []
    values: Mapping[Any, Any] = dict(zip(near.index, near["value"], strict=True))
    for index, shape in near.geometry.items():
        parts = [part for part in getattr(shape, "geoms", [shape]) if part.geom_type == "Polygon"]
        areas += [(part, float(values[index]), "") for part in parts]
    return Picture(
        bounds=bounds, raster=None, areas=areas, border=own, is_doubtful=state != "stated", ends=ends,
        title=f"Newest value of each region, {unit}; outlined: this one; grey: none",
    )  # fmt: skip
