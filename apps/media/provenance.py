"""The commands `media provenance` and `media sign`: what files say of where they come from, and saying so oneself."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mainstem.apps.media.walk import Walk
from mainstem.core.errors import InputError
from mainstem.core.plain import plain
from mainstem.core.progress import Progress, silent
from mainstem.data.media.provenance import Origin, read_provenance
from mainstem.data.media.provenance_tree import name_of
from mainstem.data.media.signing import Credentials, sign_file
from mainstem.data.media.trust_lists import SHIPPED, TrustList, is_overdue, read_trust_list

MOST_FILES = 1_000_000  # of one call


@dataclass(frozen=True)
class Looked:
    """What was found in files, why others were refused, and why what is no file was passed over."""

    found: Sequence[Origin]
    refused: Mapping[str, str]
    left_out: Mapping[str, str]
    trust: TrustList

    def told(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "files": [each.told() for each in self.found],
            "counts": dict(sorted(Counter(each.verdict for each in self.found).items())),
            "refused": dict(self.refused),
            "left_out": dict(self.left_out),
            "trust_list": self.trust.told(),
        }


def look(paths: Sequence[Path], trust: Path | None, report: Progress = silent) -> Looked:
    """What files, and those of folders, say of where they come from; by C2PA's own trust list unless one is given.

    Raises:
        InputError: if the trust list cannot be used, or there is nothing at a path.
    """
    trusted = read_trust_list(trust or SHIPPED)
    found, left_out, refused = [], dict[str, str](), dict[str, str]()
    files = list(_files(paths, left_out, refused))
    for number, path in enumerate(files):
        report(path.name, number / len(files))
        try:
            found.append(read_provenance(path, trusted))
        except (InputError, OSError) as error:  # gone or locked meanwhile
            if len(files) == 1:
                raise
            refused[str(path)] = str(error)
    return Looked(found, refused, left_out, trusted)


def sign(path: Path, credentials: Credentials, out: Path) -> tuple[Origin, Origin]:
    """Sign a copy of a file, and return what the file and the copy say of where they come from.

    Raises:
        InputError: if something cannot be used, or the copy would be written over a file.
    """
    trust = read_trust_list(SHIPPED)
    before = read_provenance(path, trust)  # in a process of its own: a hostile manifest ends that one
    sign_file(path, credentials, out)
    return before, read_provenance(out, trust)


def _files(paths: Sequence[Path], left_out: dict[str, str], refused: dict[str, str]) -> Iterator[Path]:
    """Files by name; of folders those below, and what is passed over there, or cannot be listed."""
    count = 0
    for path in paths:
        for each in _below(path, left_out, refused) if path.is_dir() else (path,):
            count += 1
            if count > MOST_FILES:
                raise InputError(f"{path} holds more than {MOST_FILES} files; name its folders one by one")
            yield each


def _below(folder: Path, left_out: dict[str, str], refused: dict[str, str]) -> Iterator[Path]:
    walk, before = Walk(root=folder), None
    for before in walk.files():
        yield folder / before
    left_out |= {plain(folder / path): why for path, why in walk.skipped.items()}
    refused |= {plain(folder / path): f"{plain(folder / path)}: {why}" for path, why in walk.unseen.items()}
    if before is None and not walk.unseen:
        raise InputError(f"{folder} holds no file; name another folder")


def lines_of(looked: Looked) -> Iterator[str]:
    """The findings as lines to read."""
    for each in looked.found:
        yield f"{each.verdict}: {each.file}: {each.words}"
        yield from (f"  {reason}" for reason in each.reasons)
        if each.signed_at:
            yield f"  signed at {each.signed_at}, by a time stamp"
        if each.tree is not None:
            yield from _lines_of_tree(each.tree)
        yield f"  sha256 {each.sha256}"
    yield from (f"left out: {path}: {why}" for path, why in looked.left_out.items())
    listed = looked.trust
    late = "; it is more than a year old, get a new one" if is_overdue(listed) else ""
    yield f"trust list {listed.name} ({listed.date or 'undated'}), {listed.certificates} certificates{late}"
    if len(looked.found) > 1:
        counts = Counter(each.verdict for each in looked.found)
        yield f"{len(looked.found)} files: " + ", ".join(
            f"{count} {verdict}" for verdict, count in counts.most_common()
        )


def _lines_of_tree(node: Mapping[str, Any], deep: int = 1) -> Iterator[str]:
    signer = f"signed by {node['signer']}" if node["signer"] else "without a manifest"
    faults = f"; faulty when it was used: {', '.join(node['faults'])}" if node["faults"] else ""
    done = ", ".join(
        f"{act['action']} ({act['source']})" if act["source"] else act["action"] for act in node["actions"]
    )
    yield f"{'  ' * deep}- {name_of(node)}, {signer}{f': {done}' if done else ''}{faults}"
    for ingredient in node["ingredients"]:
        yield from _lines_of_tree(ingredient, deep + 1)
    if node["left_out"]:
        yield f"{'  ' * (deep + 1)}- and {node['left_out']} more, which are left out"
