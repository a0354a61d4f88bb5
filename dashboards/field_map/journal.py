"""What was changed of a map's fields, line by line beside the map: what undoes and redoes it, and loses no field.

Each line is a JSON object: a change (what it says, the fields before and after, whole, with their own columns), or that
the last one was undone or redone. A change is written down before the fields are, so that what it takes away is kept.
"""

import json
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError

from mainstem.core.errors import InputError
from mainstem.core.files import check_own, open_own
from mainstem.data.earth.field_columns import own_columns

if TYPE_CHECKING:
    import geopandas as gpd

JOURNAL = "fields.journal.jsonl"
LARGEST_BYTES, ROOM_BYTES = 256 << 20, 1 << 20  # the latter is kept for undoing and redoing
UNDO, REDO = "undo", "redo"
KINDS = {"time": "datetime64[ns]", "bool": "boolean", "int": "Int64", "float": "float64", "text": "object"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Change:
    """What was done in words, and the fields that it concerns before and after: field, geometry and own columns."""

    words: str
    before: "gpd.GeoDataFrame"
    after: "gpd.GeoDataFrame"

    def undone(self) -> "Change":
        """The change that takes this one back."""
        return Change(words=self.words, before=self.after, after=self.before)


@dataclass(frozen=True, kw_only=True, eq=False)
class Journal:
    """What can be undone and redone, the last first to go; each as a line of the file has it.

    `damaged` numbers (from 1) the last line that is none, 0 where there is no such.
    """

    done: tuple[Mapping[str, Any], ...] = ()
    undone: tuple[Mapping[str, Any], ...] = ()
    damaged: int = 0

    def words(self) -> tuple[str, str]:
        """What would be undone and redone next, in words; "" where nothing would."""
        return str(self.done[-1]["words"]) if self.done else "", str(self.undone[-1]["words"]) if self.undone else ""


class _Rows(BaseModel):
    model_config = ConfigDict(strict=True)

    fields: list[str]
    borders: list[str]
    kinds: dict[str, Literal["time", "bool", "int", "float", "text"]]
    cells: list[list[Any]]


class _Line(BaseModel):
    model_config = ConfigDict(strict=True)

    words: str
    crs: str
    before: _Rows
    after: _Rows


def read_journal(folder: Path) -> Journal:
    """Read what can be undone and redone; nothing from before a line that is damaged, and no line that was cut off.

    Raises:
        InputError: if it is a link, or too large.
    """
    path = folder / JOURNAL
    check_own(path)
    if not path.is_file():
        return Journal()
    if path.stat().st_size > LARGEST_BYTES:
        raise InputError(f"{JOURNAL} has more than {LARGEST_BYTES >> 20} MiB; move it away to begin another")
    done: list[Mapping[str, Any]] = []
    undone: list[Mapping[str, Any]] = []
    damaged = 0
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], 1):
        told = _line(line)
        if told == {UNDO: True} and done:
            undone.append(done.pop())
        elif told == {REDO: True} and undone:
            done.append(undone.pop())
        else:
            undone.clear()
            done = [*done, told] if "words" in told else []
            damaged = damaged if told else number
    return Journal(done=tuple(done), undone=tuple(undone), damaged=damaged)


def _line(line: bytes) -> dict[str, Any]:
    """A line of the journal; empty where it is damaged."""
    try:
        told = json.loads(line)
        if told not in ({UNDO: True}, {REDO: True}):
            _Line.model_validate(told)
    except (ValueError, RecursionError, ValidationError):
        return {}
    found: dict[str, Any] = told
    return found


def note(folder: Path, told: Mapping[str, Any]) -> None:
    """Add a line, on the disk when this returns; a line that a kill has cut off is closed first.

    Raises:
        InputError: if it cannot be written, is a link or no file, or has no room for another change.
    """
    path, line = folder / JOURNAL, json.dumps(told).encode()
    try:
        with os.fdopen(open_own(path, os.O_RDWR | os.O_CREAT | os.O_APPEND), "ab+") as file:
            most = LARGEST_BYTES if told in ({UNDO: True}, {REDO: True}) else LARGEST_BYTES - ROOM_BYTES
            if file.tell() + len(line) + 2 > most:
                raise InputError(
                    f"{JOURNAL} is full ({LARGEST_BYTES >> 20} MiB), so this could not be undone: nothing was changed; "
                    "move the file away to begin another"
                )
            if file.tell():
                file.seek(-1, os.SEEK_END)
                cut = file.read(1) != b"\n"
                file.writelines([b"\n"] if cut else [])
            file.writelines([line, b"\n"])
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise InputError(f"cannot write {JOURNAL} ({error.strerror}); nothing was changed") from error


def told_of(change: Change) -> dict[str, Any]:
    """A change as a line of the journal has it."""
    crs = str(change.after.crs or change.before.crs)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {
        "time": now, "words": change.words, "crs": crs, "before": _packed(change.before), "after": _packed(change.after)
    }  # fmt: skip


def change_of(told: Mapping[str, Any], crs: str) -> Change:
    """A line of the journal as a change, in the map's CRS.

    Raises:
        InputError: if the line is damaged.
    """
    try:
        before, after = (_unpacked(told[name], str(told["crs"])).to_crs(crs) for name in ("before", "after"))
    except Exception as error:  # a file that anybody may have edited: pandas, shapely and pyproj raise what they like
        raise InputError(f"{JOURNAL} is damaged ({type(error).__name__}); what it tells cannot be undone") from error
    return Change(words=str(told["words"]), before=before, after=after)


def _packed(table: "gpd.GeoDataFrame") -> dict[str, Any]:
    own = own_columns(table)
    kinds = {str(name): _kind(own[name]) for name in own}
    cells = [[_cell(value) for value in own[name]] for name in own]
    borders = [geometry.wkb_hex for geometry in table.geometry]
    return {"fields": table["field"].tolist(), "borders": borders, "kinds": kinds, "cells": cells}


def _unpacked(told: Mapping[str, Any], crs: str) -> "gpd.GeoDataFrame":
    import geopandas as gpd
    import shapely

    borders = [shapely.from_wkb(text) for text in told["borders"]]
    fields = [str(name) for name in told["fields"]]
    table = gpd.GeoDataFrame({"field": pd.Series(fields, dtype=object)}, geometry=borders, crs=crs)
    for (name, kind), cells in zip(told["kinds"].items(), told["cells"], strict=True):
        read = pd.to_datetime(pd.Series(cells, dtype=object)) if kind == "time" else pd.Series(cells, dtype=KINDS[kind])
        table[name] = read
    return table


def _kind(cells: "pd.Series[Any]") -> str:
    if pd.api.types.is_datetime64_any_dtype(cells):
        return "time"
    if pd.api.types.is_bool_dtype(cells):
        return "bool"
    if pd.api.types.is_integer_dtype(cells):
        return "int"
    return "float" if pd.api.types.is_float_dtype(cells) else "text"


def _cell(value: Any) -> Any:  # noqa: ANN401 - what a table holds
    if value is None or value is pd.NaT or value is pd.NA or value != value:  # NaN alone differs from itself
        return None
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return value.item() if hasattr(value, "item") else value if isinstance(value, int | float | bool) else str(value)


def lost_fields(journal: Journal, held: Collection[str]) -> dict[str, int]:
    """Fields that the journal's changes leave on the map and the map lacks, as where it was made anew: by name, the
    change that brought each, as a number in `journal.done`."""
    left: dict[str, int] = {}
    for number, told in enumerate(journal.done):
        for name in told["before"]["fields"]:
            left.pop(name, None)
        left |= dict.fromkeys(told["after"]["fields"], number)
    return {name: number for name, number in left.items() if name not in held}
