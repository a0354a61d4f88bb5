"""Cards of data sets: Croissant 1.1, with GeoCroissant 1.0 where there are rasters, written and read by mlcroissant.

A card lists files by size and sha256, the licence and where the data come from. Nothing is fetched: a card with a
context that is no object of plain names is refused, as its reader would follow addresses in it. Sources: Croissant
Format Specification 1.1 and GeoCroissant Format Specification 1.0 (MLCommons, 29 January 2026).
"""

import copy
import hashlib
import logging
import math
import mimetypes
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from mainstem.core.errors import InputError, MissingExtraError
from mainstem.core.schema import printable, read_object
from mainstem.data.catalogue import HOST, DataSet, read_catalogue
from mainstem.data.rights import CROISSANT, SHARDS, Rights, is_licence, rights_in, rights_of
from mainstem.data.shards import is_baked, read_record

VERSION = "http://mlcommons.org/croissant/1.1"
GEO = "http://mlcommons.org/croissant/geo/"
NEW_NAMES: Mapping[str, Any] = {  # of 1.1, beside those of 1.0
    "arrayShape": "cr:arrayShape", "containedIn": "cr:containedIn", "isArray": "cr:isArray",
    "description": {"@container": "@language"}, "name": {"@container": "@language"},
}  # fmt: skip
KINDS = {
    ".arrow": "application/vnd.apache.arrow.file", ".parquet": "application/vnd.apache.parquet",
    ".tif": "image/tiff; application=geotiff", ".tiff": "image/tiff; application=geotiff",
    ".dcm": "application/dicom", ".nii": "application/x-nifti", ".gpkg": "application/geopackage+sqlite3",
}  # fmt: skip
ANY_KIND = "application/octet-stream"
MOST_FILES = 100_000  # a larger set is baked first: its shards are few
RASTERS = (".tif", ".tiff")


@dataclass(frozen=True, kw_only=True)
class CardFile:
    """One file: its path in the folder or its address, size in bytes, sha256; "" where a card states none of it."""

    name: str
    size: int
    sha256: str
    address: str = ""


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a card says; `extra` are further entries of JSON-LD, as of GeoCroissant."""

    name: str
    description: str
    rights: Rights
    attribution: str
    files: Sequence[CardFile]
    extra: Mapping[str, Any] = field(default_factory=dict)


def card_of(name_or_path: str, licence: str = "", source: str = "") -> Card:
    """Describe a set of the catalogue, a baked set, or a folder or file, whose bytes are then hashed.

    Args:
        name_or_path: of the data.
        licence: of files of one's own; else what their card says already.
        source: where these come from.

    Raises:
        InputError: if there are no such data, or nobody says by which right they are used.
    """
    if (known := read_catalogue().get(name_or_path)) is not None:
        return _of_catalogue(known)
    path = Path(name_or_path)
    stated = rights_of(path)
    rights = Rights(licence or stated.licence, source or stated.source, is_stated=True)
    if not is_licence(rights.licence) or not rights.source:
        raise InputError(f"nothing says by which right {path} is used; add --licence LICENCE --source ADDRESS")
    if not path.exists():
        raise InputError(f"{path} is simulated when it is read, and has no files to list; bake it, and card the shards")
    if is_baked(path):
        return _of_shards(path, rights)
    files = list(_hashed(path))
    return Card(
        name=path.resolve().name,
        description=f"{len(files)} files of {path.resolve().name}",
        rights=rights,
        attribution="",
        files=files,
        extra=_footprint([path / file.name if path.is_dir() else path for file in files]),
    )


def _of_catalogue(known: DataSet) -> Card:
    base = f"https://{HOST}/{known.repository}/{known.commit}"
    lies = {file.name: f"{base}/{file.upstream}" if file.upstream else "" for file in known.files}
    return Card(
        name=known.name,
        description=". ".join([known.title, f"Scale: {known.scale}", *known.known_faults]),
        rights=rights_of(known.name),
        attribution=known.attribution,
        files=[
            CardFile(name=file.name, size=file.size, sha256=file.sha256, address=lies[file.name])
            for file in known.files
        ],
    )


def _of_shards(folder: Path, rights: Rights) -> Card:
    record = read_record(folder)
    text = (folder / SHARDS).read_bytes()
    own = CardFile(name=SHARDS, size=len(text), sha256=hashlib.sha256(text).hexdigest())
    streams = ", ".join(f"{name} ({kind})" for name, kind in sorted(record.streams.items()))
    return Card(
        name=record.name,
        description=f"{record.num} samples in shards of Arrow's file format; streams: {streams}",
        rights=rights,
        attribution=record.attribution,
        files=[own, *(CardFile(name=file.name, size=file.size, sha256=file.sha256) for file in record.files)],
    )


def _hashed(path: Path) -> Iterator[CardFile]:
    """Files of a folder, or the one of a path, but for hidden ones, links and cards.

    Raises:
        InputError: if there are too many, or none.
    """
    root = path if path.is_dir() else path.parent
    paths = (
        sorted(each for each in path.rglob("*") if _is_native(each, path)) if path.is_dir() else [path] * path.is_file()
    )
    if not 0 < len(paths) <= MOST_FILES:
        raise InputError(f"{path} holds {len(paths)} files, want 1 to {MOST_FILES}; bake larger sets, and card those")
    for each in paths:
        with each.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        yield CardFile(name=each.relative_to(root).as_posix(), size=each.stat().st_size, sha256=sha256)


def _is_native(path: Path, folder: Path) -> bool:
    is_hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return path.is_file() and not path.is_symlink() and not is_hidden and not path.name.endswith(CROISSANT)


def _footprint(paths: Sequence[Path]) -> dict[str, Any]:
    """What GeoCroissant says of GeoTIFFs: their extent in degrees, and CRS and resolution where they share them."""
    boxes, frames, sizes = [], set(), set()
    for path in paths:
        if path.suffix.lower() in RASTERS and (found := _placed(path)) is not None:
            boxes.append(found[0])
            frames.add(found[1])
            sizes.add(found[2])
    if not boxes:
        return {}
    west, south, east, north = (
        pick(side) for pick, side in zip((min, min, max, max), zip(*boxes, strict=True), strict=True)
    )
    place = {"@type": "GeoShape", "box": f"{south:.6f} {west:.6f} {north:.6f} {east:.6f}"}
    said: dict[str, Any] = {"spatialCoverage": {"@type": "Place", "geo": place}}
    if len(frames) == 1:
        said["geocr:coordinateReferenceSystem"] = frames.pop()
    if len(sizes) == 1:
        value, unit = sizes.pop()
        said["geocr:spatialResolution"] = {"@type": "QuantitativeValue", "value": value, "unitText": unit}
    return said


def _placed(path: Path) -> tuple[tuple[float, ...], str, tuple[float, str]] | None:
    """West, south, east and north of a GeoTIFF, its CRS, its resolution and unit; None of one that lies nowhere.

    Raises:
        InputError: if it cannot be read.
    """
    from mainstem.data.earth.crs import to_wgs84
    from mainstem.data.earth.raster import open_geotiff

    with open_geotiff(path) as dataset:
        if (crs := dataset.crs) is None:
            return None
        box = to_wgs84(crs.to_wkt(), path.name).transform_bounds(*dataset.bounds)
        is_on_earth = all(map(math.isfinite, box)) and -90 <= box[1] <= box[3] <= 90
        unit = "degree" if crs.is_geographic else str(crs.linear_units)
        return (box, crs.to_string(), (abs(dataset.res[0]), unit)) if is_on_earth else None


def as_json(card: Card) -> dict[str, Any]:
    """Return a card in JSON-LD, checked by mlcroissant.

    Raises:
        InputError: if mlcroissant refuses it.
    """
    mlc = load_mlcroissant()
    with _quiet():
        context = mlc.Context(conforms_to=VERSION)
        files = [
            mlc.FileObject(
                ctx=context,
                id=f"file-{number:05}",
                name=file.name,
                content_url=file.address or file.name,
                content_size=f"{file.size} B",
                encoding_formats=[_kind(file.name)],
                sha256=file.sha256,
            )
            for number, file in enumerate(card.files)
        ]
        context.rdf.context |= NEW_NAMES
        source = card.rights.source
        written: dict[str, Any] = mlc.Metadata(
            ctx=context,
            name=card.name,
            description=card.description,
            license=[card.rights.licence],
            cite_as=card.attribution or None,
            url=source if source.startswith(("https://", "http://")) else None,
            distribution=files,
        ).to_json()
    written = {**written, "isBasedOn": source, **card.extra}
    if card.extra:
        written["@context"] = {**written["@context"], "geocr": GEO}
        written["conformsTo"] = [VERSION, f"{GEO}1.0"]
    _parsed(written, card.name)
    return written


def read_card(path: Path) -> Card:
    """Read a card: its licence, source and files.

    Raises:
        InputError: if it is no Croissant, or has contexts that its reader might fetch.
    """
    facts = read_object(path, InputError)
    if outside := next(_outside(facts), ""):
        raise InputError(f"{path} has the context {outside}, which is not fetched; write its names out as one object")
    metadata = _parsed(facts, str(path))
    return Card(
        name=str(metadata.name),
        description=str(metadata.description or ""),
        rights=rights_in(facts),
        attribution=str(metadata.cite_as or ""),
        files=[_listed(file) for file in metadata.distribution],
        extra={name: value for name, value in facts.items() if name.startswith("geocr:") or name == "spatialCoverage"},
    )


def place_of(name_or_path: str) -> Path:
    """Where the card of data is looked for; that of a set of the catalogue is written where one stands."""
    path = Path(name_or_path)
    return path / CROISSANT if path.is_dir() else path.with_name(f"{path.name}.{CROISSANT}")


def _listed(file: Any) -> CardFile:  # noqa: ANN401 - mlcroissant's FileObject or FileSet
    """An entry of a card; of what lies in another file, as in an archive, no sha256 is a whole file's."""
    is_beside = getattr(file, "content_url", None) and not file.contained_in
    return CardFile(
        name=str(file.content_url if is_beside else file.name or file.id),
        size=_bytes(getattr(file, "content_size", "")),
        sha256=str(file.sha256 or "").lower() if is_beside else "",
    )


def _kind(name: str) -> str:
    return KINDS.get(Path(name).suffix.lower()) or mimetypes.guess_type(name)[0] or ANY_KIND


def _bytes(text: object) -> int:
    number = str(text or "").removesuffix("B").strip()
    return int(number) if number.isdecimal() and len(number) < 20 else 0


def _outside(facts: Mapping[str, Any]) -> Iterator[str]:
    """Contexts, at any depth, that are no objects of plain names: their reader fetches what addresses they hold."""
    waiting: list[Any] = [facts]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            context = value.get("@context", {})
            if "@import" in value or not isinstance(context, dict):
                yield printable(value.get("@import", context)) or "of no name"
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def _parsed(facts: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - mlcroissant's Metadata
    mlc = load_mlcroissant()
    try:
        with _quiet():
            return mlc.Dataset(jsonld=copy.deepcopy(facts)).metadata  # it writes into what it reads
    except Exception as error:  # of damaged JSON-LD it raises anything
        raise InputError(f"{name} is no Croissant ({printable(error, 300)}); mend it") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """What mlcroissant would recommend is no fault."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)


def load_mlcroissant() -> Any:  # noqa: ANN401 - a module without types
    """Import mlcroissant, late.

    Raises:
        MissingExtraError: if it is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        return import_module("mlcroissant")
    except ImportError as error:
        raise MissingExtraError("mlcroissant", "datasets") from error
