"""The clinician's worklist: which study to read next, what is said of each, and what has been decided."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import pandas as pd

from mainstem.apps.review_records import Recorded, Review, parse_review
from mainstem.dashboards.clinic.words import ICONS, NO_ADAPTER, URGENCY, Words
from mainstem.dashboards.components.reader import Act, Panel

Standing = Literal["unread", "opinion recorded", "deferred", "accepted", "overridden", "read without a model"]
SETTLED: frozenset[Standing] = frozenset({"accepted", "overridden", "read without a model"})
HIDDEN = "hidden until your own opinion is recorded"
TOLD = ("value", "region", "level", "units", "probabilities", "abstained")  # of a prediction, as it is kept
RESEARCH = "Research use only, not a medical device"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a reader decides, "opinion" before the model is shown: the finding and the reason in their words."""

    decision: Literal["accept", "override", "defer", "opinion", "read"]
    code: str = ""
    text: str = ""
    finding: str = ""
    first_read: str = ""


@dataclass(frozen=True, kw_only=True)
class Item:
    """One study of the worklist.

    Attributes:
        id: opaque; what the address and the review store call it.
        title: made by the project, never from a file's text.
        origin: "simulated", "real data" or "origin unknown".
        says: one for each model that was asked and answers, or tells why not.
        standing: what its last review decided.
    """

    id: str
    title: str
    kind: str
    origin: str
    note: str = ""
    says: tuple[Words, ...] = ()
    standing: Standing = "unread"
    attribution: str = ""

    @property
    def leading(self) -> Words | None:
        """Whose words a decision is about: the most urgent of those that say something, else of those that abstain."""
        return min(self.says, key=lambda words: (not words.is_told, _urgency(words)), default=None)

    @property
    def state(self) -> str:
        """How urgent that is."""
        return self.leading.state if self.leading else "not predicted"

    @property
    def headline(self) -> str:
        """What is said first."""
        return self.leading.headline if self.leading else NO_ADAPTER

    @property
    def can_be_judged(self) -> bool:
        """True where a model said something."""
        return any(words.is_told for words in self.says)

    def is_hidden(self, *, blind: bool) -> bool:
        """True where a blind first read hides what is said."""
        return blind and self.standing == "unread" and self.can_be_judged


def _urgency(words: Words) -> tuple[int, float]:
    return URGENCY[words.state], -words.chance


def triage(items: Iterable[Item], *, blind: bool = False) -> list[Item]:
    """Return the studies in the order to read them: unread before deferred before settled, the urgent first.

    What is found comes first, then what the model is unsure of or does not predict, then "nothing found". A study
    whose model is hidden keeps its place by its id: the order must not give away what is hidden.
    """

    def order(item: Item) -> tuple[int, int, float, str]:
        waiting = {"unread": 0, "opinion recorded": 0, "deferred": 1}.get(item.standing, 2)
        if blind and item.standing == "unread":
            return waiting, -1, 0.0, item.id
        leading = item.leading
        return (waiting, *(_urgency(leading) if leading else (URGENCY["not predicted"], 0.0)), item.id)

    return sorted(items, key=order)


def next_id(ids: Sequence[str], chosen: str, by: int) -> str:
    """The study so many before or after the chosen one, round and round."""
    return ids[(ids.index(chosen) + by) % len(ids)] if chosen in ids else (ids[0] if ids else "")


def matching(items: Sequence[Item], asked: str, *, blind: bool) -> list[Item]:
    """Studies that hold all the words asked for, in what may be seen of them."""
    wanted = asked.lower().split()
    return [item for item in items if all(word in " ".join(row(item, blind=blind).values()).lower() for word in wanted)]


def row(item: Item, *, blind: bool) -> dict[str, str]:
    """What the list tells of a study."""
    hidden = item.is_hidden(blind=blind)
    state = item.standing if item.standing in ("deferred", *SETTLED) else "hidden" if hidden else item.state
    return {
        "study": item.title,
        "state": f"{ICONS[state]} {'model hidden' if state == 'hidden' else state}",
        "read": item.standing,
        "what is said": HIDDEN if hidden else item.headline,
        "kind": item.kind,
        "origin": item.origin,
    }


def worklist(items: Sequence[Item], *, blind: bool) -> pd.DataFrame:
    """The list as a table."""
    columns = ["study", "state", "read", "what is said", "kind", "origin"]
    return pd.DataFrame([row(item, blind=blind) for item in items], columns=columns)


def download(items: Sequence[Item], *, blind: bool) -> pd.DataFrame:
    """The list to take along: with opaque ids, attribution, claims, and what it must not be used for."""
    told = worklist(items, blind=blind)
    told.insert(0, "id", [item.id for item in items])
    open_ = [() if item.is_hidden(blind=blind) else item.says for item in items]
    told["model"] = ["; ".join(words.model for words in says) for says in open_]
    told["claim"] = ["; ".join(words.claim for words in says if words.claim) for says in open_]
    told["note"] = [item.note for item in items]
    told["attribution"] = [item.attribution for item in items]
    told["use"] = RESEARCH
    return told


def summary(items: Sequence[Item], *, blind: bool) -> str:
    """Say in one line what the list holds."""
    waiting = [item for item in items if item.standing not in SETTLED]
    if not waiting:
        return f"All {len(items)} studies are read."
    shown = [row(item, blind=blind)["state"][2:] for item in waiting]
    counts = ", ".join(f"{shown.count(state)} {state}" for state in dict.fromkeys(shown))
    return f"{len(waiting)} of {len(items)} to read: {counts}."


def panel_of(item: Item, *, blind: bool) -> Panel:
    """What stands on the canvas beside a study, and what may be decided of it."""
    if item.is_hidden(blind=blind):
        veil = (("warn", f"What the model says is {HIDDEN}."), ("quiet", f"{RESEARCH}."))
        return Panel(title="Blind first read", lines=veil, acts=(("opinion", "Record my opinion", "o"),))
    speaking = [words for words in sorted(item.says, key=_urgency) if words.is_told]
    lines = tuple(line for words in speaking for line in _said(words)) or (("warn", NO_ADAPTER),)
    folded = tuple(f"{words.model} {words.headline}" for words in item.says if not words.is_told)
    told = (("good", f"Decided: {item.standing}."),) if item.standing in SETTLED else ()
    quiet = tuple(("quiet", text) for text in (item.note, f"{RESEARCH}.") if text)
    return Panel(title=item.title, lines=(*told, *lines, *quiet), folded=folded, acts=_acts(item))


def with_faults(panel: Panel, faults: Sequence[str]) -> Panel:
    """A panel that says why contours in the study's files are not shown."""
    lines = tuple(("warn", f"Contours in the study's files that are not shown: {fault}") for fault in faults)
    return replace(panel, lines=(*panel.lines, *lines))


def _acts(item: Item) -> tuple[tuple[str, str, str], ...]:
    """What can be decided; where no model was asked, the study is read without one."""
    if not item.says:
        return (("read", "Record my finding", "o"), ("defer", "Defer", "d"))
    own = ("override", "Override" if item.can_be_judged else "Record my finding", "o")
    return (*((("accept", "Accept", "a"),) if item.can_be_judged else ()), own, ("defer", "Defer", "d"))


def _said(words: Words) -> tuple[tuple[str, str], ...]:
    mark = "warn" if words.state in ("unsure", "finding") else "good"
    claim = (("quiet" if words.claim.startswith("Claim stated") else "warn", words.claim),) if words.claim else ()
    return ((mark, f"{words.headline[:1].upper()}{words.headline[1:]}"), *(("", line) for line in words.lines), *claim,
            ("quiet", words.model))  # fmt: skip


def standing_of(newest: Recorded | None) -> Standing:
    """What a study's newest review made of it."""
    if newest is None:
        return "unread"
    review = newest.review
    if review.decision == "defer":
        return "deferred" if review.shown.prediction or review.model is None else "opinion recorded"
    settled: dict[str, Standing] = {"accept": "accepted", "override": "overridden", "read": "read without a model"}
    return settled[review.decision]


def review_of(words: Words | None, act: Act, answer: Answer, names: tuple[str, str]) -> Review:
    """Return what the store keeps of a decision; `names` are the study's pseudonym and the sha256 of its pixels.

    Raises:
        InputError: if it lacks a reason that it must have.
    """
    is_first = answer.decision == "opinion"
    seen = words is not None and not is_first
    return parse_review(
        {
            "study": names[0], "pixel_sha256": names[1], "seconds": act.seconds, **_held_against(words),
            "shown": {
                "prediction": seen, "mask": act.mask and seen, "heatmap": act.heatmap and seen, "window": act.window,
                "blind_first_read": bool(answer.first_read), "first_read": answer.first_read,
            },
            "decision": "defer" if is_first else answer.decision, "finding": answer.finding or None,
            "reason_code": answer.code, "reason_text": answer.text,
        }
    )  # fmt: skip


def _held_against(words: Words | None) -> dict[str, Any]:
    """Which model said what; neither where none was asked."""
    if words is None:
        return {"model": None, "prediction": None}
    told = words.prediction
    claim = told["claim"]
    return {
        "model": {**told["model"], "calibration_sha256": told.get("calibration_sha256")},
        "prediction": {name: told[name] for name in TOLD}
        | {"claim": claim["state"], "claim_reason": claim["reason"], "reasons": tuple(told["reasons"])},
    }
