"""Why there is no claim, said to a clinician, and what can be done about it."""

import re
from collections.abc import Mapping
from typing import Any

LOCALLY = "Calibrate it on your own: 100 labelled studies a class, `mainstem calibrate`."
UNLIKE = "this study is unlike those that the model was calibrated on. Read it as if no model had spoken"
SAID: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), text)
    for pattern, text in (
        (
            r"regions were calibrated on groups of (?P<where>.+) alone",
            "how often the model errs was measured on {where} alone, and on no study of this place. " + LOCALLY,
        ),
        (
            r"the sample names no group, .*",
            "the study names no patient, so that it may be one that the model learnt from. " + LOCALLY,
        ),
        (r"never calibrated", "how often the model errs was never measured. " + LOCALLY),
        (
            r"(?P<which>.+) was trained or calibrated on: nothing new to claim",
            "the model learnt from this patient, and says nothing new of them",
        ),
        (
            r"it is unlike all that was trained on: strangeness .*",
            "it is unlike every picture that the model learnt from",
        ),
        (r"the inputs of .+ (are unlike those of|depart from) .*", UNLIKE),
        (
            r"these (?P<num>\d+) cases together are unlike the \d+ cases of calibration",
            "these {num} studies together are unlike those that the model was calibrated on. " + LOCALLY,
        ),
        (
            r"nothing of .+ can be compared with the cases of calibration",
            "nothing in this study can be compared with those that the model was calibrated on",
        ),
    )
)


def plainly(reason: str) -> str:
    """Say a reason to a clinician; one that is not known stays as it is."""
    for pattern, text in SAID:
        found = pattern.fullmatch(reason)
        if found is not None:
            return text.format(**found.groupdict())
    return reason


def claim_of(claim: Mapping[str, Any], level: float) -> str:
    """Say a claim, or why there is none and what can be done."""
    if claim["state"] == "stated":
        return f"Claim stated at {level:.0%}: {claim['population'] or 'cases like those of calibration'}"
    name = "Claim withdrawn" if claim["state"] == "withdrawn" else "No claim"
    return f"{name}: {plainly(claim['reason']) or 'no reason is given'}"
