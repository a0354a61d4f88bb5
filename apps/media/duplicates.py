"""Which files of a folder are copies of one another, in groups, and what links them: `mainstem media duplicates`.

Every file is looked up among those before it, then added to them: nothing is held against everything. Nothing is ever
deleted, moved or written.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mainstem.apps.media.reading import within
from mainstem.apps.media.walk import Walk
from mainstem.core.errors import InputError
from mainstem.core.plain import one_line, plain
from mainstem.core.progress import Progress, silent
from mainstem.data.media.bounds import DEFAULT_BOUNDS, Bounds, check_file, reading
from mainstem.data.media.kinds import kind_of
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
PLAIN = "too plain to be told from others; only its bytes were compared"
SHORT = "too short, or too plain, to be told from others; only its bytes were compared"
LookUp = Callable[[Path], dict[int, Match] | str]


@dataclass(frozen=True)
class Link:
    """Two files of a group and what was found of them; the second is described against the first."""

    first: Path
    second: Path
    match: Match


@dataclass(frozen=True, kw_only=True)
class Duplicates:
    """What was found in a folder.

    Attributes:
        groups: of files that links join, however indirectly; each sorted.
        evidence: the links of each group, beside it.
        refused: why a file could not be read.
        left_out: why a file was not compared, though it is sound.
        num_compared: files that were.
    """

    groups: list[list[Path]]
    evidence: list[list[Link]]
    refused: dict[Path, str]
    left_out: dict[Path, str]
    num_compared: int

    def told(self) -> dict[str, Any]:
        """As a record for JSON."""
        return {
            "groups": [[str(path) for path in group] for group in self.groups],
            "evidence": [[_told(link) for link in links] for links in self.evidence],
            "refused": {str(path): why for path, why in self.refused.items()},
            "left_out": {str(path): why for path, why in self.left_out.items()},
            "num_compared": self.num_compared,
        }


@dataclass
class _Search:
    """A search under way."""

    bounds: Bounds
    links: list[Link] = field(default_factory=list)
    refused: dict[Path, str] = field(default_factory=dict)
    left_out: dict[Path, str] = field(default_factory=dict)
    by_bytes: dict[str, Path] = field(default_factory=dict)
    by_number: dict[str, list[Path]] = field(default_factory=dict)
    look_ups: dict[str, LookUp] = field(default_factory=dict)
    num_compared: int = 0

    def take(self, path: Path) -> None:
        """Compare one file with those before it, and remember it."""
        kind = kind_of(path, self.bounds)
        if kind is None or kind == "text":
            self.left_out[path] = NOT_MEDIA
            return
        digest = _sha256(path)
        self.num_compared += 1
        if digest in self.by_bytes:
            self.links.append(Link(self.by_bytes[digest], path, SAME_BYTES))
            return
        self.by_bytes[digest] = path
        if kind not in self.look_ups:
            self.look_ups[kind] = LOOK_UPS[kind](self.bounds)
        found = self.look_ups[kind](path)
        if isinstance(found, str):
            self.left_out[path] = found
            found = {}
        seen = self.by_number.setdefault(kind, [])
        self.links += [Link(seen[number], path, match) for number, match in sorted(found.items())]
        seen.append(path)


def find_duplicates(folder: Path, report: Progress = silent, bounds: Bounds = DEFAULT_BOUNDS) -> Duplicates:
    """Group the files of a folder, and of those in it, that are copies of one another.

    Raises:
        InputError: if it is no folder.
    """
    if not folder.is_dir():
        raise InputError(f"{plain(folder)} is no folder; name one")
    search = _Search(bounds)
    walk = Walk(root=folder)
    paths = [folder / path for path in walk.files()]
    search.left_out |= {folder / path: why for path, why in walk.skipped.items()}
    search.refused |= {folder / path: f"{plain(folder / path)}: {why}" for path, why in walk.unseen.items()}
    for index, path in enumerate(paths):
        report(path.name, index / len(paths))
        try:
            with within(path), reading(path, "picture, sound or video"):
                search.take(path)
        except (InputError, OSError) as error:
            search.refused[path] = plain(one_line(error))
    groups = _joined(search.links)
    member = {path: index for index, group in enumerate(groups) for path in group}
    evidence: list[list[Link]] = [[] for _ in groups]
    for link in search.links:
        evidence[member[link.first]].append(link)
    return Duplicates(
        groups=groups,
        evidence=evidence,
        refused=search.refused,
        left_out=search.left_out,
        num_compared=search.num_compared,
    )


def lines_of(found: Duplicates) -> Iterator[str]:
    """Yield what was found as lines for people: of each group the links that hold it together, one a copy."""
    yield f"{found.num_compared} files compared, {len(found.groups)} groups of copies; nothing was changed"
    rates: dict[str, None] = {}
    for group, links in zip(found.groups, found.evidence, strict=True):
        shown = _tree(links)
        rates |= dict.fromkeys(link.match.rate for link in shown)
        yield f"{len(group)} copies of one another, held together by {len(shown)} of their {len(links)} links:"
        yield from (f"  {plain(path)}" for path in group)
        for link in shown:
            match = link.match
            at = f", begins at {match.offset_s:g} s" if match.offset_s is not None else ""
            yield (
                f"    {plain(link.second.name)} against {plain(link.first.name)}: {match.what}, {match.distance:g} "
                f"{match.unit} (threshold {match.threshold:g}); {match.transform}{at}"
            )
    yield from (f"by chance: {rate}" for rate in rates)
    yield from (f"not compared: {plain(path)}: {why}" for path, why in found.left_out.items() if why != NOT_MEDIA)


def _tree(links: list[Link]) -> list[Link]:
    """Of the links of a group the first ones that hold all of it together: one fewer than its files."""
    above = _Joined()
    return [link for link in links if above.join(link.first, link.second)]


def _told(link: Link) -> dict[str, Any]:
    told = {name: value for name, value in asdict(link.match).items() if name != "rate"}
    return {"first": str(link.first), "second": str(link.second), **told, "false_match_rate": link.match.rate}


def _sha256(path: Path) -> str:
    check_file(path, DEFAULT_BOUNDS.bytes)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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


def _pictures(bounds: Bounds) -> LookUp:
    from mainstem.data.media.pictures import read_picture
    from mainstem.data.media.prints_picture_index import PictureIndex
    from mainstem.data.media.prints_pictures import SIDE, is_plain, print_picture

    index = PictureIndex()

    def look_up(path: Path) -> dict[int, Match] | str:
        picture = print_picture(read_picture(path, SIDE, bounds).pixels)
        found = index.look_up(picture)
        return PLAIN if is_plain(picture) else found

    return look_up


def _sounds(bounds: Bounds) -> LookUp:
    from mainstem.data.media.prints_sound_index import SoundIndex
    from mainstem.data.media.prints_sounds import sound_pieces

    index = SoundIndex()

    def look_up(path: Path) -> dict[int, Match] | str:
        found = index.look_up(sound_pieces(path, bounds))
        return found if index.is_last_told() else SHORT

    return look_up


def _videos(bounds: Bounds) -> LookUp:
    from mainstem.data.media.prints_videos import FEWEST_FRAMES, VideoIndex, print_video

    index = VideoIndex()

    def look_up(path: Path) -> dict[int, Match] | str:
        video = print_video(path, bounds)
        found = index.look_up(video)
        return found if video.tells.sum() >= FEWEST_FRAMES else PLAIN

    return look_up


LOOK_UPS: dict[str, Callable[[Bounds], LookUp]] = {"image": _pictures, "sound": _sounds, "video": _videos}
