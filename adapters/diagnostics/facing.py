"""Which way a volume lies: as the mean of training does, or as that turned or mirrored would."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

Array = NDArray[np.float64]
CUBE = 12  # voxels a side
ORDINARY = 0.99  # of training lies within a strangeness of 1
WAYS = [
    (axes, mirrored) for axes in permutations(range(3)) for num in range(4) for mirrored in combinations(range(3), num)
]  # of a cube onto itself, as it is first


@dataclass(frozen=True, kw_only=True, eq=False)
class Facing:
    """The mean volume of training, CUBE voxels a side, and how much better than it another way of it may fit.

    The limit is 0 where halves of training fit the other half's mean best as it is; training that lies either way,
    as left and right organs do, has a higher one.
    """

    mean: Array  # (z, y, x)
    limit: float

    @classmethod
    def fit(cls, volumes: Sequence[Array]) -> "Facing":
        """Fit on training volumes (z, y, x), at least two."""
        cubes = np.stack([_cube(volume) for volume in volumes])
        halves = ((cubes[::2], cubes[1::2]), (cubes[1::2], cubes[::2]))
        beyond = np.concatenate([_beyond(held, seen.mean(0)) for seen, held in halves])
        mean = cubes.mean(0).astype(np.float32).astype(np.float64)  # as it is saved
        return cls(mean=mean, limit=max(float(np.quantile(beyond, ORDINARY)), 0.0))

    def strangeness(self, volumes: Sequence[Array]) -> Array:
        """Return e to how far another way of the mean fits better than the mean does, beyond the limit (volumes,)."""
        beyond = _beyond(np.array([_cube(volume) for volume in volumes]).reshape(-1, CUBE, CUBE, CUBE), self.mean)
        found: Array = np.exp(beyond - self.limit)
        return found

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return plain JSON types and arrays."""
        return {"limit": self.limit}, {"mean": self.mean.astype(np.float32)}

    @classmethod
    def restore(cls, state: Mapping[str, Any], arrays: Mapping[str, Array]) -> "Facing":
        """Read what `state` gave."""
        mean = arrays["mean"].astype(np.float64)
        assert mean.shape == (CUBE, CUBE, CUBE)
        return cls(mean=mean, limit=float(state["limit"]))


def _cube(volume: Array) -> Array:
    """A volume as means of CUBE blocks a side, mean 0 and length 1; zero where all are alike."""
    blocks: Array = F.adaptive_avg_pool3d(torch.from_numpy(np.nan_to_num(volume))[None, None], CUBE)[0, 0].numpy()
    away = blocks - blocks.mean()
    found: Array = away / max(float(np.linalg.norm(away)), 1e-9)
    return found


def _beyond(cubes: Array, mean: Array) -> Array:
    """How much better than the mean one of its other ways correlates with each cube (cubes,), at the most."""
    ways = np.stack([np.flip(mean.transpose(axes), mirrored) for axes, mirrored in WAYS]).reshape(len(WAYS), -1)
    fits = cubes.reshape(len(cubes), -1) @ (ways / max(float(np.linalg.norm(mean)), 1e-9)).T
    found: Array = fits[:, 1:].max(1) - fits[:, 0]
    return found
