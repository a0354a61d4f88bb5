"""Plain models of any samples: known answers, groups that tuning leaves out whole, and nothing to learn from."""

from dataclasses import replace

import numpy as np
import pytest

from mainstem.core import baselines
from mainstem.core.baselines import Lesson, classifications, feature_matrix, regressions
from mainstem.core.stream import Channel, Provenance, Sample, Stream
from mainstem.core.targets import Classes, Findings, Quantity

NUM = 120


def lesson(truth: np.ndarray, groups: int = 6, width: int = 3, seed: int = 0) -> Lesson:
    """Features whose first column is the truth's own, where it has one; asked are the same cases again."""
    features = np.random.default_rng(seed).normal(size=(NUM, width))
    if width:
        features[:, 0] = np.nan_to_num(truth if truth.ndim == 1 else truth[:, 0])
    labels = tuple(f"g{row % groups}" for row in range(NUM))
    return Lesson(seen=features, asked=features, truth=truth, groups=labels, seed=seed)


def test_numbers_are_learned_by_every_regression():
    truth = np.random.default_rng(1).normal(5, 2, NUM)
    found = Quantity(units="t/ha").baselines(lesson(truth))
    assert list(found) == ["average", "ridge", "random_forest", "gradient_boosting"]
    assert set(found["average"].tolist()) == {truth.mean()}
    for name in ("ridge", "random_forest", "gradient_boosting"):
        assert np.sqrt(np.mean((found[name] - truth) ** 2)) < 0.35 * truth.std()


def test_boosting_is_tuned_over_more_leaves_only_where_there_are_rows_for_them():
    few, many = (baselines._grid("gradient_boosting", num)[baselines.LEAVES] for num in (179, 180))
    assert (few, many) == ([8], [8, 31])
    rng = np.random.default_rng(2)
    features, noise = rng.normal(size=(2000, 2)), rng.normal(size=2000)

    def told(num: int, leaves: int) -> np.ndarray:
        boosting = baselines._regressors(0, num)["gradient_boosting"].set_params(**{baselines.LEAVES: leaves})
        return boosting.fit(features[:num], noise[:num]).predict(features)

    assert (told(179, 8) == told(179, 31)).all()
    assert (told(2000, 8) != told(2000, 31)).any()


def test_classes_are_learned_by_every_classifier_one_that_is_never_seen_too():
    truth = (np.arange(NUM) % 2 * 2).astype(float)  # 0 and 2 of three
    found = Classes(names=("a", "b", "c")).baselines(lesson(truth))
    assert list(found) == ["commonest", "logistic", "random_forest"]
    assert set(found["commonest"].tolist()) == {0.0}
    assert all((found[name] == truth).all() for name in ("logistic", "random_forest"))
    assert (classifications(lesson(truth), 3)["logistic"][:, 1] == 0).all()


def test_findings_are_learned_from_those_that_were_read():
    truth = np.stack([np.arange(NUM) % 2, np.ones(NUM), np.full(NUM, np.nan)], 1).astype(float)
    truth[::5, 0] = np.nan
    found = Findings(names=("rust", "always", "unread")).baselines(lesson(truth))
    assert list(found) == ["logistic", "random_forest"]
    seen = np.isfinite(truth[:, 0])
    for shares in found.values():
        assert ((shares[:, 0] > 0.5) == (truth[:, 0] == 1))[seen].all()
        assert (shares[:, 1] == 1).all()
        assert (shares[:, 2] == 0.5).all()


@pytest.mark.long
def test_tuning_leaves_whole_groups_out():
    """Columns that are each group's own, and mean nothing: what fits the groups seen says nothing of another one."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(6), NUM // 6)
    features, truth = rng.normal(size=(6, 12))[groups], rng.normal(0, 5, 6)[groups]
    taught = Lesson(seen=features, asked=features, truth=truth, groups=tuple(f"g{group}" for group in groups), seed=0)
    for kept, held in taught.folds(truth):
        assert not set(groups[kept]) & set(groups[held])
    by_row = replace(taught, groups=tuple(f"case {row}" for row in range(NUM)))
    careful, careless = (regressions(found)["ridge"] for found in (taught, by_row))
    assert np.abs(careless - truth).mean() < 0.1 * truth.std() < np.abs(careful - truth).mean()


def test_a_single_case_is_learned_from_untuned():
    one = lesson(np.full(NUM, 3.0))
    one = replace(one, seen=one.seen[:1], truth=one.truth[:1], groups=("a",))
    found = regressions(one)
    assert set(found) == {"ridge", "random_forest", "gradient_boosting"}
    assert all((told == 3.0).all() and told.shape == (NUM,) for told in found.values())
    shares = classifications(replace(one, truth=np.array([1.0])), 2)
    assert all((told == [0, 1]).all() and told.shape == (NUM, 2) for told in shares.values())


@pytest.mark.long
@pytest.mark.parametrize("groups", [1, 2, NUM])
def test_any_number_of_groups_will_do(groups):
    truth = np.arange(NUM) % 2.0
    assert set(regressions(lesson(truth, groups))) == {"ridge", "random_forest", "gradient_boosting"}
    apart = lesson(np.repeat([0.0, 1.0], NUM // 2), groups)
    assert set(classifications(apart, 2)) == {"logistic", "random_forest"}


def test_folds_that_show_one_class_alone_tune_nothing_and_stop_nothing():
    truth = np.repeat([0.0, 1.0], NUM // 2)
    by_class = tuple("no" if value else "yes" for value in truth)
    found = classifications(replace(lesson(truth), groups=by_class), 2)
    assert all((shares.argmax(1) == truth).all() for shares in found.values())


def test_samples_of_text_alone_have_no_features_and_plain_models_say_nothing():
    texts = [
        Sample(
            streams={"note": Stream(kind="text", values=np.array([f"word {row}"]))},
            target=float(row % 2),
            source=Provenance(data="made", item=f"s{row}", group=f"g{row % 3}"),
        )
        for row in range(12)
    ]
    truth = np.arange(12) % 2.0
    taught = Lesson.of(texts[:8], texts[8:], truth[:8], 0)
    assert set(Quantity(units="1").baselines(taught)) == {"average"}
    assert set(Classes(names=("a", "b")).baselines(taught)) == {"commonest"}
    both = Lesson.of(texts[:8], texts[8:], np.stack([truth[:8]] * 2, 1), 0)
    assert Findings(names=("a", "b")).baselines(both) == {}


def test_features_of_train_and_test_share_their_columns():
    def sample(**values: float) -> Sample:
        channels = tuple(Channel(name=name, unit="1") for name in values)
        stream = Stream(kind="scalar", values=np.array(list(values.values())), channels=channels)
        return Sample(streams={"x": stream}, target=0.0, source=Provenance(data="made", item="s"))

    taught = Lesson.of([sample(b=1.0), sample(a=2.0)], [sample(c=3.0)], np.zeros(2), 0)
    np.testing.assert_array_equal(taught.seen, [[np.nan, 1, np.nan], [2, np.nan, np.nan]])
    np.testing.assert_array_equal(taught.asked, [[np.nan, np.nan, 3]])
    assert feature_matrix([sample(a=1.0, b=2.0)]).tolist() == [[1, 2]]


def scalar(value: float, name: str = "ph", valid: bool = True) -> Stream:
    channels = (Channel(name=name, unit="1"),)
    return Stream(kind="scalar", values=np.array([value]), channels=channels, valid=np.array([valid]))


def of_streams(**streams: Stream) -> Sample:
    return Sample(streams=streams, target=0.0, source=Provenance(data="made", item="s"))


def test_a_column_holds_one_stream_s_channel_whatever_else_a_sample_lacks():
    """Streams may share a channel's name; which of them a sample has, and in which order, moves nothing."""
    soil, water = scalar(7.0), scalar(5.0)
    samples = [of_streams(soil=soil, water=water), of_streams(water=water), of_streams(water=water, soil=soil)]
    np.testing.assert_array_equal(feature_matrix(samples), [[7, 5], [np.nan, 5], [7, 5]])


def test_a_number_that_is_not_valid_is_missing():
    found = feature_matrix([of_streams(soil=scalar(-99.0, valid=False)), of_streams(soil=scalar(7.0))])
    np.testing.assert_array_equal(found, [[np.nan], [7]])


def test_means_of_many_half_precision_values_are_finite():
    values, channels = np.full((1, 300, 300), 60.0, np.float16), (Channel(name="red", unit="1"),)
    image = Stream(kind="image", values=values, channels=channels)
    grid = Stream(kind="grid", values=values[None], channels=channels, times=np.zeros(1))
    assert feature_matrix([of_streams(image=image, grid=grid)]).tolist() == [[60.0, 60.0]]
