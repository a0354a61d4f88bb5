"""Which files of an archive are new, changed, moved, gone or out of reach, told without reading any of them."""

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mainstem.apps.media_catalogue import Entry, Stamp
from mainstem.core.plain import is_text, plain
from mainstem.data.media.sidecars import SUFFIXES

Seen = tuple[str, os.stat_result]


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
        root_why: why the whole folder is out of reach; "" where it is there.
    """

    new: dict[str, Stamp] = field(default_factory=dict)
    changed: dict[str, Stamp] = field(default_factory=dict)
    retold: dict[str, Stamp] = field(default_factory=dict)
    returned: dict[str, Stamp] = field(default_factory=dict)
    num_same: int = 0
    gone: list[str] = field(default_factory=list)
    offline: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
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
    for path, stamp in _walk(root, found.skipped):
        seen.add(path)
        entry = known.get(path)
        if entry is not None and entry.stamp.device != stamp.device:
            remounted.add((entry.stamp.device, stamp.device))
        _sort(path, stamp, entry, found)
    for path in known.keys() - seen:
        held, here = known[path].stamp.device, _device_above(root, path)
        is_away = held != here and (held, here) not in remounted
        (found.offline if is_away else found.gone).append(path)
    return found


def _why_offline(root: Path, has_known: bool) -> str:
    """Why a folder cannot be taken for what it was: a share that is not mounted is absent, or an empty folder."""
    if not root.is_dir():
        return "the folder is not there"
    if has_known and all(entry.name.startswith(".") for entry in os.scandir(root)):
        return "the folder is empty, where files were"
    return ""


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


def _walk(root: Path, skipped: dict[str, str]) -> Iterator[tuple[str, Stamp]]:
    """Yield files below a folder; links are not followed, and names that begin with a dot are passed over."""
    folders = [""]
    while folders:
        below = folders.pop()
        try:
            entries = sorted(os.scandir(root / below), key=lambda entry: entry.name)
        except OSError as error:
            skipped[plain(below)] = f"the folder cannot be listed ({error.strerror}); check its rights"
            continue
        files: list[Seen] = []
        for entry in entries:
            if entry.name.startswith("."):
                continue
            path = f"{below}/{entry.name}" if below else entry.name
            if not is_text(entry.name):
                skipped[plain(path)] = "its name is no UTF-8; rename it"
            elif entry.is_symlink():
                skipped[path] = "it is a link, which is not followed; index the folder it leads to"
            elif entry.is_dir():
                folders.append(path)
            else:
                _add(path, entry, files, skipped)
        yield from _stamped(files)


def _add(path: str, entry: "os.DirEntry[str]", files: list[Seen], skipped: dict[str, str]) -> None:
    try:
        found = entry.stat(follow_symlinks=False)
    except OSError as error:
        skipped[path] = f"it cannot be looked at ({error.strerror})"
        return
    if stat.S_ISREG(found.st_mode):
        files.append((path, found))
    else:
        skipped[path] = "it is a pipe, socket or device"


def _stamped(files: list[Seen]) -> Iterator[tuple[str, Stamp]]:
    """Stamps of the files of one folder, with what lies beside each under the same name up to its first dot."""
    groups: dict[str, list[Seen]] = {}
    for path, found in files:
        groups.setdefault(_start(path), []).append((path, found))
    for path, found in files:
        yield path, Stamp(
            size=found.st_size, mtime_ns=found.st_mtime_ns, inode=found.st_ino, device=found.st_dev,
            beside=_beside(groups[_start(path)]),
        )  # fmt: skip


def _start(path: str) -> str:
    return path.rpartition("/")[2].partition(".")[0]


def _beside(group: list[Seen]) -> str:
    """A hash of the files of one name: who they are, and of sidecars when they were written; "" of one alone."""
    if len(group) == 1:
        return ""
    told = [
        (path, found.st_size, found.st_mtime_ns) if path.lower().endswith(SUFFIXES) else (path,)
        for path, found in group
    ]
    return hashlib.sha256(repr(told).encode()).hexdigest()[:16]
