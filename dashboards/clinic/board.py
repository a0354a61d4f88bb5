"""The clinician's worklist: which study to read next, what is said of each, and what has been decided."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from mainstem.dashboards.clinic.words import ICONS, NO_ADAPTER, URGENCY, Words
from mainstem.dashboards.components.reader import Panel

Standing = Literal["unread", "opinion recorded", "deferred", "accepted", "overridden"]
SETTLED: frozenset[Standing] = frozenset({"accepted", "overridden"})
HIDDEN = "hidden until your own opinion is recorded"
RESEARCH = "Research use only, not a medical device"
REASONS = (
    "the finding is there, the model misses it", "the finding is not there", "another finding explains it",
    "poor image quality", "wrong patient group or technique", "other, as written below",
)  # fmt: skip
OTHER = REASONS[-1]
SHORTEST_REASON = 5  # letters of a reason in words


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
        """The most urgent of what is said."""
        return min(self.says, key=_urgency, default=None)

    @property
    def state(self) -> str:
        """The most urgent state."""
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


def next_id(items: Sequence[Item], chosen: str, by: int) -> str:
    """The study before or after the chosen one, round and round."""
    ids = [item.id for item in items]
    return ids[(ids.index(chosen) + by) % len(ids)] if chosen in ids else (ids[0] if ids else "")


def matching(items: Sequence[Item], asked: str, *, blind: bool) -> list[Item]:
    """Studies that hold all the words asked for, in what may be seen of them."""
    wanted = asked.lower().split()
    return [item for item in items if all(word in " ".join(row(item, blind=blind).values()).lower() for word in wanted)]


def row(item: Item, *, blind: bool) -> dict[str, str]:
    """What the list tells of a study."""
    hidden = item.is_hidden(blind=blind)
    state = "hidden" if hidden else item.state
    return {
        "study": item.title,
        "state": f"{ICONS[state]} {'model hidden' if hidden else state}",
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
    record = ("opinion", "Record my opinion", "o")
    if item.is_hidden(blind=blind):
        lines = (("warn", f"What the model says is {HIDDEN}."), ("quiet", f"{RESEARCH}."))
        return Panel(title="Blind first read", lines=lines, acts=(record,))
    lines = tuple(line for words in sorted(item.says, key=_urgency) for line in _said(words)) or (("warn", NO_ADAPTER),)
    told = (("good", f"Decided: {item.standing}."),) if item.standing in SETTLED else ()
    quiet = tuple(("quiet", text) for text in (item.note, f"{RESEARCH}.") if text)
    acts = (("accept", "Accept", "a"), ("override", "Override", "o")) if item.can_be_judged else (record,)
    return Panel(title=item.title, lines=(*told, *lines, *quiet), acts=(*acts, ("defer", "Defer", "d")))


def _said(words: Words) -> tuple[tuple[str, str], ...]:
    mark = "warn" if words.state in ("unsure", "not predicted", "finding") else "good"
    claim = (("quiet" if words.claim.startswith("Claim stated") else "warn", words.claim),) if words.claim else ()
    return ((mark, f"{words.headline[:1].upper()}{words.headline[1:]}"), *(("", line) for line in words.lines), *claim,
            ("quiet", words.model))  # fmt: skip


def lacking(decision: str, reason: str, text: str) -> str:
    """Say what a decision lacks before it may be recorded; "" where it lacks nothing."""
    if decision == "accept":
        return ""
    if decision == "opinion":
        return "" if text.strip() else "Write what you see first."
    if reason not in REASONS:
        return "Choose a reason first: none is recorded without one."
    if reason == OTHER and len(text.strip()) < SHORTEST_REASON:
        return "Write the reason in words first."
    return ""
