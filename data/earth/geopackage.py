"""GeoPackages looked into by Python's sqlite3, read only and without their code, before GDAL opens them."""

import re
import sqlite3
import urllib.parse
from pathlib import Path
from typing import Any

from mainstem.core.errors import InputError
from mainstem.data.earth.crs import parse_crs

# OGC 12-128r19, GeoPackage 1.4, table 1 and requirement 2: SQLite's magic, and the application's identity
START, IDENTITY, IDENTITY_AT = b"SQLite format 3\0", (b"GPKG", b"GP10", b"GP11"), 68
TABLE = re.compile(r"CREATE\s+TABLE\s", re.IGNORECASE)
RTREE = re.compile(r'CREATE\s+VIRTUAL\s+TABLE\s+(?:"[^"]*"|\w+)\s+USING\s+rtree\s*\(', re.IGNORECASE)
MOST_COLUMNS = 1000
STEPS, MOST_CALLS = 1_000_000, 500  # of SQLite's machine between calls; calls before it is stopped: some seconds
UNDEFINED = (0, -1)  # srs_id: none known (OGC 12-128r19, requirement 11)


def check_geopackage(path: Path, where: str) -> str:
    """Return the one layer of features; nothing in the file is run, and nothing beside it is opened.

    Raises:
        InputError: if it is no GeoPackage, holds none or several layers, a view or computed columns in place of a
            table, a foreign virtual table, no CRS, or changes that another program has not finished.
    """
    with path.open("rb") as file:
        header = file.read(100)
    if not header.startswith(START) or header[IDENTITY_AT : IDENTITY_AT + 4] not in IDENTITY:
        raise InputError(f"{where} is not what its name says (no GeoPackage's first bytes); export the fields again")
    for beside in ("-wal", "-journal"):
        rest = path.resolve().with_name(path.resolve().name + beside)
        if rest.exists() and rest.stat().st_size:
            raise InputError(
                f"{where} has changes in {rest.name} that are not in it yet; close it in the other program"
            )
    address = f"file:{urllib.parse.quote(str(path.resolve()))}?mode=ro&immutable=1"
    try:
        connection = sqlite3.connect(address, uri=True)
        try:
            return _layer(_guarded(connection), where)
        finally:
            connection.close()
    except (sqlite3.Error, UnicodeError, ValueError) as error:
        raise InputError(f"{where} is damaged ({error!s:.100}); export the fields again") from error


def _guarded(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Bar a connection from functions in the schema, from writing, and from running on."""
    calls = [0]

    def stop() -> int:
        calls[0] += 1
        return int(calls[0] > MOST_CALLS)

    connection.text_factory = lambda held: held.decode("utf-8", "replace")
    connection.set_progress_handler(stop, STEPS)
    connection.execute("PRAGMA trusted_schema=OFF")
    connection.execute("PRAGMA query_only=ON")
    return connection


def _layer(connection: sqlite3.Connection, where: str) -> str:
    schema = connection.execute("SELECT type, name, sql FROM sqlite_master").fetchall()
    for kind, name, sql in schema:
        if kind == "table" and not (TABLE.match(str(sql)) or RTREE.match(str(sql))):
            raise InputError(f"{where} holds the virtual table {str(name)[:40]!r}; export the fields to a new .gpkg")
    layers = connection.execute("SELECT table_name FROM gpkg_contents WHERE data_type = 'features'").fetchall()
    if len(layers) != 1:
        told = ", ".join(str(name)[:30] for (name,) in layers[:5])
        raise InputError(
            f"{where} holds {len(layers)} layers of shapes{told and f' ({told})'}, want one; export it alone"
        )
    name = layers[0][0]
    if not isinstance(name, str) or ("table", name) not in {(kind, held) for kind, held, _ in schema}:
        raise InputError(f"the layer {str(name)[:40]!r} of {where} is no table; export the fields to a new .gpkg")
    columns = connection.execute("SELECT hidden FROM pragma_table_xinfo(?)", (name,)).fetchall()
    if any(hidden for (hidden,) in columns) or not 0 < len(columns) <= MOST_COLUMNS:
        raise InputError(f"the layer {name[:40]!r} of {where} has computed or too many columns; export it again")
    _check_crs(connection, name, where)
    return name


def _check_crs(connection: sqlite3.Connection, layer: str, where: str) -> None:
    query = (
        "SELECT g.srs_id, s.organization, s.organization_coordsys_id, s.definition FROM gpkg_geometry_columns g "
        "LEFT JOIN gpkg_spatial_ref_sys s ON s.srs_id = g.srs_id WHERE g.table_name = ?"
    )
    found: list[tuple[Any, ...]] = connection.execute(query, (layer,)).fetchall()
    if len(found) != 1:
        raise InputError(f"the layer {layer[:40]!r} of {where} has {len(found)} geometries, want one; export it again")
    identity, organisation, code, definition = found[0]
    if identity in UNDEFINED or organisation is None:
        raise InputError(f"{where} has no CRS; set it in a GIS, it is not guessed")
    if str(organisation).upper() == "EPSG":
        parse_crs(f"EPSG:{code}", where)
    if str(organisation).upper() != "EPSG" or str(definition).strip().lower() not in ("", "undefined"):
        parse_crs(definition, where)
