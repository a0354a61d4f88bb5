"""Vector files opened by what they hold, not by their name: GeoJSON, GeoPackage, Shapefile, KML, and nothing else."""

import re
import struct
import tempfile
import warnings
import xml.parsers.expat
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mainstem.core.errors import InputError
from mainstem.data.earth.crs import parse_crs
from mainstem.data.earth.gdal import load_geopandas, load_pyogrio
from mainstem.data.earth.geojson import not_as_named, read_geojson
from mainstem.data.earth.geopackage import check_geopackage
from mainstem.data.earth.isoxml.borders import read_borders
from mainstem.data.earth.isoxml.taskdata import TASKDATA
from mainstem.data.limits import bounded_memory, check_beside

if TYPE_CHECKING:
    import geopandas as gpd

LARGEST_BYTES, LARGEST_TEXT = 256 << 20, 64 << 20  # of a file; of GeoJSON and KML, which take 20 times that in memory
MOST_VERTICES, MOST_COLUMNS = 5_000_000, 1000
DEEPEST = 100  # elements of KML within one another
LONG, LAT = 180.0, 90.0  # degrees
LIMIT = 1e-6  # degrees beyond them that rounding makes
SHAPE_CODE = 9994  # ESRI Shapefile Technical Description (1998), main file header; the next line: its types
POLYGONS, POINTS = (5, 15, 25), (1, 11, 21)
COMPANIONS = (".shx", ".dbf", ".prj", ".cpg")
NEEDED = (".shp", ".shx", ".dbf")
CODE_PAGE = re.compile(r"[\w .:-]{0,40}", re.ASCII)


def read_vectors(path: Path) -> "gpd.GeoDataFrame":
    """Read the polygons of one file in its own CRS, in two dimensions.

    Raises:
        InputError: if it is not what its name says, leads to another file or host, has no CRS, or holds coordinates
            that are none.
    """
    if path.name.upper() == TASKDATA:  # by its whole name: other .xml lie beside rasters and scenes
        with bounded_memory(path.name):
            return _checked(read_borders(path, path.name), path.name)
    if path.suffix.lower() not in READERS:
        raise InputError(f"got {path.name}, want fields as {', '.join(READERS)} or {TASKDATA}")
    if not path.is_file():
        raise InputError(f"no file {path}; give the fields' file")
    most = LARGEST_TEXT if path.suffix.lower() in (".geojson", ".json", ".kml") else LARGEST_BYTES
    if path.stat().st_size > most:
        raise InputError(f"{path.name} has {path.stat().st_size >> 20} MiB, at most {most >> 20} are read; cut it")
    load_geopandas()
    with bounded_memory(path.name):
        table = READERS[path.suffix.lower()](path, path.name)
        return _checked(table, path.name)


def read_points(path: Path) -> "gpd.GeoDataFrame":
    """Read the points of one Shapefile (also zipped) or GeoPackage in its own CRS, in two dimensions.

    Raises:
        InputError: as `read_vectors` does, or if a shape is no point.
    """
    readers = {".shp": _read_shapefile, ".zip": _read_zip}
    kind = path.suffix.lower()
    if not path.is_file():
        raise InputError(f"no file {path}; give the log's file")
    load_geopandas()
    if path.stat().st_size > LARGEST_BYTES:
        raise InputError(f"{path.name} has more than {LARGEST_BYTES >> 20} MiB, which are not read; cut it")
    with bounded_memory(path.name):
        found = readers[kind](path, path.name, POINTS) if kind in readers else _read_geopackage(path, path.name)
        table = _checked(found, path.name)
    for number, shape in enumerate(table.geom_type, 1):
        if shape != "Point":
            raise InputError(f"shape {number} of {path.name} is a {shape}, want points, as a combine logs them")
    return table


def _checked(table: "gpd.GeoDataFrame", where: str) -> "gpd.GeoDataFrame":
    """Refuse columns and coordinates that nothing can be made of."""
    import numpy as np
    import shapely

    names = [str(name) for name in table.columns]
    if len(names) > MOST_COLUMNS:
        raise InputError(f"{where} has {len(names)} columns, at most {MOST_COLUMNS} are read; leave some out")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{where} has two columns {twice!r}; rename one")
    shapes = table.geometry.to_numpy()
    if int(shapely.get_num_coordinates(shapes).sum()) > MOST_VERTICES:
        raise InputError(f"{where} has more than {MOST_VERTICES} vertices; simplify its borders")
    places, owners = shapely.get_coordinates(shapes, return_index=True)
    odd = ~np.isfinite(places).all(1)
    if odd.any():
        raise InputError(f"shape {owners[odd][0] + 1} of {where} has a coordinate that is no number; draw it again")
    if table.crs is None:
        raise InputError(f"{where} has no CRS; set it (a Shapefile needs its .prj), it is not guessed")
    if table.crs.is_geographic and len(places):
        _check_degrees(places, owners, where)
    return table.set_geometry(shapely.force_2d(shapes), crs=table.crs)


def _check_degrees(places: Any, owners: Any, where: str) -> None:  # noqa: ANN401 - numpy's
    import numpy as np

    away = np.abs(places) > (LONG + LIMIT, LAT + LIMIT)
    if not away.any():
        return
    row = int(np.nonzero(away.any(1))[0][0])
    x, y = places[row]
    is_swapped = not (np.abs(places[:, ::-1]) > (LONG + LIMIT, LAT + LIMIT)).any()
    hint = "longitude and latitude look swapped" if is_swapped else "its CRS is another, or the numbers are"
    raise InputError(f"shape {owners[row] + 1} of {where} lies at longitude {x:g}, latitude {y:g}; {hint}, mend it")


def _start(path: Path, size: int = 4096) -> bytes:
    with path.open("rb") as file:
        return file.read(size)


def _read_geopackage(path: Path, where: str) -> "gpd.GeoDataFrame":
    layer = check_geopackage(path, where)
    with _alone({".gpkg": path}) as folder:
        return _gdal(folder / "fields.gpkg", where, layer)


def _read_shapefile(path: Path, where: str, kinds: tuple[int, ...] = POLYGONS) -> "gpd.GeoDataFrame":
    if _start(path, 4) != struct.pack(">i", SHAPE_CODE):
        raise not_as_named(where, "no Shapefile's first bytes")
    return _shapefile(_parts(path), where, kinds)


def _parts(path: Path) -> dict[str, Path]:
    """A Shapefile's files by suffix, as far as they are there."""
    parts = {".shp": path}
    for suffix in COMPANIONS:
        found = [beside for beside in (path.with_suffix(suffix), path.with_suffix(suffix.upper())) if beside.exists()]
        if found:
            check_beside(found[0], path)
            parts[suffix] = found[0]
    return parts


def files_of(path: Path) -> list[Path]:
    """All that is read of a file of fields: itself, and of a Shapefile what belongs to it and nothing else."""
    return list(_parts(path).values()) if path.suffix.lower() == ".shp" else [path]


def _shapefile(parts: Mapping[str, Path], where: str, kinds: tuple[int, ...]) -> "gpd.GeoDataFrame":
    missing = [suffix for suffix in NEEDED if suffix not in parts]
    if missing:
        raise InputError(f"{where} lacks its {missing[0]}; give {', '.join(NEEDED)} and .prj together")
    if ".prj" not in parts:
        raise InputError(f"{where} has no CRS; set it (a Shapefile needs its .prj), it is not guessed")
    if parts[".prj"].stat().st_size > 1 << 16:
        raise InputError(f"the .prj of {where} is no CRS, it is too long; export the fields again")
    crs = parse_crs(parts[".prj"].read_text(encoding="utf-8-sig", errors="replace"), f"the .prj of {where}")
    _check_sizes(parts, where, kinds)
    with _alone({suffix: part for suffix, part in parts.items() if suffix != ".prj"}) as folder:
        return _gdal(folder / "fields.shp", where).set_crs(crs)


def _check_sizes(parts: Mapping[str, Path], where: str, kinds: tuple[int, ...]) -> None:
    """Compare what the headers claim with the files' sizes. Source: ESRI 1998; dBASE III header."""
    header, table = _start(parts[".shp"], 100), _start(parts[".dbf"], 32)
    if len(header) < 100 or len(table) < 32:
        raise InputError(f"{where} or its .dbf is cut short; export the fields again")
    words, kind = struct.unpack(">i", header[24:28])[0], struct.unpack("<i", header[32:36])[0]
    rows, start, width = struct.unpack("<IHH", table[4:12])
    if header[:4] != struct.pack(">i", SHAPE_CODE) or 2 * words != parts[".shp"].stat().st_size:
        raise InputError(f"{where} claims {2 * words} bytes and has {parts['.shp'].stat().st_size}; export it again")
    if start + rows * width > parts[".dbf"].stat().st_size + 1 or not width:
        raise InputError(f"the .dbf of {where} claims more rows than it holds; export the fields again")
    if 8 * rows + 100 != parts[".shx"].stat().st_size:
        raise InputError(f"{where} has another number of shapes than its .dbf has rows; export the fields again")
    if kind not in kinds:
        wanted = "polygons (5, 15 or 25); draw the borders" if kinds == POLYGONS else "points (1, 11 or 21)"
        raise InputError(f"{where} holds shapes of type {kind}, want {wanted}")
    if ".cpg" in parts and not CODE_PAGE.fullmatch(_start(parts[".cpg"]).decode("latin1").strip()):
        raise InputError(f"the .cpg of {where} names no code page; delete it or write UTF-8")


def _read_zip(path: Path, where: str, kinds: tuple[int, ...] = POLYGONS) -> "gpd.GeoDataFrame":
    """Read the one Shapefile in a .zip, unpacked here under names of our own."""
    if _start(path, 4) != b"PK\3\4":
        raise not_as_named(where, "no zip's first bytes")
    try:
        with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as folder:
            parts = {}
            for suffix, entry in _members(archive, where).items():
                parts[suffix] = Path(folder, f"packed{suffix}")
                with archive.open(entry) as source, parts[suffix].open("wb") as target:
                    _copy(source.read, target.write, entry.file_size, where)
            return _shapefile(parts, where, kinds)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{where} is no whole .zip ({error!s:.100}); pack it again") from error


def _members(archive: zipfile.ZipFile, where: str) -> dict[str, zipfile.ZipInfo]:
    """The parts of the one Shapefile in an archive, by suffix."""
    entries = [
        entry for entry in archive.infolist() if not entry.is_dir() and not entry.filename.startswith("__MACOSX/")
    ]
    for entry in entries:
        if (
            entry.filename.startswith(("/", "\\"))
            or ".." in re.split(r"[/\\]", entry.filename)
            or "\0" in entry.filename
        ):
            raise InputError(f"{where} holds a file named {entry.filename[:60]!r}, outside it; pack it again")
        if (entry.external_attr >> 16) & 0o170000 == 0o120000:
            raise InputError(f"{where} holds a link, {entry.filename[:60]!r}; pack the files themselves")
    shapes = [entry for entry in entries if entry.filename.lower().endswith(".shp")]
    if len(shapes) != 1:
        raise InputError(f"{where} holds {len(shapes)} Shapefiles, want one; pack its .shp, .shx, .dbf and .prj alone")
    stem, found = shapes[0].filename[:-4], {}
    for entry in entries:
        suffix = entry.filename[len(stem) :].lower()
        if entry.filename.startswith(stem) and suffix in (".shp", *COMPANIONS):
            if suffix in found:
                raise InputError(f"{where} holds {entry.filename[:60]!r} twice; pack it again")
            found[suffix] = entry
    size = sum(entry.file_size for entry in found.values())
    if size > LARGEST_BYTES:
        raise InputError(f"{where} unpacks to {size >> 20} MiB, at most {LARGEST_BYTES >> 20} are read; cut it")
    return found


def _copy(read: Callable[[int], bytes], write: Callable[[bytes], Any], claimed: int, where: str) -> None:
    written = 0
    while chunk := read(1 << 20):
        written += len(chunk)
        if written > claimed:
            raise InputError(f"{where} unpacks to more than it says; pack it again")
        write(chunk)


def _read_kml(path: Path, where: str) -> "gpd.GeoDataFrame":
    places = _check_kml(path, where)
    with _alone({".kml": path}) as folder:
        with _gdal_errors(folder / "fields.kml", where):
            layers = load_pyogrio().list_layers(folder / "fields.kml")
        tables = [_gdal(folder / "fields.kml", where, number) for number in range(len(layers))]
    tables = [table for table in tables if len(table)]
    if not tables:
        raise InputError(f"{where} holds no field; draw or export at least one")
    if sum(map(len, tables)) != places:
        raise InputError(f"{where} holds {places} placemarks, of which {sum(map(len, tables))} can be read; use .gpkg")
    import pandas as pd

    whole = pd.concat(tables, ignore_index=True) if len(tables) > 1 else tables[0]
    table: gpd.GeoDataFrame = load_geopandas().GeoDataFrame(whole, geometry=whole.geometry.name, crs=tables[0].crs)
    return table


def _check_kml(path: Path, where: str) -> int:
    """Count the placemarks of a KML that declares no entity and links to no other document."""
    parser, open_elements, places = xml.parsers.expat.ParserCreate(), [""], [0]

    def refuse_type(*_: object) -> None:
        raise not_as_named(where, "it declares a document type")

    def begin(name: str, _: object) -> None:
        local = name.rpartition(":")[2]
        open_elements.append(local)
        if len(open_elements) == 2 and local != "kml":
            raise not_as_named(where, f"its root is {local[:40]!r}, want kml")
        if local == "NetworkLink" or len(open_elements) > DEEPEST:
            raise InputError(f"{where} links to another document, which is not followed; export the fields themselves")
        places[0] += local == "Placemark"

    parser.StartDoctypeDeclHandler, parser.EntityDeclHandler = refuse_type, refuse_type
    parser.StartElementHandler, parser.EndElementHandler = begin, lambda _: open_elements.pop()
    try:
        with path.open("rb") as file:
            parser.ParseFile(file)
    except (xml.parsers.expat.ExpatError, ValueError, LookupError) as error:
        raise not_as_named(where, f"no KML: {error!s:.80}") from error
    return places[0]


@contextmanager
def _alone(parts: Mapping[str, Path]) -> Iterator[Path]:
    """A folder of our own where the parts of one file lie under one plain name, with nothing beside them."""
    with tempfile.TemporaryDirectory() as folder:
        for suffix, part in parts.items():
            Path(folder, f"fields{suffix}").symlink_to(part.resolve())
        yield Path(folder)


@contextmanager
def _gdal_errors(path: Path, where: str) -> Iterator[None]:
    """Turn what GDAL says of a file into one line."""
    import shapely

    errors = load_pyogrio().errors
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # GDAL's: what matters of a table is checked once it is read
            yield
    except (errors.DataSourceError, errors.DataLayerError, errors.FeatureError, errors.FieldError, errors.GeometryError,
            errors.CRSError, shapely.errors.ShapelyError, ValueError, TypeError) as error:  # fmt: skip
        told = " ".join(str(error).replace(str(path), where).split())
        raise InputError(f"{where} cannot be read ({told:.160}); export the fields again") from error


def _gdal(path: Path, where: str, layer: str | int | None = None) -> "gpd.GeoDataFrame":
    """Read one layer by GDAL."""
    with _gdal_errors(path, where):
        table: gpd.GeoDataFrame = load_pyogrio().read_dataframe(path, layer=layer, force_2d=True, use_arrow=False)
    if not hasattr(table, "geometry"):
        raise InputError(f"{where} holds a table without geometry; export the fields' borders with it")
    return table


READERS: Mapping[str, Callable[[Path, str], "gpd.GeoDataFrame"]] = {
    ".geojson": read_geojson, ".json": read_geojson, ".gpkg": _read_geopackage, ".shp": _read_shapefile,
    ".kml": _read_kml, ".zip": _read_zip,
}  # fmt: skip
