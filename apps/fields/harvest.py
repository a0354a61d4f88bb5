"""`mainstem fields harvest`: a combine's logs to a yield map with its doubt, field means, and labels to calibrate."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mainstem.apps.field_exports import areas_ha, write_fields
from mainstem.core.errors import InputError
from mainstem.core.files import new_folder, write_atomically
from mainstem.core.plain import plain
from mainstem.core.progress import Progress, silent
from mainstem.data.earth.cog import write_cog
from mainstem.data.earth.farm_folders import HARVEST, raster_kind
from mainstem.data.earth.fields import Fields, open_fields
from mainstem.data.earth.gdal import load_geopandas
from mainstem.data.earth.harvests.cleaning import RULES, Cleaned, Limits, clean
from mainstem.data.earth.harvests.columns import Reading
from mainstem.data.earth.harvests.grids import LEVEL, YieldGrid, field_mean, grid_yield
from mainstem.data.earth.harvests.reading import read_parts
from mainstem.data.earth.raster import Grid, affine, describe

if TYPE_CHECKING:
    import geopandas as gpd

BANDS = ("mean", "lower", "upper", "standard_error")
OWN = "the user's own"
INTERVAL = "errors of records and passes; not the monitor's own calibration, which weighed loads tell"
LEAST_PART = 0.5  # of a cell, from which on it belongs to a field that nobody drew


@dataclass(frozen=True, kw_only=True)
class HarvestSpec:
    """Logs, what is said of them, limits of the rules, cells; fields to average, a farm's folder to write labels to."""

    paths: tuple[Path, ...]
    said: Reading = field(default_factory=Reading)
    limits: Limits = field(default_factory=Limits)
    cell_m: float = 10.0
    fields: Path | None = None
    farm: Path | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Harvested:
    """A harvest, cleaned and laid out; `table` has a row a field with its mean in yield_t_ha, lower and upper."""

    name: str
    cleaned: Cleaned
    grid: YieldGrid
    table: "gpd.GeoDataFrame"

    def told(self) -> dict[str, Any]:
        """What `--json` says of it."""
        own = [name for name in self.table if name not in ("geometry",)]
        points = self.cleaned.points
        return {
            "name": self.name, "files": list(points.sources), "crop": points.crop, "unit": "t/ha",
            "counts": self.cleaned.counts(), "found": dict(self.cleaned.found),
            "notes": [*points.notes, *self.cleaned.notes], "level": LEVEL, "interval": INTERVAL,
            "errors_t_ha": {"record": self.grid.errors.record, "pass": self.grid.errors.of_pass},
            "fields": [{name: _plain(row[name]) for name in own} for _, row in self.table.iterrows()],
        }  # fmt: skip


def harvest(spec: HarvestSpec, report: Progress = silent) -> list[Harvested]:
    """Read, clean and lay out logs; task data of several fields a field each.

    Raises:
        InputError: as `read_harvest` and `clean` do, or if fields or a farm do not fit.
    """
    report("reading", 0.0)
    parts = read_parts(spec.paths, spec.said)
    fields = None if spec.fields is None else open_fields(spec.fields)
    found = []
    for number, (name, points) in enumerate(parts.items()):
        report(f"cleaning {name}".strip(), (number + 0.2) / len(parts))
        cleaned = clean(points, spec.limits)
        grid = grid_yield(cleaned, spec.cell_m)
        found.append(Harvested(name=name, cleaned=cleaned, grid=grid, table=_table(cleaned, grid, fields, name)))
    return found


def _table(cleaned: Cleaned, grid: YieldGrid, fields: Fields | None, name: str) -> "gpd.GeoDataFrame":
    """A row a field: those given that the harvest touches, or the one that was harvested."""
    table = _outline(grid, name) if fields is None else _touched(fields, grid)
    table = table.drop(columns=[HARVEST, "lower", "upper"], errors="ignore")
    means = [field_mean(cleaned, grid, polygon) for polygon in table.geometry]
    table["area_ha"] = areas_ha(table)
    for column, told in ((HARVEST, "mean"), ("lower", "lower"), ("upper", "upper"), ("seen_share", "seen_share")):
        table[column] = [float(getattr(mean, told)) for mean in means]
    table["units"], table["level"], table["interval"] = "t/ha", LEVEL, INTERVAL
    if "crop" not in table and cleaned.points.crop is not None:
        table["crop"] = cleaned.points.crop
    table["licence"] = table["attribution"] = OWN
    return table


def _touched(fields: Fields, grid: YieldGrid) -> "gpd.GeoDataFrame":
    from shapely.geometry import box

    table = fields.table.to_crs(grid.grid.crs)
    a, _, c, _, e, f = grid.grid.transform
    table = table[table.intersects(box(c, f + e * grid.grid.height, c + a * grid.grid.width, f))]
    if not len(table):
        raise InputError(f"none of {len(fields)} fields lies where the harvest does; give the fields that were cut")
    return table.reset_index(drop=True)


def _outline(grid: YieldGrid, name: str) -> "gpd.GeoDataFrame":
    """The field that was harvested, where nobody gave one: its cells, without holes of one cell."""
    from rasterio.features import shapes
    from shapely.geometry import shape
    from shapely.ops import unary_union

    inside = (grid.share >= LEAST_PART).astype(np.uint8)
    cell = abs(grid.grid.transform[0])
    found = [shape(drawn) for drawn, value in shapes(inside, inside > 0, transform=affine(grid.grid)) if value]
    whole = unary_union(found).buffer(cell).buffer(-cell)
    if whole.is_empty:
        raise InputError("what is left of the harvest fills no cell; take larger cells (--cell)")
    return load_geopandas().GeoDataFrame({"field": [name or "harvest"]}, geometry=[whole], crs=grid.grid.crs)


def write_harvest(found: list[Harvested], out: Path) -> list[Path]:
    """Write each harvest to a new folder, of several each to one in it: harvest.tif, points.gpkg, fields.*, JSON.

    Raises:
        ArtifactError: if the folder holds anything, or cannot be written.
    """
    with new_folder(out) as made:
        for one in found:
            _write(one, made / one.name if len(found) > 1 else made)
    return [out / one.name if len(found) > 1 else out for one in found]


def _write(one: Harvested, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lower, upper = one.grid.interval()
    bands = np.stack([one.grid.mean, lower, upper, one.grid.error])
    write_cog(iter([(0, 0, bands)]), folder / "harvest.tif", one.grid.grid, BANDS, _tags(one))
    write_fields(one.table, folder)
    _write_points(one.cleaned, folder / "points.gpkg")
    write_atomically(folder / "harvest.json", json.dumps(one.told(), indent=1).encode())


def _tags(one: Harvested) -> Mapping[str, str]:
    counts = one.cleaned.counts()
    return {
        "UNITS": "t/ha", "LEVEL": f"{LEVEL:g}", "INTERVAL": INTERVAL, "ATTRIBUTION": OWN, "LICENCE": OWN,
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
    write_cog(iter([(0, 0, mean[None].astype(np.float32))]), farm / "yield.tif", grid, ["yield"], tags)
    return farm / "yield.tif"


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


def lines_of(one: Harvested) -> list[str]:
    """What a screen says of a harvest: what was kept, what each rule took out, and each field's mean in words."""
    counts = one.cleaned.counts()
    taken = [f"{counts[name]} {name}" for name in RULES if counts[name]]
    lines = [
        f"{one.name or 'harvest'}: {counts['kept']} of {counts['read']} records kept, "
        f"{counts['corrected']} corrected for width",
        f"taken out: {', '.join(taken) or 'none'}", *one.cleaned.points.notes, *one.cleaned.notes,
    ]  # fmt: skip
    for _, row in one.table.iterrows():
        told = f"{row[HARVEST]:.2f} t/ha, {LEVEL:.0%} between {row['lower']:.2f} and {row['upper']:.2f}"
        if not np.isfinite(row[HARVEST]):
            told = f"cannot say: {row['seen_share']:.0%} of it was harvested"
        lines.append(f"field {row['field']}: {told}")
    return lines


def _plain(value: Any) -> Any:  # noqa: ANN401 - what a table holds
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value if isinstance(value, str | int | bool | None) else str(value)
