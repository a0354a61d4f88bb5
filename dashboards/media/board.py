"""The media page in words and tiles: what was found and why, what was searched, what that cannot mean."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from mainstem.apps.media.moments import clock
from mainstem.core.plain import plain
from mainstem.dashboards.components.pictures import Tile

NOT_FOR = "deciding whether a picture is true, or whose it is"
FIELD_WORDS = {"name": "file name", "text": "text", "picture": "picture"}
MOST_EXCERPT = 220  # letters of a text in a tile
MOST_SURE = 0.99  # beyond which no share is told more finely
Result = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A result with what its tile shows of it."""

    result: Result
    picture: bytes | None
    excerpt: str = ""


def tiles_of(shown: Sequence[Shown]) -> tuple[Tile, ...]:
    """Return results as tiles."""
    return tuple(
        Tile(
            id=one.result["path"], title=title_of(one.result), picture=one.picture, text=one.excerpt or "no picture",
            badge=badge_of(one.result), warnings=tuple(warnings_of(one.result)),
            lines=tuple(plain(line) for line in lines_of(one)),
        )
        for one in shown
    )  # fmt: skip


def lines_of(one: Shown) -> Iterator[str]:
    """Yield what a tile says under its title: the caption, where it shows no such words yet; why; date and credit."""
    caption, result = one.result["caption"] or "", one.result
    if caption and caption != result["title"] and not caption.startswith(one.excerpt.rstrip("…") or "\0"):
        yield caption[:MOST_EXCERPT]
    yield from why_lines(result)
    yield from judged_lines(result)
    if credited := [words for words in (day_of(result["captured"]), result["credit"] or result["creator"]) if words]:
        yield ", ".join(credited)


def day_of(captured: str | None) -> str:
    """Return the date of a time as it is written, without the time; what is of another form stays as it is."""
    return re.sub(r"^(\d{4}-\d\d-\d\d)[T ].*", r"\1", captured or "")


def title_of(result: Result) -> str:
    """Return what a file is called: its title, else its name."""
    return plain(result["title"] or PurePosixPath(result["path"]).name)


def badge_of(result: Result) -> str:
    """Say what a file is, and where in it the answer is."""
    if result["time_s"] is not None:
        return f"{result['kind']} at {clock(result['time_s'])}"
    if result["kind"] == "image":
        return ""  # it shows that it is one
    return f"{result['kind']} {clock(result['seconds'])}" if result["seconds"] else str(result["kind"])


def warnings_of(result: Result) -> Iterator[str]:
    """Yield what must not be missed."""
    if result["embargo"] and result["embargo"]["holds"]:
        yield "embargo"
    if result["opt_out"] and result["opt_out"]["state"] != "allowed":
        yield f"mining {result['opt_out']['state']}"
    if result["state"] != "present":
        yield str(result["state"])


def why_lines(result: Result) -> Iterator[str]:
    """Yield why a file was found: which words in which field, what its picture is like and how much."""
    for why in result["why"]:
        if "words" in why:
            yield f"{FIELD_WORDS.get(why['field'], why['field'])}: {', '.join(why['words'])}"
        else:
            like = PurePosixPath(str(why["like"])).name
            yield f"like {like}, {why['cosine']:.2f} of 1"
    if others := len(result["same_bytes_at"]):
        yield f"the same bytes at {others} other place{'s' if others > 1 else ''}"


def judged_lines(result: Result) -> Iterator[str]:
    """Yield how likely a file is relevant, where a calibrated run claims to know; no other share is told."""
    claimed = [said for said in result["relevance"] if said["probability"] is not None and said["claim"] == "stated"]
    if not claimed:
        return
    said = max(claimed, key=lambda one: float(one["probability"]))
    left_open = frozenset(said["classes"])
    sure = "relevant" if left_open == {"relevant"} else "perhaps relevant" if "relevant" in left_open else "irrelevant"
    share = "over 99%" if said["probability"] > MOST_SURE else f"{said['probability']:.0%}"
    yield f"{sure}, {share} by {said['by']}"


def status_line(told: Mapping[str, Any], asked: str) -> str:
    """Say in one line what was found, of how much, and what is hidden.

    Args:
        told: what a search returned.
        asked: what was asked, in words; "" where nothing was.
    """
    shown, num = len(told["results"]), told["num_found"]
    first = f"{num:,} found{asked}" if asked else f"{num:,} file{'' if num == 1 else 's'}, by path; ask for words above"
    parts = [first if shown == num else f"{first}; the first {shown} are shown"]
    if told["num_irrelevant"]:
        parts.append(f"{told['num_irrelevant']:,} judged irrelevant are hidden")
    if unjudged(told):
        parts.append("how relevant they are is not judged: no calibrated run is here, so that nothing is cut off")
    elif num_unclaimed := unclaimed(told):
        few = "for them" if num_unclaimed == shown else f"for {num_unclaimed} of them"
        parts.append(f"no share of relevance is claimed {few}")
    searched = told["searched"]
    if searched["offline"]:
        parts.append(f"{searched['offline']:,} are offline, and found all the same")
    if searched["refused"]:
        parts.append(f"{searched['refused']:,} could not be read")
    return "; ".join(parts) + "."


def unjudged(told: Mapping[str, Any]) -> bool:
    """True where nothing says how likely the results are relevant."""
    return bool(told["relevance"]) and all(one["run"] is None for one in told["relevance"])


def unclaimed(told: Mapping[str, Any]) -> int:
    """Of how many results nothing is claimed, though a run judges them."""
    return sum(
        bool(one["relevance"]) and all(said["claim"] != "stated" for said in one["relevance"])
        for one in told["results"]
    )


def doubts(told: Mapping[str, Any]) -> str:
    """Say what the status line has no room for: what is claimed of relevance, and what words do not search."""
    said = [f"Relevance by {one['by']}: {one['words']}." for one in told["relevance"]]
    return " ".join([*said, f"{told['picture_content']['words'][:1].upper()}{told['picture_content']['words'][1:]}."])


def unseen_words(told: Mapping[str, Any], query: str) -> str:
    """Say whether words search what pictures show, where words were asked; "" where `nothing_words` says so."""
    if not query.strip() or not told["results"]:
        return ""
    if told["picture_content"]["is_searched_by_words"]:
        return "What pictures show is searched too, how well is not measured."
    return "What pictures show is not searched by words."


def asked_words(query: str, filters: Mapping[str, str], like: Sequence[str], unlike: Sequence[str]) -> str:
    """Say what was asked; "" where nothing was."""
    parts = [f"for {query.strip()!r}"] if query.strip() else []
    parts += [f"{name.replace('_', '-')} {value}" for name, value in filters.items()]
    if like:
        parts.append(f"like {', '.join(PurePosixPath(path).name for path in like)}")
    if unlike:
        parts.append(f"not like {', '.join(PurePosixPath(path).name for path in unlike)}")
    return f" {', '.join(parts)}" if parts else ""


def nothing_words(told: Mapping[str, Any], query: str, filters: Mapping[str, str]) -> list[str]:
    """Say that nothing was found, what that means, and what can be done."""
    searched = told["searched"]
    num = searched["present"] + searched["offline"]
    lines = [f"Nothing found in {num:,} files. That is an answer: nothing here holds what was asked for."]
    if told["num_irrelevant"]:
        lines.append(f"{told['num_irrelevant']:,} answered and were judged irrelevant: show them below.")
    if query.strip():
        lines.append(
            "Words are sought as they stand in titles, captions, keywords, credits, rights, transcripts, texts and "
            "names, in their English forms (bridge, bridges): try fewer words, or the beginning of one (bridg*)."
        )
        if not told["picture_content"]["is_searched_by_words"]:
            lines.append("What pictures show is not searched by words here: give one that is like it.")
    if filters:
        lines.append(f"Filters are set: {', '.join(filters)}. What says nothing of them is left out; take one away.")
    if searched["refused"]:
        lines.append(f"{searched['refused']:,} files could not be read, and were not searched.")
    return lines


def said_rows(said: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return what is said of a file as rows: field, words, where they stand."""
    origin = said.get("origin", {})
    told = {name: said.get(name) for name in ("title", "caption", "creator", "credit", "rights", "captured")}
    told["keywords"] = ", ".join(said.get("keywords", ()))
    if embargo := said.get("embargo"):
        told["embargo"] = f"until {embargo['until'] or 'someone reads its words'} ({embargo['words']})"
    if opt_out := said.get("opt_out"):
        told["opt_out"] = f"{opt_out['state']}: {'; '.join(opt_out['words'])}"
    return [
        {"field": name.replace("_", "-"), "said": plain(words), "where": plain(origin.get(name, ""))}
        for name, words in told.items()
        if words
    ]


def facts_line(facts: Mapping[str, Any]) -> str:
    """Say what a file is in numbers."""
    parts = []
    width, height = facts.get("size") or (facts.get("width"), facts.get("height"))
    if width and height:
        parts.append(f"{width} x {height} pixels")
    if facts.get("seconds"):
        parts.append(f"{facts['seconds']:.1f} s")
    if facts.get("frame_rate"):
        parts.append(f"{facts['frame_rate']:.5g} frames a second")
    if facts.get("rate"):
        parts.append(
            f"{facts['rate']} Hz, {facts.get('channels', 1)} channel{'s' if facts.get('channels', 1) > 1 else ''}"
        )
    if facts.get("format"):
        parts.append(str(facts["format"]))
    if facts.get("bytes"):
        parts.append(f"{facts['bytes'] / 1e6:.2g} MB" if facts["bytes"] >= 1e5 else f"{facts['bytes']:,} bytes")
    return plain(", ".join(parts))
