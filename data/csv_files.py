"""CSV files to columns of text, whatever their encoding and separator: what was understood is said, the rest refused.

A file is read in one pass, cell by cell, so that memory follows its size and every cell keeps the row it stood in.
Encodings, separators, ragged rows and open quotes are settled here, before anything is taken for a number.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError

MAX_COLUMNS = 10_000
MAX_CELLS = 30_000_000  # of which text and numbers together stay below 2 GiB
MAX_HEADER_BYTES = 1 << 20
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe\x00\x00", "utf-32"), (b"\x00\x00\xfe\xff", "utf-32"),
         (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))  # fmt: skip
FLUSH_CELLS = 500_000  # held as Python text at a time
CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True, eq=False)
class Cells:
    """Columns of text as they stood (pyarrow), by name; `rows` counts as a spreadsheet does, blank rows included."""

    columns: dict[str, Any]
    rows: NDArray[np.int64]
    separator: str
    notes: tuple[str, ...] = ()


def read_csv(path: Path) -> Cells:
    """Read the cells of a CSV file.

    Raises:
        InputError: if it is no text, too large, ragged, or its header leaves a column unclear.
    """
    encoding, notes = _encoding(path)
    try:
        with path.open(encoding=encoding, newline="") as file:
            return _read(file, path.name, notes)
    except UnicodeDecodeError as error:
        raise InputError(f"{path.name} is no {encoding} text ({error.reason}); save it as CSV UTF-8") from error


def _read(file: io.TextIOBase, name: str, notes: list[str]) -> Cells:
    lines = _lines(file, name)
    header, separator, skipped = _header(lines, name)
    if separator != ",":
        notes.append(f"columns are separated by {SEPARATORS[separator]}")
    chunks, rows = [], []
    for found, numbers in _batches(lines, separator, header, name, skipped):
        chunks.append(found)
        rows.append(numbers)
    if not chunks:
        raise InputError(f"{name} holds no rows; want a header and a row for each case")
    columns = _columns(header, chunks)
    if "" in columns and not any(columns[""].to_pylist()):
        del columns[""]  # what a separator at the end of each line leaves
    return Cells(columns=columns, rows=np.concatenate(rows), separator=separator, notes=tuple(notes))


def _encoding(path: Path) -> tuple[str, list[str]]:
    """The file's encoding, and what has to be said of it."""
    with path.open("rb") as file:
        head = file.read(4)
    for mark, encoding in MARKS:
        if head.startswith(mark):
            return encoding, [] if encoding == "utf-8-sig" else [f"read as {encoding.upper()}"]
    if _decodes(path, "utf-8"):
        return "utf-8", []
    if not _decodes(path, "cp1252"):
        raise InputError(f"{path.name} is neither UTF-8 nor Windows-1252 text; save it as CSV UTF-8")
    return "cp1252", [f"is no UTF-8, read as Windows-1252; check {_first_foreign(path)!r}, or save it as CSV UTF-8"]


def _decodes(path: Path, encoding: str) -> bool:
    try:
        with path.open(encoding=encoding, newline="") as file:
            while file.read(CHUNK):
                pass
    except UnicodeDecodeError:
        return False
    return True


def _first_foreign(path: Path) -> str:
    """The first word beyond ASCII, so that a user can see whether it was read rightly."""
    with path.open(encoding="cp1252", newline="") as file:
        while text := file.read(CHUNK):
            at = next((index for index, letter in enumerate(text) if not letter.isascii()), None)
            if at is not None:
                left, right = text[max(0, at - 20) : at], text[at : at + 20]
                seams = str.maketrans(dict.fromkeys('\r\n"\t;,|', "\n"))
                return left.translate(seams).rsplit("\n", 1)[-1] + right.translate(seams).split("\n", 1)[0]
    return ""


def _lines(file: io.TextIOBase, name: str) -> Iterator[str]:
    for line in iter(lambda: file.readline(MAX_HEADER_BYTES), ""):
        if len(line) == MAX_HEADER_BYTES:
            raise InputError(f"{name} holds a line of more than {MAX_HEADER_BYTES} letters; want rows, one a line")
        if "\0" in line:
            raise InputError(f"{name} holds NUL bytes, so it is no text or a damaged one; save it as CSV UTF-8 again")
        yield line


def _header(lines: Iterator[str], name: str) -> tuple[list[str], str, int]:
    """Column names, the separator, and how many lines were read for them; the most columns decide."""
    read, first = next(((number, line) for number, line in enumerate(lines, 1) if line.strip()), (1, ""))
    if first.lower().startswith("sep=") and len(first.strip()) <= 5:  # what Excel writes to name its separator
        first, read = next(lines, ""), read + 1
    if not first.strip():
        raise InputError(f"{name} is empty, it holds no rows; want a header and a row for each case")
    most = max(SEPARATORS, key=first.count)
    if first.count(most) >= MAX_COLUMNS:
        raise InputError(f"{name} has {first.count(most) + 1} columns, want at most {MAX_COLUMNS}; leave some out")
    found = {separator: _split(first, separator) for separator in SEPARATORS}
    separator = max(found, key=lambda mark: len(found[mark]))
    if not found[most] or not found[separator]:
        raise InputError(f"{name}: the header cannot be read; close its quotes")
    return _names(found[separator], name), separator, read


def _split(header: str, separator: str) -> list[str]:
    """The header's names, none where its quotes do not close."""
    try:
        return next(csv.reader([header], delimiter=separator, strict=True, skipinitialspace=True))
    except csv.Error:
        return []


def _names(header: Sequence[str], name: str) -> list[str]:
    names = [column.strip().strip("\ufeff") for column in header]
    for index, column in enumerate(names):
        if column and column in names[:index]:
            raise InputError(f"{name} has two columns {column[:60]!r}; rename or drop one")
        if not column and "" in names[:index] and set(names[index:]) != {""}:
            raise InputError(f"{name}: columns {names.index('') + 1} and {index + 1} have no name; name or drop them")
    return names


def _batches(
    lines: Iterator[str], separator: str, header: Sequence[str], name: str, skipped: int
) -> Iterator[tuple[list[Any], NDArray[np.int64]]]:
    """Columns of text of so many rows at a time, with the rows' numbers; rows without any value are left out."""
    import pyarrow as pa

    reader = csv.reader(lines, delimiter=separator, strict=True, skipinitialspace=True)
    width, number, total = len(header), skipped, 0
    held: list[list[str]] = []
    numbers: list[int] = []
    batch = max(1, FLUSH_CELLS // width)
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise InputError(f"{name}, row {number + 1}: {error}; close the quotes, or write them twice") from error
        number += 1
        if row is None or len(held) == batch:
            if held:
                yield [pa.array(column, pa.string()) for column in zip(*held, strict=True)], np.array(numbers)
            held, numbers = [], []
        if row is None:
            return
        if not any(row):
            continue
        total += width
        _check_row(row, width, f"{name}, row {number}", total)
        held.append(row)
        numbers.append(number)


def _check_row(row: Sequence[str], width: int, where: str, total: int) -> None:
    if len(row) != width:
        raise InputError(f"{where} holds {len(row)} values, the header {width} names; mend that row")
    if total > MAX_CELLS:
        raise InputError(f"{where}: more than {MAX_CELLS} cells; split the table or leave columns out")


def _columns(header: Sequence[str], chunks: Sequence[Sequence[Any]]) -> dict[str, Any]:
    import pyarrow as pa

    columns: dict[str, Any] = {}
    for index, column in enumerate(header):
        found = pa.chunked_array([chunk[index] for chunk in chunks])
        if column or column not in columns or any(found.to_pylist()):
            columns[column] = found
    return columns
