"""Which digit is written and spoken, either missing: the trunk on both streams, a small network for each beside it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from mainstem.adapters.media.log_mel import in_steps
from mainstem.adapters.media.picture_net import Lesson, Network
from mainstem.adapters.media.spoken_digits import SVM_COST, SVM_STEPS
from mainstem.adapters.media.voices import (
    MEL,
    Heard,
    has,
    other_voices,
    shown_to_trunk,
    silence,
    sound_features,
    taught,
)
from mainstem.core.errors import InputError
from mainstem.core.folds import targets_of
from mainstem.core.preparation import View
from mainstem.core.samples import SampleSet
from mainstem.core.stream import Sample, Stream
from mainstem.core.targets import Classes
from mainstem.core.task import WHOLE_VIEW, DataRequest, FitConfig, Grouping, Option, Order, Task
from mainstem.core.tokens import Patches
from mainstem.core.training import TrainingConfig
from mainstem.data.media.digit_pairs import DIGIT_PAIRS, MISSING, PICTURE, SIDE, open_digit_pairs
from mainstem.data.media.spoken_digits import DIGITS, STREAM

Array = NDArray[np.float64]
SHARE = Option(name="missing", help=f"Share of training pairs that miss one stream, 0 to 1; {MISSING} unless given.")
EPOCHS = 40  # of the pictures' network
MOVE, TURN_RAD, ZOOM, NOISE = 0.15, 0.15, 0.1, 0.05  # shares of half a side, radians, shares, of full ink


def read(request: DataRequest) -> SampleSet:
    """Read the pairs that a user asks for."""
    return open_digit_pairs(request.data, request.mirror, missing_of(request))


def missing_of(request: DataRequest) -> float:
    """The share of training pairs that are to miss a stream.

    Raises:
        InputError: if it is no number.
    """
    told = request.option(SHARE.name)
    try:
        return MISSING if told is None else float(told)
    except ValueError as error:
        raise InputError(f"got --missing {told!r:.40}, want a share from 0 to 1") from error


def complete(request: DataRequest) -> Mapping[str, DataRequest]:
    """The same pairs, none of which misses a stream: what is lost by missing ones is told by a fit on these."""
    return (
        {"complete_pairs": replace(request, options={**request.options, SHARE.name: "0"})}
        if missing_of(request)
        else {}
    )


def without(stream: str) -> View:
    """The view that lacks a stream, of samples that have another."""

    def shown(sample: Sample) -> Sample:
        left = {name: own for name, own in sample.streams.items() if name != stream}
        return replace(sample, streams=left or sample.streams)

    return shown


VIEWS: Mapping[str, View] = {
    WHOLE_VIEW: lambda sample: sample,
    "sound alone": without(PICTURE),
    "picture alone": without(STREAM),
}


def view_of(sample: Sample) -> str:
    """The view that shows the streams that a sample has."""
    if PICTURE in sample.streams and STREAM in sample.streams:
        return WHOLE_VIEW
    return "picture alone" if PICTURE in sample.streams else "sound alone"


def ink_in(samples: Sequence[Sample]) -> Array:
    """Pictures (samples, SIDE, SIDE) of samples that have one."""
    found = [sample.streams[PICTURE].values[0].astype(np.float64) for sample in samples]
    return np.stack(found) if found else np.empty((0, SIDE, SIDE))


@dataclass(frozen=True, kw_only=True, eq=False)
class Pairs:
    """A network for each stream beside the trunk; of both, log-probabilities are added, as of independent witnesses."""

    words: Network
    figures: Network

    @classmethod
    def fit(cls, samples: Sequence[Sample], order: Order) -> "Pairs":
        """Train each network on the samples that have its stream.

        Raises:
            InputError: if none has one of the streams.
        """
        heard, seen = ([sample for sample in samples if name in sample.streams] for name in (STREAM, PICTURE))
        if not heard or not seen:
            raise InputError(f"no sample has a {PICTURE if heard else STREAM}; train on some that have")
        lesson = Lesson(num_classes=len(DIGITS), epochs=EPOCHS, unit=1.0, change=otherwise_drawn)
        ink = ink_in(seen).astype(np.float16)[:, None]
        return cls(words=taught(heard), figures=Network.fit(ink, targets_of(seen).astype(np.int64), lesson))

    def __call__(self, samples: Sequence[Sample]) -> tuple[Sequence[Sample], Array]:
        """Return samples with log-mel energies in place of sounds, and no offset."""
        rows = np.flatnonzero(has(samples, STREAM)).tolist()
        heard = Heard.of([samples[row] for row in rows])
        mel = dict(zip(rows, map(shown_to_trunk, heard.pictures, heard.seconds.tolist()), strict=True))
        shown = [replace(own, streams=_shown(own, mel.get(row))) for row, own in enumerate(samples)]
        return shown, np.zeros(len(samples))

    def fallback(self, samples: Sequence[Sample], offset: Array) -> Array:
        """Return the networks' log-probabilities (samples, digits), even where a sample has no stream."""
        found = np.zeros((len(samples), len(DIGITS)))
        heard, seen = (np.flatnonzero(has(samples, name)) for name in (STREAM, PICTURE))
        found[heard] += self.words(Heard.of([samples[row] for row in heard.tolist()]).pictures)
        found[seen] += self.figures(ink_in([samples[row] for row in seen.tolist()]))
        away = found - found.max(1, keepdims=True)
        told: Array = away - np.log(np.exp(away).sum(1, keepdims=True))
        return told

    def strangeness(self, samples: Sequence[Sample]) -> Array:
        """Return what `silence` tells of those that have a sound."""
        return silence(samples)

    def features(self, samples: Sequence[Sample]) -> Array:
        """Return what `sound_features` tells, and how much ink a picture shows, and of how many grey steps."""
        found = np.full((len(samples), 2), np.nan)
        seen = np.flatnonzero(has(samples, PICTURE))
        ink = ink_in([samples[row] for row in seen.tolist()])
        found[seen] = np.stack([ink.mean((1, 2)), ink.std((1, 2))], 1)
        return np.hstack([sound_features(samples), found])

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return plain JSON types and arrays."""
        parts = {"words": self.words.state(), "figures": self.figures.state()}
        arrays = {f"{name}:{key}": held for name, (_, own) in parts.items() for key, held in own.items()}
        return {name: plain for name, (plain, _) in parts.items()}, arrays


def restore(state: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Pairs:
    """Read what `Pairs.state` gave."""

    def of(name: str) -> Network:
        held = {key.partition(":")[2]: own for key, own in arrays.items() if key.startswith(f"{name}:")}
        return Network.restore(state[name], held)

    return Pairs(words=of("words"), figures=of("figures"))


def _shown(sample: Sample, mel: Stream | None) -> dict[str, Stream]:
    """The streams of a sample, its sound as log-mel energies."""
    own = {name: stream for name, stream in sample.streams.items() if name != STREAM}
    return own if mel is None else {**own, MEL: mel}


def otherwise_drawn(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures (batch, y, x), moved, turned, zoomed and grained a little."""
    num = len(pictures)

    def drawn(most: float) -> Tensor:
        return (torch.rand(num, generator=generator) * 2 - 1) * most

    angle, size = drawn(TURN_RAD), 1 + drawn(ZOOM)
    rows = [
        torch.stack([size * angle.cos(), size * angle.sin(), drawn(MOVE)], 1),
        torch.stack([-size * angle.sin(), size * angle.cos(), drawn(MOVE)], 1),
    ]
    grid = F.affine_grid(torch.stack(rows, 1), [num, 1, *pictures.shape[1:]], align_corners=False)
    found = F.grid_sample(pictures[:, None], grid, align_corners=False)[:, 0]
    return found + NOISE * torch.randn(found.shape, generator=generator)


def otherwise(patches: Patches, aims: Tensor, generator: torch.Generator) -> tuple[Patches, Tensor]:
    """Show each pair of a batch as another might have written and said it; what misses stays missing."""
    name = f"{PICTURE}.values"
    said, aims = other_voices(patches, aims, generator)
    if name not in patches:
        return said, aims
    values = patches[name]
    is_there = values.isfinite()
    drawn = otherwise_drawn(values.nan_to_num().flatten(1, 2)[:, 0], generator).view(values.shape)
    return Patches(parts={**said.parts, name: torch.where(is_there, drawn, values)}), aims


def baselines(train: Sequence[Sample], test: Sequence[Sample], seed: int) -> dict[str, Array]:
    """Digits by a support vector machine on each stream alone, and by the sum of both ones' scores.

    Each learns from every sample that has its stream. The commonest digit stands where there is nothing to tell by.
    """
    commonest = float(np.bincount(targets_of(train).astype(np.int64)).argmax())
    columns: Mapping[str, tuple[str, Callable[[Sequence[Sample]], NDArray[Any]]]] = {
        "svm_sound": (STREAM, _steps_in), "svm_picture": (PICTURE, ink_in),
    }  # fmt: skip
    found = {name: np.full(len(test), commonest) for name in ("commonest", *columns, "svm_both")}
    added, is_told = np.zeros((len(test), len(DIGITS))), np.zeros(len(test), bool)
    for name, (stream, of) in columns.items():
        learned = [sample for sample in train if stream in sample.streams]
        rows = np.flatnonzero(has(test, stream))
        if learned and len(rows):
            seen, asked = (of(part).reshape(len(part), -1) for part in (learned, [test[row] for row in rows.tolist()]))
            svm = _svm().fit(seen, targets_of(learned).astype(np.int64))
            found[name][rows] = svm.predict(asked)
            added[rows] += _scores(svm, asked)
            is_told[rows] = True
    found["svm_both"][is_told] = added[is_told].argmax(1)
    return found


def _scores(svm: Any, asked: NDArray[Any]) -> Array:  # noqa: ANN401 - a pipeline of scikit-learn, which is imported late
    """Decision scores (samples, digits): votes of pairs, -1/3 or more; -1 of a digit that it never saw."""
    told = svm.decision_function(asked)
    found = np.full((len(asked), len(DIGITS)), -1.0)
    found[:, svm.classes_] = told if told.ndim == 2 else np.stack([-told, told], 1)
    return found


def _steps_in(samples: Sequence[Sample]) -> NDArray[Any]:
    """What a support vector machine reads of sounds."""
    return in_steps(Heard.of(samples).pictures, SVM_STEPS)


def _svm() -> Any:  # noqa: ANN401 - a pipeline of scikit-learn, which is imported late
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    return make_pipeline(StandardScaler(), SVC(C=SVM_COST))


TASK = Task(
    name="media",
    task="digit-pairs",
    version="1",
    target=Classes(by_class=False, headline="accuracy"),
    config=FitConfig(
        trunk_size="xs",
        training=TrainingConfig(epochs=10, batch_size=64, lr_per_step=2e-3, dropout=0.1),
        num_folds=3,
        steps_per_token=4,
        patch_size=4,
        num_gap_draws=1,
    ),
    read=read,
    prepare=Pairs.fit,
    restore=restore,
    options=(SHARE,),
    views=VIEWS,
    view_of=view_of,
    optional=None,
    augment=otherwise,
    baselines=baselines,
    compared=complete,
    grouping=Grouping(name="recording"),
    sets=(DIGIT_PAIRS,),
    known_failures=(
        "nobody wrote and spoke a pair: pictures and recordings were put together by their digit",
        "six speakers taught it, and the pictures are of 43 writers, 8 x 8 pixels",
        "it names a digit whatever is shown or said; spoken-digits tells how often of words that are none",
    ),
)
