"""Images and volumes: one token a patch, placed in metres where the geometry says them."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mainstem.core.errors import InputError
from mainstem.core.layout import placed
from mainstem.core.stream import Channel, Stream
from mainstem.core.tokenizers.scalar import StandardScale, Statistics
from mainstem.core.tokens import Patches, StreamTokenizer, TokenBatch, cells

Sides = tuple[int, int, int]  # pixels along z, y and x


class SpaceTokenizer(StreamTokenizer):
    """Images (channel, y, x) and volumes (channel, z, y, x) to tokens, a patch (z, y, x) of pixels each.

    Pixels that are missing count as the mean, and flags say what share of each channel a patch shows; a patch that
    shows nothing is no token. Positions are patch centres: metres in the frame of the stream's geometry, or, where the
    training samples did not say the size of a pixel, -1 to 1 along each side.
    """

    def __init__(
        self,
        dim: int,
        channels: Sequence[Channel],
        statistics: Statistics,
        patch: tuple[int, int, int],
        is_metric: bool,
    ) -> None:
        super().__init__(dim)
        self.channels, self.patch, self.is_metric = tuple(channels), patch, is_metric
        self.scale = StandardScale(channels, statistics)
        self.embedding = nn.Linear(math.prod(patch) * len(channels), dim)
        self.flags = nn.Linear(len(channels), dim)

    def cut(self, streams: Sequence[Stream | None]) -> Patches:
        """Stack images or volumes (batch, channel, z, y, x), padded with missing pixels to whole patches.

        Raises:
            ChannelError: if a channel comes in another unit, or under another name.
            InputError: if a stream does not say the size of its pixels, and those of training did.
        """
        shapes = [stream.values.shape[1:] for stream in streams if stream is not None]
        sides = [max([1, *(shape[axis] for shape in shapes if len(shape) >= -axis)]) for axis in (-3, -2, -1)]
        sides = [math.ceil(side / size) * size for side, size in zip(sides, self.patch, strict=True)]
        values = np.full((len(streams), len(self.channels), *sides), np.nan, np.float32)
        affine = np.tile(np.eye(4), (len(streams), 1, 1))
        for row, stream in enumerate(streams):
            if stream is None or not stream.values.size:
                continue
            found = placed(stream, self.channels)
            depth, height, width = (1, *found.values.shape[1:])[-3:]
            shown = np.where(found.observed(), found.values, np.nan)
            values[row, :, :depth, :height, :width] = shown.reshape(-1, depth, height, width)
            affine[row] = self._affine(stream, (depth, height, width))
        return Patches(parts={"values": torch.from_numpy(values), "affine": torch.from_numpy(affine)})

    def _affine(self, stream: Stream, sides: Sides) -> NDArray[np.float64]:
        """From index (x, y, z, 1) to metres, or to -1..1 along the sides."""
        if not self.is_metric:
            scaled = np.diag([*(2 / side for side in sides[::-1]), 1.0])
            scaled[:3, 3] = [1 / side - 1 for side in sides[::-1]]
            return scaled
        if stream.geometry is None or stream.geometry.unit is None:
            raise InputError(
                f"this {stream.kind} does not say its pixels' size, as training did; give it a Geometry in m or mm"
            )
        metres: NDArray[np.float64] = np.diag([*[stream.geometry.metres()] * 3, 1.0]) @ stream.geometry.affine
        return metres

    def project(self, patches: Patches) -> TokenBatch:
        """Embed each patch, in order of z, y and x."""
        cut, shape = self._cells(patches)
        present = cut.isfinite()
        scaled = torch.where(present, self.scale(cut.nan_to_num()), 0.0)
        shares = present.to(scaled.dtype).mean(2)
        mask = (shares > 0).any(-1)
        return TokenBatch(
            values=self.embedding(scaled.flatten(2)) + self.flags(shares) + self.stream_code,
            positions=self._positions(patches["affine"], shape),
            stream=torch.zeros_like(mask, dtype=torch.int64),
            mask=mask,
            cell=cells(mask),
        )

    def content(self, patches: Patches) -> Tensor:
        """Return each patch's pixels (batch, patches, pixels x channels)."""
        return self.scale.exact(self._cells(patches)[0]).flatten(2)

    def _cells(self, patches: Patches) -> tuple[Tensor, list[int]]:
        """Pixels by patch (batch, patches, pixels, channels), and how many patches lie along z, y and x."""
        values = patches["values"]
        num, width, *sides = values.shape
        shape = [side // size for side, size in zip(sides, self.patch, strict=True)]
        (z, y, x), (deep, tall, wide) = shape, self.patch
        cut = values.view(num, width, z, deep, y, tall, x, wide).permute(0, 2, 4, 6, 3, 5, 7, 1)
        return cut.reshape(num, math.prod(shape), math.prod(self.patch), width), shape

    def _positions(self, affine: Tensor, shape: Sequence[int]) -> Tensor:
        """Patch centres (batch, patches, 4) of (batch, 4, 4) affines; time is 0."""
        axes = [
            size * (torch.arange(num, dtype=torch.float64, device=affine.device) + 0.5) - 0.5
            for num, size in zip(shape, self.patch, strict=True)
        ]
        z, y, x = (axis.flatten() for axis in torch.meshgrid(*axes, indexing="ij"))
        index = torch.stack([x, y, z, torch.ones_like(x)], -1)
        x, y, z = (index @ affine[:, :3].transpose(1, 2)).unbind(-1)
        return torch.stack([torch.zeros_like(x), z, y, x], -1)
