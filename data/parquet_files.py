"""Parquet files to columns of text and numbers; what a file claims to hold is weighed before any of it is read."""

from pathlib import Path
from typing import Any

import numpy as np

from mainstem.core.errors import InputError
from mainstem.data.csv_files import MAX_CELLS, MAX_COLUMNS, Cells

MAX_FOOTER_BYTES = 16 << 20
MAX_UNPACKED_BYTES = 512 << 20
MAGIC = b"PAR1"


def read_parquet(path: Path) -> Cells:
    """Read the cells of a Parquet file: floats as float64, all else as text.

    Raises:
        InputError: if it is damaged, claims more than fits, or a column is neither text, number nor time.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with open_parquet(path) as file:
            texts = [field.name for field in file.schema_arrow if pa.types.is_large_string(field.type)]
            texts += [field.name for field in file.schema_arrow if pa.types.is_string(field.type)]
        with parquet.ParquetFile(path, read_dictionary=texts, pre_buffer=False) as file:
            table = file.read(use_threads=False)
        names = [name for name in table.column_names if not name.startswith("__index_level_")]
        columns = {name.strip(): _plain(table[name], f"{path.name}, column {name!r}") for name in names}
    except (pa.ArrowException, OSError, ValueError, KeyError, OverflowError, MemoryError) as error:
        raise InputError(f"{path.name} cannot be read as Parquet ({_first_line(error)}); write it again") from error
    if len(columns) < len(names):
        raise InputError(f"{path.name} has two columns of one name; rename or drop one")
    if not table.num_rows or not columns:
        raise InputError(f"{path.name} holds no rows; want a row for each case")
    return Cells(columns=columns, rows=np.arange(1, table.num_rows + 1), separator=",")


def open_parquet(path: Path) -> Any:  # noqa: ANN401 - pyarrow's ParquetFile
    """Open a Parquet file whose claims have been weighed; nothing but its footer has been read.

    Raises:
        InputError: if it is no whole Parquet file, or claims more than fits.
        pyarrow.ArrowException, OSError, ValueError: if its footer is damaged.
    """
    from pyarrow import parquet

    _check_footer(path)
    file = parquet.ParquetFile(
        path,
        thrift_string_size_limit=MAX_FOOTER_BYTES,
        thrift_container_size_limit=MAX_FOOTER_BYTES,
        page_checksum_verification=True,
        pre_buffer=False,
    )
    _check_claims(file.metadata, path.name)
    return file


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _check_footer(path: Path) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(4)
        file.seek(max(0, size - 8))
        length, tail = int.from_bytes(file.read(4), "little"), file.read(4)
    if head != MAGIC or tail != MAGIC or length > size:
        raise InputError(f"{path.name} is no whole Parquet file; write or fetch it again")
    if length > MAX_FOOTER_BYTES:
        raise InputError(f"{path.name} has a footer of {length >> 20} MiB, want at most 16; leave columns out")


def _check_claims(metadata: Any, name: str) -> None:  # noqa: ANN401 - pyarrow's FileMetaData
    if metadata.num_columns > MAX_COLUMNS:
        raise InputError(f"{name} has {metadata.num_columns} columns, want at most {MAX_COLUMNS}; leave some out")
    cells = metadata.num_rows * metadata.num_columns
    if cells > MAX_CELLS:
        raise InputError(f"{name} claims {cells} cells, want at most {MAX_CELLS}; split it or leave columns out")
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    unpacked = sum(group.total_byte_size for group in groups)
    if unpacked > MAX_UNPACKED_BYTES or any(group.total_byte_size < 0 for group in groups):
        raise InputError(f"{name} claims {unpacked >> 20} MiB, want at most {MAX_UNPACKED_BYTES >> 20}; split it")


def _plain(column: Any, where: str) -> Any:  # noqa: ANN401 - pyarrow's ChunkedArray
    """A column as float64 or text; a missing text is the empty one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return column.cast(pa.float64())
    if pa.types.is_dictionary(kind):
        if not (pa.types.is_string(kind.value_type) or pa.types.is_large_string(kind.value_type)):
            column = column.cast(kind.value_type)
            return _plain(column, where)
        _check_length(column, where)
    known = (pa.types.is_integer, pa.types.is_boolean, pa.types.is_string, pa.types.is_large_string,
             pa.types.is_temporal, pa.types.is_null, pa.types.is_dictionary)  # fmt: skip
    if not any(is_kind(kind) for is_kind in known) or pa.types.is_duration(kind):
        raise InputError(f"{where} holds {kind}, want text, numbers or times; convert or drop it")
    return pc.fill_null(column.cast(pa.string()), "")


def _check_length(column: Any, where: str) -> None:  # noqa: ANN401 - pyarrow's ChunkedArray
    """Weigh what a dictionary of few long texts becomes when every row is written out."""
    import pyarrow.compute as pc

    total = 0
    for chunk in column.chunks:
        lengths = np.asarray(pc.fill_null(pc.binary_length(chunk.dictionary), 0), np.int64)
        indices = np.asarray(pc.fill_null(chunk.indices, 0), np.int64)
        total += int(lengths[indices].sum()) if len(lengths) else 0
    if total > MAX_UNPACKED_BYTES:
        raise InputError(f"{where} unpacks to {total >> 20} MiB of text; shorten or drop it")
