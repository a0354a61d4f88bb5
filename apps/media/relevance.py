"""Whether candidates are relevant, by the runs of the tasks `relevance` and `likeness`, and the set of what is open."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError, MainstemError

if TYPE_CHECKING:
    from mainstem.core.fitted import Fitted
    from mainstem.core.prediction import Prediction
    from mainstem.core.task import Task
    from mainstem.data.media.relevance_pairs import Evidence

TASKS: "Mapping[Evidence, str]" = {"words": "relevance", "likeness": "likeness"}
RELEVANT = "relevant"


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What is said of one pair by one kind of evidence.

    Attributes:
        probability: that it is relevant; None where nothing may be said.
        classes: what is not ruled out at the level.
        claim: "stated", "withdrawn" or "none", and the reason where it is not stated.
        by: "words" or "likeness".
    """

    probability: float | None
    classes: tuple[str, ...]
    claim: str
    reason: str
    by: str

    @property
    def is_shown(self) -> bool:
        """False where relevance is ruled out; what is not judged is shown, and said to be unjudged."""
        return self.probability is None or RELEVANT in self.classes

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {**vars(self), "classes": list(self.classes)}


@dataclass(frozen=True, kw_only=True)
class Runs:
    """Run folders by the task's name; those that ship where none is given."""

    given: tuple[Path, ...] = ()

    def folder(self, task: str) -> Path | None:
        """The run of a task; None where there is none.

        Raises:
            InputError: if a given folder is of no such task.
        """
        from mainstem.adapters import shipped_runs
        from mainstem.core.records import read_record

        for path in self.given:
            if (told := read_record(path))["adapter"] != "media" or told["task"] not in TASKS.values():
                raise InputError(f"{path} is no run of media's tasks relevance or likeness; name one")
            if told["task"] == task:
                return path
        return shipped_runs("media").get(task)


def load_runs(level: float) -> None:
    """Judge nothing in particular: what that loads and counts takes seconds the first time, and none the next."""
    from mainstem.data.media.relevance_pairs import LIKENESS
    from mainstem.data.media.words import FEATURES

    num: Mapping[Evidence, int] = {"words": len(FEATURES), "likeness": len(LIKENESS)}
    for by in TASKS:
        with suppress(MainstemError):  # which a search will say
            judge(by, [np.zeros(num[by])], "", "", (Runs(), level))


def judge(
    by: "Evidence", features: Sequence[NDArray[np.float64]], model: str, query: str, asked: tuple[Runs, float]
) -> tuple[list[Judged], dict[str, Any]]:
    """Judge pairs by one kind of evidence.

    Args:
        by: of what the features are.
        features: of each pair.
        model: hash of what compared pictures.
        query: what was asked, whose pairs belong together.
        asked: the runs, and the level of the sets.

    Returns:
        What is said of each pair, and of the run that says it.
    """
    from mainstem.core.predict import predict
    from mainstem.core.stream import Provenance, Sample
    from mainstem.data.media.relevance_pairs import NO_MODEL, stream_of

    runs, level = asked
    folder = runs.folder(TASKS[by])
    if folder is None:
        reason = f"no run of the task {TASKS[by]} is here, so that nothing is cut off"
        return [_unjudged(by, reason) for _ in features], {"by": by, "run": None, "words": reason}
    task, fitted = _opened(folder, TASKS[by], _changed(folder))
    known = {"model": NO_MODEL if by == "words" else model}
    samples = [
        Sample(
            streams=stream_of(by, values), target=None,
            source=Provenance(data="archive", item=str(row), group=f"asked: {query}", facts=known),
        )
        for row, values in enumerate(features)
    ]  # fmt: skip
    found = [_judged(by, one) for one in predict(fitted, samples, task.view_of, level)]
    return found, _told(by, folder, fitted, found, level)


@lru_cache(4)
def _opened(folder: Path, task: str, changed: int) -> "tuple[Task, Fitted]":
    from mainstem.adapters import find_task
    from mainstem.core.fitted import load_run

    found = find_task("media", task)
    return found, load_run(folder, found)


def _changed(folder: Path) -> int:
    from mainstem.core.records import RECORD_FILE

    return (folder / RECORD_FILE).stat().st_mtime_ns


def _unjudged(by: str, reason: str) -> Judged:
    return Judged(probability=None, classes=(), claim="none", reason=reason, by=by)


def _judged(by: str, told: "Prediction") -> Judged:
    if told.region is None:
        return _unjudged(by, "; ".join(told.reasons))
    return Judged(
        probability=told.probabilities.get(RELEVANT), classes=tuple(told.region.to_dict()["classes"]),
        claim=told.claim.state, reason=told.claim.reason, by=by,
    )  # fmt: skip


def _told(by: "Evidence", folder: Path, fitted: "Fitted", found: Sequence[Judged], level: float) -> dict[str, Any]:
    """What is said of the run beside its judgements."""
    states = sorted({one.claim for one in found})
    learned = str(fitted.manifest.training["data"])
    return {
        "by": by, "run": str(folder), "adapter_sha256": fitted.adapter_sha256, "level": level, "learned_from": learned,
        "claims": states, "words": f"{_stated(found, level)}; it learned from {_learned(by, learned, fitted)}",
    }  # fmt: skip


def _stated(found: Sequence[Judged], level: float) -> str:
    """For how many of a query's files anything is stated, what that is, and why not for the others."""
    whys = Counter(one.reason for one in found if one.claim != "stated")
    others = "; ".join(f"nothing for {num}: {why}" for why, num in whys.most_common())
    if (num := len(found) - whys.total()) == 0:
        return others
    first = f"for {num} of {len(found)} files it is stated that a relevant one is hidden in at most {1 - level:.0%} of"
    return f"{first} cases like those it learned from" + (f"; {others}" if others else "")


def _learned(by: "Evidence", data: str, fitted: "Fitted") -> str:
    """What taught a run, and how much of that is independent: many pairs share a picture or a text."""
    from mainstem.data.media.made_pairs import NAME

    if data == NAME and by == "words":
        return f"{data}: made queries of one pool of transcripts"
    kind = "pictures" if data == NAME else "queries"
    return f"{data}: pairs of {len(fitted.manifest.training['groups'])} {kind}"
