"""Files of a harvest: a folder that pages and other commands open as a map, every record kept, and labels of a farm."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mainstem.apps.field_exports import write_fields
from mainstem.apps.fields.harvest import METHOD, NO_CLAIM, OWN, Harvested
from mainstem.apps.map_files import MAP, NOTES
from mainstem.core.errors import InputError
from mainstem.core.files import new_folder, write_atomically
from mainstem.core.plain import plain
from mainstem.data.earth.cog import write_cog
from mainstem.data.earth.farm_folders import raster_kind
from mainstem.data.earth.gdal import load_geopandas
from mainstem.data.earth.harvests.cleaning import RULES, Cleaned
from mainstem.data.earth.harvests.grids import LEVEL, grid_yield, taken_share
from mainstem.data.earth.raster import Grid, describe

if TYPE_CHECKING:
    import geopandas as gpd

HARVEST, POINTS, LABELS = "harvest.json", "points.gpkg", "yield.tif"
TAKEN = "share of records taken out"
BANDS = ("mean", "lower", "upper", "standard error", TAKEN)


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
        "swath_m": points.swath_m,
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


def write_labels(found: list[Harvested], farm: Path) -> Path:
    """Write yield.tif, on the grid of a farm's scenes, into its folder: labels that `mainstem calibrate` reads.

    Raises:
        InputError: if the farm has no scene or a yield raster already, or the harvest lies elsewhere.
    """
    grid = _scene_grid(farm)
    laid = [grid_yield(one.cleaned, grid=grid) for one in found]
    means = np.stack([one.mean for one in laid])
    seen = np.isfinite(means)
    if not seen.any():
        raise InputError(f"the harvest lies outside the scenes of {farm.name}; name the farm that was cut")
    with np.errstate(invalid="ignore"):
        mean = np.where(seen, means, 0.0).sum(0) / np.where(seen.any(0), seen.sum(0), np.nan)
    tags = {"UNITS": "t/ha", "ATTRIBUTION": OWN, "LICENCE": OWN}
    write_cog(iter([(0, 0, mean[None].astype(np.float32))]), farm / LABELS, grid, ["yield"], tags)
    return farm / LABELS


def _scene_grid(farm: Path) -> Grid:
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
