"""What a review says: about which study, made by which model, what was told and shown, and what the reader decided.

A store takes no name and no identifier: patients' studies come as pseudonyms (`review_pseudonyms`), pictures as hashes.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from mainstem.apps.review_roles import Mode, User
from mainstem.core.errors import InputError
from mainstem.core.schema import Count, Finite, Flag, Name, Sha256, Share, first_mistake, printable

if TYPE_CHECKING:
    from mainstem.core.prediction import Prediction

# Control characters but the line feed, and those that turn the direction of writing (Unicode UAX 9)
FORBIDDEN = r"\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069"
Line = Annotated[str, Field(max_length=400, pattern=rf"^[^\n{FORBIDDEN}]*$")]
Text = Annotated[str, Field(max_length=4000, pattern=rf"^[^{FORBIDDEN}]*$")]
Pseudonym = Annotated[str, Field(pattern=r"^p-[0-9a-f]{32}$")]
Code = Annotated[str, Field(pattern=r"^([a-z][a-z0-9_]{0,39})?$")]
Decision = Literal["accept", "override", "defer", "read"]  # "read": without a model
STRICT = ConfigDict(extra="forbid")
OTHER = "other"
REASONS: Mapping[str, str] = {
    "missed_finding": "the model missed a finding",
    "wrong_finding": "the model names a finding that is not there",
    "wrong_region": "the mask or the place is wrong",
    "image_quality": "the image does not allow the answer",
    "clinical_context": "what is known of the patient says otherwise",
    "out_of_scope": "the model is not meant for this study",
    OTHER: "another reason, in words",
}


@dataclass(frozen=True, kw_only=True)
class Maker:
    """Which files made a prediction; `calibration_sha256` is None where it never was calibrated."""

    __pydantic_config__ = STRICT

    adapter: Name
    task: Name
    version: Name
    adapter_sha256: Sha256
    trunk_sha256: Sha256
    calibration_sha256: Sha256 | None

    @classmethod
    def of(cls, prediction: "Prediction", calibration_sha256: str | None) -> "Maker":
        """Return the maker of a prediction."""
        return cls(**vars(prediction.model), calibration_sha256=calibration_sha256)


@dataclass(frozen=True, kw_only=True)
class Told:
    """A prediction as the reader could see it, without its source: that may name a patient."""

    __pydantic_config__ = STRICT

    value: Finite | Line | None
    region: dict[str, JsonValue] | None
    level: Share
    units: Line
    probabilities: dict[Name, Share]
    claim: Literal["stated", "withdrawn", "none"]
    claim_reason: Line = ""
    abstained: Flag = False
    reasons: tuple[Line, ...] = ()

    @classmethod
    def of(cls, prediction: "Prediction") -> "Told":
        """Return what a prediction told."""
        return cls(
            value=prediction.value,
            region=None if prediction.region is None else prediction.region.to_dict(),
            level=prediction.level,
            units=prediction.units,
            probabilities=dict(prediction.probabilities),
            claim=prediction.claim.state,
            claim_reason=prediction.claim.reason,
            abstained=prediction.abstained,
            reasons=tuple(prediction.reasons),
        )


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What stood on the screen when the decision was taken.

    Attributes:
        prediction: whether the prediction was to be seen at all.
        window: centre and width, in the image's rescaled unit; None where none was set.
        blind_first_read: whether the reader answered before the prediction was shown.
        first_read: that answer.
    """

    __pydantic_config__ = STRICT

    prediction: Flag
    mask: Flag
    heatmap: Flag
    window: tuple[Finite, Finite] | None = None
    blind_first_read: Flag = False
    first_read: Line = ""


@dataclass(frozen=True, kw_only=True)
class Review:
    """One decision of one reader about one study.

    Attributes:
        model, prediction: both None where no model was asked; the study is then read without one, or deferred.
        study, series, instances: pseudonyms; no instance need be named where the series says it.
        pixel_sha256: of the pixels that the study holds.
        finding: what the reader says instead of the prediction, or beside it; "read" has one.
        reason_code: one of `REASONS`, or the site's own; an override has one.
        reason_text: free; needed where the code is "other". Refused in a research store: nobody can tell what it holds.
        seconds: from opening the study to the decision.
        corrects: number of an earlier review of the same study, which this one takes the place of.
    """

    __pydantic_config__ = STRICT

    study: Pseudonym
    pixel_sha256: Sha256
    model: Maker | None
    prediction: Told | None
    shown: Shown
    decision: Decision
    seconds: Annotated[Finite, Field(ge=0, le=1e7)]
    series: Pseudonym | None = None
    instances: tuple[Pseudonym, ...] = ()
    finding: Finite | Line | None = None
    reason_code: Code = ""
    reason_text: Text = ""
    corrects: Annotated[Count, Field(ge=1)] | None = None


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A review as it stands in the store.

    Attributes:
        num: its number, from 1.
        when: UTC by the database's clock, ISO 8601.
        code: version of this program that wrote it.
        warning: what the user should be told, e.g. that its anchor could not be written; "" for nothing.
    """

    num: int
    when: str
    user: str
    role: str
    code: str
    hash: str
    review: Review
    warning: str = field(default="", compare=False)


_REVIEW = TypeAdapter(Review)
_IS_PSEUDONYM = re.compile(r"p-[0-9a-f]{32}")


def is_pseudonym(text: str) -> bool:
    """True for what `review_pseudonyms` makes."""
    return _IS_PSEUDONYM.fullmatch(text) is not None


def parse_review(found: object) -> Review:
    """Return a review from plain JSON types, checked.

    Raises:
        InputError: naming the first thing that is wrong; of identifiers it repeats nothing.
    """
    try:
        review = _REVIEW.validate_python(found)
    except (ValidationError, RecursionError) as error:
        raise InputError(f"the review cannot be stored: {_mistake(error)}; correct it and send it again") from error
    if review.decision == "override" and not review.reason_code:
        raise InputError(f"an override needs a reason; choose one of {', '.join(REASONS)}")
    _check_model(review)
    if review.reason_code == OTHER and not review.reason_text.strip():
        raise InputError("the reason 'other' needs words; write them")
    return review


def _check_model(review: Review) -> None:
    """Check that a decision is held against a model just where one was asked.

    Raises:
        InputError: if it is not.
    """
    is_asked = review.model is not None
    if is_asked != (review.prediction is not None):
        raise InputError("a model without its prediction, or the other way round; give both, or neither")
    if not is_asked and (review.shown.prediction or review.shown.mask or review.shown.heatmap):
        raise InputError("nothing of a model can have been shown where none was asked; say what was on the screen")
    wanted = ("accept", "override", "defer") if is_asked else ("read", "defer")
    if review.decision not in wanted:
        asked = "a model was asked" if is_asked else "no model was asked"
        raise InputError(f"got {review.decision}, want {' or '.join(wanted)}, for {asked}; correct it")
    if review.decision == "read" and (review.finding is None or not str(review.finding).strip()):
        raise InputError("a study read without a model needs a finding; write what you see")


def _mistake(error: ValidationError | RecursionError) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    where = str(error.errors(include_url=False, include_input=False)[0]["loc"][:1])
    if any(name in where for name in ("study", "series", "instances")):
        return f"{where.strip('(),')} is no pseudonym; make one by store.pseudonyms"
    return first_mistake(error)


def check_review(review: Review, user: User, mode: Mode) -> Review:
    """Check a review, and what a research store may not hold.

    Raises:
        InputError: naming the first thing that is wrong.
    """
    checked = parse_review(asdict(review))
    _check_text(None if checked.prediction is None else checked.prediction.region)
    if not user.id or len(user.id) > 200 or not user.id.isprintable():
        raise InputError(f"got the user {printable(user.id)!r}, want an id of 1 to 200 printable letters; correct it")
    if mode == "research" and not is_pseudonym(user.id):
        raise InputError("a research store takes no names; name the user by a pseudonym of store.pseudonyms")
    if mode == "research" and review.reason_text:
        raise InputError("a research store takes no free text, for it may name a patient; give a reason's code alone")
    return checked


def _check_text(value: object) -> None:
    """Check every text inside plain JSON types."""
    if isinstance(value, dict):
        for name, part in value.items():
            _check_text(name)
            _check_text(part)
    elif isinstance(value, list):
        for part in value:
            _check_text(part)
    elif isinstance(value, str) and re.search(f"[{FORBIDDEN}]", value):
        raise InputError("the region holds control characters; hand over plain text")


def body_of(review: Review, said: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is stored: the review, and what the store itself says of it."""
    return {"kind": "review", **said, **asdict(review)}


def recorded(num: int, digest: str, body: Mapping[str, Any]) -> Recorded:
    """Return a review from what is stored."""
    said = {name: body[name] for name in ("when", "user", "role", "code")}
    review = parse_review({name: value for name, value in body.items() if name not in {"kind", *said}})
    return Recorded(num=num, hash=digest, review=review, **said)
