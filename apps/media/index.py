"""`mainstem media index FOLDER`: what the archive holds, kept below MAINSTEM_HOME, and kept up to date in batches."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mainstem.apps.media.catalogue import Catalogue, index_home
from mainstem.apps.media.embedding import embed_pending, settle_model
from mainstem.apps.media.readers import read_files
from mainstem.apps.media.reading import Job, reader_of
from mainstem.apps.media.scan import Scan, scan
from mainstem.apps.media.store import build_codes, is_due, sweep_codes
from mainstem.apps.media.tables import FILE, Entry, Read, Stamp
from mainstem.core.errors import InputError
from mainstem.core.files import locked
from mainstem.core.parallel import num_cores
from mainstem.core.plain import plain
from mainstem.core.progress import Progress, part_of, silent

COMMIT_FILES, COMMIT_S = 256, 5.0  # files whose reading is committed together, at least this often
READING, ALL_BUT_CODES = 0.6, 0.95  # shares of the work that are done after reading, and after embedding
KNOWN = ("present", "offline")  # states of files whose bytes need not be read again
TOLD = 20  # refused files of one fate that lines name


@dataclass(frozen=True, kw_only=True)
class IndexOptions:
    """How to index.

    Attributes:
        model: that embeds pictures; None: the best that is pulled, or what was asked for last.
        workers: processes that read; 0 reads here; None: one a core.
        retry: read what was refused once more.
    """

    model: str | None = None
    workers: int | None = None
    retry: bool = False

    def processes(self) -> int:
        """How many processes read."""
        return num_cores() if self.workers is None else self.workers


def index_folder(folder: Path, options: IndexOptions, progress: Progress = silent) -> dict[str, Any]:
    """Bring a folder's index up to date and return what changed; a kill at any point leaves it whole.

    Raises:
        InputError: if there is no such folder and it was never indexed, or another process is at it.
    """
    start = time.monotonic()
    with being_written(folder) as catalogue:
        update = bring_up_to_date(catalogue, options, part_of(progress, 0.0, READING))
        model = settle_model(catalogue, options.model)
        embedded = embed_pending(catalogue, model, options.processes(), part_of(progress, READING, ALL_BUT_CODES))
        if is_due(catalogue):
            build_codes(catalogue, part_of(progress, ALL_BUT_CODES, 1.0))
        sweep_codes(catalogue)
        told = {
            **update.told(catalogue), "embedded": embedded,
            "model": {"name": model.name, "sha256": model.sha256, "words": model.words()},
        }  # fmt: skip
    return {"folder": plain(catalogue.root), "index": str(catalogue.home), **told, "seconds": time.monotonic() - start}


@contextmanager
def being_written(folder: Path) -> Iterator[Catalogue]:
    """The catalogue of a folder, which no other process writes meanwhile.

    Raises:
        InputError: if there is no such folder and it was never indexed, or another process is at it.
    """
    if not folder.is_dir() and not (index_home(folder) / FILE).is_file():
        raise InputError(f"{plain(folder)}: no such folder; name one that holds an archive")
    catalogue = Catalogue(folder)
    try:
        with locked(catalogue.home / "index.lock", f"the index of {plain(folder)}"):
            yield catalogue
    finally:
        catalogue.close()


@dataclass(frozen=True, kw_only=True)
class Update:
    """How a catalogue was brought up to date.

    Attributes:
        found: what was found in the folder.
        num_read: files of which anything was read, num_reread of them since their reader changed.
        moved: paths by the path that each file had before.
        num_gone: files that were forgotten.
    """

    found: Scan
    num_read: int
    num_reread: int
    moved: Mapping[str, str]
    num_gone: int

    def told(self, catalogue: Catalogue) -> dict[str, Any]:
        """As JSON, with what the catalogue now holds."""
        found, said = self.found, catalogue.whys()
        refused = {path: why for path, (state, why) in said.items() if state == "refused"}
        unread = {path: why for path, (state, why) in said.items() if state != "refused"}
        return {
            "offline": found.root_why, "read": self.num_read, "reread": self.num_reread, "unchanged": found.num_same,
            "new": len(found.new), "changed": len(found.changed), "moved": dict(self.moved), "gone": self.num_gone,
            "returned": len(found.returned), "states": catalogue.counts("state"), "kinds": catalogue.counts("kind"),
            "refused": {plain(path): why for path, why in {**found.skipped, **found.unseen, **refused}.items()},
            "not_understood": catalogue.not_understood(),
            "unread": {plain(path): why for path, why in unread.items()},
        }  # fmt: skip


def bring_up_to_date(catalogue: Catalogue, options: IndexOptions, progress: Progress) -> Update:
    """Read what is new or changed in a folder, and forget what is gone."""
    known = catalogue.entries()
    found = scan(catalogue.root, known)
    with catalogue.writing():
        catalogue.set_offline(found.offline)
        for path, stamp in found.returned.items():
            catalogue.restamp(path, stamp)
    moved = _renamed(catalogue, found, known)
    known = catalogue.entries() if moved else known
    jobs, num_stale = _jobs(catalogue, found, known, options.retry)
    moved |= _read(catalogue, jobs, (found, known), progress, options.processes())
    gone = [path for path in found.gone if path not in moved.values()]
    if gone or jobs:
        with catalogue.writing():
            catalogue.forget(gone)
    return Update(found=found, num_read=len(jobs), num_reread=num_stale, moved=moved, num_gone=len(gone))


def _renamed(catalogue: Catalogue, found: Scan, known: Mapping[str, Entry]) -> dict[str, str]:
    """Files that lie elsewhere now under the same number, size and time: new path by old one's place; none is read."""
    by_number = {_number(known[path].stamp): path for path in found.gone if known[path].content is not None}
    moved = {path: old for path, stamp in found.new.items() if (old := by_number.pop(_number(stamp), None)) is not None}
    if moved:
        with catalogue.writing():
            for path, old in moved.items():
                catalogue.move(old, path)
                found.retold[path] = found.new.pop(path)
    return moved


def _number(stamp: Stamp) -> tuple[int, int, int, int]:
    return stamp.device, stamp.inode, stamp.size, stamp.mtime_ns


def _jobs(catalogue: Catalogue, found: Scan, known: Mapping[str, Entry], retry: bool) -> tuple[list[Job], int]:
    """What is to be read, and of how many files since their reader changed.

    A file of which only what lies beside it changed is not hashed again.
    """
    place = catalogue.home / FILE
    away = {*found.gone, *found.offline, *found.changed}
    there = {path: entry for path, entry in known.items() if path not in away}
    stale = {path for path, entry in there.items() if entry.reader != reader_of(entry.kind)}
    for path, entry in there.items():
        if path in stale or (retry and entry.why):
            found.retold.setdefault(path, found.returned.get(path, entry.stamp))
    jobs = [Job(catalogue.root, path, index=place) for path in (*found.new, *found.changed)]
    for path in found.retold:
        entry = known[path]
        is_known = entry.state in KNOWN and path not in stale
        jobs.append(Job(catalogue.root, path, *((entry.sha256, entry.kind) if is_known else ("", "")), index=place))
    return jobs, len(stale)


def _read(
    catalogue: Catalogue, jobs: Sequence[Job], known: tuple[Scan, Mapping[str, Entry]], progress: Progress, workers: int
) -> dict[str, str]:
    """Read files and commit them batch by batch; return those that were found at another place, by content."""
    found, entries = known
    lost = {entries[path].sha256: path for path in found.gone if path in entries and entries[path].sha256}
    moved: dict[str, str] = {}
    held: list[Read] = []
    since, done = time.monotonic(), 0
    for read in read_files(jobs, workers):
        held.append(read)
        if read.path in found.new and read.sha256 in lost:
            moved[read.path] = lost.pop(read.sha256)
        if len(held) >= COMMIT_FILES or time.monotonic() - since > COMMIT_S:
            _commit(catalogue, held, known, moved)
            done += len(held)
            held, since = [], time.monotonic()
            progress(f"file {done} of {len(jobs)}", done / len(jobs))
    _commit(catalogue, held, known, moved)
    return moved


def _commit(
    catalogue: Catalogue, held: Sequence[Read], known: tuple[Scan, Mapping[str, Entry]], moved: Mapping[str, str]
) -> None:
    found, entries = known
    with catalogue.writing():
        for read in held:
            path = read.path
            if path in moved:
                catalogue.move(moved[path], path)
            stamp = found.new.get(path) or found.changed.get(path) or found.retold[path]
            before = entries[path].sha256 if path in found.changed else ""
            catalogue.put_or_refuse(read, stamp, before if before != read.sha256 else "")


def _not_understood(files: Mapping[str, Mapping[str, Sequence[str]]]) -> Iterator[str]:
    """A line for each field that was not understood, as the same one stands in many sidecars."""
    places: dict[str, list[str]] = {}
    for path, sidecars in files.items():
        for sidecar, words in sidecars.items():
            for word in words:
                places.setdefault(word, []).append(f"{sidecar} of {path}")
    for word, named in list(places.items())[:TOLD]:
        more = f" and {len(named) - 1:,} more" if len(named) > 1 else ""
        yield f"not understood: {word} ({named[0]}{more})"
    if len(places) > TOLD:
        yield f"not understood: {len(places) - TOLD:,} more, all named by --json"


def _named(what: str, files: Mapping[str, str]) -> Iterator[str]:
    for path, why in list(files.items())[:TOLD]:
        yield f"{what}: {path}: {why}"
    if (more := len(files) - TOLD) > 0:
        yield f"{what}: {more:,} more, all named by --json"


def lines_of(told: Mapping[str, Any]) -> Iterator[str]:
    """Yield what `index_folder` returned as lines for people."""
    if told["offline"]:
        yield f"{told['folder']} is OFFLINE: {told['offline']}; what is known of it is kept, nothing was deleted"
    held = ", ".join(f"{num:,} {kind or 'others'}" for kind, num in sorted(told["kinds"].items()))
    yield f"{told['folder']}: {held or 'nothing that can be found'}"
    changes = {name: told[name] for name in ("new", "changed", "gone", "returned", "unchanged")}
    changes |= {"moved": len(told["moved"]), "read again, as their reader changed": told["reread"]}
    yield ", ".join(f"{num:,} {name}" for name, num in changes.items() if num) or "nothing there"
    if away := told["states"].get("offline"):
        yield f"{away:,} files are offline: kept, and found, until their share is mounted again"
    yield from _named("refused", told["refused"])
    yield from _not_understood(told["not_understood"])
    yield from _named("held: as under embargo, until it can be read", told["unread"])
    yield f"model: {told['model']['name']}, sha256 {told['model']['sha256'][:12]}: {told['model']['words']}"
