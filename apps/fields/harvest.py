"""`mainstem fields harvest`: a combine's logs to a yield map with its doubt, field means, and labels to calibrate."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mainstem.apps.field_exports import areas_ha
from mainstem.core.errors import InputError
from mainstem.core.progress import Progress, silent
from mainstem.data.earth.fields import Fields, open_fields
from mainstem.data.earth.gdal import load_geopandas
from mainstem.data.earth.harvests.cleaning import RULES, Cleaned, Limits, clean
from mainstem.data.earth.harvests.columns import Reading
from mainstem.data.earth.harvests.grids import LEVEL, YieldGrid, field_means, grid_yield
from mainstem.data.earth.harvests.reading import read_parts
from mainstem.data.earth.raster import affine

if TYPE_CHECKING:
    import geopandas as gpd

OWN = "the user's own"
INTERVAL = "errors of records and passes; not the monitor's own calibration, which weighed loads tell"
METHOD = "harvest, cleaned by named rules, no model"
NO_CLAIM = f"measured by a combine, no prediction; the interval has {INTERVAL}"
VISIT = "cannot say: visit"
COLUMNS = ("area_ha", "seen_share", "mean", "lower", "upper", "units", "level", "claim", "reason", "training",
           "attribution", "licence", "dates", "adapter")  # ours, of fields  # fmt: skip
LEAST_PART = 0.5  # of a cell, from which on it belongs to a field that nobody drew


@dataclass(frozen=True, kw_only=True)
class HarvestSpec:
    """Logs, what is said of them, limits of the rules, width of cells, m, and the fields to average."""

    paths: tuple[Path, ...]
    said: Reading = field(default_factory=Reading)
    limits: Limits = field(default_factory=Limits)
    cell_m: float = 10.0
    fields: Path | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Harvested:
    """A harvest, cleaned and laid out; `table` has a row a field with its mean, lower and upper."""

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
            "days": list(points.days), "notes": [*points.notes, *self.cleaned.notes],
            "level": LEVEL, "interval": INTERVAL,
            "errors_t_ha": {"record": self.grid.errors.record, "pass": self.grid.errors.of_pass},
            "fields": [{name: _plain(row[name]) for name in own} for _, row in self.table.iterrows()],
        }  # fmt: skip


def harvest(spec: HarvestSpec, report: Progress = silent) -> list[Harvested]:
    """Read, clean and lay out logs; task data of several fields a field each.

    Raises:
        InputError: as `read_harvest` and `clean` do, or if fields do not fit.
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
    return mean_table(grid, table, cleaned.points.days, cleaned.points.crop)


def mean_table(grid: YieldGrid, table: "gpd.GeoDataFrame", days: Sequence[str], crop: str | None) -> "gpd.GeoDataFrame":
    """Fields, in the grid's CRS, with their own columns and what a harvest tells of each: mean, interval, origin."""
    own = [column for column in table if column not in COLUMNS]
    table = table[own].copy()
    means = field_means(grid, list(table.geometry))
    table["area_ha"] = areas_ha(table)
    for column in ("mean", "lower", "upper", "seen_share"):
        table[column] = [float(getattr(mean, column)) for mean in means]
    table["units"], table["level"], table["claim"] = "t/ha", LEVEL, "none"
    table["reason"] = [NO_CLAIM if np.isfinite(mean.mean) else VISIT for mean in means]
    table["training"], table["attribution"], table["licence"] = "none", OWN, OWN
    table["dates"], table["adapter"] = ", ".join(days), METHOD
    if crop:
        told = table.get("crop")
        table["crop"] = crop if told is None else [own if isinstance(own, str) and own else crop for own in told]
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
    whole = unary_union(found).buffer(cell, join_style="mitre").buffer(-cell, join_style="mitre")
    if whole.is_empty:
        raise InputError("what is left of the harvest fills no cell; take larger cells (--cell)")
    return load_geopandas().GeoDataFrame({"field": [name or "harvest"]}, geometry=[whole], crs=grid.grid.crs)


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
        told = f"{row['mean']:.2f} t/ha, {LEVEL:.0%} between {row['lower']:.2f} and {row['upper']:.2f}"
        if not np.isfinite(row["mean"]):
            told = f"cannot say: {row['seen_share']:.0%} of it was harvested"
        lines.append(f"field {row['field']}: {told}")
    return lines


def _plain(value: Any) -> Any:  # noqa: ANN401 - what a table holds
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value if isinstance(value, str | int | bool | None) else str(value)
