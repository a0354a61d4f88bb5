"""The head of masks: a convolutional decoder over tokens, with skips from the volume that they were cut from."""

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution
from torch.nn import functional as F

from mainstem.core.errors import InputError
from mainstem.core.targets.parts import Head, Reading, Specs
from mainstem.core.tokens import Patches

WIDTH = 24  # channels at 2 voxels, twice as many at 4
QUARTER = 4  # voxels a side of what the trunk's tokens are joined with: patches are of whole ones
AT_ONCE = 4  # volumes decoded together outside training: more gain nothing, and take memory
EPSILON = 1e-5
LEAK = 0.01
Sides = tuple[int, int, int]  # voxels along z, y and x
ML_PER_M3 = 1e6


class Voxels(Categorical):
    """A class a voxel (batch, z, y, x), with what is no padding, and a voxel's volume in mL (batch,)."""

    def __init__(self, logits: Tensor, seen: Tensor, voxel_ml: Tensor) -> None:
        super().__init__(logits=logits)
        self.seen, self.voxel_ml = seen, voxel_ml


class Convolution(nn.Module):
    """Three voxels a side, instance norm over what is no padding, leaky ReLU; padding stays zero, as beyond the edge.

    Source: Isensee et al. 2021, nnU-Net, methods (its block).
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolution = nn.Conv3d(inputs, outputs, 3, padding=1, bias=False)
        self.gain, self.shift = nn.Parameter(torch.ones(outputs)), nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor, seen: Tensor | None) -> Tensor:
        """Map x (batch, inputs, z, y, x); `seen` (batch, 1, z, y, x) is 0 in padding, None where there is none."""
        x = self.convolution(x)
        if seen is None:
            return F.leaky_relu(F.instance_norm(x, weight=self.gain, bias=self.shift, eps=EPSILON), LEAK)
        x = x.float() * seen
        count = seen.sum((2, 3, 4), keepdim=True).clamp(min=1)
        mean = x.sum((2, 3, 4), keepdim=True) / count
        away = (x - mean) * seen
        spread = (away.square().sum((2, 3, 4), keepdim=True) / count + EPSILON).rsqrt()
        gain, shift = self.gain.view(-1, 1, 1, 1), self.shift.view(-1, 1, 1, 1)
        return F.leaky_relu(away * spread * gain + shift, LEAK) * seen


class MaskHead(Head):
    """A class a voxel, of tokens of `patch` voxels (z, y, x) and of the volume at 2 and 4."""

    reads_tokens: ClassVar[bool] = True

    def __init__(self, dim: int, channels: int, num_classes: int, patch: Sides) -> None:
        super().__init__()
        self.num_classes, self.patch = num_classes, patch
        steps = (patch[0] // QUARTER, patch[1] // QUARTER, patch[2] // QUARTER)
        self.halves = nn.ModuleList([Convolution(8 * channels, WIDTH), Convolution(WIDTH, WIDTH)])
        self.down = nn.Conv3d(WIDTH, 2 * WIDTH, 2, 2)
        self.quarters = nn.ModuleList([Convolution(2 * WIDTH, 2 * WIDTH)])
        self.spread = nn.ConvTranspose3d(dim, 2 * WIDTH, steps, steps)
        self.joined = nn.ModuleList([Convolution(2 * WIDTH, 2 * WIDTH), Convolution(2 * WIDTH, 2 * WIDTH)])
        self.up = nn.ConvTranspose3d(2 * WIDTH, WIDTH, 2, 2)
        self.fine = nn.ModuleList([Convolution(2 * WIDTH, WIDTH), Convolution(WIDTH, WIDTH)])
        self.last = nn.Conv3d(WIDTH, 8 * num_classes, 1)

    def forward(self, reading: Reading) -> Distribution:
        """Return classes of the voxels that were cut, padding included.

        Raises:
            InputError: if tokens do not say of which patch they are.
        """
        assert reading.patches is not None
        values, affine = volume_in(reading.patches)
        tokens = self._grid(reading, values.shape[2:])
        seen = values.isfinite().any(1, keepdim=True)
        rows = torch.arange(len(values), device=values.device)
        parts = [rows] if self.training else list(torch.split(rows, AT_ONCE))
        logits = torch.cat([self._decoded(values[part], seen[part], tokens[part]) for part in parts])
        voxel_ml = torch.linalg.det(affine[:, :3, :3]).abs() * ML_PER_M3
        return Voxels(logits.movedim(1, -1), seen[:, 0], voxel_ml)

    def _grid(self, reading: Reading, sides: Sequence[int]) -> Tensor:
        """Tokens (batch, dim, z, y, x) at their places, zero where there is none."""
        latents = reading.latents
        shape = self._patches(sides)
        if latents is None or latents.cell is None:
            raise InputError("masks want tokens that say of which patch they are; use a trunk of the project's")
        shown = latents.tokens * latents.mask[..., None]
        placed = shown.new_zeros(len(shown), math.prod(shape), shown.shape[-1])
        placed = placed.scatter(1, latents.cell[..., None].expand_as(shown), shown)
        return placed.transpose(1, 2).reshape(len(shown), -1, *shape)

    def _decoded(self, values: Tensor, seen: Tensor, tokens: Tensor) -> Tensor:
        """Logits (batch, classes, z, y, x), computed where any of these volumes is, zero beyond."""
        sides = [size * _reach(seen, axis, size) for axis, size in zip((2, 3, 4), self.patch, strict=True)]
        box = (slice(None), slice(None), *(slice(0, side) for side in sides))
        shown = values[box].nan_to_num()  # standardised by their preparation: a missing value is the mean
        mask = None if bool(seen[box].all()) else seen[box].to(shown.dtype)
        near = tokens[(slice(None), slice(None), *(slice(0, num) for num in self._patches(sides)))]
        logits = self._logits(shown, mask, near)
        beyond = [size - side for size, side in zip(values.shape[2:], sides, strict=True)]
        return F.pad(logits, (0, beyond[2], 0, beyond[1], 0, beyond[0]))

    def _patches(self, sides: Sequence[int]) -> list[int]:
        """How many patches lie along each axis."""
        return [side // size for side, size in zip(sides, self.patch, strict=True)]

    def _logits(self, values: Tensor, seen: Tensor | None, tokens: Tensor) -> Tensor:
        by_two = None if seen is None else F.max_pool3d(seen, 2)
        by_four = None if by_two is None else F.max_pool3d(by_two, 2)
        half = _through(self.halves, folded(values), by_two)
        quarter = _through(self.quarters, _held(self.down(half), by_four), by_four)
        quarter = _through(self.joined, quarter + _held(self.spread(tokens), by_four), by_four)
        half = _through(self.fine, torch.cat([_held(self.up(quarter), by_two), half], 1), by_two)
        return unfolded(self.last(half), self.num_classes)


def patch_of(specs: Specs) -> Sides:
    """Voxels (z, y, x) of a patch of the one volume that is read.

    Raises:
        InputError: if there are other streams, or its patches are not of whole quarters.
    """
    if [spec.kind for spec in specs.values()] != ["volume"]:
        others = ", ".join(sorted(specs)) or "a tokenizer that says nothing of its patches"
        raise InputError(f"masks are told of one volume alone, got {others}; leave the others out")
    (patch,) = (spec.patch for spec in specs.values())
    if any(size % QUARTER for size in patch):
        raise InputError(f"masks want patches of whole {QUARTER} voxels a side, got {patch}; set another patch_size")
    return patch


def volume_in(patches: Patches) -> tuple[Tensor, Tensor]:
    """Values (batch, channel, z, y, x) and affines (batch, 4, 4), metres, of the one volume that was cut."""
    (name,) = {name.rpartition(".")[0] for name in patches.parts}
    return patches[f"{name}.values"], patches[f"{name}.affine"]


def folded(values: Tensor) -> Tensor:
    """Voxels of 2 x 2 x 2 as channels: (batch, 8 channels, z / 2, y / 2, x / 2)."""
    num, width, z, y, x = values.shape
    parts = values.view(num, width, z // 2, 2, y // 2, 2, x // 2, 2).permute(0, 1, 3, 5, 7, 2, 4, 6)
    return parts.reshape(num, 8 * width, z // 2, y // 2, x // 2)


def unfolded(values: Tensor, width: int) -> Tensor:
    """What `folded` made, undone."""
    num, _, z, y, x = values.shape
    parts = values.view(num, width, 2, 2, 2, z, y, x).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return parts.reshape(num, width, 2 * z, 2 * y, 2 * x)


def _through(blocks: nn.ModuleList, x: Tensor, seen: Tensor | None) -> Tensor:
    for block in blocks:
        x = block(x, seen)
    return x


def _held(x: Tensor, seen: Tensor | None) -> Tensor:
    return x if seen is None else x * seen


def _reach(seen: Tensor, axis: int, size: int) -> int:
    """How many patches of a size any volume of (batch, 1, z, y, x) reaches along an axis."""
    reach = torch.nonzero(seen.amax([other for other in range(5) if other != axis]))
    return math.ceil((int(reach.max()) + 1 if len(reach) else 1) / size)
