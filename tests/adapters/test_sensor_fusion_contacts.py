"""Alarms on forces and torques: what failures there are moves neither what is learned nor the threshold."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mainstem.adapters.sensor_fusion import contacts
from mainstem.core.finetuning import FitSpec, fit_and_save
from mainstem.core.predict import predict
from mainstem.core.samples import SampleSet
from mainstem.core.stream import Provenance, Sample, Stream
from mainstem.core.task import FitConfig
from mainstem.core.tokens import Patches
from mainstem.core.training import TrainingConfig
from mainstem.data.robot.failures import CHANNELS, CLASSES, STEP_S, STEPS, STREAM

QUICK = FitConfig(trunk_size="xs", training=TrainingConfig(epochs=1, batch_size=16), num_folds=2, steps_per_token=3)


def traces(num_healthy=30, num_failed=6, size=200.0):
    """Healthy traces hum about a level of their axis; failed ones jump by `size` counts."""
    rng = np.random.default_rng(0)
    found = []
    for row in range(num_healthy + num_failed):
        values = np.array([0, 0, 60, -5, -3, 0]) + rng.normal(0, 3, (STEPS, 6))
        if row >= num_healthy:
            values[rng.integers(STEPS) :] += size * rng.normal(size=6)
        source = Provenance(data="made", item=f"trace {row}", group=f"trace {row:02d}")
        stream = Stream(kind="series", values=values, channels=CHANNELS, times=np.arange(STEPS) * STEP_S)
        found.append(Sample(streams={STREAM: stream}, target=float(row >= num_healthy), source=source))
    return SampleSet(name="made", samples=tuple(found), flagged={}, attribution="", licence="CC0-1.0", classes=CLASSES)


def fitted(folder, source):
    return fit_and_save(contacts.TASK, source, source.training(), FitSpec(config=QUICK), folder)[0]


def test_failures_teach_nothing(tmp_path):
    one = fitted(tmp_path / "one", traces(size=20.0))
    other = fitted(tmp_path / "other", traces(size=5000.0))
    shown = traces().samples
    view = contacts.TASK.first_view
    for name, values in one.outputs(shown, view).items():
        assert np.array_equal(values, other.outputs(shown, view)[name]), name
    assert np.array_equal(one.calibration[view].scores, other.calibration[view].scores)
    assert len(one.calibration[view].scores) == 30


def test_every_prediction_carries_its_rate_of_false_alarms_and_how_little_it_is_known(tmp_path):
    run = fitted(tmp_path / "run", traces())
    asked = [
        replace(sample, source=replace(sample.source, item=f"new {row}", group=f"new {row}"), target=None)
        for row, sample in enumerate(traces().samples)
    ]
    found = predict(run, asked, contacts.TASK.view_of, 0.9)
    assert [one.region.is_raised for one in found[30:]] == [True] * 6
    assert sum(one.region.is_raised for one in found[:30]) < 10
    for one in found:
        columns = one.region.columns()
        assert columns["false_alarms_at_most"] == pytest.approx(0.1)
        assert 0 < columns["false_alarms_low"] < 0.1 < columns["false_alarms_high"] < 0.5
        assert any("30 healthy cases" in reason for reason in one.reasons)
        assert one.claim.state == "stated"


def test_made_strange_leaves_what_is_no_healthy_trace_as_it_is():
    values = torch.zeros(200, STEPS, 6)
    aims = torch.cat([torch.zeros(150), torch.ones(50)]).double()
    patches = Patches(parts={f"{STREAM}.values": values, f"{STREAM}.times": torch.zeros(200, STEPS)})
    found, told = contacts.made_strange(patches, aims, torch.Generator().manual_seed(0))
    changed = (found[f"{STREAM}.values"] != values).flatten(1).any(1)
    assert not changed[150:].any()
    assert (told[:150] == changed[:150].double()).all(), "what is changed is strange, and nothing else"
    assert 40 < int(changed.sum()) < 110
    assert found[f"{STREAM}.values"].isfinite().all()
    assert told.dtype == aims.dtype


def test_peers_set_their_thresholds_by_healthy_traces_alone():
    source = traces(60, 10)
    train, test = source.samples[::2], source.samples[1::2]
    found = contacts.baselines(train, test, 0)
    fewer = contacts.baselines([one for one in train if one.target == 0], test, 0)
    for name, points in found.items():
        assert np.array_equal(points, fewer[name])
        assert (points[-5:] > 1).all(), "failures lie beyond"
        assert (points[:30] > 1).mean() < 0.4
    assert contacts.threshold_of(np.zeros((5, 3))) == np.inf, "five healthy traces set none"


def test_the_preparation_is_restored_as_it_was():
    samples = traces().samples
    preparation = contacts.Contacts.fit(samples[:30], "any")
    again = contacts.restore(*preparation.state())
    assert np.array_equal(
        preparation.fallback(samples, np.zeros(len(samples))), again.fallback(samples, np.zeros(len(samples)))
    )
    shown, _ = again(samples)
    assert np.abs(shown[0].streams[STREAM].values).max() < 3, "healthy traces lie within a few spreads"


@pytest.mark.mirror
def test_the_shipped_run_alarms_at_a_trace_it_never_saw(tmp_path, monkeypatch):
    from mainstem.adapters import shipped_runs
    from mainstem.core.fitted import load_run
    from mainstem.data.robot.failures import open_failures

    monkeypatch.setenv("MAINSTEM_HOME", str(tmp_path))
    run = load_run(shipped_runs("sensor-fusion")["contact-failure"], contacts.TASK)
    source = open_failures("robot-failures")
    healthy = next(sample for sample in source.samples if sample.target == 0)
    stream = healthy.streams[STREAM]
    struck = replace(stream, values=stream.values + np.where(np.arange(STEPS) > 7, 300.0, 0.0)[:, None])
    calm = replace(stream, values=stream.values + 1.0)
    new = replace(healthy.source, group="new", item="new")
    found = predict(
        run,
        [replace(healthy, streams={STREAM: own}, source=new) for own in (struck, calm)],
        contacts.TASK.view_of,
    )
    assert [one.region.is_raised for one in found] == [True, False]
    assert {one.claim.state for one in found} == {"stated"}
