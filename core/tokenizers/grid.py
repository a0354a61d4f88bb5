"""Image time series on irregular dates: one token a date and patch, each band known by its wavelength."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mainstem.core.blocks import parts_of
from mainstem.core.errors import InputError
from mainstem.core.layout import placed
from mainstem.core.stream import Channel, Stream
from mainstem.core.tokenizers.scalar import Statistics
from mainstem.core.tokens import Patches, StreamTokenizer, TokenBatch, cells

WAVES = 16  # sines and cosines of a wavelength
SHORTEST_NM, LONGEST_NM = 50.0, 20_000.0  # periods of the code: from a narrow band's width to the thermal infrared
HIDDEN = 64


def wavelength_code(wavelength_nm: Tensor) -> Tensor:
    """Sines and cosines (bands, 2 * WAVES) of wavelengths (bands,), periods log-spaced."""
    periods = torch.logspace(math.log10(SHORTEST_NM), math.log10(LONGEST_NM), WAVES, dtype=torch.float64)
    angle = 2 * math.pi * wavelength_nm.double()[:, None] / periods
    return torch.cat([angle.sin(), angle.cos()], 1).float()


class GridTokenizer(StreamTokenizer):
    """Grids (time, channel, y, x) to tokens: a patch's weights come from its bands' wavelengths.

    A small network turns a band's wavelength into the weights of its patch, as in Xiong et al. 2024, Neural Plasticity-
    Inspired Multimodal Foundation Model for Earth Observation (DOFA), section 3; a channel without a wavelength (NDVI,
    elevation) has weights of its own. Pixels that are missing count as the mean, and flags say what share of each band
    a patch shows. A patch that shows nothing is no token. A sample may lack bands. Positions are seconds from
    the sample's origin, and metres from the window's first corner.
    """

    code: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, dim: int, channels: Sequence[Channel], statistics: Statistics, patch_size: int) -> None:
        super().__init__(dim)
        self.noise = 0.0  # standard deviations, added to what is seen while training
        self.channels, self.patch_size, self.dim = tuple(channels), patch_size, dim
        pairs = [statistics[channel.name] for channel in channels]
        self.register_buffer("mean", torch.tensor([mean for mean, _ in pairs]))
        self.register_buffer("std", torch.tensor([max(std, 1e-6) for _, std in pairs]))
        known = [index for index, channel in enumerate(channels) if channel.wavelength_nm is not None]
        waves = torch.tensor([channel.wavelength_nm or 0.0 for channel in channels])
        self.register_buffer("code", wavelength_code(waves[known]) if known else torch.zeros(0, 2 * WAVES))
        self.known = known
        size = patch_size**2
        self.own = nn.Parameter(torch.randn(len(channels) - len(known), size, dim) / math.sqrt(size * len(channels)))
        self.network = nn.Sequential(nn.Linear(2 * WAVES, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, size * dim))
        self.flags = nn.Linear(len(channels), dim)

    def weights(self) -> Tensor:
        """Weights of every band's patch (channels, patch_size squared, dim)."""
        size = self.patch_size**2
        made = self.network(self.code).view(-1, size, self.dim) / math.sqrt(size * len(self.channels))
        rows: list[Tensor] = []
        generated, own = iter(made), iter(self.own)
        for index in range(len(self.channels)):
            rows.append(next(generated) if index in self.known else next(own))
        return torch.stack(rows)

    def cut(self, streams: Sequence[Stream | None]) -> Patches:
        """Stack grids, padded with missing pixels to the longest and largest of the batch.

        Raises:
            ChannelError: if a band comes in another unit, at another wavelength, twice, or under another name.
            InputError: if a stream does not say its pixels' size.
        """
        held = [(rows, block) for rows, block in parts_of(streams) if block.values.shape[1]]
        steps, height, width = (max([1, *(block.values.shape[axis] for _, block in held)]) for axis in (1, 3, 4))
        height, width = (math.ceil(side / self.patch_size) * self.patch_size for side in (height, width))
        values = np.full((len(streams), steps, len(self.channels), height, width), np.nan, np.float32)
        times, spacing = np.zeros((len(streams), steps)), np.ones((len(streams), 2))
        for rows, block in held:
            if block.geometry is None or block.geometry.unit is None:
                raise InputError("a grid does not say its pixels' size; give it a Geometry in m or mm")
            _, length, _, tall, wide = block.values.shape
            shown = placed(block, self.channels)
            values[rows, :length, :, :tall, :wide] = np.where(shown.observed(), shown.values, np.nan)
            times[rows, :length], spacing[rows] = block.times, block.geometry.spacing_m()[1::-1]
        arrays = {"values": values, "times": times, "spacing": spacing}
        return Patches(parts={name: torch.from_numpy(array) for name, array in arrays.items()})

    def project(self, patches: Patches) -> TokenBatch:
        """Embed each date's patches, in order of time, row and column."""
        num, steps, width = patches["values"].shape[:3]
        size = self.patch_size
        values = patches["values"].view(num * steps, width, *patches["values"].shape[3:])
        present = values.isfinite()
        scaled = (values.nan_to_num() - self.mean.view(-1, 1, 1)) / self.std.view(-1, 1, 1)
        if self.training and self.noise:
            scaled = scaled + self.noise * torch.randn_like(scaled)
        rows, columns = values.shape[2] // size, values.shape[3] // size
        cut = F.unfold(torch.where(present, scaled, 0.0), size, stride=size).view(num, steps, width * size**2, -1)
        shown = present.to(scaled.dtype).view(num * steps, width, rows, size, columns, size).mean((3, 5))
        shares = shown.view(num, steps, width, -1).transpose(2, 3)
        tokens = cut.transpose(2, 3) @ self.weights().view(width * size**2, self.dim) + self.flags(shares)
        mask = (shares > 0).any(-1).flatten(1, 2)
        return TokenBatch(
            values=(tokens + self.stream_code).flatten(1, 2),
            positions=self._positions(patches, (rows, columns)).flatten(1, 2),
            stream=torch.zeros_like(mask, dtype=torch.int64),
            mask=mask,
            cell=cells(mask),
        )

    def content(self, patches: Patches) -> Tensor:
        """Return the pixels of each date's patches (batch, dates x patches, channels x pixels)."""
        values, size = patches["values"], self.patch_size
        scaled = (values - self.mean.view(-1, 1, 1)) / self.std.view(-1, 1, 1)
        cut = F.unfold(scaled.flatten(0, 1), size, stride=size).transpose(1, 2)
        return cut.reshape(len(values), -1, cut.shape[-1])

    def _positions(self, patches: Patches, shape: tuple[int, int]) -> Tensor:
        """Times and patch centres (batch, steps, patches, 4)."""
        rows, columns = shape
        times, device = patches["times"], patches["times"].device
        y, x = torch.meshgrid(torch.arange(rows, device=device), torch.arange(columns, device=device), indexing="ij")
        metres = self.patch_size * patches["spacing"]
        positions = torch.zeros(*times.shape, rows * columns, 4, dtype=torch.float64, device=device)
        positions[..., 0] = times[..., None]
        positions[..., 2] = (metres[:, :1] * (y.flatten() + 0.5))[:, None]
        positions[..., 3] = (metres[:, 1:] * (x.flatten() + 0.5))[:, None]
        return positions
