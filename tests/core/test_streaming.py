"""Streams in steps: a constant-velocity filter says the same however its stream is cut, saved, resumed or gapped."""

import itertools
import json
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstem.core.prediction import Claim, ModelRef, Prediction
from mainstem.core.stream import Channel, Provenance, Sample, Stream
from mainstem.core.streaming import Streaming, run_stream
from mainstem.core.targets import Interval

NOISE_M, JERK, LEVEL = 0.5, 0.2, 0.9  # of a position; of white acceleration, m/s^2 a root hertz; of the interval
SOURCE = Provenance(data="made in the test", item="track", simulated=True)
MODEL = ModelRef(adapter="toy", task="position", version="1", adapter_sha256="0" * 64, trunk_sha256="0" * 64)
PRIOR = np.diag([100.0, 25.0])


@dataclass(frozen=True)
class Known:
    """What a filter knows: position and velocity (m, m/s), their covariance by rows, and the time (s)."""

    mean: tuple[float, ...]
    covariance: tuple[float, ...]
    time_s: float


def moved(seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Transition and noise of a constant velocity (Bar-Shalom, Estimation with Applications, 2001, 6.2.2)."""
    noise = JERK**2 * np.array([[seconds**3 / 3, seconds**2 / 2], [seconds**2 / 2, seconds]])
    return np.array([[1.0, seconds], [0.0, 1.0]]), noise


class ConstantVelocity:
    """A Kalman filter of positions in the stream `position`."""

    def init_state(self) -> Known:
        return Known((0.0, 0.0), tuple(PRIOR.ravel()), 0.0)

    def step(self, state: Known, samples: Sequence[Sample]) -> tuple[Known, Prediction]:
        for sample in samples:
            stream = sample.streams["position"]
            assert stream.times is not None
            for time, value in zip(stream.times.tolist(), stream.values[:, 0].tolist(), strict=True):
                state = self._one(state, time, value)
        half = NormalDist().inv_cdf(0.5 + LEVEL / 2) * state.covariance[0] ** 0.5
        prediction = Prediction(
            value=state.mean[0], region=Interval(low=state.mean[0] - half, high=state.mean[0] + half), level=LEVEL,
            units="m", claim=Claim(state="none", reason="a toy"), model=MODEL, source=SOURCE,
        )  # fmt: skip
        return state, prediction

    def _one(self, state: Known, time: float, value: float) -> Known:
        transition, noise = moved(time - state.time_s)
        mean = transition @ np.array(state.mean)
        covariance = transition @ np.array(state.covariance).reshape(2, 2) @ transition.T + noise
        if np.isfinite(value):
            gain = covariance[:, 0] / (covariance[0, 0] + NOISE_M**2)
            mean = mean + gain * (value - mean[0])
            covariance = covariance - np.outer(gain, covariance[0])
        return Known(tuple(mean.tolist()), tuple(covariance.ravel().tolist()), time)


FILTER: Streaming[Known] = ConstantVelocity()


def sample(times: np.ndarray, values: np.ndarray) -> Sample:
    stream = Stream(kind="series", values=values[:, None], channels=(Channel(name="position", unit="m"),), times=times)
    return Sample(streams={"position": stream}, target=None, source=SOURCE)


def track(num: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Uneven times, and positions of 3 m/s with noise."""
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.uniform(0.05, 0.4, num))
    return times, 3 * times + rng.normal(0, NOISE_M, num)


def pieces(times: np.ndarray, values: np.ndarray, cuts: Sequence[int]) -> list[Sample]:
    edges = [0, *sorted(set(cuts)), len(times)]
    return [sample(times[a:b], values[a:b]) for a, b in itertools.pairwise(edges) if a < b]


@settings(deadline=None, max_examples=50)
@given(cuts=st.lists(st.integers(1, 59), max_size=20), size=st.integers(1, 8), seed=st.integers(0, 99))
def test_however_a_stream_is_cut_it_says_the_same(cuts, size, seed):
    times, values = track(60, seed)
    values[20:30] = np.nan
    state, whole = FILTER.step(FILTER.init_state(), [sample(times, values)])
    cut = pieces(times, values, cuts)
    batches = [cut[start : start + size] for start in range(0, len(cut), size)]
    *_, (last, prediction) = run_stream(FILTER, batches)
    assert (last, prediction) == (state, whole)


def test_a_state_is_saved_and_gone_on_from_and_never_changed():
    times, values = track(40)
    steps = list(run_stream(FILTER, [[one] for one in pieces(times, values, range(1, 40))]))
    kept = [state for state, _ in steps]
    saved = Known(
        **{name: tuple(v) if isinstance(v, list) else v for name, v in json.loads(json.dumps(asdict(kept[19]))).items()}
    )
    rest = [[one] for one in pieces(times[20:], values[20:], range(1, 20))]
    for _ in range(2):  # the first time changed nothing
        assert list(run_stream(FILTER, rest, saved)) == steps[20:]


def test_two_streams_share_a_model_in_turns():
    tracks = [track(30, seed) for seed in (1, 2)]
    runs = [run_stream(FILTER, [[one] for one in pieces(*each, range(1, 30))]) for each in tracks]
    turns = list(zip(*runs, strict=True))[-1]
    for (state, _), each in zip(turns, tracks, strict=True):
        assert state == FILTER.step(FILTER.init_state(), [sample(*each)])[0]


def smoothed(times: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Last state and covariance from one system of equations of all states at once."""
    num = len(times)
    information, vector = np.zeros((2 * num, 2 * num)), np.zeros(2 * num)
    first, noise = moved(times[0])
    start = first @ PRIOR @ first.T + noise
    information[:2, :2] += np.linalg.inv(start)
    for index in range(num):
        at = slice(2 * index, 2 * index + 2)
        if np.isfinite(values[index]):
            information[2 * index, 2 * index] += NOISE_M**-2
            vector[2 * index] += values[index] / NOISE_M**2
        if index:
            transition, noise = moved(times[index] - times[index - 1])
            both = np.hstack([-transition, np.eye(2)])
            here = slice(at.start - 2, at.stop)
            information[here, here] += both.T @ np.linalg.inv(noise) @ both
    covariance = np.linalg.inv(information)
    return (covariance @ vector)[-2:], covariance[-2:, -2:]


def test_the_last_step_agrees_with_a_batch_smoother():
    times, values = track(25)
    values[10:15] = np.nan
    *_, (state, prediction) = run_stream(FILTER, [[one] for one in pieces(times, values, range(1, 25))])
    mean, covariance = smoothed(times, values)
    np.testing.assert_allclose(state.mean, mean, rtol=1e-6)
    np.testing.assert_allclose(state.covariance, covariance.ravel(), rtol=1e-5)
    assert prediction.value == pytest.approx(mean[0], rel=1e-6)


def test_intervals_widen_while_nothing_is_seen_and_narrow_after():
    times, values = track(60)
    values[30:45] = np.nan
    steps = run_stream(FILTER, [[one] for one in pieces(times, values, range(1, 60))])
    widths = [prediction.region.high - prediction.region.low for _, prediction in steps]
    assert (np.diff(widths[29:45]) > 0).all()
    assert widths[45] < widths[44] / 2


def test_an_endless_stream_leaves_nothing_behind():
    seen: list[weakref.ref[Sample]] = []

    def endless() -> Iterator[list[Sample]]:
        for index in itertools.count(1):
            one = sample(np.array([float(index)]), np.array([3.0 * index]))
            seen.append(weakref.ref(one))
            batch = [replace(one)]
            seen.append(weakref.ref(batch[0]))
            del one
            yield batch
            del batch

    for number, (_, prediction) in enumerate(itertools.islice(run_stream(FILTER, endless()), 500), 1):
        assert sum(ref() is not None for ref in seen) <= 1
        assert number < 50 or prediction.value == pytest.approx(3.0 * number, abs=0.1)
