"""What a prediction says to a clinician: value, region and claim, never a bare number, and how urgent it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

State = Literal["finding", "unsure", "not predicted", "measured", "nothing found"]
URGENCY: Mapping[State, int] = {"finding": 0, "unsure": 1, "not predicted": 2, "measured": 3, "nothing found": 4}
ICONS: Mapping[str, str] = {
    "finding": "●", "unsure": "◐", "not predicted": "○", "measured": "◆", "nothing found": "□", "hidden": "◌",
    "deferred": "…", "accepted": "✓", "overridden": "✎", "opinion recorded": "◌",
}  # fmt: skip
NOTHING = frozenset({"normal", "no finding", "none", "healthy"})  # names of classes that say that nothing was found
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
        why = "; ".join(reasons) or prediction["claim"]["reason"] or "no reason is given"
        return Words(state="not predicted", headline=f"not predicted: {why}", lines=(), chance=0.0, model=who,
                     prediction=prediction)  # fmt: skip
    shares = {name: float(share) for name, share in prediction["probabilities"].items()}
    found = {name: share for name, share in shares.items() if name.lower() not in NOTHING}
    state, headline = _region(prediction, shares)
    if prediction["abstained"]:
        state, headline, reasons = "unsure", f"unsure: {'; '.join(reasons)}", ()
    claim = prediction["claim"]
    if claim["state"] != "stated" and state != "finding":
        state = "unsure"
    told = tuple(part for part in (_probabilities(shares), *reasons) if part and part != claim["reason"])
    return Words(
        state=state, headline=headline, lines=told, chance=max(found.values(), default=0.0), model=who,
        claim=_claim(claim, prediction["level"]), prediction=prediction,
    )  # fmt: skip


def _region(prediction: Mapping[str, Any], shares: Mapping[str, float]) -> tuple[State, str]:
    """What cannot be ruled out, and how urgent that is."""
    region, level = prediction["region"], f"{prediction['level']:.0%}"
    if region is None:
        return "unsure", f"{_value(prediction)}: never calibrated, so that nothing can be ruled out"
    if "classes" in region:
        return _classes(region["classes"], level)
    if "present" in region:
        return _findings(region, level)
    if "low" not in region:
        return "measured", "; ".join(_structure(name, told, level) for name, told in region.items())
    ends = [_number(region[end]) for end in ("low", "high")]
    return "measured", f"{_value(prediction)}, {level} between {ends[0]} and {ends[1]} {prediction['units']}"


def _structure(name: str, told: Mapping[str, float], level: str) -> str:
    """One structure of a mask: its volume with its interval, and what of it stays open."""
    low, high, volume = (_number(told[part]) for part in ("low", "high", "volume_ml"))
    return f"{name} {volume} mL, {level} between {low} and {high} mL, {told['open_voxels']:.0f} voxels open"


def _classes(classes: Sequence[str], level: str) -> tuple[State, str]:
    if len(classes) == 1:
        (only,) = classes
        return ("nothing found" if only.lower() in NOTHING else "finding"), f"{only}, all else ruled out at {level}"
    if not classes:
        return "unsure", f"unsure: no class fits at {level}"
    return "unsure", f"unsure: {' or '.join(classes)} at {level}"


def _findings(region: Mapping[str, Sequence[str]], level: str) -> tuple[State, str]:
    present, open_ = list(region["present"]), list(region["open"])
    parts = [f"present at {level}: {', '.join(present)}"] if present else []
    parts += [f"cannot be ruled out: {', '.join(open_)}"] if open_ else []
    state: State = "finding" if present else "unsure" if open_ else "nothing found"
    # by itself: that one of several is there after all happens more often than that a given one is
    return state, "; ".join(
        parts
    ) or f"nothing found; ruled out at {level}, each by itself: {', '.join(region['absent'])}"


def _value(prediction: Mapping[str, Any]) -> str:
    value = prediction["value"]
    return f"{_number(value)} {prediction['units']}" if isinstance(value, float | int) else str(value)


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def _probabilities(shares: Mapping[str, float]) -> str:
    ordered = sorted(shares.items(), key=lambda item: -item[1])
    return (
        "Calibrated probability: " + ", ".join(f"{name} {_share(share)}" for name, share in ordered) if shares else ""
    )


def _share(share: float) -> str:
    """A share in words: none is certain."""
    return "over 99%" if share > 0.99 else "under 1%" if share < 0.01 else f"{share:.0%}"


def _claim(claim: Mapping[str, Any], level: float) -> str:
    if claim["state"] == "stated":
        whose = claim["population"] or "cases like those of calibration"
        return f"Claim stated at {level:.0%}: {whose}"
    name = "Claim withdrawn" if claim["state"] == "withdrawn" else "No claim"
    return f"{name}: {claim['reason'] or 'no reason is given'}"
