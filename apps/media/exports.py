"""Results of a search as files: a table (CSV) with what may be done with each, and edit lists (EDL) of their shots."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from mainstem.apps.media.archives import Archive, archive_name, facts_of, known_archives
from mainstem.apps.media.catalogue import Catalogue
from mainstem.apps.media.results import reason
from mainstem.core.errors import InputError
from mainstem.core.files import write_atomically
from mainstem.core.plain import plain
from mainstem.data.media.edl import Cut, edl_text
from mainstem.data.spreadsheets import csv_bytes

STATED = "not stated"
Result = Mapping[str, Any]


def results_table(results: Sequence[Result], archive: Archive) -> pd.DataFrame:
    """Return files that were found as a table, with what may be done with each as far as it is said."""
    return pd.DataFrame(
        {
            "path": one["path"], "title": one["title"] or PurePosixPath(one["path"]).name, "kind": one["kind"],
            "at_s": one["time_s"], "said": "; ".join(said["text"] for said in one["said"][:1]),
            "credit": one["credit"] or STATED, "rights": one["rights"] or STATED,
            "licence": archive.attribution or STATED,
            "opt_out": (one["opt_out"] or {}).get("state", STATED), "embargo": embargo_words(one),
            "why": "; ".join(reason(why) for why in one["why"]), "sha256": one["sha256"], "archive": str(archive.root),
        }
        for one in results
    )  # fmt: skip


def embargo_words(result: Result) -> str:
    """Say whether a file may be shown now."""
    embargo = result["embargo"]
    if not embargo:
        return "none stated"
    until = embargo["until"] or "someone reads its words"
    return f"{'holds until' if embargo['holds'] else 'was over at'} {until}: {embargo['words']}"


def cuts_of(catalogue: Catalogue, result: Result, spans: Sequence[tuple[float, float]] | None = None) -> list[Cut]:
    """Return what is cut of a video: the given spans, s, else the shot or the words that were found, else all of it."""
    if result["kind"] != "video":
        return []
    facts = facts_of(catalogue, result["path"])
    whole = result["shot_s"] or (0.0, facts.get("seconds") or 0.0)
    kept = [(float(whole[0]), float(whole[1]))] if spans is None else spans
    return [
        Cut(name=PurePosixPath(result["path"]).name, path=result["path"], start_s=start_s, end_s=end_s,
            frame_rate=float(facts.get("frame_rate") or 0.0), has_sound=bool(facts.get("has_sound")))
        for start_s, end_s in kept
    ]  # fmt: skip


def edls_of(catalogue: Catalogue, results: Sequence[Result]) -> dict[float, str]:
    """Return edit lists of the videos among results, by frame rate.

    Raises:
        InputError: if there is no video, or too many for one list.
    """
    by_rate: dict[float, list[Cut]] = {}
    for one in results:
        for cut in cuts_of(catalogue, one):
            by_rate.setdefault(round(cut.frame_rate, 3), []).append(cut)
    if not by_rate:
        raise InputError("an edit list is of videos, and no result is one; ask with --kind video")
    return {rate: edl_text(catalogue.root.name, cuts) for rate, cuts in sorted(by_rate.items())}


def write_results(catalogue: Catalogue, results: Sequence[Result], csv: Path | None, edl: Path | None) -> list[Path]:
    """Write results as a table and as edit lists, where asked, and return the files; one edit list a frame rate.

    Raises:
        InputError: if a file is there, would lie in the archive, or there is nothing to be cut.
    """
    written: dict[Path, bytes] = {}
    if csv is not None:
        written[csv] = csv_bytes(results_table(results, _archive(catalogue)))
    if edl is not None:
        lists = edls_of(catalogue, results)
        written |= {_of_rate(edl, rate, len(lists)): text.encode() for rate, text in lists.items()}
    for path in written:
        _check_new(path, catalogue.root)
    for path, data in written.items():
        write_atomically(path, data)
    return list(written)


def _check_new(path: Path, root: Path) -> None:
    if path.exists() or path.is_symlink():
        raise InputError(f"{plain(path)} exists; name a new file, nothing is written over")
    if path.resolve().is_relative_to(root):
        raise InputError(f"{plain(path)} lies in the archive, where nothing is written; name a file elsewhere")


def _of_rate(path: Path, rate: float, num: int) -> Path:
    return path if num == 1 else path.with_name(f"{path.stem}-{rate:.5g}{path.suffix}")


def _archive(catalogue: Catalogue) -> Archive:
    name = archive_name(catalogue.root)
    return next(archive for archive in known_archives() if archive.name == name)
