"""Which files of a folder are copies of one another, in groups, and what links them: `mainstem media duplicates`.

The folder's catalogue is brought up to date first; what has no fingerprint yet is looked up among what has one, and all
of it is kept there. Nothing is ever deleted or moved, and nothing is written into the folder.
"""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from mainstem.apps.media.catalogue import Catalogue, index_home
from mainstem.apps.media.database import intact
from mainstem.apps.media.index import KNOWN, IndexOptions, being_written, bring_up_to_date
from mainstem.apps.media.prints import Linked, kept_links, kept_whys, print_pending
from mainstem.apps.media.tables import FILE, SIDECAR
from mainstem.core.errors import InputError
from mainstem.core.plain import plain
from mainstem.core.progress import Progress, part_of, silent
from mainstem.data.media.prints_matches import Match

SAME_BYTES = Match(
    what="the files' bytes (SHA-256)",
    distance=0.0,
    unit="bytes that differ",
    threshold=0.0,
    transform="none",
    rate="files of the same bytes: never",
)
NOT_MEDIA = "neither picture, sound nor video"
MEDIA = ("image", "sound", "video")
READING = 0.3  # share of the work after which the catalogue is up to date
LOOKED = "copies"  # under which a catalogue keeps when copies were looked for, and what was passed over


@dataclass(frozen=True)
class Link:
    """Two files of a group and what was found of them; the second is described against the first."""

    first: Path
    second: Path
    match: Match


@dataclass(frozen=True, kw_only=True)
class Duplicates:
    """What is known of the copies in a folder.

    Attributes:
        groups: of files that links join, however indirectly; each sorted.
        evidence: the links of each group, beside it.
        same_sound: links of a video's sound track to other files' sound, which join no group: pictures may differ.
        refused: why a file could not be read.
        left_out: why a file was not compared, though it is sound.
        num_compared: files that were.
        num_printed: contents that were fingerprinted for this; the others were known.
        when: when that was, seconds since 1970.
    """

    groups: list[list[Path]]
    evidence: list[list[Link]]
    same_sound: list[Link]
    refused: dict[Path, str]
    left_out: dict[Path, str]
    num_compared: int
    num_printed: int
    when: float

    def told(self) -> dict[str, Any]:
        """As a record for JSON."""
        return {
            "groups": [[str(path) for path in group] for group in self.groups],
            "evidence": [[_told(link) for link in links] for links in self.evidence],
            "same_sound": [_told(link) for link in self.same_sound],
            "refused": {str(path): why for path, why in self.refused.items()},
            "left_out": {str(path): why for path, why in self.left_out.items()},
            "num_compared": self.num_compared, "num_printed": self.num_printed, "when": self.when,
        }  # fmt: skip


def find_duplicates(folder: Path, report: Progress = silent, options: IndexOptions | None = None) -> Duplicates:
    """Group the files of a folder, and of those in it, that are copies of one another.

    Raises:
        InputError: if it is no folder, or another process brings its index up to date.
    """
    options = options or IndexOptions()
    if not folder.is_dir():
        raise InputError(f"{plain(folder)} is no folder; name one")
    with being_written(folder) as catalogue:
        found = bring_up_to_date(catalogue, options, part_of(report, 0.0, READING)).found
        num = print_pending(catalogue, options.processes(), options.retry, part_of(report, READING, 1.0))
        told = {"when": time.time(), "num_printed": num, "unseen": dict(found.unseen), "skipped": dict(found.skipped)}
        with catalogue.writing():
            catalogue.tell(LOOKED, json.dumps(told))
        return _known(catalogue, folder)


def known_duplicates(folder: Path) -> Duplicates | None:
    """What is known of the copies in a folder, as its files are in its catalogue; None where nobody looked.

    Raises:
        InputError: if it was never indexed.
    """
    place = index_home(folder)
    files = [found for name in (FILE, f"{FILE}-wal") if (found := place / name).is_file()]
    return _known_at(folder, tuple((path.stat().st_mtime_ns, path.stat().st_size) for path in files))


@lru_cache(2)  # a page asks for each of its reruns, and 100,000 files take seconds
def _known_at(folder: Path, written: tuple[tuple[int, int], ...]) -> Duplicates | None:
    """What was known once the files of the catalogue were written so."""
    with closing(Catalogue(folder, is_read_only=True)) as catalogue:
        return _known(catalogue, folder) if catalogue.told(LOOKED) else None


@dataclass
class _Files:
    """Files of a catalogue by what is known of their copies."""

    at: dict[int, list[Path]] = field(default_factory=dict)  # compared ones by content
    kinds: dict[int, str] = field(default_factory=dict)
    refused: dict[Path, str] = field(default_factory=dict)
    left_out: dict[Path, str] = field(default_factory=dict)

    def read(self, catalogue: Catalogue, folder: Path) -> None:
        """Read all of them."""
        faulty, plain_ones = kept_whys(catalogue, "refused"), kept_whys(catalogue, "why")
        for name, entry in sorted(catalogue.entries().items()):
            path = folder / name
            if entry.state == SIDECAR:
                continue
            if entry.state not in KNOWN and entry.why and entry.kind != "text":
                self.refused[path] = entry.why
            elif entry.kind not in MEDIA or entry.content is None:
                self.left_out[path] = NOT_MEDIA
            elif entry.content in faulty:
                self.refused[path] = f"{plain(path.name)}: {faulty[entry.content]}"
            else:
                self.at.setdefault(entry.content, []).append(path)
                self.kinds[entry.content] = entry.kind
                if entry.content in plain_ones and path == self.at[entry.content][0]:
                    self.left_out[path] = plain_ones[entry.content]


def _known(catalogue: Catalogue, folder: Path) -> Duplicates:
    with intact(catalogue.home):
        looked: Mapping[str, Any] = json.loads(catalogue.told(LOOKED))
        when, num_printed = float(looked["when"]), int(looked["num_printed"])
        skipped, unseen = dict(looked["skipped"]), dict(looked["unseen"])
    files = _Files()
    files.read(catalogue, folder)
    files.left_out |= {folder / path: why for path, why in skipped.items()}
    files.refused |= {folder / path: f"{plain(folder / path)}: {why}" for path, why in unseen.items()}
    links = [Link(places[0], other, SAME_BYTES) for places in files.at.values() for other in places[1:]]
    same_sound: list[Link] = []
    for linked in kept_links(catalogue):
        if linked.first in files.at and linked.second in files.at:
            link = Link(files.at[linked.first][0], files.at[linked.second][0], linked.match)
            (same_sound if _is_of_track(linked, files) else links).append(link)
    groups = _joined(links)
    member = {path: index for index, group in enumerate(groups) for path in group}
    evidence: list[list[Link]] = [[] for _ in groups]
    for link in links:
        evidence[member[link.first]].append(link)
    return Duplicates(
        groups=groups, evidence=evidence, same_sound=same_sound, refused=files.refused, left_out=files.left_out,
        num_compared=sum(map(len, files.at.values())), num_printed=num_printed, when=when,
    )  # fmt: skip


def _is_of_track(linked: Linked, files: _Files) -> bool:
    """True of sound that a video shares."""
    return linked.by == "sound" and "video" in (files.kinds[linked.first], files.kinds[linked.second])


def lines_of(found: Duplicates) -> Iterator[str]:
    """Yield what was found as lines for people: of each group the links that hold it together, one a copy."""
    yield f"{found.num_compared} files compared, {len(found.groups)} groups of copies; nothing was changed"
    rates: dict[str, None] = {}
    for group, links in zip(found.groups, found.evidence, strict=True):
        shown = _tree(links)
        rates |= dict.fromkeys(link.match.rate for link in shown)
        yield f"{len(group)} copies of one another, held together by {len(shown)} of their {len(links)} links:"
        yield from (f"  {plain(path)}" for path in group)
        yield from (f"    {_line(link)}" for link in shown)
    for link in found.same_sound:
        rates[link.match.rate] = None
        yield f"same sound, which joins no group: {_line(link)}"
    yield from (f"by chance: {rate}" for rate in rates)
    yield from (f"not compared: {plain(path)}: {why}" for path, why in found.left_out.items() if why != NOT_MEDIA)


def _line(link: Link) -> str:
    match = link.match
    at = f", begins at {match.offset_s:g} s" if match.offset_s is not None else ""
    return (
        f"{plain(link.second.name)} against {plain(link.first.name)}: {match.what}, {match.distance:g} "
        f"{match.unit} (threshold {match.threshold:g}); {match.transform}{at}"
    )


def _tree(links: list[Link]) -> list[Link]:
    """Of the links of a group the first ones that hold all of it together: one fewer than its files."""
    above = _Joined()
    return [link for link in links if above.join(link.first, link.second)]


def _told(link: Link) -> dict[str, Any]:
    told = {name: value for name, value in asdict(link.match).items() if name != "rate"}
    return {"first": str(link.first), "second": str(link.second), **told, "false_match_rate": link.match.rate}


class _Joined:
    """Which files are in one group: disjoint sets."""

    def __init__(self) -> None:
        self.above: dict[Path, Path] = {}

    def top(self, path: Path) -> Path:
        """The file that stands for a file's group."""
        while self.above.setdefault(path, path) != path:
            self.above[path] = path = self.above[self.above[path]]
        return path

    def join(self, first: Path, second: Path) -> bool:
        """Make one group of two files' groups; False where it was one."""
        upper, lower = self.top(first), self.top(second)
        self.above[lower] = upper
        return upper != lower


def _joined(links: list[Link]) -> list[list[Path]]:
    """Files that links join, in groups: connected components."""
    joined, groups = _Joined(), dict[Path, list[Path]]()
    for link in links:
        joined.join(link.first, link.second)
    for path in sorted(joined.above):
        groups.setdefault(joined.top(path), []).append(path)
    return sorted(groups.values())
