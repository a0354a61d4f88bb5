"""Files of a harvest: a folder that pages and other commands open as a map, every record kept, and labels of a farm."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from mainstem.apps.field_exports import write_fields
from mainstem.apps.fields.harvest import METHOD, NO_CLAIM, OWN, Harvested, mean_table
from mainstem.apps.map_files import MAP, NOTES
from mainstem.core.errors import InputError
from mainstem.core.files import new_folder, write_atomically
from mainstem.core.plain import plain
from mainstem.data.earth.cog import write_cog
from mainstem.data.earth.farm_folders import raster_kind
from mainstem.data.earth.field_columns import own_columns
from mainstem.data.earth.fields import Fields
from mainstem.data.earth.gdal import load_geopandas
from mainstem.data.earth.harvests.cleaning import RULES, Cleaned
from mainstem.data.earth.harvests.grids import LEVEL, Errors, Records, YieldGrid, grid_yield, taken_share
from mainstem.data.earth.raster import Grid, describe, window_reader
from mainstem.data.earth.vectors import read_points

if TYPE_CHECKING:
    import geopandas as gpd

HARVEST, POINTS, LABELS = "harvest.json", "points.gpkg", "yield.tif"
TAKEN = "share of records taken out"
BANDS = ("mean", "lower", "upper", "standard error", TAKEN)
KEPT = ("yield_t_ha", "area_m2", "heading_deg", "swath_m", "pass")  # of each record, that means of fields need
LARGEST_BYTES = 1 << 20  # of harvest.json


class _Errors(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    errors_t_ha: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]]


def write_harvest(found: list[Harvested], out: Path) -> list[Path]:
    """Write each harvest to a new folder, of several each to one in it: map.tif, points.gpkg, fields.*.

    Raises:
        ArtifactError: if the folder holds anything, or cannot be written.
    """
    with new_folder(out) as made:
        for one in found:
            write_map(one, made / one.name if len(found) > 1 else made)
    return [out / one.name if len(found) > 1 else out for one in found]


def write_map(one: Harvested, folder: Path) -> None:
    """Write a harvest into a folder, the notes last: without them it is no map."""
    folder.mkdir(parents=True, exist_ok=True)
    lower, upper = one.grid.interval()
    bands = np.stack([one.grid.mean, lower, upper, one.grid.error, taken_share(one.cleaned, one.grid.grid)])
    tags = _tags(one)
    write_cog(iter([(0, 0, bands)]), folder / MAP, one.grid.grid, BANDS, tags)
    write_fields(one.table, folder)
    _write_points(one.cleaned, folder / POINTS)
    write_atomically(folder / HARVEST, json.dumps(one.told(), indent=1).encode())
    notes: dict[str, Any] = {
        "names": BANDS,
        "tags": tags,
        "dates": [],
        "layers": {},
        "fields": None,
        "mean_factor": 1.0,
        "lowest": 0.0,
    }
    write_atomically(folder / NOTES, json.dumps(notes).encode())


def _tags(one: Harvested) -> Mapping[str, str]:
    counts = one.cleaned.counts()
    return {
        "UNITS": "t/ha", "LEVEL": f"{LEVEL:g}", "CLAIM": "none", "CLAIM_REASON": NO_CLAIM, "ADAPTER": METHOD,
        "TRAINING": "none", "INPUTS": "real", "ATTRIBUTION": OWN, "LICENCE": OWN,
        "DATES": ", ".join(one.cleaned.points.days), "CROP": one.cleaned.points.crop or "",
        "RECORDS": f"{counts['kept']} of {counts['read']} kept", "RULES": ", ".join(RULES),
    }  # fmt: skip


def points_table(cleaned: Cleaned) -> "gpd.GeoDataFrame":
    """Every record with its yield as logged and as corrected, its pass, and the rule that took it out ("": none)."""
    points = cleaned.points
    columns: dict[str, Any] = {
        "row": points.row, "pass": cleaned.number, "logged_t_ha": points.yield_t_ha, "yield_t_ha": cleaned.yield_t_ha,
        "removed_by": cleaned.rule_of(), "corrected": cleaned.corrected, "moisture_pct": points.moisture_pct,
        "swath_m": points.swath_m, "heading_deg": (90 - np.degrees(cleaned.heading_rad)) % 360,
        "area_m2": cleaned.area_m2,
    }  # fmt: skip
    library = load_geopandas()
    places = library.points_from_xy(points.longitude, points.latitude)
    table: gpd.GeoDataFrame = library.GeoDataFrame(columns, geometry=places, crs="EPSG:4326")
    return table


def _write_points(cleaned: Cleaned, path: Path) -> None:
    table = points_table(cleaned)
    table[np.isfinite(cleaned.points.longitude + cleaned.points.latitude)].to_file(
        path, driver="GPKG", layer="points", VERSION="1.2"
    )


def read_laid(folder: Path) -> YieldGrid:
    """The harvest that a map's folder keeps, as it was laid on cells: what means of other fields are made of.

    Raises:
        InputError: if a file of it is gone or damaged.
    """
    try:
        if (folder / HARVEST).stat().st_size > LARGEST_BYTES:
            raise InputError(f"{HARVEST} of {folder.name} is beyond 1 MiB; make the map again")
        told = _Errors.model_validate_json((folder / HARVEST).read_bytes()).errors_t_ha
        errors = Errors(record=told["record"], of_pass=told["pass"])
        points = read_points(folder / POINTS)
        kept = points[points["removed_by"].fillna("") == ""].to_crs(describe(folder / MAP).grid.crs)
        columns = {name: kept[name].to_numpy(np.float64) for name in KEPT}
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"{HARVEST} or {POINTS} of {folder.name} is gone or damaged; make the map again") from error
    source = describe(folder / MAP)
    with window_reader(folder / MAP) as read:
        values = read(slice(0, source.grid.height), slice(0, source.grid.width)).astype(np.float32)
    mean, doubt = (values[BANDS.index(name)] for name in ("mean", "standard error"))
    return YieldGrid(
        grid=source.grid, mean=mean, error=doubt, share=np.isfinite(mean).astype(np.float32),
        errors=errors,
        records=Records(
            crs=source.grid.crs, x=kept.geometry.x.to_numpy(), y=kept.geometry.y.to_numpy(),
            yield_t_ha=columns["yield_t_ha"], area_m2=columns["area_m2"], swath_m=columns["swath_m"],
            heading_rad=np.radians(90 - columns["heading_deg"]), number=columns["pass"].astype(np.int64),
        ),
    )  # fmt: skip


def harvest_means(folder: Path, fields: Fields, tags: Mapping[str, str]) -> "gpd.GeoDataFrame":
    """Fields, in the map's CRS, with their means in a harvest whose map lies in a folder: as the command tells them.

    Raises:
        InputError: as `read_laid` does.
    """
    days = [day.strip() for day in tags.get("DATES", "").split(",") if day.strip()]
    table = fields.table[["field", "geometry"]].join(own_columns(fields.table))
    return mean_table(read_laid(folder), table, days, tags.get("CROP") or None)


@dataclass(frozen=True, kw_only=True, eq=False)
class Labels:
    """Yields (y, x), t/ha, NaN where nothing was harvested, on the grid of a farm's scenes."""

    grid: Grid
    mean: NDArray[np.float64]


def lay_labels(found: list[Harvested], farm: Path) -> Labels:
    """Lay a harvest out on the grid of a farm's scenes; nothing is written.

    Raises:
        InputError: if the farm has no scene or a yield raster already, or the harvest lies elsewhere.
    """
    grid = check_farm(farm)
    laid = [grid_yield(one.cleaned, grid=grid) for one in found]
    means = np.stack([one.mean for one in laid])
    seen = np.isfinite(means)
    if not seen.any():
        raise InputError(f"the harvest lies outside the scenes of {farm.name}; name the farm that was cut")
    with np.errstate(invalid="ignore"):
        return Labels(grid=grid, mean=np.where(seen, means, 0.0).sum(0) / np.where(seen.any(0), seen.sum(0), np.nan))


def write_labels(labels: Labels, farm: Path) -> Path:
    """Write yield.tif into a farm's folder: labels that `mainstem calibrate` reads."""
    tags = {"UNITS": "t/ha", "ATTRIBUTION": OWN, "LICENCE": OWN}
    write_cog(iter([(0, 0, labels.mean[None].astype(np.float32))]), farm / LABELS, labels.grid, ["yield"], tags)
    return farm / LABELS


def check_farm(farm: Path) -> Grid:
    """Return the grid of a farm's scenes.

    Raises:
        InputError: if there is none, or the farm has a yield raster already.
    """
    if not farm.is_dir():
        raise InputError(f"{plain(farm)} is no folder; name a farm's, with its scenes and fields")
    kinds = {path: raster_kind(path.name) for path in sorted(farm.iterdir())}
    held = [path.name for path, kind in kinds.items() if kind == "yield"]
    if held:
        raise InputError(f"{farm.name} holds {held[0]} already; move it away first, it is not replaced")
    scenes = [path for path, kind in kinds.items() if kind == "scene"]
    if not scenes:
        raise InputError(f"{farm.name} holds no scene (.tif); its harvest is laid on their grid")
    return describe(scenes[0]).grid
