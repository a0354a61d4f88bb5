"""Crop yield of regions: the trunk predicts how far a season departs from the region's own recent yields."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from mainstem.core.adapter import Adapter, StreamSpec, read_specs
from mainstem.core.errors import InputError
from mainstem.core.heads import ScalarHead
from mainstem.core.stream import Sample
from mainstem.core.training import TrainingConfig, train
from mainstem.core.trunk import SIZES, Trunk

Array = NDArray[np.float64]
RECENT = 5  # years of history that the anchor averages, as CY-Bench's trend features do


@dataclass(frozen=True, kw_only=True)
class CropYieldConfig:
    """Trunk size and training of one crop-yield model."""

    trunk_size: str = "xs"
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(epochs=12, batch_size=256, lr_per_step=2e-3)
    )
    num_folds: int = 6  # whole years are dealt to this many folds for out-of-fold scores


@dataclass(frozen=True, kw_only=True)
class Anchor:
    """What a region's own past says: drift + mean of its recent yields, or the training mean without history."""

    drift_t_ha: float
    fallback_t_ha: float

    def __call__(self, samples: Sequence[Sample]) -> Array:
        """Return anchors (samples,) in t/ha."""
        recent = recent_means(samples)
        return np.where(np.isfinite(recent), recent + self.drift_t_ha, self.fallback_t_ha)


def recent_means(samples: Sequence[Sample]) -> Array:
    """Mean of the last RECENT observed yields (samples,), t/ha; NaN where a region has no history."""
    means = np.full(len(samples), np.nan)
    for index, sample in enumerate(samples):
        history = sample.streams.get("history")
        if history is not None:
            seen = history.values[history.observed()]
            means[index] = seen[-RECENT:].mean() if len(seen) else np.nan
    return means


def fit_anchor(samples: Sequence[Sample]) -> Anchor:
    """Fit the drift as the mean departure of training yields from the recent means."""
    targets, recent = yields_t_ha(samples), recent_means(samples)
    known = np.isfinite(recent)
    drift = float((targets - recent)[known].mean()) if known.any() else 0.0
    return Anchor(drift_t_ha=drift, fallback_t_ha=float(targets.mean()))


def yields_t_ha(samples: Sequence[Sample]) -> Array:
    """Targets (samples,) in t/ha.

    Raises:
        InputError: if one is unknown.
    """
    values = np.array([np.nan if sample.target is None else float(sample.target) for sample in samples])
    if not len(values) or not np.isfinite(values).all():
        raise InputError(f"got {np.isnan(values).sum()} of {len(values)} samples without a yield, want all; drop them")
    return values


@dataclass(frozen=True, kw_only=True, eq=False)
class CropYieldModel:
    """A fitted trunk and adapter with its anchor; predicts mean and scale in t/ha."""

    trunk: Trunk
    adapter: Adapter
    anchor: Anchor
    residual_std_t_ha: float
    specs: dict[str, StreamSpec]

    def predict(self, samples: Sequence[Sample], batch_size: int = 512) -> tuple[Array, Array]:
        """Return mean and scale (samples,) in t/ha, before calibration."""
        means, scales = [], []
        with torch.no_grad():
            for start in range(0, len(samples), batch_size):
                distribution = self.adapter(samples[start : start + batch_size], self.trunk)
                means.append(distribution.mean.double().numpy())
                scales.append(distribution.stddev.double().numpy())
        std = self.residual_std_t_ha
        return self.anchor(samples) + std * np.concatenate(means), std * np.concatenate(scales)

    def latents(self, samples: Sequence[Sample], batch_size: int = 512) -> Array:
        """Return pooled latents (samples, dim), what the shift alarm looks at."""
        with torch.no_grad():
            parts = [
                self.trunk(self.adapter.embed(self.adapter.collate(samples[start : start + batch_size]))).pooled
                for start in range(0, len(samples), batch_size)
            ]
        return torch.cat(parts).double().numpy()


Progress = Callable[[str, float], None]  # what is being fitted, share done


def fit(samples: Sequence[Sample], config: CropYieldConfig, progress: Progress | None = None) -> CropYieldModel:
    """Fit one model to the samples' yields."""
    specs = read_specs(samples)
    anchor = fit_anchor(samples)
    residual = yields_t_ha(samples) - anchor(samples)
    std = float(residual.std())
    size = SIZES[config.trunk_size]
    trunk = Trunk(size, config.training.seed)
    torch.manual_seed(config.training.seed)
    adapter = Adapter(specs, ScalarHead(size.dim), size.dim)
    targets = torch.from_numpy(residual / std).float()
    report = None if progress is None else (lambda step, steps, loss: progress(f"loss {loss:.3f}", step / steps))
    train(adapter, trunk, samples, targets, config.training, report)
    return CropYieldModel(trunk=trunk, adapter=adapter, anchor=anchor, residual_std_t_ha=std, specs=specs)


def year_folds(samples: Sequence[Sample], num_folds: int) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield (train, held-out) row indices; each held-out part is whole years, dealt in turn.

    Raises:
        InputError: if the samples name no year or only one.
    """
    years = [sample.source.group for sample in samples]
    distinct = sorted({year for year in years if year is not None})
    if None in years or len(distinct) < 2:
        raise InputError("calibration needs samples of at least two named years; name the group column")
    fold_of = {year: index % min(num_folds, len(distinct)) for index, year in enumerate(distinct)}
    folds = np.array([fold_of[str(year)] for year in years])
    for fold in range(folds.max() + 1):
        yield np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)


def out_of_fold(
    samples: Sequence[Sample], config: CropYieldConfig, progress: Progress | None = None
) -> tuple[Array, Array]:
    """Predict every sample by a model that never saw its year: mean and scale (samples,), t/ha."""
    mean, scale = np.empty(len(samples)), np.empty(len(samples))
    folds = list(year_folds(samples, config.num_folds))
    for index, (kept, held) in enumerate(folds):
        model = fit([samples[row] for row in kept], config)
        mean[held], scale[held] = model.predict([samples[row] for row in held])
        if progress is not None:
            progress(f"fold {index + 1} of {len(folds)}", (index + 1) / len(folds))
    return mean, scale
