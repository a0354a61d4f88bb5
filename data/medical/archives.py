"""Files of a file, a folder or a zip: which there are, what is refused, and their bytes up to a limit.

Nothing is unpacked onto the disk. A zip is read with limits on entries, bytes and ratio, and one that holds links,
passwords or paths that leave it is refused whole: it was not made by an archive of images.
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
MOST_ENTRIES = 20_000  # of one zip
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


@dataclass(frozen=True)
class Refused:
    """A file that was not read, and why; never with words out of the file itself."""

    name: str
    reason: str


def places_below(path: Path) -> tuple[list[Place], list[Refused]]:
    """Every plain file of a file or folder, by name; links that leave the folder are refused.

    Raises:
        InputError: if there is nothing at the path, or more than MOST_FILES.
    """
    if path.is_file():
        return [Place(path=path, name=path.name)], []
    if not path.is_dir():
        raise InputError(f"{path} is no file or folder; name DICOM files, a folder of them or a .zip")
    found: list[Place] = []
    refused: list[Refused] = []
    for file in sorted(_walk(path)):
        name = file.relative_to(path).as_posix()
        mode = file.lstat().st_mode
        if stat.S_ISLNK(mode):
            refused.append(Refused(name, "a link; give the file itself"))
        elif stat.S_ISREG(mode):
            found.append(Place(path=file, name=name))
        else:
            refused.append(Refused(name, "no plain file"))
        if len(found) + len(refused) > MOST_FILES:
            raise InputError(f"{path} holds more than {MOST_FILES} files; name a study's folder")
    return found, refused


def _walk(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder, followlinks=False):
        linked = [name for name in folders if Path(place, name).is_symlink()]
        yield from (Path(place, name) for name in (*linked, *files))


def is_zip(path: Path) -> bool:
    """True where a file begins as a zip does."""
    with path.open("rb") as file:
        return file.read(4) == ZIP_MAGIC


def zip_members(path: Path) -> list[str]:
    """Names of the files in a zip.

    Raises:
        InputError: if it is damaged, or asks for more than a zip of images does.
    """
    with _opened(path) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        for entry in entries:
            _check_entry(entry)
    if len(entries) > MOST_ENTRIES:
        raise InputError(f"a zip of {len(entries)} entries, want at most {MOST_ENTRIES}; unpack it")
    total = sum(entry.file_size for entry in entries)
    if total > MOST_TOTAL:
        raise InputError(f"a zip of {total} bytes unpacked, want at most {MOST_TOTAL}; unpack it")
    if len({entry.filename for entry in entries}) < len(entries):
        raise InputError("a zip with two entries of the same name; unpack it")
    return sorted(entry.filename for entry in entries)


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise InputError("a damaged zip; make it anew") from error


def _check_entry(entry: Entry) -> None:
    parts = PurePosixPath(entry.filename.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or ":" in entry.filename:
        raise InputError("a zip whose entries lead outside it; it is refused")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise InputError("a zip that holds links; give the files themselves")
    if entry.flag_bits & 1:
        raise InputError("a zip with a password; unpack it")
    if entry.file_size > max(SMALLEST, MOST_RATIO * entry.compress_size):
        raise InputError(f"a zip whose entries grow more than {MOST_RATIO} times; it is refused")


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
            _check_entry(entry)
            if entry.file_size > MOST_BYTES:
                raise InputError(f"{entry.file_size} bytes, want at most {MOST_BYTES}; split it")
            with archive.open(entry) as file:
                data = file.read(entry.file_size + 1)
        except (KeyError, RuntimeError, zipfile.BadZipFile, EOFError, NotImplementedError, OSError) as error:
            raise InputError("an entry that its zip does not give; make the zip anew") from error
    if len(data) != entry.file_size:
        raise InputError("an entry of another size than its zip says; it is refused")
    return BytesIO(data), len(data)
