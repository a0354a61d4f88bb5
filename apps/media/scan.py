"""Which files of an archive are new, changed, moved, gone or out of reach, told without reading any of them."""

import hashlib
import os
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mainstem.apps.media.tables import Entry, Stamp
from mainstem.apps.media.walk import Seen, Walk
from mainstem.data.media.sidecars import SUFFIXES, Listing, owners_of, spoken_keys


@dataclass(kw_only=True, eq=False)
class Scan:
    """What a walk through the folder found, by path below it.

    Attributes:
        new: files that were not there before, whose stamps are as given.
        changed: files of which size, time or number differ: their bytes are to be hashed.
        retold: files whose bytes are as they were, and of which what lies beside them changed.
        same: files as they were; those to be noted again (a share came back) with their stamps.
        gone: files that are not there any more.
        offline: files that cannot be reached: the folder, or a share mounted in it, is not there.
        skipped: what is no file, and why.
        unseen: folders that cannot be listed and files that cannot be looked at, and why: nobody knows what is there.
        root_why: why the whole folder is out of reach; "" where it is there.
    """

    new: dict[str, Stamp] = field(default_factory=dict)
    changed: dict[str, Stamp] = field(default_factory=dict)
    retold: dict[str, Stamp] = field(default_factory=dict)
    returned: dict[str, Stamp] = field(default_factory=dict)
    num_same: int = 0
    gone: list[str] = field(default_factory=list)
    offline: list[str] = field(default_factory=list)
    skipped: Mapping[str, str] = field(default_factory=dict)
    unseen: Mapping[str, str] = field(default_factory=dict)
    root_why: str = ""


def scan(root: Path, known: Mapping[str, Entry]) -> Scan:
    """Compare a folder with what is known of it."""
    found = Scan()
    found.root_why = _why_offline(root, bool(known))
    if found.root_why:
        found.offline = list(known)
        return found
    seen: set[str] = set()
    remounted: set[tuple[int, int]] = set()
    walk = Walk(root=root)
    found.skipped, found.unseen = walk.skipped, walk.unseen
    for path, stamp in (one for files in walk.folders() for one in _stamped(files)):
        seen.add(path)
        entry = known.get(path)
        if entry is not None and entry.stamp.device != stamp.device:
            remounted.add((entry.stamp.device, stamp.device))
        _sort(path, stamp, entry, found)
    for path in known.keys() - seen:
        held, here = known[path].stamp.device, _device_above(root, path)
        is_away = (held != here and (held, here) not in remounted) or _is_below(path, found.unseen)
        (found.offline if is_away else found.gone).append(path)
    return found


def _why_offline(root: Path, has_known: bool) -> str:
    """Why a folder cannot be taken for what it was: a share that is not mounted is absent, or an empty folder."""
    try:
        with os.scandir(root) as listed:
            is_empty = all(entry.name.startswith(".") for entry in listed)
    except (FileNotFoundError, NotADirectoryError):
        return "the folder is not there"
    except OSError as error:
        return f"the folder cannot be listed ({error.strerror})"
    return "the folder is empty, where files were" if has_known and is_empty else ""


def _is_below(path: str, places: Container[str]) -> bool:
    """True for one of some places, and for what lies below one."""
    return path in places or any(path[:end] in places for end, letter in enumerate(path) if letter == "/")


def _sort(path: str, stamp: Stamp, entry: Entry | None, found: Scan) -> None:
    if entry is None:
        found.new[path] = stamp
        return
    held = entry.stamp
    if (held.size, held.mtime_ns, held.inode) != (stamp.size, stamp.mtime_ns, stamp.inode):
        found.changed[path] = stamp
    elif held.beside != stamp.beside:
        found.retold[path] = stamp
    elif entry.state == "offline" or held.device != stamp.device:
        found.returned[path] = stamp
    else:
        found.num_same += 1


def _device_above(root: Path, path: str) -> int:
    """Device of the nearest folder above a path that is there."""
    for folder in (root / path).parents:
        try:
            return folder.stat().st_dev
        except OSError:
            continue
    return -1


def _stamped(files: list[Seen]) -> Iterator[tuple[str, Stamp]]:
    """Stamps of the files of one folder, with what lies beside each: what speaks of it, and what it speaks of."""
    listing, by_name = Listing(), {path.rpartition("/")[2]: found for path, found in files}
    for name in by_name:
        listing.add(name)
    speaking = {key: _hash(_written(name, by_name[name]) for name in names) for key, names in listing.sidecars.items()}
    spoken_of = {key: _hash((name,) for name in names) for key, names in listing.others.items()}
    for path, found in files:
        name = path.rpartition("/")[2]
        told = [speaking[key] for key in spoken_keys(name) if key in speaking]
        if name.lower().endswith(SUFFIXES):
            told += [spoken_of[key] for key in owners_of(name) if key in spoken_of]
        yield path, Stamp(
            size=found.st_size, mtime_ns=found.st_mtime_ns, inode=found.st_ino, device=found.st_dev,
            beside="".join(told),
        )  # fmt: skip


def _written(name: str, found: os.stat_result) -> tuple[str, int, int]:
    return name, found.st_size, found.st_mtime_ns


def _hash(told: Iterable[tuple[object, ...]]) -> str:
    return hashlib.sha256(repr(list(told)).encode()).hexdigest()[:16]
