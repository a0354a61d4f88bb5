"""A prediction told in one line: of which input, what, and whether that is claimed."""

from dataclasses import replace

import pytest

from mainstem.core.prediction import Claim, ModelRef, Prediction
from mainstem.core.stream import NO_LICENCE, Provenance
from mainstem.core.targets.classes import ClassSet

SPOKEN = Prediction(
    value="7",
    region=ClassSet(classes=("7", "6")),
    level=0.9,
    units="class",
    claim=Claim(state="none", reason="the sample names no group"),
    model=ModelRef(adapter="media", task="spoken-digits", version="1", adapter_sha256="", trunk_sha256=""),
    source=Provenance(data="set", item="seven.wav", licence=NO_LICENCE),
    probabilities={"7": 0.9355, "6": 0.06},
)
STATED = Claim(state="stated", population="new speakers")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {},
            "seven.wav: unsure: 7 or 6 at 90%; most likely 7 (94%); the 90% is not claimed: the sample names no group",
        ),
        (
            {"region": ClassSet(classes=("7",)), "claim": STATED},
            "seven.wav: 7, all else ruled out at 90%; most likely 7 (94%); the 90% is claimed: new speakers",
        ),
        (
            {"value": None, "region": None, "abstained": True, "reasons": ("it is silent", "it is short")},
            "seven.wav: nothing is predicted: it is silent; it is short",
        ),
        (
            {"source": replace(SPOKEN.source, item="a\n\x1b[2Jb.wav"), "region": None, "claim": Claim(state="none")},
            "a  [2Jb.wav: 7: never calibrated, so that nothing can be ruled out; most likely 7 (94%); "
            "the 90% is not claimed",
        ),
    ],
)  # fmt: skip
def test_one_line_says_what_is_told_and_claimed(changes, line):
    told = replace(SPOKEN, **changes)
    assert told.line() == line
    assert told.to_dict()["line"] == line
