"""The one door for tables: CSV and Parquet files, checked as files, to columns that are asked for by what they are.

A column is asked for as names, numbers, years or days; a cell that is none is refused with its row and column, or is
handed back as a fault where the rest can stand without it. Nothing is converted on a guess: what was understood of a
file (encoding, separator, decimal commas, blanks) is in `notes`, which `hearing.tell` reports.
"""

import difflib
import os
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.data.csv_files import read_csv
from mainstem.data.parquet_files import read_parquet

SUFFIXES = (".csv", ".parquet")
MAX_BYTES = 256 << 20
LARGEST = 1e30  # beyond it, squares and 32-bit floats overflow
MISSING = ("", "na", "n/a", "#n/a", "nan", "null", "none", "-", "--", ".")  # of numbers, as R, pandas, Excel and SAS
NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
COMMA_NUMBER = r"^[+-]?[0-9]+,[0-9]+([eE][+-]?[0-9]+)?$"
THOUSANDS = r"^[+-]?[0-9]{1,3}\.[0-9]{3}$"
ODD_LETTERS = "[\\x00-\\x1f\\x7f-\\x9f\u200b\ufeff\ufffd\u202a-\u202e\u2066-\u2069]"
FIRST_YEAR, LAST_YEAR = 1850, 2100
FOREIGN = {  # first bytes of what is no table under a table's name
    b"\x1f\x8b": "gzip-compressed; unpack it",
    b"BZh": "bzip2-compressed; unpack it",
    b"\xfd7zXZ": "xz-compressed; unpack it",
    b"\x28\xb5\x2f\xfd": "zstandard-compressed; unpack it",
    b"PK\x03\x04": "an Excel workbook or a zip; save the sheet as CSV UTF-8, or unpack it",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook; save the sheet as CSV UTF-8",
    b"SQLite format 3": "an SQLite database or GeoPackage; export the table as CSV",
    b"\x89HDF": "HDF5 or NetCDF; export the table as CSV",
    b"%PDF": "a PDF; export the table as CSV",
    b"{\\rtf": "rich text; save the table as CSV UTF-8",
}
OTHER_NAMES = {  # of columns, as users write them, in small letters with "_" for what is no letter
    "adm_id": ("region", "region_id", "id", "county", "district", "province", "fips", "name"),
    "harvest_year": ("year", "season", "harvest"),
    "year": ("harvest_year", "season"),
    "yield": ("yield_t_ha", "yields"),
    "date": ("day", "time", "datetime", "timestamp"),
    "latitude": ("lat",),
    "longitude": ("lon", "long", "lng"),
    "eos": ("end_of_season", "season_end", "harvest_day"),
}
WORKBOOKS = (".xlsx", ".xlsm", ".xls", ".ods")


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """A file's columns, text as it stood or float64 (pyarrow), and the row that each cell came from."""

    name: str
    columns: Mapping[str, Any]
    rows: NDArray[np.int64]
    separator: str = ","
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.rows)

    def need(self, *wanted: str) -> None:
        """Check that columns are there.

        Raises:
            InputError: naming all that are not, each with the one that likely is it.
        """
        lacking = [column for column in wanted if column not in self.columns]
        if not lacking:
            return
        free = [column for column in self.columns if column not in wanted]
        hints = []
        for column in lacking:
            near = _likely(column, free)
            if near:
                free.remove(near)
                hints.append(f"rename {shown(near)} to {column}")
        if len(hints) < len(lacking):
            hints.append(f"it has {shown(', '.join(list(self.columns)[:8]))}")
        what = f"column{'s' * (len(lacking) > 1)} {', '.join(map(repr, lacking))}"
        raise InputError(f"{self.name} lacks the {what}; {', '.join(hints)}")

    def where(self, index: int, column: str) -> str:
        """The place of a cell in words."""
        return f"{self.name}, row {self.rows[index]}, column {column!r}"

    def raw(self, column: str) -> NDArray[np.object_]:
        """Texts without blanks around them; whole numbers of a float column without a point."""
        self.need(column)
        cells = self.columns[column]
        if pa.types.is_floating(cells.type):
            return np.array([_written(value) for value in cells.to_pylist()], object)
        return np.asarray(pc.utf8_trim_whitespace(cells).to_pylist(), object)

    def names(self, column: str, is_needed: bool = True) -> NDArray[np.object_]:
        """Names without blanks around them, in one Unicode form ("NA" is a name as any other).

        Raises:
            InputError: where one is empty but needed, or holds a line break or letters that are not seen.
        """
        texts = pa.array(self.raw(column), pa.string())
        if not pa.types.is_floating(self.columns[column].type):
            given = pc.sum(pc.not_equal(texts, self.columns[column].combine_chunks())).as_py()
            if given:
                self._note(f"blanks around {given} values of {column!r} are left out")
        odd = np.asarray(pc.match_substring_regex(texts, ODD_LETTERS), bool)
        empty = np.asarray(pc.equal(texts, ""), bool) & is_needed
        for index in np.flatnonzero(odd | empty)[:1]:
            got = "no name" if not odd[index] else f"{shown(texts[index].as_py())}, with letters that cannot be seen"
            raise InputError(f"{self.where(index, column)}: got {got}, want a name; mend the row or drop it")
        return np.asarray(pc.utf8_normalize(texts, form="NFC").to_pylist(), object)

    def numbers(self, column: str, low: float = -LARGEST, high: float = LARGEST, unit: str = "") -> NDArray[np.float64]:
        """Numbers, NaN where the cell is empty or says so.

        Raises:
            InputError: naming row and column of the first that is none, or lies outside of low to high.
        """
        values, faults = self.sift(column, low, high, unit)
        for index, fault in faults.items():
            raise InputError(f"{self.where(index, column)}: {fault}")
        return values

    def sift(
        self, column: str, low: float = -LARGEST, high: float = LARGEST, unit: str = ""
    ) -> tuple[NDArray[np.float64], dict[int, str]]:
        """Numbers, NaN where there is none, and what is wrong with the cells that should have held one, by index."""
        values, wrong = self._parsed(column)
        faults = {}
        wanted = f"a number{f' of {unit}' if unit else ''}"
        texts = self.raw(column) if wrong.any() else np.empty(0, object)
        for index in np.flatnonzero(wrong).tolist():
            faults[index] = f"got {shown(texts[index])}, want {wanted}; {_advice(texts[index])}"
        limits = f"{f'{low:g} to {high:g}' if (low, high) != (-LARGEST, LARGEST) else wanted} {unit}".strip()
        with np.errstate(invalid="ignore"):
            outside = np.isinf(values) | (values < low) | (values > high)
        for index in np.flatnonzero(outside).tolist():
            faults[index] = f"got {values[index]:g}, want {limits}; correct it or leave it empty"
        return np.where(outside, np.nan, values), dict(sorted(faults.items()))

    def is_numeric(self, column: str) -> bool:
        """True where every cell is a number or says that it is missing."""
        return not self._parsed(column)[1].any()

    def years(self, column: str) -> NDArray[np.int64]:
        """Calendar years.

        Raises:
            InputError: naming the first that is none, as 0, 2010.5 or "2010/11".
        """
        texts = self.raw(column)
        found = np.zeros(len(texts), np.int64)
        for index, text in enumerate(texts):
            match = re.fullmatch(r"([0-9]{4})(\.0+)?", text)
            if not match or not FIRST_YEAR <= int(match[1]) <= LAST_YEAR:
                raise InputError(
                    f"{self.where(index, column)}: got {shown(text)}, want a year, {FIRST_YEAR} to {LAST_YEAR}; "
                    "write the year of harvest in four digits"
                )
            found[index] = int(match[1])
        return found

    def days(self, column: str) -> "pd.Series[pd.Timestamp]":
        """Days, written YYYYMMDD or YYYY-MM-DD.

        Raises:
            InputError: naming the first that is none, or could be read in two ways, as 03/04/2020.
        """
        texts = pd.Series(self.raw(column)).str.replace(r"^([0-9]{8})\.0+$", r"\1", regex=True)
        iso = texts.str.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ]00:00(:00(\.0*)?)?Z?)?")
        plain = texts.str.fullmatch("[0-9]{8}")
        digits = texts.where(plain, texts.str[:10].str.replace("-", ""))
        parsed = pd.to_datetime(digits.where(plain | iso), format="%Y%m%d", errors="coerce")
        bad = parsed.isna() | (parsed.dt.year < FIRST_YEAR) | (parsed.dt.year > LAST_YEAR)
        for index in np.flatnonzero(bad)[:1]:
            raise InputError(
                f"{self.where(index, column)}: got date {shown(texts[index])}, want YYYYMMDD or YYYY-MM-DD; write it so"
            )
        return parsed

    def _parsed(self, column: str) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Numbers, and True where a cell is neither one nor empty."""
        self.need(column)
        cells = self.columns[column]
        if pa.types.is_floating(cells.type):
            values = np.array(cells.fill_null(np.nan), np.float64)
            return values, np.zeros(len(values), bool)
        texts = pc.utf8_trim_whitespace(cells)
        missing = np.asarray(pc.is_in(pc.utf8_lower(texts), pa.array(MISSING)), bool)
        plain = np.asarray(pc.match_substring_regex(texts, NUMBER), bool)
        comma = np.asarray(pc.match_substring_regex(texts, COMMA_NUMBER), bool)
        if self.has_decimal_commas:
            self._check_marks(column, texts, comma)
            if comma.any():
                self._note(f"{column!r} has decimal commas")
            texts, plain = pc.replace_substring(texts, ",", "."), plain | comma
        taken = pc.if_else(pa.array(plain), texts.combine_chunks(), pa.scalar("nan"))
        return np.array(pc.cast(taken, pa.float64())), ~(plain | missing)

    @cached_property
    def has_decimal_commas(self) -> bool:
        """True where commas separate no columns, and some cell is a number with one."""
        texts = [cells for cells in self.columns.values() if pa.types.is_string(cells.type)]
        return self.separator != "," and any(
            pc.any(pc.match_substring_regex(pc.utf8_trim_whitespace(cells), COMMA_NUMBER)).as_py() for cells in texts
        )

    def _check_marks(self, column: str, texts: Any, comma: NDArray[np.bool_]) -> None:  # noqa: ANN401 - pyarrow
        """Refuse points beside decimal commas, in one column or where they may part thousands."""
        point = np.asarray(pc.match_substring_regex(texts, r"^[+-]?[0-9]*\.[0-9]+$"), bool)
        parts = np.asarray(pc.match_substring_regex(texts, THOUSANDS), bool)
        doubtful = point if comma.any() else parts
        for index in np.flatnonzero(doubtful)[:1]:
            raise InputError(
                f"{self.where(index, column)}: got {shown(texts[index].as_py())} in a table of decimal commas; "
                "write one decimal mark and no mark of thousands"
            )

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)


def open_table(path: Path, wanted: str = "name a .csv or .parquet table") -> Table:
    """Read a CSV or Parquet file's cells.

    Raises:
        InputError: if it is absent, no regular file, of another kind, too large, empty, ragged or unreadable.
    """
    check_file(path, wanted)
    try:
        cells = read_csv(path) if path.suffix.lower() == ".csv" else read_parquet(path)
    except OSError as error:
        raise InputError(f"{path.name} cannot be read ({error.strerror}); check who may read it") from error
    for column in cells.columns:
        if re.search(ODD_LETTERS, column):
            raise InputError(f"{path.name} has a column {shown(column)}, with letters that cannot be seen; rename it")
    return Table(
        name=path.name, columns=cells.columns, rows=cells.rows, separator=cells.separator, notes=list(cells.notes)
    )


def check_file(path: Path, wanted: str) -> None:
    """Check that a path is a regular file of a table's kind and size, without opening what is none."""
    found = check_regular(path, wanted)
    if path.suffix.lower() in WORKBOOKS:
        raise InputError(f"got the workbook {path.name}, want a .csv or .parquet table; save the sheet as CSV UTF-8")
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"got {path.name}, want a .csv or .parquet table")
    if found.st_size > MAX_BYTES:
        raise InputError(f"{path.name} is larger than {MAX_BYTES >> 20} MiB; split it or leave columns out")
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise InputError(f"{path.name} cannot be read ({error.strerror}); check who may read it") from error
    for mark, kind in FOREIGN.items():
        if head.startswith(mark):
            raise InputError(f"{path.name} is no table but {kind}")
    if head.startswith(b"PAR1") != (path.suffix.lower() == ".parquet"):
        raise InputError(f"{path.name} is {'no' if path.suffix.lower() == '.parquet' else 'a'} Parquet file; rename it")


def check_regular(path: Path, wanted: str) -> os.stat_result:
    """Check that a path, or what it links to, is a regular file: a pipe would wait for ever, a device never end."""
    try:
        found = os.stat(path)
    except (OSError, ValueError) as error:
        raise InputError(f"no file {shown(str(path))}; {wanted}") from error
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"{shown(str(path))} is no file but a folder, pipe or device; {wanted}")
    return found


def shown(text: str, most: int = 60) -> str:
    """A user's text on one line, within quotes, shortened."""
    return repr(text if len(text) <= most else f"{text[:most]}...")


def _written(value: float | None) -> str:
    if value is None or np.isnan(value):
        return ""
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)


def _likely(wanted: str, offered: Iterable[str]) -> str:
    """The column that is likely the wanted one, by another usual name or a like spelling; "" where none is."""
    by_key = {re.sub("[^a-z0-9]+", "_", column.lower()).strip("_"): column for column in offered}
    usual = next((by_key[name] for name in (wanted, *OTHER_NAMES.get(wanted, ())) if name in by_key), "")
    near = difflib.get_close_matches(wanted, by_key, n=1, cutoff=0.6)
    return usual or (by_key[near[0]] if near else "")


def _advice(text: str) -> str:
    if re.fullmatch(COMMA_NUMBER, text):
        return "write a decimal point and no mark of thousands"
    if text.lower().lstrip("+-") in ("inf", "infinity"):
        return "leave it empty where it is not known"
    return "write the number alone, or leave it empty"
