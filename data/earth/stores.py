"""Cubes looked into before a library opens them: codecs, links and sizes of Zarr folders and NetCDF files."""

import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mainstem.core.errors import InputError, MissingExtraError
from mainstem.data.earth.gdal import keep_offline
from mainstem.data.limits import measure_folder

LARGEST_METADATA, MOST_ARRAYS = 16 << 20, 1000
LARGEST_CHUNK = 512 << 20  # bytes unpacked: a chunk is read whole
LONGEST_AXIS = 10_000_000  # of one dimension: coordinates are read whole
BOMB_RATIO, BOMB_BYTES = 1100, 1 << 30  # DEFLATE packs at most 1032 to one; a small cube may be all fill
CODECS = {  # of numcodecs and zarr: they turn bytes into bytes or numbers; pickle and its like build what a file says
    "blosc", "zstd", "gzip", "zlib", "lz4", "bz2", "lzma", "shuffle", "delta", "bitround", "fixedscaleoffset",
    "quantize", "packbits", "astype", "crc32", "crc32c", "adler32", "fletcher32", "bytes", "transpose", "vlen-utf8",
}  # fmt: skip
TEXT_CODEC = "vlen-utf8"
TYPE_2 = re.compile(r"[<>|=]?([biufMmSU])(\d+)(?:\[\w+\])?")  # Zarr 2 specification, data type encoding
TYPE_3 = re.compile(r"(?:bool|(?:u?int|float)(8|16|32|64))")  # Zarr 3 core specification, data types
TEXTS_3 = ("string", "variable_length_utf8")
SIZED_3 = ("fixed_length_utf32", "fixed-length-utf32", "null_terminated_bytes")
TIMES_3 = ("numpy.datetime64", "numpy.timedelta64")
CLASSIC = (b"CDF\x01", b"CDF\x02", b"CDF\x05")  # NetCDF Classic, 64-bit offset, CDF-5
HDF5 = b"\x89HDF\r\n\x1a\n"
FILTERS = (1, 2, 3, 4, 5, 6)  # of HDF5 itself: deflate, shuffle, fletcher32, szip, nbit, scale-offset


@dataclass(frozen=True, kw_only=True)
class ArrayClaim:
    """What an array says of itself: its shape, that of a chunk, and bytes an item."""

    name: str
    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    item_bytes: int

    @property
    def bytes(self) -> int:
        """Unpacked size."""
        return math.prod(self.shape) * self.item_bytes


def check_zarr(folder: Path) -> None:
    """Read the metadata of a Zarr folder, versions 2 and 3, consolidated or not, and refuse what is not safe to open.

    Raises:
        InputError: for a codec that is not listed here, arrays of objects, links out of the folder, or sizes that its
            files cannot hold.
    """
    if not folder.is_dir():
        raise InputError(f"{folder.name} is no folder; unpack the Zarr")
    stored = measure_folder(folder)
    claims: dict[str, ArrayClaim] = {}
    for path in _metadata(folder):
        name = str(path.parent.relative_to(folder))
        for claim in _of_document(_json(path, folder), path.name, name, folder.name):
            claims[f"{path.name} {claim.name}"] = claim
    if not claims:
        raise InputError(f"{folder.name} holds no Zarr array; write it again")
    _check_claims(list(claims.values()), stored, folder.name)


def _metadata(folder: Path) -> Iterator[Path]:
    for place, _, files in os.walk(folder):
        yield from (Path(place, name) for name in files if name in (".zarray", ".zmetadata", "zarr.json"))


def _json(path: Path, folder: Path) -> Mapping[str, Any]:
    where = f"{path.relative_to(folder)} of {folder.name}"
    if path.stat().st_size > LARGEST_METADATA:
        raise InputError(f"{where} has {path.stat().st_size >> 20} MiB, at most {LARGEST_METADATA >> 20} are read")
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is no JSON ({error!s:.80}); write the cube again") from error
    if not isinstance(document, Mapping):
        raise InputError(f"{where} is a {type(document).__name__}, want an object; write the cube again")
    return document


def _of_document(document: Mapping[str, Any], kind: str, name: str, where: str) -> Iterator[ArrayClaim]:
    """The arrays that one metadata document describes."""
    if kind == ".zarray":
        yield _array_2(document, name, where)
    elif kind == ".zmetadata":
        for key, entry in _entries(document.get("metadata"), where):
            if key.endswith(".zarray"):
                yield _array_2(entry, key, where)
    elif document.get("node_type") == "array":
        yield _array_3(document, name, where)
    elif document.get("node_type") == "group":
        held = document.get("consolidated_metadata")
        for key, entry in _entries(held.get("metadata") if isinstance(held, Mapping) else held, where, may_lack=True):
            if entry.get("node_type") != "group":
                yield _array_3(entry, key, where)
    else:
        raise InputError(f"{name}/{kind} of {where} is neither array nor group; write the cube again")


def _entries(found: Any, where: str, may_lack: bool = False) -> Iterator[tuple[str, Mapping[str, Any]]]:  # noqa: ANN401
    if found is None and may_lack:
        return
    if not isinstance(found, Mapping) or not all(isinstance(entry, Mapping) for entry in found.values()):
        raise InputError(f"the consolidated metadata of {where} are no objects by name; write the cube again")
    yield from found.items()


def _array_2(entry: Mapping[str, Any], name: str, where: str) -> ArrayClaim:
    filters = entry.get("filters") or []
    compressor = entry.get("compressor")
    if not isinstance(filters, list):
        raise InputError(f"{name} of {where} has filters that are no list; write the cube again")
    used = [_codec(found, "id", name, where) for found in [*filters, *([] if compressor is None else [compressor])]]
    kind = entry.get("dtype")
    match = TYPE_2.fullmatch(kind) if isinstance(kind, str) else None
    is_text = kind == "|O" and used[:1] == [TEXT_CODEC]
    if not match and not is_text:
        raise InputError(
            f"{name} of {where} has the type {str(kind)[:40]!r}, want numbers or text; drop it from the cube"
        )
    if TEXT_CODEC in used and not is_text:
        raise InputError(f"{name} of {where} packs {str(kind)[:40]!r} as text; write the cube again")
    size = 16 if match is None else int(match[2]) * (4 if match[1] == "U" else 1)
    return _claim(name, where, entry.get("shape"), entry.get("chunks"), size)


def _array_3(entry: Mapping[str, Any], name: str, where: str) -> ArrayClaim:
    if entry.get("node_type") != "array" or entry.get("storage_transformers"):
        raise InputError(f"{name} of {where} is no plain array; write the cube again")
    _codecs_3(entry.get("codecs"), name, where, depth=0)
    grid = entry.get("chunk_grid")
    if (
        not isinstance(grid, Mapping)
        or grid.get("name") != "regular"
        or not isinstance(grid.get("configuration"), Mapping)
    ):
        raise InputError(f"{name} of {where} has chunks that are not regular; write the cube again")
    chunk = grid["configuration"].get("chunk_shape")
    return _claim(name, where, entry.get("shape"), chunk, _item_3(entry.get("data_type"), name, where))


def _item_3(found: Any, name: str, where: str) -> int:  # noqa: ANN401 - JSON
    """Bytes an item of a Zarr 3 type."""
    settings = found.get("configuration") if isinstance(found, Mapping) else None
    kind = found.get("name") if isinstance(found, Mapping) else found
    match = TYPE_3.fullmatch(kind) if isinstance(kind, str) else None
    length = settings.get("length_bytes") if isinstance(settings, Mapping) else None
    if match:
        return int(match[1] or 8) // 8
    if kind in TEXTS_3 or kind in TIMES_3:
        return 16
    if kind in SIZED_3 and isinstance(length, int) and 0 < length < 1 << 20:
        return length
    raise InputError(f"{name} of {where} has the type {str(kind)[:40]!r}, want numbers or text; drop it from the cube")


def _codecs_3(found: Any, name: str, where: str, depth: int) -> None:  # noqa: ANN401 - JSON
    if not isinstance(found, list) or depth > 2:
        raise InputError(f"{name} of {where} has no list of codecs; write the cube again")
    for entry in found:
        settings = entry.get("configuration") if isinstance(entry, Mapping) else None
        if isinstance(entry, Mapping) and entry.get("name") == "sharding_indexed" and isinstance(settings, Mapping):
            _codecs_3(settings.get("codecs"), name, where, depth + 1)
            _codecs_3(settings.get("index_codecs"), name, where, depth + 1)
        else:
            _codec({"name": entry} if isinstance(entry, str) else entry, "name", name, where)


def _codec(found: Any, key: str, name: str, where: str) -> str:  # noqa: ANN401 - JSON
    """The name of a codec that is listed, its parameters plain.

    Raises:
        InputError: for any other: some run code that the file holds.
    """
    told = found.get(key) if isinstance(found, Mapping) else found
    plain = told.removeprefix("numcodecs.") if isinstance(told, str) else ""
    if not isinstance(found, Mapping) or plain not in CODECS:
        raise InputError(f"{name} of {where} is packed by {str(told)[:40]!r}, want one of {', '.join(sorted(CODECS))}")
    settings = found.get("configuration") or found
    for field in ("dtype", "astype", "encode_dtype", "decode_dtype"):
        kind = settings.get(field) if isinstance(settings, Mapping) else None
        if kind is not None and not (isinstance(kind, str) and (TYPE_2.fullmatch(kind) or TYPE_3.fullmatch(kind))):
            raise InputError(f"{name} of {where} is packed as {str(kind)[:40]!r}, want numbers; write the cube again")
    return plain


def _claim(name: str, where: str, shape: Any, chunk: Any, item_bytes: int) -> ArrayClaim:  # noqa: ANN401 - JSON
    for found, least in ((shape, 0), (chunk, 1)):
        is_list = isinstance(found, list) and len(found) <= 16
        if not is_list or any(type(n) is not int or not least <= n < 1 << 48 for n in found):
            raise InputError(
                f"{name} of {where} has the shape {str(found)[:60]}, want whole numbers; write the cube again"
            )
    return ArrayClaim(name=name, shape=tuple(shape), chunk=tuple(chunk), item_bytes=item_bytes)


def _check_claims(claims: list[ArrayClaim], stored: int, where: str) -> None:
    """Refuse sizes that the stored bytes cannot hold, and chunks or coordinates that memory cannot."""
    if len(claims) > MOST_ARRAYS:
        raise InputError(f"{where} holds {len(claims)} arrays, at most {MOST_ARRAYS} are read; drop some")
    for claim in claims:
        if math.prod(claim.chunk) * claim.item_bytes > LARGEST_CHUNK:
            raise InputError(
                f"{claim.name} of {where} has chunks of {math.prod(claim.chunk) * claim.item_bytes >> 20} MiB, at most "
                f"{LARGEST_CHUNK >> 20} are read; write it in smaller chunks"
            )
        if len(claim.shape) == 1 and claim.shape[0] > LONGEST_AXIS:
            raise InputError(
                f"{claim.name} of {where} is {claim.shape[0]} long, at most {LONGEST_AXIS} are read; cut it"
            )
    largest = max((claim for claim in claims), key=lambda claim: claim.bytes, default=None)
    if largest is not None and largest.bytes > max(BOMB_BYTES, BOMB_RATIO * stored):
        raise InputError(
            f"{largest.name} of {where} claims {largest.bytes / 1e9:.1f} GB in {stored / 1e6:.1f} MB, which no packing "
            "gives; it is refused"
        )


def check_netcdf(path: Path) -> None:
    """Look into a NetCDF file and refuse what is not safe to open.

    Raises:
        InputError: if it is no NetCDF, leads to another file (external links and storage, virtual data sets), needs a
            filter that is not HDF5's own, or claims sizes that it cannot hold.
    """
    keep_offline()
    if not path.is_file():
        raise InputError(f"no file {path}; give a NetCDF file")
    with path.open("rb") as file:
        start = file.read(8)
    if start == HDF5:
        claims = _hdf5(path)
    elif start[:4] in CLASSIC:
        claims = _classic(path)
    else:
        raise InputError(f"{path.name} is no NetCDF file by its first bytes; write it again")
    _check_claims(claims, path.stat().st_size, path.name)


def _classic(path: Path) -> list[ArrayClaim]:
    """The arrays of a classic file, which holds them unpacked and leads nowhere."""
    import netCDF4

    try:
        with netCDF4.Dataset(path) as dataset:
            claims = [
                ArrayClaim(name=name, shape=found.shape, chunk=(), item_bytes=found.dtype.itemsize)
                for name, found in dataset.variables.items()
            ]
    except (OSError, RuntimeError, ValueError, AttributeError) as error:
        raise InputError(f"{path.name} cannot be read as NetCDF ({error!s:.100}); write it again") from error
    size = path.stat().st_size
    if sum(claim.bytes for claim in claims) > size + 4096:  # a last record may be padded or not
        raise InputError(f"{path.name} claims {sum(c.bytes for c in claims)} bytes and has {size}; fetch it again")
    return claims


def _hdf5(path: Path) -> list[ArrayClaim]:
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError("h5py", "maps") from error
    try:
        with h5py.File(path, "r") as file:
            return list(_objects(file.id, path.name))
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise InputError(f"{path.name} cannot be read as NetCDF ({error!s:.100}); write it again") from error


def _objects(root: Any, where: str) -> Iterator[ArrayClaim]:  # noqa: ANN401 - h5py's
    """Every data set below a group, none of them read, no link but hard ones followed."""
    from h5py import h5g, h5l, h5o

    pending, seen = [h5g.open(root, b"/")], set()
    while pending:
        group = pending.pop()
        for raw in list(group):
            name = raw.decode("utf-8", "replace")[:40]
            if group.links.get_info(raw).type != h5l.TYPE_HARD:
                raise InputError(f"{name!r} of {where} is a link to another place; write the data into one file")
            about = h5o.get_info(group, raw)
            if about.addr in seen:
                continue
            seen.add(about.addr)
            if len(seen) > MOST_ARRAYS:
                raise InputError(f"{where} holds more than {MOST_ARRAYS} objects; drop some")
            if about.type == h5o.TYPE_GROUP:
                pending.append(h5g.open(group, raw))
            elif about.type == h5o.TYPE_DATASET:
                yield plain_data_set(group, raw, name, where)


def plain_data_set(group: Any, raw: bytes, name: str, where: str) -> ArrayClaim:  # noqa: ANN401 - h5py's
    """What a data set of an HDF5 group claims, none of its values read.

    Raises:
        InputError: if they lie in other files, need a filter that is not HDF5's own, or are neither numbers nor text.
    """
    from h5py import h5d, h5t

    found = h5d.open(group, raw)
    plan, kind = found.get_create_plist(), found.get_type()
    layout = plan.get_layout()
    if layout == h5d.VIRTUAL or plan.get_external_count():
        raise InputError(f"{name!r} of {where} keeps its values in other files; write the data into one file")
    odd = [plan.get_filter(index)[0] for index in range(plan.get_nfilters())]
    odd = [number for number in odd if number not in FILTERS]
    if odd:
        raise InputError(
            f"{name!r} of {where} is packed by the filter {odd[0]}, want deflate; pack it anew (nccopy -d 4)"
        )
    if kind.get_class() not in (h5t.INTEGER, h5t.FLOAT, h5t.STRING, h5t.ENUM):
        raise InputError(f"{name!r} of {where} holds neither numbers nor text; drop it from the file")
    shape = found.get_space().get_simple_extent_dims() or ()
    chunk = plan.get_chunk() if layout == h5d.CHUNKED else ()
    return ArrayClaim(name=name, shape=tuple(shape), chunk=tuple(chunk), item_bytes=kind.get_size())
