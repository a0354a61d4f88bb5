"""Poses with known answers: coverage of ellipsoids, moved and turned worlds, planes, and the product's road."""

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest

from mainstem.core.errors import ArtifactError, InputError
from mainstem.core.judging import Evidence
from mainstem.core.preparation import MeanOffset
from mainstem.core.rotations import angle_between, exp, multiply, normalise, rotate, to_matrix
from mainstem.core.samples import SampleSet
from mainstem.core.stream import Channel, Provenance, Sample, Stream
from mainstem.core.targets import Pose
from mainstem.core.targets.poses import away_from, moved_by
from mainstem.core.task import FitConfig, Task
from mainstem.core.testing import check_task

TARGETS = tuple(Pose(axes=axes, is_turned=is_turned) for axes in (2, 3) for is_turned in (False, True))


def words(target: Pose) -> str:
    return f"{target.axes} axes{', turned' if target.is_turned else ''}"


def told_of(target: Pose, num: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """What is told of cases, and truths drawn as it says."""
    rng = np.random.default_rng(1)
    origin = target.poses(np.zeros(num))
    centre = moved_by(origin, rng.normal(0, 0.7, (num, target.num_values)), target.axes)
    factor = np.tril(rng.normal(0, 0.1, (num, target.num_values, target.num_values))) + 0.2 * np.eye(target.num_values)
    steps = np.einsum("cij,cj->ci", factor, rng.normal(size=(num, target.num_values)))
    told = {"centre": centre, "past": centre, "covariance": factor @ np.swapaxes(factor, 1, 2)}
    return told, moved_by(centre, steps, target.axes)


@pytest.mark.parametrize("target", TARGETS, ids=words)
def test_ellipsoids_cover_their_level_of_normal_errors(target):
    told, truth = told_of(target, 3000)
    known, new = ({name: values[part] for name, values in told.items()} for part in (slice(1500), slice(1500, None)))
    evidence = Evidence.of(target, known, truth[:1500], [str(case // 10) for case in range(1500)], [""] * 1500)
    quantile = evidence.calibration((), "made", ()).quantiles(0.9, [""] * 1500)
    inside = target.covered(new, truth[1500:], quantile)
    assert 0.87 <= inside.mean() <= 0.93
    regions = target.regions(new, quantile)
    assert [one in region for one, region in zip(truth[1500:], regions, strict=True)] == inside.tolist()
    assert np.prod(regions[0].semi_axes_m) ** (1 / target.axes) == pytest.approx(target.size(new, quantile)[0])
    json.dumps(regions[0].to_dict() | regions[0].columns())
    assert " m of it" in regions[0].words("there", "m", 0.9).text


@pytest.mark.parametrize("target", TARGETS, ids=words)
def test_steps_lead_from_one_pose_to_the_other(target):
    told, truth = told_of(target, 50)
    steps = away_from(truth, told["centre"], target.axes)
    assert steps.shape == (50, target.num_values)
    again = moved_by(told["centre"], steps, target.axes)
    np.testing.assert_allclose(again[:, : target.axes], truth[:, : target.axes], atol=1e-12)
    if target.is_turned:
        assert angle_between(again[:, target.axes :], truth[:, target.axes :]).max() < 1e-7


def test_turning_the_world_turns_centre_and_truth_alike():
    target = Pose(axes=3, is_turned=True)
    told, truth = told_of(target, 40)
    turn = normalise(np.random.default_rng(2).normal(size=4))
    both = np.kron(np.eye(2), to_matrix(turn))

    def turned(pose: np.ndarray) -> np.ndarray:
        every = np.tile(turn, (len(pose), 1))
        return np.concatenate([rotate(turn, pose[:, :3]), multiply(every, pose[:, 3:])], 1)

    there = {"centre": turned(told["centre"]), "covariance": both @ told["covariance"] @ both.T}
    np.testing.assert_allclose(target.scores(there, turned(truth)), target.scores(told, truth), rtol=1e-8)


def test_both_signs_and_whole_turns_of_the_plane_are_one():
    target = Pose(axes=2, is_turned=True)
    yaw = np.array([[0.0, 0.0, np.pi - 0.1], [0.0, 0.0, -np.pi + 0.1]])
    here, there = (np.concatenate([[[0.0, 0.0]], exp(one[None])], 1) for one in yaw)
    assert away_from(there, here, 2)[0].tolist() == pytest.approx([0, 0, 0.2])
    flipped = there * np.array([1, 1, -1, -1, -1, -1])
    assert away_from(flipped, here, 2)[0].tolist() == pytest.approx([0, 0, 0.2])
    told = {"centre": here, "covariance": np.diag([4.0, 1.0, 0.01])[None]}
    assert target.scores(told, flipped)[0] == pytest.approx(2.0)
    assert target.scale(told)[0] == pytest.approx(np.sqrt(2.0))
    assert target.values(told) == ["x 0.00, y 0.00 m, yaw 174.3 deg"]


def test_members_say_together_their_mean_and_how_far_they_differ():
    target = Pose()
    none = np.zeros((1, 2, 2))
    members = [{"past": np.ones((1, 2)), "trunk": np.array([[x, 0.0]]), "covariance": none} for x in (1.0, 3.0)]
    told = target.combine(members, {"gate": 1.0, "gate_rotation": 0.0})
    assert told["centre"].tolist() == [[3.0, 1.0]]
    assert told["covariance"].tolist() == [[[1.0, 0.0], [0.0, 0.0]]]
    assert target.combine(members, {"gate": 0.0, "gate_rotation": 0.0})["centre"].tolist() == [[1.0, 1.0]]
    assert target.measures["rmse_m"].metric(np.zeros((2, 2)), np.array([[3.0, 4.0], [0, 0]])) == np.sqrt(12.5)


@dataclass(frozen=True, kw_only=True)
class Reckoned(MeanOffset):
    """A preparation whose offset is what a sample's stream says of the pose."""

    def __call__(self, samples):
        return samples, np.stack([sample.streams["past"].values for sample in samples])


def sample(seed: int) -> Sample:
    """The truth is a step that a stream tells of, away from what dead reckoning says."""
    rng = np.random.default_rng(seed)
    yaw = exp(np.array([0, 0, rng.uniform(-3, 3)]))
    past, step = np.concatenate([rng.normal(0, 5, 2), yaw]), rng.normal(0, [1.0, 1.0, 0.3])
    streams = {
        "past": Stream(kind="scalar", values=past, channels=tuple(Channel(name=part, unit="1") for part in "xyabcd")),
        "move": Stream(kind="scalar", values=step, channels=tuple(Channel(name=part, unit="1") for part in "xyz")),
    }
    source = Provenance(data="made", item=str(seed), licence="CC0-1.0", group=str(seed % 6))
    return Sample(streams=streams, target=moved_by(past, step, 2), source=source)


SOURCE = SampleSet(name="made", samples=tuple(map(sample, range(120))), flagged={}, attribution="", licence="CC0-1.0")
TASK = Task(
    name="made", task="steps", version="1", target=Pose(axes=2, is_turned=True), config=FitConfig(), optional=(),
    read=lambda request: SOURCE, prepare=lambda samples, order: Reckoned(mean=0.0, channels={"past": 6, "move": 3}),
    restore=lambda state, arrays: Reckoned(mean=0.0, channels=dict(state["channels"])),
)  # fmt: skip


def test_it_takes_the_product_s_road(tmp_path):
    check_task(TASK, SOURCE, tmp_path)


def test_what_is_no_pose_is_refused():
    good, target = sample(0), TASK.target
    for told in (None, good.target[:2], good.target * 2, np.full(6, np.nan)):
        with pytest.raises(InputError, match="2 numbers of m and a unit quaternion"):
            target.truth([replace(good, target=told)])
    with pytest.raises(InputError, match="want 2 or 3"):
        Pose(axes=4)
    with pytest.raises(ArtifactError, match="train it again"):
        target.restored(Pose(axes=3).facts())
    assert target.restored(target.facts()) == target
