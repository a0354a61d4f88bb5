"""A rule that its user wrote and signed, turned into rate maps that machines read; every file is read back at once."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mainstem.apps.field_exports import areas_ha
from mainstem.apps.fields.zone_tables import ZonedField, read_zones
from mainstem.core.errors import InputError
from mainstem.core.files import new_folder, write_atomically
from mainstem.core.progress import Progress, silent
from mainstem.data.earth.cog import write_cog
from mainstem.data.earth.field_grids import field_grid
from mainstem.data.earth.gdal import load_geopandas
from mainstem.data.earth.isoxml.rate_files import BY_UNIT, VALUES, ZONES, RateTask, write_rates
from mainstem.data.earth.isoxml.rate_reading import read_rates
from mainstem.data.earth.isoxml.taskdata import read_taskdata
from mainstem.data.earth.raster import Grid, load_rasterio, window_reader
from mainstem.data.earth.rate_maps import FieldRates, RateGrid, is_true_to, mean_on_cells, on_cells, treat
from mainstem.data.earth.rate_rules import RateRule, Signature, read_rule, seal_of
from mainstem.data.earth.vectors import read_vectors
from mainstem.data.earth.zone_polygons import polygonal
from mainstem.data.spreadsheets import csv_bytes

if TYPE_CHECKING:
    import geopandas as gpd

CELL_M, SMALLEST_CELL_M, LARGEST_CELL_M = 5.0, 0.5, 50.0
MOST_CELLS = 4_000_000  # of one grid: 16 MB of values, which terminals still open
SHIFTS = 16  # places of a grid that are tried before its cells are halved
GOLDEN = (0.7548776662466927, 0.5698402909980532)  # steps that spread evenly over a cell (Roberts 2018, R2 sequence)
COARSE = 0.05  # of a cell by which treatments may be simplified before they are laid on cells: half of what is counted
OUTLINE_TO_M = 0.05  # a border's vertices that move it by less are left out of TASKDATA
FORMS = {
    f"isoxml-v{major}-{name}": (major, kind)
    for major in (3, 4)
    for name, kind in (("zones", ZONES), ("values", VALUES))
}
NOT_ADVICE = "rates by the signer's own rule; the program proposed none"


@dataclass(frozen=True, kw_only=True, eq=False)
class Made:
    """A field ready to be written: its treatments, their geodesic areas, and its cells in degrees and in metres."""

    rates: FieldRates
    areas_ha: tuple[float, ...]
    outlines: tuple[Any, ...]  # of the treatments, EPSG:4326
    border: Any
    degrees: RateGrid
    metres: RateGrid

    @property
    def area_ha(self) -> float:
        """Area of the field."""
        return sum(self.areas_ha)

    @property
    def amount(self) -> float:
        """What the field gets in all, in the unit less its area."""
        return float(np.dot(self.rates.rates()[1:], self.areas_ha))

    @property
    def mean(self) -> float:
        """Mean rate by area."""
        return self.amount / self.area_ha


def plan_rates(zones: Path, rule: Path, cell_m: float = CELL_M) -> tuple[RateRule, list[Made], list[ZonedField], str]:
    """Read zones and rule, and say what every field would get; nothing is written.

    Raises:
        InputError: if one of them cannot be read, or the rule lacks a zone.
    """
    if not SMALLEST_CELL_M <= cell_m <= LARGEST_CELL_M:
        raise InputError(f"got cells of {cell_m:g} m, want {SMALLEST_CELL_M:g} to {LARGEST_CELL_M:g}")
    known = read_rule(_text(rule))
    fields, sha256 = read_zones(zones)
    unknown = {name for name, _ in known.of_fields} - {field.name for field in fields}
    if unknown:
        raise InputError(f"the rule names field {min(unknown)!r:.60}, which {zones.name} does not have; mend its name")
    return known, [_made(field, known, cell_m) for field in fields], fields, sha256


def make_rates(
    zones: Path, rule: Path, signature: Signature, out: Path, cell_m: float = CELL_M, progress: Progress = silent
) -> dict[str, Any]:
    """Write rate maps of all fields by a signed rule into a new folder: TASKDATA, Shapefile, GeoTIFF, CSV, the rule.

    Raises:
        InputError: if zones or rule cannot be used or are others than were signed, or a mean does not come back within
            0.1 %.
    """
    known, fields, zoned, sha256 = plan_rates(zones, rule, cell_m)
    if signature.of and signature.of != seal_of(known, sha256):
        raise InputError("the rule or the zones changed since they were signed; look at what each field gets, and sign")
    with new_folder(out) as folder:
        write_atomically(folder / "rule.txt", signature.lines(known, sha256).encode())
        told = []
        for number, made in enumerate(fields, 1):
            progress(f"rates of field {number} of {len(fields)}", number / (len(fields) + 1))
            _write_tif(made, known, signature, folder / "geotiff" / f"field_{number:03}.tif")
            _write_shape(made, folder / "shapefile", f"field_{number:03}")
            told.append(_told(number, made, known, zoned[number - 1]))
        tasks = [_task(made, known) for made in fields]
        for name, (major, kind) in FORMS.items():
            write_rates(tasks, folder / name / "TASKDATA", major, kind)
        _check(fields, folder, told, known.unit)
        write_atomically(folder / "rates.csv", _table(fields, known, signature))
        facts = {
            "product": known.product, "unit": known.unit, "signed": signature.name,
            "signed_at": signature.time.isoformat(timespec="seconds"), "rule_sha256": known.sha256,
            "zones_sha256": sha256, "fields": told, "note": NOT_ADVICE,
        }  # fmt: skip
        write_atomically(folder / "rates.json", json.dumps(facts, indent=1).encode())
    return {"out": str(out), **facts}


def _text(path: Path) -> str:
    if not path.is_file() or path.stat().st_size > 1 << 20:
        raise InputError(f"no rule in {path.name}; give a text file with a line a zone")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path.name} is no UTF-8 text; save the rule as plain text in UTF-8") from error


def _made(field: ZonedField, rule: RateRule, cell_m: float) -> Made:
    """A field's treatments on cells as large as its mean allows."""
    geopandas = load_geopandas()
    rates = treat(field.name, field.zones, field.crs, rule)
    shapes = geopandas.GeoDataFrame(geometry=[one.area for one in rates.treatments], crs=field.crs)
    areas, outlines = areas_ha(shapes), tuple(map(polygonal, shapes.to_crs("EPSG:4326").geometry))
    border = geopandas.GeoSeries([rates.border.simplify(OUTLINE_TO_M)], crs=field.crs)
    outline = polygonal(border.to_crs("EPSG:4326").iloc[0])
    mean = float(np.dot(rates.rates()[1:], areas) / sum(areas))

    def coarse(cell: float) -> "gpd.GeoSeries":
        """The treatments without vertices that no cell can show."""
        return geopandas.GeoSeries([one.area.simplify(cell * COARSE) for one in rates.treatments], crs=field.crs)

    def metric(cell: float, shift: tuple[float, float]) -> RateGrid:
        origin = (shift[0] * cell, shift[1] * cell)
        grid = field_grid(rates.border.simplify(cell * COARSE), field.name, field.crs, cell, origin).grid
        return on_cells(rates, grid, list(coarse(cell)))

    def degrees(cell: float, shift: tuple[float, float]) -> RateGrid:
        areas = [polygonal(area) for area in coarse(cell).to_crs("EPSG:4326")]
        return on_cells(rates, _degree_grid(outline, field.name, cell, shift), areas)

    return Made(
        rates=rates,
        areas_ha=tuple(areas),
        outlines=outlines,
        border=outline,
        degrees=_true_cells(degrees, rates, mean, cell_m),
        metres=_true_cells(metric, rates, mean, cell_m),
    )


def _true_cells(
    lay: Callable[[float, tuple[float, float]], RateGrid], rates: FieldRates, mean: float, cell_m: float
) -> RateGrid:
    """The largest cells, moved by parts of a cell, that keep a field's mean.

    A straight edge within a row of cells moves by up to half of one, all along: over the places that a grid can lie in
    that evens out, so that some keep the mean.

    Raises:
        InputError: if none do.
    """
    while cell_m >= SMALLEST_CELL_M:
        for turn in range(SHIFTS):
            cells = lay(cell_m, (turn * GOLDEN[0] % 1, turn * GOLDEN[1] % 1))
            is_degrees = cells.grid.transform[0] < 0.1
            if is_true_to(mean_on_cells(rates.rates()[cells.codes], cells.share, cells.grid, is_degrees), mean):
                return cells
        cell_m /= 2
    raise InputError(
        f"no cells of {SMALLEST_CELL_M:g} m or more keep the mean of field {rates.field!r:.60} within 0.1 %; draw "
        "fewer or larger zones"
    )


def _degree_grid(outline: Any, name: str, cell_m: float, shift: tuple[float, float]) -> Grid:  # noqa: ANN401 - shapely's
    """Cells of about a width in metres, in degrees that nine decimals hold, moved by parts of a cell."""
    west, south, east, north = outline.bounds
    if east - west > 180:
        raise InputError(
            f"field {name!r:.60} crosses the antimeridian, which no grid of ISO 11783-10 can; cut it there"
        )
    from pyproj import Geod

    ellipsoid, middle = Geod(ellps="WGS84"), (south + north) / 2
    high = ellipsoid.inv(west, middle - 0.005, west, middle + 0.005)[2]
    wide = ellipsoid.inv(west, middle, west + 0.01, middle)[2]
    steps = round(cell_m / high * 0.01, 9), round(cell_m / wide * 0.01, 9)
    south, west = round(south - (1 + shift[1]) * steps[0], 9), round(west - (1 + shift[0]) * steps[1], 9)
    rows, columns = math.ceil((north - south) / steps[0]) + 1, math.ceil((east - west) / steps[1]) + 1
    if rows * columns > MOST_CELLS:
        raise InputError(f"field {name!r:.60} has {rows} x {columns} cells of {cell_m:g} m; take larger cells (--cell)")
    crs = load_rasterio().crs.CRS.from_epsg(4326).to_wkt()
    transform = (steps[1], 0.0, west, 0.0, -steps[0], round(south + rows * steps[0], 9))
    return Grid(width=columns, height=rows, transform=transform, crs=crs)


def _task(made: Made, rule: RateRule) -> RateTask:
    grid = made.degrees.grid
    step_east, _, west, _, step_north, north = grid.transform
    return RateTask(
        name=made.rates.field,
        border=made.border,
        area_ha=made.area_ha,
        product=rule.product,
        unit=rule.unit,
        names=("outside the field", *(one.name for one in made.rates.treatments)),
        rates=made.rates.rates(),
        south=round(north + step_north * grid.height, 9),
        west=west,
        steps=(-step_north, step_east),
        codes=made.degrees.codes[::-1],
    )


def _write_tif(made: Made, rule: RateRule, signature: Signature, path: Path) -> None:
    """One field's rates and treatments as a COG, NaN outside."""
    codes = made.metres.codes
    inside = codes > 0
    bands = np.where(inside, np.stack([made.rates.rates()[codes], codes]), np.nan).astype(np.float32)
    tags = {
        "UNITS": rule.unit, "PRODUCT": rule.product, "SIGNED": signature.name, "NOTE": NOT_ADVICE,
        "SIGNED_AT": signature.time.isoformat(timespec="seconds"), "RULE_SHA256": rule.sha256,
    }  # fmt: skip
    path.parent.mkdir(exist_ok=True)
    write_cog(iter([(0, 0, bands)]), path, made.metres.grid, ["rate", "treatment"], tags, is_category=True)


def _write_shape(made: Made, folder: Path, stem: str) -> None:
    """One field as a Shapefile that terminals take: polygons (type 5), WGS 84, numbers alone in its table."""
    folder.mkdir(exist_ok=True)
    table = load_geopandas().GeoDataFrame(
        {
            "TREATMENT": np.array([one.code for one in made.rates.treatments], dtype=np.int32),
            "RATE": np.array([one.rate for one in made.rates.treatments], dtype=np.float64),
        },
        geometry=list(made.outlines),
        crs="EPSG:4326",
    )
    table.to_file(folder / f"{stem}.shp", driver="ESRI Shapefile", ENCODING="UTF-8")


def _told(number: int, made: Made, rule: RateRule, zoned: ZonedField) -> dict[str, Any]:
    return {
        "field": made.rates.field,
        "number": number,
        "area_ha": round(made.area_ha, 4),
        "mean": round(made.mean, 4),
        "amount": round(made.amount, 2),
        "amount_unit": rule.unit.removesuffix("/ha"),
        "cell_m": made.metres.grid.transform[0],
        "zones_claim": zoned.claim,
        "zones_reason": zoned.reason,
    }


def _check(fields: Sequence[Made], folder: Path, told: list[dict[str, Any]], unit: str) -> None:
    """Read every file back, and hold its mean against what the rule gives.

    Raises:
        InputError: if one is not within 0.1 %.
    """
    in_theirs = BY_UNIT[unit][1]
    data = {name: read_taskdata(folder / name / "TASKDATA") for name in FORMS}
    for index, (made, row) in enumerate(zip(fields, told, strict=True)):
        means = {}
        for name, found in data.items():
            rates = read_rates(found, found.tasks[index]).rates[::-1] / in_theirs
            means[name] = mean_on_cells(rates, made.degrees.share, made.degrees.grid, True)
        with window_reader(folder / "geotiff" / f"field_{index + 1:03}.tif") as read:
            cells = read(slice(0, made.metres.grid.height), slice(0, made.metres.grid.width))[0]
        means["geotiff"] = mean_on_cells(np.nan_to_num(cells), made.metres.share, made.metres.grid, False)
        shapes = read_vectors(folder / "shapefile" / f"field_{index + 1:03}.shp")
        areas = areas_ha(shapes)
        means["shapefile"] = float(np.dot(shapes["RATE"], areas) / sum(areas))
        row["means"] = {name: round(mean, 4) for name, mean in means.items()}
        off = next((name for name, mean in means.items() if not is_true_to(mean, made.mean)), None)
        if off is not None:
            raise InputError(f"{off} of field {row['field']!r:.60} came back with another mean; take smaller cells")


def _table(fields: Sequence[Made], rule: RateRule, signature: Signature) -> bytes:
    import pandas as pd

    rows = [
        {
            "field": made.rates.field, "number": number, "treatment": one.code, "what": one.name, "rate": one.rate,
            "unit": rule.unit, "area_ha": round(area, 4), "amount": round(one.rate * area, 2), "product": rule.product,
            "signed": signature.name, "signed_at": signature.time.isoformat(timespec="seconds"), "note": NOT_ADVICE,
        }
        for number, made in enumerate(fields, 1)
        for one, area in zip(made.rates.treatments, made.areas_ha, strict=True)
    ]  # fmt: skip
    return csv_bytes(pd.DataFrame(rows))
