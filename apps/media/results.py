"""What is told of each result of a search: the file, what is said of it, why it was found; as JSON and as lines."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mainstem.apps.media.catalogue import Catalogue, inside, told_of
from mainstem.apps.media.copies import SAME
from mainstem.apps.media.database import intact
from mainstem.apps.media.embedding import Model
from mainstem.apps.media.likeness import why_alike
from mainstem.apps.media.moments import Moment, clock, cues_of, moments
from mainstem.apps.media.query import THERE, now
from mainstem.core.plain import plain
from mainstem.data.media.words import Term

if TYPE_CHECKING:
    from mainstem.apps.media.search import Candidate

SAID = ("title", "caption", "creator", "credit", "rights", "captured", "opt_out", "notes")
NOTHING = "nothing found"


class Results:
    """Tells the results of one search."""

    def __init__(
        self, catalogue: Catalogue, like: Sequence[Path], model: Model | None, terms: Sequence[Term] = ()
    ) -> None:
        self.catalogue, self.terms, self.like, self.model = catalogue, terms, like, model

    def of(self, one: "Candidate") -> dict[str, Any]:
        """Return a result; what files say of themselves is data, to be escaped wherever it is shown."""
        row = self.catalogue.db.execute(
            "SELECT f.*, c.sha256, c.facts FROM files f JOIN contents c ON c.id = f.content WHERE f.id = ?", (one.file,)
        ).fetchone()
        others = self.catalogue.db.execute(
            f"SELECT path FROM files WHERE content = ? AND id != ? AND {THERE} ORDER BY path",  # noqa: S608
            (one.content, one.file),
        )
        told, place = told_of(row["told"], self.catalogue.home), self.catalogue.home
        with intact(place):
            facts, holds = dict(json.loads(row["facts"])), row["embargo"] > now()
            same = [inside(other[0], place) for other in others]
        embargo = told.get("embargo")
        spoken = self._spoken(one, facts.get("seconds"))
        return {
            "path": inside(row["path"], place), "same_bytes_at": same, "kind": row["kind"],
            "state": row["state"], "sha256": row["sha256"], "relevance": [said.to_dict() for said in one.judged],
            "score": one.likely() if one.judged else None, "is_shown": one.is_shown, "why": list(self._why(one)),
            "copy": None if one.copy is None else one.copy.told(),
            "said": [moment.told() for moment in spoken],
            **self._moment(one, spoken), **{name: told.get(name) for name in SAID},
            "embargo": {**embargo, "holds": holds} if embargo else None,
            "moved_from": row["moved_from"] or None, "edited_from": row["edited_from"] or None,
            "seconds": facts.get("seconds"), "size": [facts.get("width"), facts.get("height")],
        }  # fmt: skip

    def _spoken(self, one: "Candidate", seconds: float | None) -> list[Moment]:
        """When what was asked for is said in a file that lasts so long."""
        if one.words is None or "transcript" not in one.words.found:
            return []
        cues = cues_of(self.catalogue.db, one.file, self.catalogue.home)
        return moments(self.terms, [cue for cue in cues if not seconds or (cue.start_s or 0.0) < seconds])

    def _moment(self, one: "Candidate", spoken: Sequence[Moment]) -> dict[str, Any]:
        """Where it is to be opened: at the picture that is like what was sought, else at what is said."""
        if one.alike is not None and (one.alike.time_s is not None or not spoken):
            return one.alike.moment()
        if not spoken:
            return dict.fromkeys(("frame", "time_s", "shot_s"))
        first = spoken[0]
        asked = "SELECT id FROM frames WHERE content = ? AND start_s <= ? ORDER BY start_s DESC LIMIT 1"
        frame = self.catalogue.db.execute(asked, (one.content, first.time_s)).fetchone()
        return {"frame": frame and frame[0], "time_s": first.time_s, "shot_s": [first.time_s, first.end_s]}

    def _why(self, one: "Candidate") -> Iterator[dict[str, Any]]:
        if one.copy is not None:
            yield one.copy.why()
        if one.words is not None:
            for name, terms in one.words.found.items():
                yield {"field": name, "words": list(terms)}
        if one.alike is not None:
            yield from why_alike(one.alike, self.like, self.model.name if self.model else "")

    def searched(self) -> dict[str, int]:
        """How many files and pictures were searched, and how many could not be."""
        states = self.catalogue.counts("state")
        pictures = int(self.catalogue.db.execute("SELECT count(*) FROM vectors").fetchone()[0])
        return {**{name: states.get(name, 0) for name in ("present", "offline", "refused")}, "pictures": pictures}

    def picture_content(self) -> dict[str, Any]:
        """What compares pictures, and whether words do."""
        if self.model is None:
            return {"is_searched_by_words": False, "model": None, "words": "no picture is embedded yet; index again"}
        model = self.model
        return {
            "is_searched_by_words": model.is_aligned, "model": model.name, "weights_sha256": model.sha256,
            "words": model.words(),
        }  # fmt: skip


def lines_of(told: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a search returned as lines for people."""
    hidden = told["num_irrelevant"]
    where = "hidden, shown by --all" if all(one["is_shown"] for one in told["results"]) else "among them"
    also = f"; {hidden} judged irrelevant are {where}" if hidden else ""
    yield f"{told['num_found']} found{also}" if told["results"] else f"{NOTHING}{also}"
    for one in told["results"]:
        marks = [one["kind"], *([one["state"]] if one["state"] != "present" else [])]
        if one["embargo"] and one["embargo"]["holds"]:
            marks.append(f"EMBARGOED until {one['embargo']['until'] or 'nobody knows when'}")
        if one["opt_out"]:
            marks.append(f"mining {one['opt_out']['state']}")
        at = "" if one["time_s"] is None else f" at {clock(one['time_s'])}"
        yield plain(f"{_score(one)}  {one['path']}{at}  ({', '.join(marks)})")
        yield from (plain(f"       {reason(why)}") for why in one["why"])
        yield from (plain(f"       said at {clock(said['time_s'])}: {said['text']}") for said in one["said"])
        yield from (plain(f"       note: {note}") for note in one["notes"] or ())
    if told["copies"]:
        yield told["copies"]
    yield from (plain(f"relevance by {one['by']}: {one['words']}") for one in told["relevance"])
    if str(told["query"]).strip():  # words were asked, and what they cannot find is to be known
        yield told["picture_content"]["words"]


def _score(one: Mapping[str, Any]) -> str:
    if one["copy"]:
        return SAME if one["copy"]["is_same"] else "copy"
    judged = [said for said in one["relevance"] if said["probability"] is not None]
    if not judged:
        return "  -  "
    best = max(judged, key=lambda said: float(said["probability"]))
    if best["claim"] != "stated":
        return "  ?  "
    possible = best["classes"]
    unsure = " " if len(possible) == 1 else "?"
    return f"{best['probability']:4.0%}{unsure}"


def reason(why: Mapping[str, Any]) -> str:
    """Say why a file was found."""
    if "words" in why:
        return f"{why['field']}: {', '.join(why['words'])}"
    return f"picture like {why['like']}, cosine {why['cosine']:.3f} by {why['compared_by']}"
