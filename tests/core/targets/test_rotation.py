"""Rotations with known answers: coverage of balls, turned worlds, both signs, half turns, and the product's road."""

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation as Reference

from mainstem.core.errors import ArtifactError, InputError
from mainstem.core.judging import Evidence
from mainstem.core.preparation import MeanOffset
from mainstem.core.rotations import (
    angle_between,
    exp,
    log,
    mean_rotation,
    multiply,
    normalise,
    residual_angles,
    roll_pitch_yaw,
    rotate,
    to_matrix,
)
from mainstem.core.samples import SampleSet
from mainstem.core.stream import Channel, Provenance, Sample, Stream
from mainstem.core.targets import Ball, Rotation
from mainstem.core.targets.rotation import rms_deg
from mainstem.core.task import FitConfig, Task
from mainstem.core.testing import check_task

TARGET = Rotation()
RNG = np.random.default_rng(0)
STEPS = RNG.normal(0, 0.3, (50, 3))  # rad
FACTOR = np.array([[0.05, 0, 0], [0.02, 0.04, 0], [0.0, 0.01, 0.2]])  # rad: heading is worst


def told_of(num: int, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """What is told of cases, of other doubts each, and truths drawn as it says."""
    rng = np.random.default_rng(seed)
    centre = normalise(rng.normal(size=(num, 4)))
    factor = FACTOR * rng.uniform(0.3, 3.0, (num, 1, 1))
    away = np.einsum("cij,cj->ci", factor, rng.normal(size=(num, 3)))
    told = {"centre": centre, "past": centre, "covariance": factor @ np.swapaxes(factor, 1, 2)}
    return told, multiply(exp(away), centre)


def test_balls_cover_their_level_of_normal_errors():
    told, truth = told_of(4000)
    groups = [str(case // 10) for case in range(2000)]
    known, new = ({name: values[part] for name, values in told.items()} for part in (slice(2000), slice(2000, None)))
    evidence = Evidence.of(TARGET, known, truth[:2000], groups, [""] * 2000)
    quantile = evidence.calibration((), "made", ()).quantiles(0.9, [""] * 2000)
    inside = TARGET.covered(new, truth[2000:], quantile)
    assert 0.88 <= inside.mean() <= 0.92
    balls = TARGET.regions(new, quantile)
    assert [one in ball for one, ball in zip(truth[2000:], balls, strict=True)] == inside.tolist()
    assert np.degrees(balls[0].radius_rad) == pytest.approx(np.degrees(TARGET.size(new, quantile)[0]))


def test_turning_the_world_turns_centre_and_truth_alike():
    told, truth = told_of(50)
    turn = normalise(RNG.normal(size=4))
    matrix = to_matrix(turn)
    turned = {
        "centre": multiply(np.tile(turn, (50, 1)), told["centre"]),
        "past": multiply(np.tile(turn, (50, 1)), told["past"]),
        "covariance": matrix @ told["covariance"] @ matrix.T,
    }
    there = multiply(np.tile(turn, (50, 1)), truth)
    np.testing.assert_allclose(TARGET.scores(turned, there), TARGET.scores(told, truth), rtol=1e-9)
    away, _ = TARGET.standardise(truth, told["past"])
    moved, _ = TARGET.standardise(there, turned["past"])
    np.testing.assert_allclose(moved, rotate(turn, away), atol=1e-6)
    here, thence = (
        TARGET.combine([{"past": one["past"], "trunk": steps, "covariance": one["covariance"]}], {"gate": 1.0})
        for one, steps in ((told, STEPS), (turned, rotate(turn, STEPS)))
    )
    assert angle_between(thence["centre"], multiply(np.tile(turn, (50, 1)), here["centre"])).max() < 1e-7


def test_both_signs_are_one_rotation():
    told, truth = told_of(20)
    for one in ({**told, "centre": -told["centre"]}, told):
        np.testing.assert_allclose(TARGET.scores(one, -truth), TARGET.scores(told, truth), atol=1e-9)
    np.testing.assert_allclose(TARGET.standardise(-truth, told["past"])[0], TARGET.standardise(truth, told["past"])[0])
    assert -told["centre"][0] in Ball(centre=told["centre"][0], radius_rad=1e-6)
    members = [
        {"past": sign * told["past"], "trunk": np.zeros((20, 3)), "covariance": told["covariance"]} for sign in (1, -1)
    ]
    assert angle_between(TARGET.combine(members, {"gate": 1.0})["centre"], told["centre"]).max() < 1e-9
    assert angle_between(mean_rotation(np.stack([truth[0], -truth[0], truth[0]])), truth[0]) < 1e-7


def test_half_turns_are_the_furthest_and_every_ball_of_pi_holds_them():
    half = np.array([[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
    told = {"centre": np.tile([1.0, 0, 0, 0], (2, 1)), "covariance": np.tile(np.eye(3) / 3, (2, 1, 1))}
    assert TARGET.scores(told, half).tolist() == pytest.approx([np.pi, np.pi])
    assert TARGET.size(told, np.array([2.0, np.inf])).tolist() == pytest.approx([2.0, np.pi])
    small, whole = TARGET.regions(told, np.array([2.0, np.inf]))
    assert half[0] not in small
    assert half[1] in whole
    assert not whole.words("here", "rad", 0.9).is_decided
    assert "within 115 deg" in small.words("here", "rad", 0.9).text
    near = exp(np.array([[np.pi - 1e-7, 0, 0], [0, 0, np.pi + 1e-7]]))
    assert np.linalg.norm(log(near), axis=1).tolist() == pytest.approx([np.pi, np.pi], abs=1e-6)
    aims, frame = TARGET.standardise(near, np.zeros(2))
    assert np.abs(aims * frame["std"]).max() == pytest.approx(np.pi, abs=1e-5)
    json.dumps(small.to_dict() | small.columns())


def test_members_say_together_their_mean_and_how_far_they_differ():
    past = np.array([[1.0, 0, 0, 0]])
    none = np.zeros((1, 3, 3))
    members = [{"past": past, "trunk": np.array([[0, 0, yaw]]), "covariance": none} for yaw in (0.1, 0.3)]
    told = TARGET.combine(members, {"gate": 1.0})
    assert log(told["centre"])[0].tolist() == pytest.approx([0, 0, 0.2])
    assert told["covariance"][0, 2, 2] == pytest.approx(0.1**2)
    assert TARGET.combine(members, {"gate": 0.5})["centre"][0, 3] == pytest.approx(np.sin(0.05))


def test_angles_are_those_of_scipy_and_of_the_benchmark():
    rng = np.random.default_rng(3)
    rotation = normalise(rng.normal(size=(200, 4)))
    reference = Reference.from_quat(rotation, scalar_first=True)
    np.testing.assert_allclose(roll_pitch_yaw(rotation), reference.as_euler("xyz"), atol=1e-7)
    steps = np.array([[0, 0, 0.3], [0.2, 0, 0], [0, -0.1, 0]])
    found = residual_angles(multiply(exp(steps), rotation[:3]), rotation[:3])
    assert found["total"].tolist() == pytest.approx([0.3, 0.2, 0.1])
    assert found["heading"].tolist() == pytest.approx([0.3, 0, 0], abs=1e-9)
    assert found["inclination"].tolist() == pytest.approx([0, 0.2, 0.1], abs=1e-9)
    assert rms_deg("total", rotation[:1], multiply(exp(steps[:1]), rotation[:1])) == pytest.approx(np.degrees(0.3))


@dataclass(frozen=True, kw_only=True)
class Integrated(MeanOffset):
    """A preparation whose offset is what a sample's stream says of the rotation."""

    def __call__(self, samples):
        return samples, np.stack([sample.streams["past"].values for sample in samples])


def sample(seed: int) -> Sample:
    """The truth is a turn that a stream tells of, away from what the integrator says."""
    rng = np.random.default_rng(seed)
    past, turn = normalise(rng.normal(size=4)), rng.normal(0, 0.3, 3)
    streams = {
        "past": Stream(kind="scalar", values=past, channels=tuple(Channel(name=part, unit="1") for part in "wxyz")),
        "gyro": Stream(
            kind="scalar", values=turn + rng.normal(0, 0.02, 3),
            channels=tuple(Channel(name=axis, unit="rad") for axis in "xyz"),
        ),
    }  # fmt: skip
    source = Provenance(data="made", item=str(seed), licence="CC0-1.0", group=str(seed % 6))
    return Sample(streams=streams, target=multiply(exp(turn), past), source=source)


SOURCE = SampleSet(name="made", samples=tuple(map(sample, range(120))), flagged={}, attribution="", licence="CC0-1.0")
TASK = Task(
    name="made", task="turns", version="1", target=TARGET, config=FitConfig(), read=lambda request: SOURCE, optional=(),
    prepare=lambda samples, order: Integrated(mean=0.0, channels={"past": 4, "gyro": 3}),
    restore=lambda state, arrays: Integrated(mean=0.0, channels=dict(state["channels"])),
)  # fmt: skip


def test_it_takes_the_product_s_road(tmp_path):
    check_task(TASK, SOURCE, tmp_path)


def test_what_is_no_rotation_is_refused():
    good = sample(0)
    for target in (None, np.array([1.0, 1.0, 0, 0]), np.array([1.0, 0, 0]), np.array([np.nan, 0, 0, 1])):
        with pytest.raises(InputError, match="want a unit quaternion"):
            TARGET.truth([replace(good, target=target)])
    with pytest.raises(ArtifactError, match="train it again"):
        TARGET.restored({"kind": "pose", "units": "m"})
    assert TARGET.restored(TARGET.facts()) == TARGET
    assert TARGET.values({"centre": exp(np.array([[0, 0, np.pi / 2]]))}) == ["roll 0.0, pitch 0.0, yaw 90.0 deg"]
