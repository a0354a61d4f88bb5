"""The process that opens foreign files: one request in, one answer out, and nothing a decoder does gets further.

Started by `dicom_process`. Every request has a limit of processor time (RLIMIT_CPU) and the process one of memory
(RLIMIT_AS); a decoder that panics, aborts or runs on ends this process and no other. An answer is JSON and, where it
holds an array, that array's bytes. No answer quotes a file: errors of libraries are told by their kind alone.
"""

import hashlib
import io
import json
import math
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError, MainstemError
from mainstem.data.medical import dicom_values as tags
from mainstem.data.medical.archives import open_place, zip_places
from mainstem.data.medical.dicom_contours import read_contours
from mainstem.data.medical.dicom_files import import_pydicom, read_dataset
from mainstem.data.medical.dicom_header import Header
from mainstem.data.medical.dicom_pixels import rescaled, stored
from mainstem.data.medical.dicom_reading import read_header
from mainstem.data.medical.dicom_segments import read_segments
from mainstem.data.medical.dicom_windows import read_tables

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

MOST_MEMORY = 3 << 30  # bytes of addresses beyond those held when the libraries are loaded
MEMORY_TO_CLEAN = 7 << 30  # a file, its dataset and its copy, each of at most a GiB, and a frame that is searched
MOST_AT_ONCE = 1 << 20  # bytes that are hashed
LARGEST_KEPT = 512 << 20  # bytes of a file that stays parsed for its next picture
Request = Mapping[str, Any]
Answer = tuple[dict[str, Any], NDArray[np.generic] | None]
_kept: dict[tuple[object, ...], "tuple[FileDataset, Header]"] = {}


def serve(pipe: Connection) -> None:
    """Answer requests, each by JSON and by an array's bytes, until the pipe is closed."""
    import_pydicom()
    _load_decoders()
    _limit_memory()
    pipe.send_bytes(b"{}")  # ready
    with suppress(EOFError):
        while True:
            request = json.loads(pipe.recv_bytes())
            _limit_seconds(float(request["seconds"]))
            _limit_memory(MEMORY_TO_CLEAN if request["do"] == "deidentify" else MOST_MEMORY)
            _tell(pipe, *_answer(request))


def _tell(pipe: Connection, head: dict[str, Any], array: NDArray[np.generic] | None) -> None:
    if array is not None:
        head = head | {"shape": array.shape, "dtype": array.dtype.str}
    pipe.send_bytes(json.dumps(head).encode())
    pipe.send_bytes(b"" if array is None else np.ascontiguousarray(array).tobytes())


def _answer(request: Request) -> Answer:
    try:
        return DO[request["do"]](request)
    except MainstemError as error:
        return {"refused": str(error)}, None
    except MemoryError:
        _kept.clear()
        return {"refused": "asks for more memory than one file may take"}, None
    except BaseException as error:  # Rust's PanicException is no Exception; what was met is told by its kind alone
        return {"refused": f"cannot be read ({type(error).__name__}); it is damaged, ask for it again"}, None


def _load_decoders() -> None:
    """Import what decodes, so that no request pays for it and the limit of memory does not count it."""
    for name in ("pydicom.pixels", "openjpeg", "jpeg_ls", "gdcm", "PIL.Image"):
        with suppress(ImportError):
            __import__(name)


def _limit_memory(most: int = MOST_MEMORY) -> None:
    with suppress(ImportError, OSError, ValueError):
        import resource

        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        most += _held_at_first()
        resource.setrlimit(resource.RLIMIT_AS, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold the patient's data


@cache
def _held_at_first() -> int:
    """Bytes of addresses that the process had when it was first asked."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def _limit_seconds(seconds: float) -> None:
    with suppress(ImportError, ValueError):
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(used.ru_utime + used.ru_stime + seconds), hard))


def _list(request: Request) -> Answer:
    return {"entries": [(place.name, place.refusal) for place in zip_places(Path(request["path"]))]}, None


def _header(request: Request) -> Answer:
    """A file's header, or why it has none and to which series it would belong; and whose it is, as a hash."""
    stream, _ = open_place(Path(request["path"]), request["member"])
    with stream:
        dataset, at_pixels = read_dataset(stream, with_pixels=False)
        told: dict[str, Any] = {"header": None, "reason": "", "series_uid": tags.uid(dataset, "SeriesInstanceUID")}
        told["is_named"] = tags.is_named(dataset, request["name"])
        told["patient"] = tags.patient_sha256(dataset)
        try:
            told["header"] = read_header(dataset, at_pixels).told()
        except InputError as error:
            told["reason"] = str(error)
        return told, None


def _digest(request: Request) -> Answer:
    """Hash of a file's bytes from where its pixels begin."""
    stream, _ = open_place(Path(request["path"]), request["member"])
    with stream:
        _, at_pixels = read_dataset(stream, with_pixels=False)
        return {"sha256": hashlib.sha256(at_pixels.read()).hexdigest()}, None


def _parsed(request: Request) -> "tuple[FileDataset, Header]":
    """A file's dataset with its pixels, and its header; the last one stays, for the next picture of the same file."""
    path = Path(request["path"])
    stat = path.stat()
    key = (str(path), request["member"], stat.st_size, stat.st_mtime_ns)
    if key not in _kept:
        _kept.clear()
        stream, size = open_place(path, request["member"])
        with stream:
            data = stream.read()
        dataset, at_pixels = read_dataset(io.BytesIO(data), with_pixels=False)
        header = read_header(dataset, at_pixels)
        whole, _ = read_dataset(io.BytesIO(data), with_pixels=True)
        if size > LARGEST_KEPT:
            return whole, header
        _kept[key] = whole, header
    return _kept[key]


def _picture(request: Request, read: Callable[..., tuple[NDArray[Any], tuple[str, ...]]]) -> Answer:
    dataset, header = _parsed(request)
    if not 0 <= request["index"] < len(header.pictures) or header.sop_uid != request["sop_uid"]:
        raise InputError("changed since it was listed; open the study again")
    values, flags = read(dataset, header, header.pictures[request["index"]])
    return {"flags": flags}, values


def _stored(request: Request) -> Answer:
    return _picture(request, stored)


def _rescaled(request: Request) -> Answer:
    return _picture(request, rescaled)


def _tables(request: Request) -> Answer:
    stream, _ = open_place(Path(request["path"]), request["member"])
    with stream:
        return {"windows": [asdict(one) for one in read_tables(read_dataset(stream, with_pixels=False)[0])]}, None


def _contours(request: Request) -> Answer:
    stream, _ = open_place(Path(request["path"]), request["member"])
    with stream:
        return read_contours(read_dataset(stream, with_pixels=False)[0])


def _sha256(request: Request) -> Answer:
    """Hash of a file's bytes."""
    stream, _ = open_place(Path(request["path"]), request["member"])
    with stream:
        return {"sha256": _hashed(stream)}, None


def _identity(request: Request) -> Answer:
    """Hash of a file's bytes, and whose it says that it is."""
    stream, _ = open_place(Path(request["path"]), request["member"])
    with stream:
        digest = _hashed(stream)
        stream.seek(0)
        return {"sha256": digest, "patient": tags.patient(read_dataset(stream, with_pixels=False)[0])}, None


def _hashed(stream: BinaryIO) -> str:
    digest = hashlib.sha256()
    while part := stream.read(MOST_AT_ONCE):
        digest.update(part)
    return digest.hexdigest()


def _segments(request: Request) -> Answer:
    dataset, header = _parsed(request)
    return {"header": header.told(), "segments": read_segments(dataset, header)}, None


def _volume(request: Request) -> Answer:
    """A file of NIfTI's voxels (z, y, x), and the affine to patient mm."""
    from mainstem.data.medical.nifti import read_voxels

    stream, _ = open_place(Path(request["path"]), request["member"])
    with stream:
        values, affine = read_voxels(stream, "it")
    return {"affine": affine.tolist()}, values


def _deidentify(request: Request) -> Answer:
    """The bytes of a file's copy without who the patient is, and what is to be done with it."""
    from mainstem.data.medical.deidentify_copy import examine
    from mainstem.data.medical.deidentify_key import Key

    stream, _ = open_place(Path(request["path"]), request["member"])
    with stream:
        found = examine(stream.read(), Key(bytes.fromhex(request["key"])))
    head = {"state": found.state, "reason": found.reason, "uids": found.uids}
    return head, np.frombuffer(found.data, np.uint8) if found.data else None


DO: Mapping[str, Callable[[Request], Answer]] = {
    "list": _list,
    "header": _header,
    "digest": _digest,
    "stored": _stored,
    "rescaled": _rescaled,
    "tables": _tables,
    "contours": _contours,
    "segments": _segments,
    "sha256": _sha256,
    "identity": _identity,
    "volume": _volume,
    "deidentify": _deidentify,
}

if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])))
