"""Kinds of files that harvests are read from, told by their names alone, before anything large is loaded."""

from collections.abc import Sequence
from pathlib import Path

from mainstem.core.errors import InputError

TABLES, SHAPES = (".csv", ".parquet"), (".shp", ".zip", ".gpkg")
WORKBOOKS = (".xlsx", ".xls", ".ods", ".xlsm")  # refused by what they hold
PACKED = (".gz", ".bz2", ".xz", ".zst", ".7z", ".rar")


def check_kinds(paths: Sequence[Path]) -> None:
    """Refuse a file that is no log by its name.

    Raises:
        InputError: naming it, and what is wanted.
    """
    for path in paths:
        kind = path.suffix.lower()
        if path.is_dir() or kind in (*TABLES, *SHAPES, *WORKBOOKS, ".xml"):
            continue
        wanted = f"want a log as {', '.join((*SHAPES, *TABLES))}, or TASKDATA.XML"
        raise InputError(f"got {path.name!r:.80}, {wanted}" + ("; unpack it first" if kind in PACKED else ""))
