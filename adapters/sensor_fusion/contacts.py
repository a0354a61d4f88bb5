"""Whether a grasp or transfer failed, from forces and torques: an alarm learned and set from healthy traces alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mainstem.core.cases import blocks_in
from mainstem.core.quantiles import cases_needed, group_quantile
from mainstem.core.samples import SampleSet
from mainstem.core.stream import Sample
from mainstem.core.targets import OneClass
from mainstem.core.task import DataRequest, FitConfig, Grouping, Holding, Order, Task
from mainstem.core.tokens import Patches
from mainstem.core.training import TrainingConfig
from mainstem.data.robot.failures import AXES, STEPS, STREAM, open_failures

Array = NDArray[np.float64]
LEAST_SPREAD = 0.5  # counts: they are whole numbers, which a half rounds
LEVEL, INNER = 0.9, 5  # of the peers' thresholds: set as ours is, from folds of healthy traces
MADE = 0.5  # of a training batch that is made strange
SMALLEST, LARGEST = 1.5, 30.0  # spreads by which it is


def read(request: DataRequest) -> SampleSet:
    """Read the traces that a user asks for."""
    return open_failures(request.data, request.mirror)


def traces_of(samples: Sequence[Sample]) -> Array:
    """Counts (samples, STEPS, axes)."""
    found = np.full((len(samples), STEPS, len(AXES)), np.nan)
    for rows, block in blocks_in(samples, STREAM):
        found[rows] = block.values
    return found


def summary(traces: Array) -> Array:
    """Each axis's mean, and its logarithms of spread, drift and roughness (traces, 4 x axes), in counts.

    Impacts are a hundred times what healthy traces show, so that only logarithms of them compare.
    """
    along = np.linspace(-1, 1, STEPS)[None, :, None]
    drift = np.abs((traces * along).mean(1))
    rough = np.sqrt((np.diff(traces, axis=1) ** 2).mean(1))
    return np.hstack([traces.mean(1), np.log1p(traces.std(1)), np.log1p(drift), np.log1p(rough)])


@dataclass(frozen=True, kw_only=True, eq=False)
class Gaussian:
    """A Gaussian of rows, its covariance shrunk.

    Source: Ledoit & Wolf 2004, A well-conditioned estimator for large-dimensional covariance matrices.
    """

    mean: Array  # (columns,)
    spread: Array
    precision: Array  # (columns, columns): of columns over their spread

    @classmethod
    def fit(cls, rows: Array) -> "Gaussian":
        """Fit on rows (rows, columns)."""
        from sklearn.covariance import ledoit_wolf

        mean, spread = rows.mean(0), np.maximum(rows.std(0), 1e-3)
        precision = np.linalg.inv(ledoit_wolf((rows - mean) / spread)[0])
        return cls(mean=mean, spread=spread, precision=precision)

    def distances(self, rows: Array) -> Array:
        """Return Mahalanobis distances (rows,)."""
        away = (rows - self.mean) / self.spread
        found: Array = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", away, self.precision, away), 1e-6))
        return found


@dataclass(frozen=True, kw_only=True, eq=False)
class Contacts:
    """Healthy traces: where their axes lie, which the trunk's inputs are told in, and a Gaussian of their summaries."""

    centre: Array  # (axes,)
    spread: Array
    gaussian: Gaussian

    @classmethod
    def fit(cls, samples: Sequence[Sample], order: Order) -> "Contacts":
        """Fit on healthy training samples."""
        traces = traces_of(samples)
        spread = np.maximum(traces.std((0, 1)), LEAST_SPREAD)
        return cls(centre=traces.mean((0, 1)), spread=spread, gaussian=Gaussian.fit(summary(traces)))

    def __call__(self, samples: Sequence[Sample]) -> tuple[Sequence[Sample], Array]:
        """Return the samples in spreads of healthy traces, large ones drawn in, and no offset."""
        away = drawn_in((traces_of(samples) - self.centre) / self.spread)
        shown = []
        for sample, values in zip(samples, away, strict=True):
            stream = replace(sample.streams[STREAM], values=values)
            shown.append(replace(sample, streams={STREAM: stream}))
        return shown, np.zeros(len(samples))

    def fallback(self, samples: Sequence[Sample], offset: Array) -> Array:
        """Return the logarithm of how far (samples,) each summary lies from healthy ones."""
        found: Array = np.log(self.gaussian.distances(summary(traces_of(samples))))
        return found

    def features(self, samples: Sequence[Sample]) -> Array:
        """Return nothing that could depart: what departs is an alarm here, and no shift."""
        return np.zeros((len(samples), 1))

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return arrays; there are no plain types."""
        gaussian = {f"gaussian.{name}": values for name, values in vars(self.gaussian).items()}
        return {}, {"centre": self.centre, "spread": self.spread, **gaussian}


def restore(state: Mapping[str, Any], arrays: Mapping[str, Array]) -> Contacts:
    """Read what `Contacts.state` gave."""
    gaussian = {name.partition(".")[2]: own for name, own in arrays.items() if name.startswith("gaussian.")}
    return Contacts(centre=arrays["centre"], spread=arrays["spread"], gaussian=Gaussian(**gaussian))


def drawn_in(away: Array) -> Array:
    """Spreads, those beyond one in logarithms, on either side."""
    found: Array = np.sign(away) * np.log1p(np.abs(away))
    return found


def made_strange(patches: Patches, aims: Tensor, generator: torch.Generator) -> tuple[Patches, Tensor]:
    """Make MADE of a batch of healthy traces strange, whose aims are then 1: axes jump, drift, shake or lie off.

    The trunk learns where healthy ends from these; none of them is a failure that was seen. Source: Hendrycks, Mazeika
    & Dietterich 2019, Deep anomaly detection with outlier exposure; Li et al. 2021, CutPaste, section 2 (made ones).
    """
    name = f"{STREAM}.values"
    values = patches[name]
    num, steps, axes = values.shape

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator).to(values)

    size = SMALLEST * (LARGEST / SMALLEST) ** uniform(num, 1, axes)
    sign = torch.where(uniform(num, 1, axes) < 0.5, -1.0, 1.0)
    step = torch.arange(steps, device=values.device)[None, :, None].to(values)
    jump = (step >= torch.floor(uniform(num, 1, 1) * steps)).to(values)
    shake = torch.randn(num, steps, axes, generator=generator).to(values)
    kinds = torch.stack([torch.ones_like(shake), jump.expand_as(shake), (step / steps).expand_as(shake), shake])
    chosen = kinds[(uniform(num) * len(kinds)).long().cpu(), torch.arange(num)]
    touched = uniform(num, 1, axes) < uniform(num, 1, 1)
    touched[..., 0] |= ~touched.any(-1)
    is_made = (uniform(num) < MADE) & (aims.to(values) == 0)
    away = torch.sign(values) * torch.expm1(values.abs()) + torch.where(touched, size * sign * chosen, 0.0)
    strange = torch.sign(away) * torch.log1p(away.abs())
    parts = {**patches.parts, name: torch.where(is_made[:, None, None], strange, values)}
    return Patches(parts=parts), torch.where(is_made.to(aims.device), torch.ones_like(aims), aims)


def baselines(train: Sequence[Sample], test: Sequence[Sample], seed: int) -> dict[str, Array]:
    """Distances (test,) from healthy training traces over their thresholds: of all counts, and of summaries.

    Source: Mahalanobis 1936, On the generalised distance in statistics.
    """
    healthy, asked = traces_of([sample for sample in train if sample.target == 0]), traces_of(test)
    return {
        name: Gaussian.fit(seen).distances(told) / threshold_of(seen)
        for name, (seen, told) in {
            "mahalanobis": (healthy.reshape(len(healthy), -1), asked.reshape(len(asked), -1)),
            "mahalanobis_of_summaries": (summary(healthy), summary(asked)),
        }.items()
    }


def threshold_of(rows: Array) -> float:
    """The conformal quantile at LEVEL of distances of rows held out in INNER folds; infinite of too few."""
    if len(rows) < max(cases_needed(LEVEL), 2 * INNER):
        return np.inf
    fold, held = np.arange(len(rows)) % INNER, np.zeros(len(rows))
    for part in range(INNER):
        held[fold == part] = Gaussian.fit(rows[fold != part]).distances(rows[fold == part])
    return group_quantile(held, np.arange(len(rows)).astype(str), LEVEL)


TASK = Task(
    name="sensor-fusion",
    task="contact-failure",
    version="1",
    target=OneClass(units="strangeness, 1 as healthy traces on average"),
    config=FitConfig(
        trunk_size="xs",
        training=TrainingConfig(epochs=1, min_steps=240, batch_size=32, lr_per_step=2e-3, dropout=0.1),
        num_folds=4,
        steps_per_token=3,
    ),
    read=read,
    prepare=Contacts.fit,
    restore=restore,
    holding=Holding(protocol="grouped-folds"),
    grouping=Grouping(name="trace"),
    optional=(),
    augment=made_strange,
    baselines=baselines,
    known_failures=(
        "41 healthy traces of one arm set the threshold: at 90 % the true share of false alarms may be 3 to 20 %; held "
        "out, 4 of 41 healthy traces raised one, and 91 of 93 failed ones",
        "15 steps of 21 ms after a trigger, in counts whose unit nobody told: another gripper needs traces of its own "
        "(mainstem finetune), or calibration by ten healthy ones at least",
        "not for protective functions (ISO 13849, ISO 10218)",
    ),
)
