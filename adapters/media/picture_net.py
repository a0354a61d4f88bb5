"""A small convolutional network that tells pictures apart; words are taught on copies that other throats spoke.

Few speakers are in training, so that each epoch shows every recording as others might have said it: with a longer or
shorter vocal tract, slower or faster, through another microphone, with noise, and with stretches of time and frequency
hidden (Park et al. 2019, SpecAugment, sections 2 and 3).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

Array = NDArray[np.float64]
Pictures = NDArray[np.float16]
STEPS = 40  # of time that a word is shown in, however long it is
WIDTH, DROPOUT = 16, 0.3
SCALE_DB = 4.34  # dB of a neper of power: values of about -3 to 3
WARPS = tuple(np.geomspace(0.8, 1.25, 9).round(4).tolist())  # of vocal tracts: men's to children's
SHIFT, STRETCH, MOVE = 0.05, 0.15, 0.15  # of frequency, of time, in time: shares of half a picture
TILT, NOISE = 0.3, 0.2  # nepers: of a microphone's slope and bow over all bands, of each value
MOST_STEPS_HIDDEN, MOST_BANDS_HIDDEN = 7, 7
BATCH, LR, DECAY = 64, 4e-3, 0.05
AT_ONCE = 256  # pictures that are told


class PictureNet(nn.Module):
    """Pictures (batch, steps, bands), of 8 or more steps and bands, to logits (batch, classes)."""

    def __init__(self, num_classes: int, steps: int) -> None:
        super().__init__()
        widths = (1, WIDTH, 2 * WIDTH, 4 * WIDTH, 4 * WIDTH)
        parts: list[nn.Module] = []
        for index, (before, after) in enumerate(pairwise(widths)):
            parts += [nn.MaxPool2d(2)] if index else []
            parts += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
        self.layers, self.dropout = nn.Sequential(*parts), nn.Dropout(DROPOUT)
        self.last = nn.Linear(widths[-1] * (steps // 8), num_classes)

    def forward(self, pictures: Tensor) -> Tensor:
        """Average over frequency what is left of it, and keep the order of time."""
        found = self.layers(pictures[:, None]).mean(3).flatten(1)
        logits: Tensor = self.last(self.dropout(found))
        return logits


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """How a network is taught.

    Attributes:
        num_classes: that it tells apart.
        epochs: in each of which it sees every sample once.
        unit: by which pictures are divided, so that values lie about -3 to 3.
        change: draws how a batch of such pictures might have been otherwise.
    """

    num_classes: int
    epochs: int
    unit: float
    change: Callable[[Tensor, torch.Generator], Tensor]


@dataclass(frozen=True, kw_only=True, eq=False)
class Network:
    """A trained network as arrays, which divides pictures (samples, steps, bands) by `unit`."""

    weights: Mapping[str, NDArray[Any]]
    num_classes: int
    steps: int
    unit: float

    @classmethod
    def fit(cls, copies: Pictures, labels: NDArray[np.int64], lesson: Lesson, seed: int = 0) -> Self:
        """Train on copies (samples, copies, steps, bands); each epoch shows one of each sample, otherwise changed."""
        steps = copies.shape[2]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            net = PictureNet(lesson.num_classes, steps)
            _descend(net, torch.from_numpy(copies), torch.from_numpy(labels), lesson, seed)
        weights = {name: held.numpy() for name, held in net.state_dict().items()}
        return cls(weights=weights, num_classes=lesson.num_classes, steps=steps, unit=lesson.unit)

    def __call__(self, pictures: NDArray[np.floating]) -> Array:
        """Return log-probabilities (samples, classes) of pictures (samples, steps, bands)."""
        net = PictureNet(self.num_classes, self.steps).eval()
        net.load_state_dict({name: torch.as_tensor(held) for name, held in self.weights.items()})
        with torch.no_grad():
            shown = torch.as_tensor(pictures, dtype=torch.float32) / self.unit
            parts = [net(shown[start : start + AT_ONCE]) for start in range(0, len(shown), AT_ONCE)]
        found: Array = torch.cat(parts).double().log_softmax(1).numpy() if parts else np.empty((0, self.num_classes))
        return found

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return plain JSON types and arrays."""
        return {"num_classes": self.num_classes, "steps": self.steps, "unit": self.unit}, dict(self.weights)

    @classmethod
    def restore(cls, state: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Read what `state` gave."""
        sizes = {name: int(state[name]) for name in ("num_classes", "steps")}
        return cls(weights=arrays, unit=float(state["unit"]), **sizes)


def _descend(net: PictureNet, copies: Tensor, labels: Tensor, lesson: Lesson, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    an_epoch = max(len(labels) // BATCH, 1)
    optimizer = torch.optim.AdamW(net.parameters(), lr=LR, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, total_steps=an_epoch * lesson.epochs)
    net.train()
    for _ in range(lesson.epochs):
        order = torch.randperm(len(labels), generator=generator)
        for rows in (order[start : start + BATCH] for start in range(0, an_epoch * BATCH, BATCH)):
            pick = torch.randint(copies.shape[1], (len(rows),), generator=generator)
            shown = lesson.change(copies[rows, pick].float() / lesson.unit, generator)
            loss = F.cross_entropy(net(shown), labels[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    net.eval()


def otherwise_said(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures (batch, steps, bands), in nepers, stretched and moved, through other microphones, partly hidden."""
    num, steps, bands = pictures.shape

    def drawn(most: float) -> Tensor:
        return (torch.rand(num, generator=generator) * 2 - 1) * most

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    none, one = torch.zeros(num), torch.ones(num)
    across = torch.stack([one, none, drawn(SHIFT)], 1)
    along = torch.stack([none, one + drawn(STRETCH), drawn(MOVE)], 1)
    grid = F.affine_grid(torch.stack([across, along], 1), [num, 1, steps, bands], align_corners=False)
    found = F.grid_sample(pictures[:, None], grid, padding_mode="border", align_corners=False)[:, 0]
    place = torch.linspace(-1, 1, bands)
    found = found + TILT * (normal(num, 1, 1) * place + normal(num, 1, 1) * torch.cos(torch.pi * place))
    found = found + NOISE * normal(num, steps, bands)
    shown_steps = hidden(num, steps, MOST_STEPS_HIDDEN, generator)[:, :, None]
    return found * shown_steps * hidden(num, bands, MOST_BANDS_HIDDEN, generator)[:, None]


def hidden(num: int, length: int, most: int, generator: torch.Generator) -> Tensor:
    """Ones (num, length), and zeros in one stretch of none to `most` of each row."""
    size = torch.randint(most + 1, (num, 1), generator=generator)
    start = (torch.rand(num, 1, generator=generator) * (length - size + 1)).long()
    at = torch.arange(length)[None]
    return ((at < start) | (at >= start + size)).float()
