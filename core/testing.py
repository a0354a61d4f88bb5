"""What every adapter has to keep: one check by the product's own fit, called by each adapter's own test."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from mainstem.core.adapter import Adapter
from mainstem.core.finetuning import FitSpec, fit_and_save
from mainstem.core.fitted import Fitted, load_fitted
from mainstem.core.member import specs_to_read, tokenizer_of
from mainstem.core.openmodels.base import OpenModel
from mainstem.core.predict import predict, tell
from mainstem.core.samples import SampleSet
from mainstem.core.stream import Sample
from mainstem.core.targets import Outputs
from mainstem.core.task import FitConfig, Task
from mainstem.core.training import TrainingConfig, train
from mainstem.core.trunk import Trunk
from mainstem.core.trunk_config import SIZES

CLOSE = 1e-5
QUICK = FitConfig(trunk_size="xs", training=TrainingConfig(epochs=1, batch_size=32), num_folds=2)


@dataclass(frozen=True, kw_only=True)
class Loaded(FitSpec):
    """How to fit on an open model that is at hand, as a test draws one."""

    base: OpenModel | None = None

    def open_model(self) -> OpenModel | None:
        """Return it."""
        return self.base


def check_task(task: Task, source: SampleSet, folder: Path, base: OpenModel | None = None) -> None:
    """Check a task on a few dozen labelled samples of at least two groups; scratch files go to `folder`.

    A task on an open model is checked with that model as `base`, adapted by LoRA.

    Raises:
        AssertionError: saying which promise is broken.
    """
    samples = source.training()
    _check_one_batch_can_be_learned(task, source, base)
    first = _fit_and_save(task, source, folder / "first", base)
    again = _fit_and_save(task, source, folder / "second", base)
    assert first.adapter_sha256 == again.adapter_sha256, "one seed must give one adapter"
    fitted = load_fitted(folder / "first", task.target, task.restore)
    view = task.first_view
    together = fitted.outputs(samples, view)
    for name, values in together.items():
        assert len(values) == len(samples), f"one {name} a sample"
        assert np.isfinite(values).all(), f"every {name} is finite"
    assert (fitted.target.scale(together) > 0).all(), "every scale is positive"
    few = [*samples[:4], _without_one_stream(samples[4])]
    alone = [fitted.outputs([sample], view) for sample in few]
    joined = {name: np.concatenate([one[name] for one in alone]) for name in alone[0]}
    assert _are_close(fitted.outputs(few, view), joined), "a ragged batch equals its samples run one by one"
    _check_regions(task, fitted, few)


def _check_regions(task: Task, fitted: Fitted, samples: Sequence[Sample]) -> None:
    sizes = []
    for level in (0.5, 0.8):
        told = tell(fitted, samples, task.first_view, level)
        sizes.append(fitted.target.size(told.outputs, told.quantile))
    assert (sizes[0] <= sizes[1]).all(), "regions are nested"
    for found in predict(fitted, samples, task.view_of, 0.8):
        if not found.abstained:
            assert found.region is not None, "a region goes with every value"
            assert found.source.licence, "the licence travels"


def _without_one_stream(sample: Sample) -> Sample:
    kept = sorted(sample.streams)[1:] if len(sample.streams) > 1 else sorted(sample.streams)
    return replace(sample, streams={name: sample.streams[name] for name in kept})


def _are_close(first: Outputs, other: Outputs) -> bool:
    return all(
        np.abs(values - other[name]).max() <= CLOSE * max(float(np.abs(values).max()), 1.0)
        for name, values in first.items()
    )


def _check_one_batch_can_be_learned(task: Task, source: SampleSet, base: OpenModel | None) -> None:
    target, samples = task.target.told(source), source.training()
    prepared, past = task.prepare(samples, "later")(samples)
    aims, _ = target.standardise(target.truth(samples), past)
    part = None if base is None else base.shared()
    trunk = Trunk(SIZES["xs"]) if part is None else part.trunk
    torch.manual_seed(0)
    specs = specs_to_read(part, prepared)
    tokenizer = tokenizer_of(part, specs, trunk.config.dim)
    adapter = Adapter(tokenizer, target.head(trunk.config.project or trunk.config.dim, specs))
    config = TrainingConfig(epochs=60, batch_size=8, lr_per_step=3e-3, trunk="full" if part is None else "lora")
    losses = train((adapter, trunk), prepared[:8], torch.from_numpy(aims)[:8], target.loss, config)
    assert np.isfinite(losses).all(), "the loss is finite"
    assert losses[-1] < losses[0] - 0.3, "one batch can be learned by heart"


def _fit_and_save(task: Task, source: SampleSet, folder: Path, base: OpenModel | None) -> Fitted:
    folder.mkdir(parents=True)
    config = QUICK if base is None else replace(QUICK, training=replace(QUICK.training, trunk="lora"))
    saved, _ = fit_and_save(task, source, source.training(), Loaded(config=config, base=base), folder)
    again = load_fitted(folder, task.target, task.restore).on(config.training.compute)
    samples = source.training()[:4]
    before, after = (fitted.outputs(samples, task.first_view) for fitted in (saved, again))
    assert _are_close(before, after), "a loaded adapter predicts as the saved one"
    return saved
