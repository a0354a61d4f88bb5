"""Reviews to test with."""

from dataclasses import replace
from pathlib import Path

from mainstem.apps.review import ReviewStore
from mainstem.apps.review_records import Maker, Review, Shown, Told
from mainstem.apps.review_roles import User

READER, ADMIN = User("dr-a", "reader"), User("it", "admin")
MODEL = Maker(
    adapter="diagnostics",
    task="pneumonia",
    version="1",
    adapter_sha256="1" * 64,
    trunk_sha256="2" * 64,
    calibration_sha256="3" * 64,
)
TOLD = Told(
    value="pneumonia",
    region={"labels": ["pneumonia", "normal"]},
    level=0.9,
    units="",
    probabilities={"pneumonia": 0.1 + 0.2, "normal": 1e-9},
    claim="withdrawn",
    claim_reason="these inputs look unlike those of calibration",
    reasons=("the view is not known",),
)
REVIEW = Review(
    study="p-" + "0" * 32,
    pixel_sha256="4" * 64,
    model=MODEL,
    prediction=TOLD,
    shown=Shown(prediction=True, mask=False, heatmap=True, window=(40.0, 80.5)),
    decision="accept",
    seconds=12.25,
)


def study(number: int) -> str:
    return f"p-{number:032x}"


def some_review(number: int = 0) -> Review:
    """One of a few kinds of review."""
    decision = ("accept", "defer", "override")[number % 3]
    reason = "missed_finding" if decision == "override" else ""
    text = "Verschattung im Unterfeld, 2.5 cm" if number % 2 else ""
    return replace(
        REVIEW, study=study(number % 7), decision=decision, reason_code=reason, reason_text=text, seconds=number / 7
    )


def begun(url: str, home: Path, num: int = 0) -> ReviewStore:
    """A store with some reviews, in which a reader acts."""
    store = ReviewStore.open(url, home).as_user(READER)
    for number in range(num):
        assert not store.record(some_review(number)).warning
    return store
