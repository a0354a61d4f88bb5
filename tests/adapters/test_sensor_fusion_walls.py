"""Any of 24 sonars may be lost: which are, what trees and trunk are shown then, and how evaluations ask."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mainstem.adapters.sensor_fusion import walls
from mainstem.apps.baselines import baselines_at_views
from mainstem.apps.protocols import EvaluationSpec
from mainstem.core.finetuning import FitSpec
from mainstem.core.folds import targets_of
from mainstem.core.stream import Provenance, Sample, Stream
from mainstem.core.tokens import Patches
from mainstem.data.robot.wall_following import CHANNELS, MOVES, NUM_SONARS, RATE_HZ, SONARS, STEPS, open_wall_following

TIMES = np.arange(1 - STEPS, 1) / RATE_HZ


def sample(row, seed=0):
    """A sample that sees all sonars."""
    values = np.random.default_rng([seed, row]).uniform(0.3, 5, (NUM_SONARS, STEPS, 1))
    streams = {
        name: Stream(kind="series", values=own, channels=CHANNELS, times=TIMES)
        for name, own in zip(SONARS, values, strict=True)
    }
    source = Provenance(data="made", item=f"row {row}", group=f"stretch {row // 20}", facts={"row": row})
    return Sample(streams=streams, target=float(row % 4), source=source)


def write_drive(path, num):
    """Ranges at random, and moves in turn."""
    ranges = np.random.default_rng(0).uniform(0.3, 5, (num, NUM_SONARS))
    rows = [",".join([*(f"{value:.3f}" for value in row), MOVES[index % 4]]) for index, row in enumerate(ranges)]
    path.write_text("\n".join([",".join([*SONARS, "OUTPUT"]), *rows]) + "\n")
    return open_wall_following(str(path))


def seen(one):
    return {name for name in SONARS if name in one.streams}


@pytest.mark.parametrize("num", walls.LOST[1:])
def test_a_view_loses_so_many_sonars_of_the_sample_s_own_and_keeps_the_rest(num):
    view = walls.VIEWS[f"lost{num}"]
    shown = [view(sample(row)) for row in range(40)]
    assert {len(seen(one)) for one in shown} == {NUM_SONARS - num}
    assert all(one.streams[name] is not None for one in shown for name in seen(one))
    assert len({frozenset(seen(one)) for one in shown}) > 10, "samples lose different ones"
    assert seen(view(sample(3))) == seen(view(sample(3))), "a sample loses the same ones whenever it is asked"
    assert {walls.view_of(one) for one in shown} == {f"lost{num}"}


def test_what_fewer_lose_more_lose_too_and_a_seed_draws_others():
    one = sample(7)
    assert seen(walls.VIEWS["lost12"](one)) < seen(walls.VIEWS["lost4"](one))
    drawn = walls.draw([one], 7)[0]
    assert seen(drawn) == seen(one)
    assert seen(walls.VIEWS["lost12"](drawn)) != seen(walls.VIEWS["lost12"](one))


@pytest.mark.parametrize(("lacking", "view"), [(0, "whole"), (1, "lost1"), (2, "lost4"), (9, "lost12"), (20, "lost12")])
def test_a_sample_stands_for_the_view_that_lacks_as_much_at_least(lacking, view):
    one = sample(0)
    assert walls.view_of(replace(one, streams={name: one.streams[name] for name in SONARS[lacking:]})) == view


def test_training_loses_whole_sonars_and_no_more_than_it_may():
    values = {f"{name}.values": torch.ones(64, STEPS, 1) for name in SONARS}
    patches, aims = Patches(parts=values), torch.arange(64)
    found, kept = walls.lose_some(patches, aims, torch.Generator().manual_seed(0))
    lost = torch.stack([found[name].isnan() for name in values], 1)[..., 0]
    assert (lost.any(-1) == lost.all(-1)).all(), "a lost sonar is lost for its whole window"
    assert 0 <= lost[:, :, 0].sum(1).min() < lost[:, :, 0].sum(1).max() <= walls.MOST_LOST
    assert torch.equal(kept, aims)


def test_an_arc_is_as_far_as_its_nearest_echo():
    ring = np.arange(24.0)[None].repeat(2, 0)
    ring[1, 3] = np.nan
    found = walls.nearest(ring, (3,))
    assert found[0, 3] == 3
    assert found[0, 23] == 0, "the ring closes"
    assert found[1, 3] == 4, "a lost sonar is made up for by its neighbours"
    assert np.isnan(walls.nearest(np.full((1, 24), np.nan), (3,))).all()


def test_trees_are_kept_as_arrays_and_say_the_same():
    from sklearn.ensemble import HistGradientBoostingClassifier

    rng = np.random.default_rng(0)
    features = rng.normal(size=(300, 5)).astype(np.float32).astype(np.float64)
    labels = (features[:, 0] > 0).astype(np.int64) + 2 * (features[:, 1] > 0)
    found = walls.Boosted.fit(features, labels, 10)
    plain, arrays = found.state()
    again = walls.Boosted.restore(plain, arrays, 5)
    assert np.array_equal(found(features), again(features))
    assert (found(features).argmax(1) == labels).mean() > 0.95
    moves = np.arange(4)
    peer = HistGradientBoostingClassifier(
        max_iter=walls.ROUNDS,
        max_leaf_nodes=walls.LEAVES,
        min_samples_leaf=10,
        max_features=walls.SHARE_OF_COLUMNS,
        early_stopping=False,
        random_state=0,
    ).fit(np.vstack([features, np.full((4, 5), walls.UNSEEN)]), np.append(labels, moves))
    likely = np.maximum(peer.predict_proba(features), walls.LEAST)
    assert np.allclose(np.exp(found(features)), likely, atol=1e-5)
    with pytest.raises(ValueError, match="columns"):
        walls.Boosted.restore(plain, arrays, 1)


def test_baselines_are_fitted_once_and_asked_at_each_view():
    calls = []

    def count(train, test, seed):
        calls.append(len(test))
        return {"sonars": np.array([float(len(seen(one))) for one in test])}

    task = replace(walls.TASK, baselines=count)
    found = baselines_at_views(task, task.target, [sample(0)], [sample(1), sample(2)], 0)
    assert calls == [2 * len(walls.VIEWS)]
    assert [found[view]["sonars"].tolist() for view in walls.VIEWS] == [[24.0 - num] * 2 for num in walls.LOST]


def test_a_dropout_seed_draws_what_views_lose():
    spec = EvaluationSpec(fit=FitSpec(config=walls.TASK.config), dropout_seed=5)
    (one,) = spec.gaps([sample(0)], walls.TASK)
    assert seen(one) == set(SONARS)
    assert one.source.facts[walls.DRAW] == 5


@pytest.mark.long
def test_the_drilled_rival_reads_the_past_that_ours_reads():
    """Moves that nothing but how ranges changed tells: the ranges of now are the same draw whatever the move."""

    def moving(row):
        ends = np.random.default_rng([5, row]).uniform(1.5, 5, (NUM_SONARS, 1, 1))
        steps = np.arange(1 - STEPS, 1)[None, :, None] * [-0.15, -0.05, 0.05, 0.15][row % 4]
        one = sample(row)
        streams = {name: replace(one.streams[name], values=own) for name, own in zip(SONARS, ends + steps, strict=True)}
        return replace(one, streams=streams)

    samples = [moving(row) for row in range(240)]
    found = walls.baselines(samples[:160], samples[160:], 0)
    right = {name: float((values == targets_of(samples[160:])).mean()) for name, values in found.items()}
    assert right["boosting_drilled"] > 0.9
    assert max(right["boosting"], right["forest"]) < 0.5


@pytest.mark.long
def test_plain_models_take_a_lost_sonar_as_they_are_used():
    train = [sample(row) for row in range(60)]
    found = walls.baselines(train, [walls.VIEWS["lost12"](one) for one in train[:8]], 0)
    assert set(found) == {"commonest", "boosting", "forest", "boosting_drilled"}
    assert all(len(values) == 8 and np.isin(values, range(4)).all() for values in found.values())
