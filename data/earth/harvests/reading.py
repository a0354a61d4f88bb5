"""Harvest logs read from Shapefile, GeoPackage, CSV and Parquet, in units that somebody told."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.data.earth.crops import POUNDS_PER_BUSHEL, checked_crop
from mainstem.data.earth.crs import parse_crs
from mainstem.data.earth.harvests.columns import Chosen, Reading, choose_columns
from mainstem.data.earth.harvests.flows import POSSIBLE, check_flow, flow_ratio
from mainstem.data.earth.harvests.isoxml_logs import is_dry, read_isoxml
from mainstem.data.earth.harvests.kinds import SHAPES, check_kinds
from mainstem.data.earth.harvests.ordering import in_order
from mainstem.data.earth.harvests.points import Array, HarvestPoints, joined, spoken
from mainstem.data.earth.harvests.units import factor
from mainstem.data.earth.vectors import read_points
from mainstem.data.hearing import tell
from mainstem.data.tabular import Table, open_table, shown

MOST_RECORDS, MOST_DAYS = 1_000_000, 366  # the former take 2 GiB to clean
LIKELY: Mapping[str, tuple[float, float]] = {  # medians beyond which a unit was named wrongly; this module's own choice
    "swath": (0.3, 25.0), "distance": (0.02, 60.0), "speed": (0.05, 10.0), "flow": (0.02, 120.0),
    "moisture": (1.0, 95.0), "interval": (0.05, 60.0),
}  # fmt: skip
SOME_YIELD, GRAIN_YIELD, MOST_YIELD = 0.05, 25.0, 250.0  # t/ha: wheat's record is 18, of cane 250 is the best


def read_harvest(paths: Sequence[Path], said: Reading | None = None) -> HarvestPoints:
    """Read the logs of one field and season.

    Args:
        paths: .shp, .zip (of one Shapefile), .gpkg, .csv, .parquet; TASKDATA.XML of ISOXML, or its folder.
        said: units, columns, crop and CRS where the files do not tell them.

    Raises:
        InputError: in one line: a column, unit, CRS or crop that nobody told, a cell that is no number (named), a unit
            that cannot be right, a clock that runs backwards.
    """
    said = said or Reading()
    if said.crop is not None:
        checked_crop(said.crop, "the option says")
    if not paths:
        raise InputError("got no log, want the files that the combine's terminal or the office wrote")
    parts = [_read(Path(path), said) for path in paths]
    points = joined(parts)
    if len(points) > MOST_RECORDS:
        raise InputError(
            f"{len(points)} records, at most {MOST_RECORDS} are read at once; give a field at a time, or split the log"
        )
    return points


def read_parts(paths: Sequence[Path], said: Reading | None = None) -> dict[str, HarvestPoints]:
    """Read logs as `read_harvest` does, task data of several fields by field; all other logs are one part, "".

    Raises:
        InputError: as `read_harvest` does.
    """
    tasks = [path for path in paths if is_task_data(path)]
    if not tasks:
        return {"": read_harvest(paths, said)}
    if len(paths) > 1:
        raise InputError("got task data beside other logs; give one TASKDATA folder at a time")
    return _of_tasks(tasks[0], said.crop if said else None)


def is_task_data(path: Path) -> bool:
    """True for a TASKDATA.XML, or a folder."""
    return path.is_dir() or path.suffix.lower() == ".xml"


def _read(path: Path, said: Reading) -> HarvestPoints:
    kind = path.suffix.lower()
    if not path.exists():
        raise InputError(f"no file {shown(str(path))}; give the log's file")
    if kind in SHAPES:
        return _of_shapes(path, said)
    if is_task_data(path):
        return joined(list(_of_tasks(path, said.crop).values()))
    check_kinds([path])
    return _of_table(open_table(path, "give the log's file"), None, said)


def _of_tasks(path: Path, crop: str | None) -> dict[str, HarvestPoints]:
    """The harvests of task data by field, held to what tables are held to."""
    found = read_isoxml(path, crop, MOST_RECORDS)
    for field, points in found.items():
        told = {"yield": points.yield_t_ha, "swath": points.swath_m, "speed": points.speed_m_s,
                "flow": points.flow_kg_s, "moisture": points.moisture_pct}  # fmt: skip
        _check_likely(told, None, f"{path.name}, {field}", crop)
        ratio = 1.0 if is_dry(points) else flow_ratio(points)
        if not POSSIBLE[0] <= ratio <= POSSIBLE[1]:
            raise InputError(
                f"{path.name}, {field}: its yield is {ratio:.3g} times its flow over speed and swath, want about 1; "
                "the logs' XML and binaries disagree, or the monitor was set up wrongly: leave these logs out"
            )
    return found


def _of_shapes(path: Path, said: Reading) -> HarvestPoints:
    frame = read_points(path)
    places = frame.to_crs("EPSG:4326").geometry
    columns = {str(name): _cells(frame[name]) for name in frame.columns if name != frame.geometry.name}
    table = Table(name=path.name, columns=columns, rows=np.arange(1, len(frame) + 1))
    return _of_table(table, (np.asarray(places.x, np.float64), np.asarray(places.y, np.float64)), said)


def _cells(column: "pd.Series[Any]") -> Any:  # noqa: ANN401 - pyarrow's
    """A column of a GIS's table as `data.tabular` keeps one: numbers, or text."""
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        return pa.chunked_array([pa.array(column.to_numpy(np.float64, na_value=np.nan), pa.float64())])
    if pd.api.types.is_datetime64_any_dtype(column):
        column = column.dt.strftime("%Y-%m-%dT%H:%M:%S.%f")
    told = ["" if missing else str(cell) for cell, missing in zip(column, column.isna(), strict=True)]
    return pa.chunked_array([pa.array(told, pa.string())])


def _of_table(table: Table, places: tuple[Array, Array] | None, said: Reading) -> HarvestPoints:
    chosen = choose_columns(
        table.columns, said, table.name, has_places=places is not None, is_number=lambda name: _is_clock(table, name)
    )
    columns = {**chosen.columns}
    values = {
        quantity: _numbers(table, column, quantity, chosen, said)
        for quantity, column in columns.items()
        if quantity in ("yield", *LIKELY, "heading")
    }
    _check_likely(values, chosen, table.name, said.crop)
    num = len(table)
    longitude, latitude = _places(table, columns, said) if places is None else places
    notes, days = list(chosen.notes), list[str]()
    machine, machines = _numbered(table, columns.get("machine"))
    untold = np.full(num, np.nan)
    points = HarvestPoints(
        longitude=longitude, latitude=latitude, yield_t_ha=values["yield"],
        time_s=_times(table, columns.get("time"), chosen, (notes, days)), interval_s=values.get("interval", untold),
        moisture_pct=spoken(values.get("moisture", untold)), swath_m=values.get("swath", untold),
        distance_m=values.get("distance", untold), speed_m_s=values.get("speed", untold),
        heading_deg=values.get("heading", untold), flow_kg_s=values.get("flow", untold),
        machine=machine, row=table.rows, crop=said.crop, machines=machines, sources=(table.name,),
    )  # fmt: skip
    tell([table])
    section = _numbered(table, columns.get("section"))[0]
    points, more = in_order(points, section, _order(table, columns))
    more += check_flow(points, chosen.units["yield"], table.name)
    return replace(points, days=tuple(days)).told([*notes, *more])


def _numbers(table: Table, column: str, quantity: str, chosen: Chosen, said: Reading) -> Array:
    unit = chosen.units[quantity]
    return table.numbers(column, unit=unit) * factor(unit, quantity, said.crop)


def _places(table: Table, columns: Mapping[str, str], said: Reading) -> tuple[Array, Array]:
    if {"longitude", "latitude"} <= set(columns):
        return table.numbers(columns["longitude"], -180, 180, "degrees"), table.numbers(
            columns["latitude"], -90, 90, "degrees"
        )
    assert said.crs is not None  # choose_columns asks for it
    from pyproj import Transformer

    to = Transformer.from_crs(parse_crs(said.crs, "the option"), "EPSG:4326", always_xy=True)
    found = to.transform(table.numbers(columns["x"]), table.numbers(columns["y"]))
    longitude, latitude = (np.where(np.isfinite(part), part, np.nan) for part in found)
    return longitude, latitude


def _numbered(table: Table, column: str | None) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """A number for each name of a column, and the names; all the same without one."""
    if column is None:
        return np.zeros(len(table), np.int64), (table.name,)
    names, numbers = np.unique(table.raw(column).astype(str), return_inverse=True)
    return numbers.astype(np.int64), tuple(f"{table.name}: {name}"[:80] for name in names)


def _is_clock(table: Table, column: str) -> bool:
    """True for a time's column of numbers, that need a unit."""
    return table.is_numeric(column) and any(table.raw(column))


def _times(table: Table, column: str | None, chosen: Chosen, told: tuple[list[str], list[str]]) -> Array:
    """Seconds of a clock: numbers in a unit that was told, or dates with hours (ISO 8601); notes and days go to `told`.

    Raises:
        InputError: if numbers have no unit, or a cell is no time.
    """
    notes, days = told
    untold = np.full(len(table), np.nan)
    if column is None or all(not text for text in table.raw(column)):
        return untold
    if table.is_numeric(column):
        seconds = table.numbers(column) * factor(chosen.units["time"], "time", None)
        return seconds - np.nanmin(seconds)
    texts = table.raw(column)
    for index in [row for row, text in enumerate(texts) if text and not re.match(r"\d{4}-\d{2}-\d{2}", text)][:1]:
        raise InputError(
            f"{table.where(index, column)}: got time {shown(texts[index])}, want YYYY-MM-DDThh:mm:ss; write it so, or "
            "pass --column time=-"
        )
    parsed = pd.to_datetime(pd.Series(texts).replace("", None), utc=True, format="ISO8601", errors="coerce")
    for index in np.flatnonzero(parsed.isna() & (texts != ""))[:1]:
        raise InputError(
            f"{table.where(index, column)}: got time {shown(texts[index])}, which is none; mend or drop it"
        )
    days += sorted(set(parsed.dropna().dt.strftime("%Y-%m-%d")))[:MOST_DAYS]
    seconds = np.asarray((parsed - parsed.min()).dt.total_seconds(), np.float64)
    if len(np.unique(seconds[np.isfinite(seconds)] % 86_400)) == 1 and len(table) > 1:
        notes.append(f"{shown(column)} tells days, not times: no clock is read")
        return untold
    return seconds


def _order(table: Table, columns: Mapping[str, str]) -> Array | None:
    """Numbers that say in what order records were logged, where a column has one of its own for each."""
    column = columns.get("order")
    if column is None or not table.is_numeric(column):
        return None
    numbers = table.numbers(column)
    return numbers if len(np.unique(numbers)) > len(numbers) / 20 and np.isfinite(numbers).all() else None


def _check_likely(values: Mapping[str, Array], chosen: Chosen | None, where: str, crop: str | None) -> None:
    """Refuse medians that no combine logs: the unit that was told is another's; of task data nobody tells one."""
    is_grain = crop is not None and any(name in crop.lower() for name in POUNDS_PER_BUSHEL)
    limits = {**LIKELY, "yield": (SOME_YIELD, GRAIN_YIELD if is_grain else MOST_YIELD)}
    for quantity, (low, high) in limits.items():
        found = values.get(quantity)
        worked = found[found > 0] if found is not None else np.empty(0)
        if worked.size and not low <= np.median(worked) <= high:
            ours = {"yield": "t/ha", "swath": "m", "distance": "m", "speed": "m/s", "flow": "kg/s", "moisture": "%"}
            is_wrong = f"{np.median(worked):.3g} {ours.get(quantity, 's')} at its median, want {low:g} to {high:g}"
            if chosen is None:
                raise InputError(
                    f"{where}: its {quantity} is {is_wrong}; the logs' XML and binaries disagree, or the monitor was "
                    "set up wrongly: export it again, or leave these logs out"
                )
            raise InputError(
                f"{where}: {shown(chosen.columns[quantity])} in {chosen.units[quantity]} is {is_wrong}; the unit is "
                f"another, pass --unit {'' if quantity == 'yield' else f'{quantity}='}UNIT"
            )
