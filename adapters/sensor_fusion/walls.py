"""Which move follows a wall, from any of 24 sonars: the trunk on each one's recent ranges, and trees beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mainstem.core.cases import blocks_in
from mainstem.core.folds import targets_of
from mainstem.core.preparation import View
from mainstem.core.samples import SampleSet
from mainstem.core.stream import Sample
from mainstem.core.targets import Classes
from mainstem.core.task import DataRequest, FitConfig, Grouping, Order, Task
from mainstem.core.tokens import Patches
from mainstem.core.training import TrainingConfig
from mainstem.core.trees import Trees
from mainstem.data.robot.wall_following import MOVES, NUM_SONARS, SONARS, STEPS, open_wall_following

Array = NDArray[np.float64]
LOST = (0, 1, 4, 8, 12)  # sonars, of each view
MOST_LOST = 16  # while one learns
LAGS = (0, 2, 7)  # steps back that the trees read
ARCS, MOVING_ARCS = (2, 3, 4, 5, 7), (3, 5)  # neighbouring sonars, the nearest of which is taken
COPIES = 12  # of each training sample that the trees learn from, each without other sonars
UNSEEN = -1.0  # m, where a tree reads nothing
ROUNDS, LEAVES, SMALLEST_LEAF, SHARE_OF_COLUMNS = 120, 31, 30, 0.15  # of boosting; a leaf of each COPIES samples
DRAW = "draw"  # the fact that says which sonars a sample's views lose
LEAST = 1e-6  # of a probability


def read(request: DataRequest) -> SampleSet:
    """Read the drive that a user asks for."""
    return open_wall_following(request.data, request.mirror)


def lose(num: int) -> View:
    """Return the view without `num` sonars, which the sample's draw and row choose; of fewer lost, some of the same."""

    def lost(sample: Sample) -> Sample:
        facts = sample.source.facts
        order = np.random.default_rng([int(facts.get(DRAW, 0)), int(facts["row"])]).permutation(NUM_SONARS)
        gone = {SONARS[index] for index in order[:num].tolist()}
        return replace(sample, streams={name: own for name, own in sample.streams.items() if name not in gone})

    return lost


def draw(samples: Sequence[Sample], seed: int) -> list[Sample]:
    """Return samples whose views lose other sonars, each sample its own: those that a seed draws."""
    return [
        replace(sample, source=replace(sample.source, facts={**sample.source.facts, DRAW: seed})) for sample in samples
    ]


VIEWS: Mapping[str, View] = {"whole": lambda sample: sample} | {f"lost{num}": lose(num) for num in LOST[1:]}


def view_of(sample: Sample) -> str:
    """Return the view that loses as many sonars as the sample lacks, or the next of more; the last beyond."""
    lacking = NUM_SONARS - sum(name in sample.streams for name in SONARS)
    return next((view for view, num in zip(VIEWS, LOST, strict=True) if num >= lacking), list(VIEWS)[-1])


def ranges_of(samples: Sequence[Sample], lags: Sequence[int] = LAGS) -> Array:
    """Ranges (samples, sonars, lags) in m, as they were so many steps ago; NaN where a sonar is lost."""
    found = np.full((len(samples), NUM_SONARS, len(lags)), np.nan)
    for column, sonar in enumerate(SONARS):
        for rows, block in blocks_in(samples, sonar):
            seen = np.where(block.observed(), block.values, np.nan)[:, :, 0]
            found[rows, column] = seen[:, [STEPS - 1 - lag for lag in lags]]
    return found


def nearest(ranges: Array, widths: Sequence[int]) -> Array:
    """The least range (samples, arcs) of every so many neighbours of a ring (samples, sonars); NaN where none is seen.

    A wall is as far as its nearest echo, so that a sonar that is lost is made up for by what its neighbours see.
    """
    far = np.where(np.isnan(ranges), np.inf, ranges)
    arcs = [np.min([np.roll(far, -step, 1) for step in range(width)], axis=0) for width in widths]
    found = np.concatenate(arcs, 1)
    return np.where(np.isinf(found), np.nan, found)


def table_of(ranges: Array) -> Array:
    """Columns (samples, COLUMNS) for trees: ranges and arcs now, and how they changed, which tells the last move."""
    now, before = ranges[:, :, 0], [ranges[:, :, index] for index in range(1, len(LAGS))]
    moving = nearest(now, MOVING_ARCS)
    changed = [moving - nearest(then, MOVING_ARCS) for then in before]
    return np.nan_to_num(np.hstack([now, nearest(now, ARCS), *changed, now - before[-1]]), nan=UNSEEN)


COLUMNS = NUM_SONARS * (2 + len(ARCS) + len(MOVING_ARCS) * (len(LAGS) - 1))


@dataclass(frozen=True, kw_only=True, eq=False)
class Boosted:
    """Gradient boosting of moves as arrays, a sum of trees a move. Source: Friedman 2001, algorithm 6 (multi-class)."""

    scores: tuple[Trees, ...]

    @classmethod
    def fit(cls, features: Array, labels: NDArray[np.int64], smallest_leaf: int) -> "Boosted":
        """Fit on features (samples, columns), no NaN; every move counts one sample more, of which nothing is seen."""
        from sklearn.ensemble import HistGradientBoostingClassifier

        moves = np.arange(len(MOVES))
        fitted = HistGradientBoostingClassifier(
            max_iter=ROUNDS,
            max_leaf_nodes=LEAVES,
            min_samples_leaf=smallest_leaf,
            max_features=SHARE_OF_COLUMNS,
            early_stopping=False,
            random_state=0,
        ).fit(np.vstack([features, np.full((len(moves), features.shape[1]), UNSEEN)]), np.append(labels, moves))
        rounds, base = fitted._predictors, fitted._baseline_prediction.ravel()  # told nowhere else
        return cls(
            scores=tuple(
                Trees.read([_Grown(one[index].nodes) for one in rounds], float(base[index]), 1.0)
                for index in moves.tolist()
            )
        )

    def __call__(self, features: Array) -> Array:
        """Return log-probabilities (samples, moves)."""
        scores = np.stack([trees(features) for trees in self.scores], 1)
        away = scores - scores.max(1, keepdims=True)
        found: Array = np.maximum(away - np.log(np.exp(away).sum(1, keepdims=True)), np.log(LEAST))
        return found

    def state(self) -> tuple[list[dict[str, Any]], dict[str, NDArray[Any]]]:
        """Return plain JSON types and arrays."""
        every = [trees.state() for trees in self.scores]
        arrays = {f"{index}.{name}": own for index, (_, held) in enumerate(every) for name, own in held.items()}
        return [plain for plain, _ in every], arrays

    @classmethod
    def restore(cls, plain: Sequence[Mapping[str, Any]], arrays: Mapping[str, NDArray[Any]], width: int) -> "Boosted":
        """Read what `state` gave, of trees of so many columns."""

        def of(index: int) -> dict[str, NDArray[Any]]:
            return {name.partition(".")[2]: own for name, own in arrays.items() if name.startswith(f"{index}.")}

        return cls(scores=tuple(Trees.restore(own, of(index), width) for index, own in enumerate(plain)))


class _Grown:
    """Nodes of a histogram tree under the names of scikit-learn's `tree_`."""

    def __init__(self, nodes: NDArray[Any]) -> None:
        is_leaf = nodes["is_leaf"].astype(bool)
        self.node_count, self.max_depth = len(nodes), int(nodes["depth"].max())
        self.children_left = np.where(is_leaf, -1, nodes["left"].astype(np.int64))
        self.children_right = np.where(is_leaf, -1, nodes["right"].astype(np.int64))
        self.feature, self.threshold = nodes["feature_idx"], nodes["num_threshold"]
        self.value = nodes["value"][:, None, None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Sonars:
    """The trees' log-probabilities beside the trunk; streams are shown to it as they are.

    What is whole is told by trees that learned from whole samples alone: they know the rule to the centimetre. Others,
    that learned from copies without some of their sonars, tell the rest.
    """

    whole: Boosted
    drilled: Boosted

    @classmethod
    def fit(cls, samples: Sequence[Sample], order: Order) -> "Sonars":
        """Fit on training samples; the drilled trees on COPIES of each, without none to MOST_LOST of its sonars."""
        ranges, rng = ranges_of(samples), np.random.default_rng(0)
        shown = [table_of(without_some(ranges, rng)) for _ in range(COPIES)]
        labels = targets_of(samples).astype(np.int64)
        return cls(
            whole=Boosted.fit(table_of(ranges), labels, SMALLEST_LEAF),
            drilled=Boosted.fit(np.vstack(shown), np.tile(labels, COPIES), SMALLEST_LEAF),
        )

    def __call__(self, samples: Sequence[Sample]) -> tuple[Sequence[Sample], Array]:
        """Return the samples as they are, and no offset."""
        return samples, np.zeros(len(samples))

    def fallback(self, samples: Sequence[Sample], offset: Array) -> Array:
        """Return the trees' log-probabilities (samples, moves)."""
        ranges = ranges_of(samples)
        found, is_whole = self.drilled(table := table_of(ranges)), np.isfinite(ranges[:, :, 0]).all(1)
        found[is_whole] = self.whole(table[is_whole])
        return found

    def features(self, samples: Sequence[Sample]) -> Array:
        """Return each sonar's range, m, NaN where it is lost."""
        return ranges_of(samples, (0,))[:, :, 0]

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return plain JSON types and arrays."""
        (whole, own), (drilled, more) = self.whole.state(), self.drilled.state()
        arrays = {f"whole.{name}": held for name, held in own.items()} | {
            f"drilled.{name}": held for name, held in more.items()
        }
        return {"whole": whole, "drilled": drilled}, arrays


def restore(state: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Sonars:
    """Read what `Sonars.state` gave."""

    def of(name: str) -> Boosted:
        held = {key.partition(".")[2]: own for key, own in arrays.items() if key.startswith(f"{name}.")}
        return Boosted.restore(state[name], held, COLUMNS)

    return Sonars(whole=of("whole"), drilled=of("drilled"))


def without_some(ranges: Array, rng: np.random.Generator) -> Array:
    """Ranges (samples, sonars, lags) with none to MOST_LOST sonars of each sample lost, whole."""
    num = rng.integers(MOST_LOST + 1, size=len(ranges))
    place = rng.random((len(ranges), NUM_SONARS)).argsort(1).argsort(1)
    return np.where((place < num[:, None])[:, :, None], np.nan, ranges)


def lose_some(patches: Patches, aims: Tensor, generator: torch.Generator) -> tuple[Patches, Tensor]:
    """Lose none to MOST_LOST sonars of each sample of a batch, anew whenever it is learned from."""
    values = [f"{sonar}.values" for sonar in SONARS]
    first = patches[values[0]]
    num = torch.randint(MOST_LOST + 1, (len(first), 1), generator=generator)
    is_lost = torch.rand(len(first), NUM_SONARS, generator=generator).argsort(1).argsort(1) < num
    parts = {
        name: torch.where(is_lost[:, column, None, None].to(first.device), torch.nan, patches[name])
        for column, name in enumerate(values)
    }
    return Patches(parts={**patches.parts, **parts}), aims


def baselines(train: Sequence[Sample], test: Sequence[Sample], seed: int) -> dict[str, Array]:
    """Moves by boosting and forest on the ranges of now, as they are used: lost ones are NaN, or the mean of training.

    `boosting_drilled` reads what our trees read, past and arcs, and learns as they do from copies without some of the
    sonars: the rival of all that is beside those columns. Neither of the others is shown them.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

    labels = targets_of(train)
    seen, asked = ranges_of(train), ranges_of(test)
    now, then = seen[:, :, 0], asked[:, :, 0]
    mean = np.nanmean(now, 0)
    drilled = [table_of(without_some(seen, np.random.default_rng([seed, copy]))) for copy in range(COPIES)]
    boosting = HistGradientBoostingClassifier(random_state=seed)
    forest = RandomForestClassifier(300, random_state=seed).fit(np.where(np.isnan(now), mean, now), labels)
    return {
        "commonest": np.full(len(test), float(np.bincount(labels.astype(np.int64)).argmax())),
        "boosting": boosting.fit(now, labels).predict(then),
        "forest": forest.predict(np.where(np.isnan(then), mean, then)),
        "boosting_drilled": boosting.fit(np.vstack(drilled), np.tile(labels, COPIES)).predict(table_of(asked)),
    }


TASK = Task(
    name="sensor-fusion",
    task="wall-following",
    version="1",
    target=Classes(headline="accuracy"),
    config=FitConfig(
        trunk_size="xs",
        training=TrainingConfig(epochs=4, batch_size=64, lr_per_step=2e-3, input_noise=0.02, dropout=0.1),
        num_folds=5,
        steps_per_token=STEPS,
    ),
    read=read,
    prepare=Sonars.fit,
    restore=restore,
    views=VIEWS,
    view_of=view_of,
    drop=draw,
    augment=lose_some,
    baselines=baselines,
    grouping=Grouping(name="stretch"),
    known_failures=(
        "one drive of one robot around one room: elsewhere it knows nothing",
        "it repeats a rule over four distances, and is no judgement of what is safe; not for protective functions "
        "(ISO 13849, ISO 10218)",
        "with more than 12 of 24 sonars lost nothing was calibrated",
    ),
)
