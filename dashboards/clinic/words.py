"""What a prediction says to a clinician: value, region and claim, never a bare number, and how urgent it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mainstem.dashboards.clinic.reasons import claim_of, plainly
from mainstem.data.medical.studies import is_nothing

State = Literal["finding", "unsure", "not predicted", "measured", "nothing found"]
URGENCY: Mapping[State, int] = {"finding": 0, "unsure": 1, "not predicted": 2, "measured": 3, "nothing found": 4}
ICONS: Mapping[str, str] = {
    "finding": "●", "unsure": "◐", "not predicted": "○", "measured": "◆", "nothing found": "□", "hidden": "◌",
    "deferred": "…", "accepted": "✓", "overridden": "✎", "opinion recorded": "◌",
    "read without a model": "✓",
}  # fmt: skip
BEFORE: Mapping[str, Any] = {  # of a study that an earlier version asked about
    "text": "unsure: told by an earlier version; open its files again, or make the demo anew",
    "there": (), "is_decided": False, "is_measure": False,
}  # fmt: skip
NO_ADAPTER = "Not predicted: no adapter predicts this."


@dataclass(frozen=True, kw_only=True)
class Words:
    """What one model says of a study: a headline, more lines, how urgent it is, who says it, and all of it as data."""

    state: State
    headline: str
    lines: tuple[str, ...]
    chance: float  # of the likeliest finding, 0-1: what orders studies of one state
    model: str
    prediction: Mapping[str, Any]
    claim: str = ""

    @property
    def is_told(self) -> bool:
        """True where a model said something that can be accepted or overridden."""
        return self.state != "not predicted"


def words_of(prediction: Mapping[str, Any]) -> Words:
    """Say a prediction, as `Prediction.to_dict` writes it, in words."""
    model, reasons = prediction["model"], tuple(prediction["reasons"])
    who = f"{model['adapter']} {model['task']} {model['version']}"
    if prediction["abstained"] and prediction["region"] is None:
        why = "; ".join(map(plainly, reasons)) or plainly(prediction["claim"]["reason"]) or "no reason is given"
        return Words(state="not predicted", headline=f"not predicted: {why}", lines=(), chance=0.0, model=who,
                     prediction=prediction)  # fmt: skip
    shares = {name: float(share) for name, share in prediction["probabilities"].items()}
    found = {name: share for name, share in shares.items() if not is_nothing(name)}
    state, headline = _region(prediction)
    if prediction["abstained"]:
        state, headline, reasons = "unsure", f"unsure: {'; '.join(map(plainly, reasons))}", ()
    claim, is_claimed = prediction["claim"], prediction["claim"]["state"] == "stated"
    if not is_claimed:
        headline = headline if prediction["abstained"] else _unclaimed(prediction)
        state = state if state == "finding" else "unsure"
    others = (plainly(reason) for reason in reasons if reason != claim["reason"])
    told = tuple(part for part in (_probabilities(shares, is_claimed=is_claimed), *others) if part)
    return Words(
        state=state, headline=headline, lines=told, chance=max(found.values(), default=0.0), model=who,
        claim=claim_of(claim, prediction["level"]), prediction=prediction,
    )  # fmt: skip


def _region(prediction: Mapping[str, Any]) -> tuple[State, str]:
    """What cannot be ruled out, as the region itself says it, and how urgent that is."""
    words = prediction.get("words", BEFORE)
    if words["is_measure"]:
        return "measured", words["text"]
    if any(not is_nothing(name) for name in words["there"]):
        return "finding", words["text"]
    return ("nothing found" if words["is_decided"] else "unsure"), words["text"]


def _unclaimed(prediction: Mapping[str, Any]) -> str:
    """What is told where no claim stands behind it: nothing is ruled out, and no range holds so often."""
    words = prediction.get("words", BEFORE)
    if words is BEFORE:
        return str(words["text"])
    if words["is_measure"]:
        return f"without a claim, so that the truth may lie elsewhere more often: {words['text']}"
    found = [name for name in words["there"] if not is_nothing(name)]
    told = f"suspects {', '.join(found)}" if found else "suspects nothing" if words["is_decided"] else "is unsure"
    return f"no claim: the model {told}, and nothing is ruled out"


def _probabilities(shares: Mapping[str, float], *, is_claimed: bool) -> str:
    ordered = sorted(shares.items(), key=lambda item: -item[1])
    name = "Calibrated probability" if is_claimed else "Probability, not calibrated for studies like this"
    return f"{name}: {', '.join(f'{one} {_share(share)}' for one, share in ordered)}" if shares else ""


def _share(share: float) -> str:
    """A share in words: none is certain."""
    return "over 99%" if share > 0.99 else "under 1%" if share < 0.01 else f"{share:.0%}"
