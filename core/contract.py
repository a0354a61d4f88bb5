"""What every adapter has to keep: one check, called by each adapter's own test."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from mainstem.core.adapter import Adapter
from mainstem.core.artifact import load_artifact, save_artifact
from mainstem.core.folds import targets_of
from mainstem.core.heads import ScalarHead
from mainstem.core.judging import calibrate_fit
from mainstem.core.openmodels.base import OpenModel
from mainstem.core.predict import predict
from mainstem.core.prediction import Interval
from mainstem.core.regression import Recipe, RegressionConfig, RegressionTask
from mainstem.core.stream import Sample
from mainstem.core.tokenizers.streams import StreamsTokenizer, read_specs
from mainstem.core.training import TrainingConfig, train
from mainstem.core.trunk import SIZES, Trunk

CLOSE = 1e-5
QUICK = RegressionConfig(trunk_size="xs", training=TrainingConfig(epochs=1, batch_size=32), num_folds=2)


def check_task(task: RegressionTask, samples: Sequence[Sample], folder: Path, base: OpenModel | None = None) -> None:
    """Check a task on a few dozen labelled samples of at least two groups; scratch files go to `folder`.

    A task on an open model is checked with that model as `base`, adapted by LoRA.

    Raises:
        AssertionError: saying which promise is broken.
    """
    _check_one_batch_can_be_learned(task, samples, base)
    first = _fit_and_save(task, samples, folder / "first", base)
    assert first == _fit_and_save(task, samples, folder / "second", base), "one seed must give one adapter"
    artifact = load_artifact(folder / "first", task.restore)
    view = next(iter(task.views))
    together, scales = artifact.regressor.predict(samples, view)
    assert together.shape == (len(samples),), "one prediction a sample"
    assert np.isfinite(together).all(), "every prediction is finite"
    assert (scales > 0).all(), "every scale is positive"
    unit = max(float(np.abs(together).max()), 1.0)
    few = [*samples[:4], _without_one_stream(samples[4])]
    batched, _ = artifact.regressor.predict(few, view)
    alone = np.concatenate([artifact.regressor.predict([sample], view)[0] for sample in few])
    assert np.abs(batched - alone).max() <= CLOSE * unit, "a ragged batch equals its samples run one by one"
    for narrow, wide in zip(
        predict(artifact, few, task.view_of, 0.5), predict(artifact, few, task.view_of, 0.8), strict=True
    ):
        if narrow.abstained:
            continue
        assert isinstance(narrow.region, Interval), "an interval goes with every value"
        assert isinstance(wide.region, Interval)
        assert wide.region.low <= narrow.region.low <= narrow.region.high <= wide.region.high, "regions are nested"
        assert narrow.source.licence, "the licence travels"


def _without_one_stream(sample: Sample) -> Sample:
    kept = sorted(sample.streams)[1:] if len(sample.streams) > 1 else sorted(sample.streams)
    return replace(sample, streams={name: sample.streams[name] for name in kept})


def _check_one_batch_can_be_learned(task: RegressionTask, samples: Sequence[Sample], base: OpenModel | None) -> None:
    preparation = task.prepare(samples, "later")
    prepared, offset = preparation(samples)
    residual = targets_of(samples) - offset
    batch, part = prepared[:8], copy.deepcopy(base)
    trunk = Trunk(SIZES["xs"]) if part is None else part.trunk
    dim = trunk.config.dim
    targets = torch.from_numpy((residual / max(residual.std(), 1e-6))[:8]).float()
    torch.manual_seed(0)
    tokenizer = StreamsTokenizer(read_specs(prepared), dim) if part is None else part.tokenizer
    config = TrainingConfig(epochs=60, batch_size=8, lr_per_step=3e-3, trunk="full" if part is None else "lora")
    losses = train(Adapter(tokenizer, ScalarHead(dim)), trunk, batch, targets, config)
    assert np.isfinite(losses).all(), "the loss is finite"
    assert losses[-1] < losses[0] - 0.3, "one batch can be learned by heart"


def _fit_and_save(task: RegressionTask, samples: Sequence[Sample], folder: Path, base: OpenModel | None) -> str:
    folder.mkdir(parents=True)
    config = QUICK if base is None else replace(QUICK, training=replace(QUICK.training, trunk="lora"))
    recipe = Recipe(config=config, base=base)
    regressor, judged = task.fit(samples, recipe)
    known = calibrate_fit(task, samples, (regressor, judged), recipe, "test")
    facts = {
        "adapter": task.name, "task": task.task, "version": task.version, "units": task.units,
        "scope": task.scope_of(samples), "training": {"groups": sorted(set(judged[next(iter(judged))].groups))},
        "licence": "test", "attribution": "test", "simulated": all(sample.source.simulated for sample in samples),
    }  # fmt: skip
    saved = save_artifact(folder, regressor, known.calibration, known.alarm, facts)
    again = load_artifact(folder, task.restore)
    view = next(iter(task.views))
    before, after = (artifact.regressor.predict(samples[:4], view)[0] for artifact in (saved, again))
    unit = max(float(np.abs(before).max()), 1.0)
    assert np.abs(before - after).max() <= CLOSE * unit, "a loaded adapter predicts as the saved one"
    return saved.adapter_sha256
