"""Files of a file, a folder or a zip: which there are, which of them are not read, and their bytes up to a limit.

Nothing is unpacked onto the disk, and no name of an entry is ever a path of one. A zip is read with limits on entries,
bytes and ratio; those of its entries that are links, have a password or grow too much are not read.
"""

import os
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from mainstem.core.errors import InputError

MOST_FILES = 100_000  # of one folder; a CT of the whole body has some 2,000
MOST_ENTRIES = 50_000  # of one zip; without its 64-bit extension the format holds 65,535
MOST_TOTAL = 8 << 30  # bytes that a zip may unpack to
MOST_BYTES = 1 << 30  # bytes of one file
MOST_RATIO = 100  # unpacked to packed: zip, and DICOM's deflated transfer syntax; 12-bit images reach some 4
SMALLEST = 1 << 20  # bytes that may be unpacked from anything, whatever the ratio
ZIP_MAGIC = b"PK\x03\x04"
Entry = zipfile.ZipInfo


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where one file's bytes are: a path, and the entry's name where that is a zip; neither is ever logged."""

    path: Path = field(repr=False)
    member: str = field(default="", repr=False)
    name: str  # as messages say it: below the folder that was given
    refusal: str = ""  # why it is not to be read, as listing it told: "it is ..."


@dataclass(frozen=True)
class Refused:
    """A file that was not read, and why; never with words out of the file itself."""

    name: str
    reason: str


def places_below(path: Path) -> list[Place]:
    """Every file of a file or folder, by name; links that are found there are not followed.

    Raises:
        InputError: if there is nothing at the path, or more than MOST_FILES.
    """
    if path.is_file():
        return [Place(path=path, name=path.name)]
    if not path.is_dir():
        raise InputError(f"{path} is no file or folder; name DICOM files, a folder of them or a .zip")
    found = [Place(path=file, name=file.relative_to(path).as_posix(), refusal=_refusal(file)) for file in _walk(path)]
    return sorted(found, key=lambda place: place.path)


def _refusal(file: Path) -> str:
    mode = file.lstat().st_mode
    return "a link; give the file itself" if stat.S_ISLNK(mode) else "" if stat.S_ISREG(mode) else "no plain file"


def _walk(folder: Path) -> Iterator[Path]:
    num = 0
    for place, folders, files in os.walk(folder, followlinks=False):
        linked = [name for name in folders if Path(place, name).is_symlink()]
        num += len(linked) + len(files)
        if num > MOST_FILES:
            raise InputError(f"{folder} holds more than {MOST_FILES} files; name a study's folder")
        yield from (Path(place, name) for name in (*linked, *files))


def is_zip(path: Path) -> bool:
    """True where a file begins as a zip does."""
    with path.open("rb") as file:
        return file.read(4) == ZIP_MAGIC


def zip_places(path: Path) -> list[Place]:
    """Files in a zip, by name.

    Raises:
        InputError: if it is damaged, or asks for more than a zip of images does.
    """
    with _opened(path) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    if len(entries) > MOST_ENTRIES:
        raise InputError(f"a zip of {len(entries)} entries, want at most {MOST_ENTRIES}; unpack it")
    total = sum(entry.file_size for entry in entries)
    if total > MOST_TOTAL:
        raise InputError(f"a zip of {total} bytes unpacked, want at most {MOST_TOTAL}; unpack it")
    if len({entry.filename for entry in entries}) < len(entries):
        raise InputError("a zip with two entries of the same name; unpack it")
    names = {entry.filename: _harm(entry) for entry in entries}
    return [Place(path=path, member=name, name=name, refusal=names[name]) for name in sorted(names)]


def leads_outside(member: str) -> bool:
    """True for an entry whose name would be a place outside of where its zip is unpacked."""
    parts = PurePosixPath(member.replace("\\", "/"))
    return parts.is_absolute() or ".." in parts.parts or ":" in member


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise InputError("a damaged zip; make it anew") from error


def _harm(entry: Entry) -> str:
    """Why an entry is not read; empty where it may be."""
    if stat.S_ISLNK(entry.external_attr >> 16):
        return "a link; links in a zip are not followed"
    if entry.flag_bits & 1:
        return "an entry with a password; unpack the zip"
    if entry.file_size > max(SMALLEST, MOST_RATIO * entry.compress_size):
        return f"an entry that would grow more than {MOST_RATIO} times"
    return ""


def open_place(path: Path, member: str = "") -> tuple[BinaryIO, int]:
    """A file's bytes as a stream that can be searched, and how many there are.

    Raises:
        InputError: if there are more than MOST_BYTES, or a zip's entry is not what the zip says.
    """
    if not member:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise InputError(f"{size} bytes, want at most {MOST_BYTES}; split it")
        return path.open("rb"), size
    with _opened(path) as archive:
        try:
            entry = archive.getinfo(member)
            if harm := _harm(entry):
                raise InputError(harm)
            if entry.file_size > MOST_BYTES:
                raise InputError(f"{entry.file_size} bytes, want at most {MOST_BYTES}; split it")
            with archive.open(entry) as file:
                data = file.read(entry.file_size + 1)
        except (KeyError, RuntimeError, zipfile.BadZipFile, EOFError, NotImplementedError, OSError) as error:
            raise InputError("an entry that its zip does not give; make the zip anew") from error
    if len(data) != entry.file_size:
        raise InputError("an entry of another size than its zip says; it is refused")
    return BytesIO(data), len(data)
