"""One-page reports as PDF: of each field of a map, or of each region of a table of forecasts."""

import datetime
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mainstem.apps.fields.harvest import METHOD
from mainstem.apps.fields.report_drawing import pdf_bytes
from mainstem.apps.fields.report_pages import (
    MEASURED,
    Page,
    Picture,
    age,
    claim_in_words,
    in_words,
    interval_in_words,
    span,
)
from mainstem.apps.fields.report_regions import region_pages
from mainstem.apps.fields.zone_tables import ZonedField, read_zones
from mainstem.apps.map_places import MAP, last_parts, map_folders
from mainstem.core.errors import InputError
from mainstem.core.files import new_folder, write_atomically
from mainstem.core.plain import plain
from mainstem.core.progress import Progress, silent
from mainstem.data.earth.field_grids import field_grid, metric_crs, on_grid
from mainstem.data.earth.fields import open_fields
from mainstem.data.earth.raster import describe, load_rasterio, open_geotiff

if TYPE_CHECKING:
    import geopandas as gpd

FIELDS = "fields.gpkg"
ALL = "all.pdf"
MOST_PAGES = 5000
WORD = re.compile(r"[^\W_]+")
SAFE = re.compile(r"[^A-Za-z0-9_-]+")
LOOK = 256  # pixels a side of the map that colour ends are taken from
TAIL = 0.02  # share of the cells beyond each end
PICTURE_CELLS = 600  # a side of what is drawn of a field, beyond which cells are put together: 144 an inch of paper


def make_reports(
    source: Path, out: Path, zones: Path | None = None, only: Sequence[str] = (), progress: Progress = silent
) -> dict[str, Any]:
    """Write a one-page PDF a field or region, and all of them as all.pdf, into the new folder `out`.

    Args:
        source: a folder made by `mainstem map` with fields or by a harvest, or of several such, or a table of
            forecasts by region (.csv, .gpkg ...).
        out: where to.
        zones: zones.gpkg of `mainstem fields zones`, shown on the pages of their fields.
        only: names of fields or regions; all of them unless given.
        progress: told of the pages.

    Raises:
        InputError: if the source cannot be read, or a name in `only` is not in it.
    """
    pages = field_pages(source, zones) if source.is_dir() else region_pages(source)
    wanted = {_meant(name, pages, source.name) for name in only}
    chosen = {name: page for name, page in pages.items() if not only or name in wanted}
    if len(chosen) > MOST_PAGES:
        raise InputError(f"{source.name} has {len(chosen)} pages, at most {MOST_PAGES} are made; name some (--only)")
    made = datetime.datetime.now(datetime.UTC).date().isoformat()
    with new_folder(out) as folder:
        files = []
        for number, (name, page) in enumerate(chosen.items(), 1):
            progress(f"page {number} of {len(chosen)}", number / (len(chosen) + 1))
            file = f"{number:03}_{SAFE.sub('-', name)[:40].strip('-') or 'unnamed'}.pdf"
            write_atomically(folder / file, pdf_bytes([page], made))
            files.append({"name": name, "file": file})
        write_atomically(folder / ALL, pdf_bytes(list(chosen.values()), made))
    return {"out": str(out), "pages": files}


def _meant(asked: str, pages: Mapping[str, Page], where: str) -> str:
    """The name of the page that is asked for: as the source has it, or as pages write it (Field 10; IL, CUMBERLAND).

    Raises:
        InputError: if there is none, or more than one.
    """
    if asked in pages:
        return asked
    found = [name for name, page in pages.items() if _words(asked) in (_words(name), _words(page.title))]
    if len(found) == 1:
        return found[0]
    known = ", ".join(repr(name)[:40] for name in (found or list(pages))[:5])
    if found:
        raise InputError(f"{where} has {len(found)} that {asked!r:.60} could be: {known}; give one as it stands there")
    raise InputError(f"{where} has no {asked!r:.60}; it has {known} and {max(len(pages) - 5, 0)} more")


def _words(name: str) -> list[str]:
    """A name's words, whatever their case, order and what stands between them."""
    return sorted(WORD.findall(name.casefold()))


def field_pages(folder: Path, zones: Path | None = None, only: Sequence[str] = ()) -> dict[str, Page]:
    """A page a field of a map that `mainstem map` made, or of all maps in a folder, as a harvest can leave.

    A field whose name one of another map has is named after its map, too. Of those named in `only`, if any are.

    Raises:
        InputError: if the folder holds no map with fields, or the zones are of other fields.
    """
    folders = map_folders(folder)
    lacking = next((one for one in folders if not (one / FIELDS).is_file()), None)
    if lacking is not None:
        raise InputError(
            f"{last_parts(lacking)} holds no {FIELDS}; give a harvest's folder, or what mainstem map made with --fields"
        )
    tables = {one: open_fields(one / FIELDS).table.reset_index(drop=True) for one in folders}
    known = {field.name: field for field in read_zones(zones)[0]} if zones else {}
    if known and not set(known) & {name for table in tables.values() for name in table["field"]}:
        raise InputError(f"{zones.name if zones else ''} has zones of none of the map's fields; give theirs")
    ends = _ends(tables)
    places: dict[str, tuple[Path, int]] = {}
    for one, table in tables.items():
        for index, name in enumerate(map(str, table["field"])):
            places[name if name not in places else f"{one.name} {name}"] = one, index
    return {
        name: _field_page(tables[one], index, one / MAP, known.get(str(tables[one]["field"].iloc[index])), ends)
        for name, (one, index) in places.items()
        if not only or name in only
    }


def _ends(tables: Mapping[Path, "gpd.GeoDataFrame"]) -> tuple[float, float]:
    """Colour ends that all pages share, so that two can be laid side by side: those of nearly all cells and means."""
    known = np.concatenate([_cells(table, folder / MAP) for folder, table in tables.items()])
    if not known.size:
        return 0.0, 1.0
    low, high = np.quantile(known, (TAIL, 1 - TAIL))
    return (float(low), float(high)) if high > low else (float(low) - 0.5, float(low) + 0.5)


def _cells(table: "gpd.GeoDataFrame", raster: Path) -> NDArray[np.float64]:
    """Values of a map's cells, as many as are looked at, and of its fields."""
    with open_geotiff(raster) as dataset:
        look = dataset.read(1, out_shape=(min(dataset.height, LOOK), min(dataset.width, LOOK)), masked=True)
    cells = np.asarray(look.filled(np.nan), np.float64)
    return np.concatenate([cells[np.isfinite(cells)], table["mean"].dropna().to_numpy(np.float64)])


def inputs_of(raster: Path) -> str:
    """What a map says its scenes are: real or simulated; "" where it does not say it."""
    with open_geotiff(raster) as dataset:
        return str(dataset.tags().get("INPUTS", ""))


def _field_page(
    table: "gpd.GeoDataFrame",
    index: int,
    raster: Path,
    zoned: ZonedField | None,
    ends: tuple[float, float],
) -> Page:
    row = table.iloc[index]
    value, unit, level = float(row["mean"]), str(row["units"]), float(row["level"])
    is_simulated = "simulated" in (str(row.get("training", "")), inputs_of(raster)) or bool(row.get("simulated", False))
    is_known = bool(np.isfinite(value))
    rank = table["mean"].rank(ascending=False, method="min").iloc[index]
    dates = [date.strip() for date in str(row.get("dates") or "").split(",")]
    is_harvest = _told(row, "adapter") == METHOD
    told = [
        ("Area", f"{float(row['area_ha']):.2f} ha, {100 * float(row['seen_share']):.0f} % of it seen"),
        ("Crop", _told(row, "crop")),
        ("Sown", _told(row, "sowing")),
        ("Season", dates[0][:4]),
        ("Harvested on" if is_harvest else "Scenes", span(dates)),
        ("Newest scene", "" if is_harvest else age(max(dates), datetime.datetime.now(datetime.UTC).date())),
        ("Among the map's fields", f"{rank:.0f} of {int(table['mean'].notna().sum())}, highest first" if is_known else
         "not ranked: too little was seen"),
        ("Harvested", f"{in_words(float(row['yield_t_ha']))} t/ha, says the fields' file" if _is_number(row) else ""),
    ]  # fmt: skip
    facts = [(name, value) for name, value in told if value]
    pictures = [_raster_picture(table, index, raster, ends)]
    header, rows, title = _others(table, index)
    if zoned is not None:
        pictures.append(_zone_picture(zoned))
        header, rows, title = _zone_rows(zoned)
        facts.append(("Zones", zoned.reason or "not judged"))
    return Page(
        title=f"Field {plain(row['field'])}",
        subtitle=", ".join(part for part in (_told(row, "crop"), span(dates)) if part),
        mark="SIMULATED" if is_simulated else "REAL",
        value=f"{in_words(value)} {unit}" if is_known else "Cannot say: visit",
        interval=interval_in_words(float(row["lower"]), float(row["upper"]), level, unit),
        claim=claim_in_words(str(row["claim"]), str(row.get("reason") or ""), level, is_simulated),
        facts=facts,
        pictures=pictures,
        table_title=title,
        header=header,
        rows=rows,
        origin=[
            f"{_told(row, 'adapter')} {str(row.get('adapter_sha256') or '')[:12]}. Licence: "
            f"{_told(row, 'licence') or 'not told'}. {_told(row, 'attribution')}"
        ],
    )


def _told(row: Any, name: str) -> str:  # noqa: ANN401 - pandas'
    value = row.get(name)
    return "" if value is None or value != value else plain(value).strip()


def _is_number(row: Any) -> bool:  # noqa: ANN401 - pandas'
    value = row.get("yield_t_ha")
    return isinstance(value, int | float) and bool(np.isfinite(value))


def _others(table: "gpd.GeoDataFrame", index: int) -> tuple[list[str], list[list[str]], str]:
    """This field, then the others, the lowest first: those to visit."""
    ordered = table.assign(_own=np.arange(len(table)) != index).sort_values(["_own", "mean"], na_position="first")
    rows = [
        [
            plain(row["field"]), f"{float(row['area_ha']):.2f}", in_words(float(row["mean"])),
            f"{in_words(float(row['lower']))} to {in_words(float(row['upper']))}", str(row["claim"]),
        ]
        for _, row in ordered.iterrows()
    ]  # fmt: skip
    unit = plain(table["units"].iloc[0])
    return ["field", "area, ha", f"mean, {unit}", "interval", "claim"], rows, "This field, then the lowest first"


def _raster_picture(table: "gpd.GeoDataFrame", index: int, raster: Path, ends: tuple[float, float]) -> Picture:
    row, shape = table.iloc[index], table.geometry.iloc[[index]]
    drawn = describe(raster).grid
    is_metric = load_rasterio().crs.CRS.from_wkt(drawn.crs).is_projected
    crs = drawn.crs if is_metric else metric_crs(shape.iloc[0], table.crs)
    border = shape.to_crs(crs).iloc[0]
    left, bottom, right, top = border.bounds
    finest = abs(drawn.transform[0]) if is_metric else 10.0
    cell = finest * max(np.ceil(max(right - left, top - bottom) / finest / PICTURE_CELLS), 1.0)
    corner = (drawn.transform[2], drawn.transform[5]) if is_metric else (0.0, 0.0)
    laid = field_grid(border, str(row["field"]), crs, cell, corner)  # the map's own cells, one to one
    values = on_grid(raster, laid.grid)
    values[laid.share <= 0] = np.nan
    a, _, c, _, e, f = laid.grid.transform
    bounds = (c, f + e * laid.grid.height, c + a * laid.grid.width, f)
    title = f"Mean of each cell, {plain(row['units'])}; grey: outside, or no value"
    is_doubtful = str(row["claim"]) != "stated" and not _told(row, "reason").startswith(MEASURED)
    return Picture(
        bounds=bounds, raster=values, areas=(), border=border, is_doubtful=is_doubtful, title=title, ends=ends
    )


def _zone_picture(zoned: ZonedField) -> Picture:
    import shapely

    whole = shapely.unary_union(list(zoned.zones.values()))
    left, bottom, right, top = whole.bounds
    pad = 0.04 * max(right - left, top - bottom)
    areas = []
    for zone, area in zoned.zones.items():
        largest = max(getattr(area, "geoms", [area]), key=lambda part: part.area)
        areas.append((area, float(zone) if zone else float("nan"), ""))
        areas.append((largest, float(zone) if zone else float("nan"), str(zone) if zone else "-"))
    return Picture(
        bounds=(left - pad, bottom - pad, right + pad, top + pad),
        raster=None,
        areas=areas,
        border=whole,
        is_doubtful=zoned.claim != "stated",
        title="Zones by number, 1 the lowest; hatched: not known to last",
        ends=(1.0, float(max(max(zoned.zones), 2))),
        is_whole=True,
    )


def _zone_rows(zoned: ZonedField) -> tuple[list[str], list[list[str]], str]:
    total = sum(zoned.hectares.values())
    rows = [
        [
            str(zone) if zone else "none",
            f"{area:.2f}",
            f"{100 * area / total:.0f} %",
            _stays(zoned, zone),
            zoned.words[zone],
        ]
        for zone, area in sorted(zoned.hectares.items())
    ]
    return (
        ["zone", "area, ha", "share", "stays", "season by season"],
        rows,
        "Zones; stays: in it, whichever season is left out",
    )


def _stays(zoned: ZonedField, zone: int) -> str:
    share = zoned.stable_pct[zone]
    return f"{share:.0f} %" if zone and np.isfinite(share) else "unknown" if zone else ""
