"""Plain models of features that any samples have: what every evaluation stands beside, tuned by leaving groups out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.brief import Brief
from mainstem.core.stream import Sample, Stream

Array = NDArray[np.float64]
Feature = tuple[str, str]  # a name, and the stream whose number bears it, as others may; "" where the name tells that
Row = Callable[[Sample], dict[Feature, float]]
MONTH_S = 365.25 / 12 * 86_400
MISSING = -9999.0
NUM_FOLDS = 6  # that tuning leaves out in turn

WORTH_THREADS = 2000  # rows; on fewer, the threads of a forest cost more than they save
LEAVES = "histgradientboostingregressor__max_leaf_nodes"
ROWS_A_LEAF = 20  # at least, as scikit-learn's boosting has it unless told otherwise
GRIDS: Mapping[str, Mapping[str, Sequence[float]]] = {
    "ridge": {"ridge__alpha": [1.0, 30.0, 1000.0]},
    "random_forest": {"randomforestregressor__min_samples_leaf": [2, 10]},
    "gradient_boosting": {
        "histgradientboostingregressor__learning_rate": [0.03, 0.1],
        LEAVES: [8, 31],
    },
}
CLASSIFIERS = ("logistic", "random_forest")
LOGISTIC_GRID = {"logisticregression__C": [0.01, 1.0, 100.0]}
LEAST_PROBABILITY = 1e-6  # of what a model has never seen: one such case must not outweigh all others
SMALLEST_LEAF = 2  # of classifying forests, which are not tuned


def feature_row(sample: Sample) -> dict[Feature, float]:
    """Flatten a sample: scalars as they are, series by month, what has no clock as means.

    A stream of text is left out: no plain model reads any.
    """
    row: dict[Feature, float] = {}
    for name, stream in sample.streams.items():
        if stream.kind == "scalar":
            values = np.where(stream.observed(), stream.values, np.nan)
            row |= {(own.name, name): float(value) for own, value in zip(stream.channels, values, strict=True)}
        elif stream.times is None:
            brief = Brief.of(stream)
            means = zip(brief.channels, brief.means().tolist(), strict=False)  # of text there are none
            row |= {(f"{name}_{own.name}", ""): mean for own, mean in means if np.isfinite(mean)}
        else:
            row |= _by_month(name, stream)
    return row


def _by_month(name: str, stream: Stream) -> dict[Feature, float]:
    """Mean of each channel of a stream with a clock in each month of which it shows anything."""
    assert stream.times is not None
    months = (stream.times // MONTH_S).astype(int)
    values = np.where(stream.observed(), stream.values, np.nan)
    return {
        (f"{name}_{own.name}_{month}", ""): float(np.nanmean(shown, dtype=np.float64))
        for index, own in enumerate(stream.channels)
        for month in np.unique(months)
        if np.isfinite(shown := values[months == month, index]).any()
    }


def feature_matrix(samples: Sequence[Sample], row: Row = feature_row) -> Array:
    """Features (samples, features), NaN where a sample lacks one; call it on train and test together."""
    rows = [row(sample) for sample in samples]
    names = sorted(set().union(*rows))
    return np.array([[found.get(name, np.nan) for name in names] for found in rows])


@dataclass(frozen=True, kw_only=True, eq=False)
class Lesson:
    """What plain models learn from, and of which cases they are asked.

    Attributes:
        seen, asked: features (cases, features), NaN where a case lacks one.
        truth: of what is seen, (cases,) or (cases, parts), NaN where a part is unknown.
        groups: of what is seen; tuning leaves them out whole.
    """

    seen: Array
    asked: Array
    truth: Array
    groups: tuple[str, ...]
    seed: int

    @classmethod
    def of(
        cls, train: Sequence[Sample], test: Sequence[Sample], truth: Array, seed: int, row: Row = feature_row
    ) -> "Lesson":
        """Read samples to learn from, whose truth is given, and samples to ask of."""
        features = feature_matrix([*train, *test], row)
        groups = tuple(sample.source.group or f"case {index}" for index, sample in enumerate(train))
        return cls(seen=features[: len(train)], asked=features[len(train) :], truth=truth, groups=groups, seed=seed)

    def folds(self, labels: NDArray[Any]) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Rows to learn from and to judge, groups being whole; where there is one group alone, cases are groups.

        A single case is not parted: there are no folds of it.
        """
        from sklearn.model_selection import GroupKFold  # late: scikit-learn takes a second to import

        groups = self.groups if len(set(self.groups)) > 1 else tuple(f"case {row}" for row in range(len(labels)))
        num_folds = min(len(set(groups)), NUM_FOLDS)
        return list(GroupKFold(num_folds).split(self.seen, labels, groups)) if num_folds > 1 else []


def regressions(lesson: Lesson) -> dict[str, Array]:
    """Numbers (asked,) by ridge, forest and boosting, each tuned over GRIDS; none where there are no features.

    Of a single case nothing can be left out: all say its truth, whatever they are tuned to.
    """
    from sklearn.model_selection import GridSearchCV  # late: scikit-learn takes a second to import

    if not lesson.seen.shape[1]:
        return {}
    folds, found = lesson.folds(lesson.truth), {}
    for name, estimator in _regressors(lesson.seed, len(lesson.seen)).items():
        search = GridSearchCV(estimator, _grid(name, len(lesson.seen)), scoring="neg_mean_squared_error", cv=folds)
        found[name] = (search if folds else estimator).fit(lesson.seen, lesson.truth).predict(lesson.asked)
    return found


def _grid(name: str, num_rows: int) -> dict[str, Sequence[float]]:
    """What a model is tuned over; of few rows no tree reaches the smaller bound on leaves, so that is the only one."""
    grid = dict(GRIDS[name])
    if name == "gradient_boosting" and num_rows < (min(grid[LEAVES]) + 1) * ROWS_A_LEAF:
        grid[LEAVES] = [min(grid[LEAVES])]
    return grid


def _regressors(seed: int, num_rows: int) -> dict[str, Any]:
    from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    # trees see a missing value as one far below all others; boosting cannot bin a column that is missing throughout
    marked = SimpleImputer(strategy="constant", fill_value=MISSING, keep_empty_features=True)
    median = SimpleImputer(strategy="median", keep_empty_features=True)
    jobs = -1 if num_rows > WORTH_THREADS else 1
    forest = RandomForestRegressor(100, max_features=0.33, n_jobs=jobs, random_state=seed)
    return {
        "ridge": make_pipeline(median, StandardScaler(), Ridge()),
        "random_forest": make_pipeline(marked, forest),
        "gradient_boosting": make_pipeline(marked, HistGradientBoostingRegressor(max_iter=200, random_state=seed)),
    }


def classifications(lesson: Lesson, num_classes: int) -> dict[str, Array]:
    """Probabilities (asked, classes) by a logistic regression, tuned, and a forest; none where there are no features.

    Truth is the index of the class; cases where it is unknown teach nothing.
    """
    known = np.isfinite(lesson.truth)
    labels = lesson.truth[known].astype(np.int64)
    if not lesson.seen.shape[1]:
        return {}
    if not len(labels):
        return dict.fromkeys(CLASSIFIERS, np.full((len(lesson.asked), num_classes), 1 / num_classes))
    groups = tuple(group for group, is_known in zip(lesson.groups, known.tolist(), strict=True) if is_known)
    taught = replace(lesson, seen=lesson.seen[known], truth=lesson.truth[known], groups=groups)
    found = {}
    for name, model in _classifiers(taught, labels).items():
        fitted = model.fit(taught.seen, labels)
        found[name] = np.zeros((len(lesson.asked), num_classes))
        found[name][:, fitted.classes_] = fitted.predict_proba(lesson.asked)
    return found


def _classifiers(lesson: Lesson, labels: NDArray[np.int64]) -> dict[str, Any]:
    """A logistic regression, tuned where folds show several classes to learn from, and a forest."""
    from sklearn.dummy import DummyClassifier
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    marked = SimpleImputer(strategy="constant", fill_value=MISSING, keep_empty_features=True)
    median = SimpleImputer(strategy="median", keep_empty_features=True)
    jobs = -1 if len(labels) > WORTH_THREADS else 1
    forest = RandomForestClassifier(100, min_samples_leaf=SMALLEST_LEAF, n_jobs=jobs, random_state=lesson.seed)
    logistic = make_pipeline(median, StandardScaler(), LogisticRegression(max_iter=1000))
    folds = [fold for fold in lesson.folds(labels) if len(np.unique(labels[fold[0]])) > 1]
    if folds:
        logistic = GridSearchCV(logistic, LOGISTIC_GRID, scoring=_log_likelihood, cv=folds)
    if len(np.unique(labels)) < 2:
        logistic = DummyClassifier()
    return dict(zip(CLASSIFIERS, (logistic, make_pipeline(marked, forest)), strict=True))


def _log_likelihood(model: Any, features: Array, labels: NDArray[np.int64]) -> float:  # noqa: ANN401 - scikit-learn's
    """Mean log-probability of the truth; a class that the model never saw has the least."""
    place = {label: column for column, label in enumerate(model.classes_.tolist())}
    told = np.hstack([model.predict_proba(features), np.zeros((len(features), 1))])
    true = told[np.arange(len(labels)), [place.get(label, -1) for label in labels.tolist()]]
    return float(np.log(np.maximum(true, LEAST_PROBABILITY)).mean())


__all__ = ["Lesson", "classifications", "feature_matrix", "feature_row", "regressions"]
