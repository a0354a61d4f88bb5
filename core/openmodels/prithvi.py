"""Prithvi-EO 1.0 and 2.0 (tiny, 100M, 300M, 600M, with and without time and location): image series of six HLS bands.

Source: Jakubik et al. 2023, Foundation Models for Generalist Geospatial AI; Szwarcman et al. 2024, Prithvi-EO-2.0;
the config of each on the hub. LayerNorm's epsilon is 1e-5, that of TerraTorch's encoder; it is not in the weights.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from mainstem.core.errors import ArtifactError, ChannelError, InputError
from mainstem.core.openmodels.base import Blueprint, Family, Shapes, Weights, block_keys, weight_and_bias
from mainstem.core.openmodels.facts import TokenizerFacts
from mainstem.core.openmodels.images import LARGEST_NORMALISED
from mainstem.core.openmodels.inputs import as_tensor, must_be, only
from mainstem.core.openmodels.prithvi_samples import BANDS, MAX_FRAMES, inputs_of
from mainstem.core.stream import Sample
from mainstem.core.tokens import Inputs, OpenTokenizer, Patches, TokenBatch, cells, place
from mainstem.core.trunk_config import TrunkConfig

MEAN_STD = {  # of 1e4 times reflectance, by version (configs on the hub)
    1: ((775.2290211032589, 1080.992780391705, 1228.5855250417867, 2497.2022620507532, 2204.2139147975554,
         1610.8324823273745), (1281.526139861424, 1270.0297974547493, 1399.4802505642526, 1368.3446143747644,
                              1291.6764008585435, 1154.505683480695)),
    2: ((1087.0, 1342.0, 1433.0, 2734.0, 1958.0, 1363.0), (2248.0, 2179.0, 2178.0, 1850.0, 1242.0, 1049.0)),
}  # fmt: skip
NUM_HEADS = {192: 3, 768: 12, 1024: 16, 1280: 16}  # by width: heads leave no trace in the weights
NAMES = ("pixel_values", "reflectance", "bands", "temporal_coords", "location_coords")


def sincos(dim: int, positions: Tensor) -> Tensor:
    """Sines, then cosines (positions, dim) with frequencies 10000^-(2j / dim); float64 in, float64 out.

    Source: Vaswani et al. 2017, Attention Is All You Need, section 3.5.
    """
    omega = 1.0 / 10000 ** (torch.arange(dim // 2, dtype=torch.float64, device=positions.device) / (dim / 2))
    angles = positions.double().reshape(-1, 1) * omega
    return torch.cat([angles.sin(), angles.cos()], 1)


def positions_3d(dim: int, frames: int, rows: int, columns: int) -> Tensor:
    """Codes of cells (frames * rows * columns, dim): 6/16 of the width for x, 6/16 for y, 4/16 for time."""
    share_xy, share_t = dim // 16 * 6, dim // 16 * 4
    x, y = sincos(share_xy, torch.arange(columns)), sincos(share_xy, torch.arange(rows))
    time = sincos(share_t, torch.arange(frames))
    shape = (frames, rows, columns)
    codes = (x[None, None], y[None, :, None], time[:, None, None])
    return torch.cat([code.expand(*shape, -1) for code in codes], -1).flatten(0, 2).float()


class PrithviTokenizer(OpenTokenizer):
    """Image series to a class token and patches (time, y, x).

    Inputs: `reflectance` (n, band, y, x) or (n, band, time, y, x), 0-1, or `pixel_values` of the same shape, already
    normalised; `bands` names those given, in order, all six unless said; `temporal_coords` (n, time, 2) year and day
    of year, and `location_coords` (n, 2) latitude and longitude, where the model takes them.
    """

    main_input = "pixel_values"

    def __init__(
        self, dim: int, patch_size: int, side: int, version: int | None, bands: Sequence[str], codes: Sequence[str]
    ) -> None:
        super().__init__()
        self.dim, self.patch_size, self.side, self.bands = dim, patch_size, side, tuple(bands)
        self.statistics = None if version is None else MEAN_STD[version]
        self.patch = nn.Conv3d(len(BANDS), dim, (1, patch_size, patch_size), (1, patch_size, patch_size))
        self.class_token = nn.Parameter(torch.zeros(dim))
        self.time_scale = nn.Parameter(torch.zeros(1)) if "time" in codes else None
        self.location_scale = nn.Parameter(torch.zeros(1)) if "location" in codes else None

    def cut_inputs(self, inputs: Inputs) -> Patches:
        """Check and normalise the inputs."""
        only(inputs, NAMES)
        if ("pixel_values" in inputs) == ("reflectance" in inputs):
            raise InputError("give either reflectance (0-1) or pixel_values (normalised)")
        index = self._index(inputs.get("bands", self.bands))
        name = "reflectance" if "reflectance" in inputs else "pixel_values"
        pixels = as_tensor(name, inputs[name], "(n, band, y, x) or (n, band, time, y, x)", (4, 5))
        pixels = pixels.unsqueeze(2) if pixels.ndim == 4 else pixels
        must_be(name, pixels, (None, len(index), None, None, None))
        num, _, frames, rows, columns = pixels.shape
        if rows % self.patch_size or columns % self.patch_size or not rows or not columns:
            raise InputError(
                f"got {rows} x {columns} pixels, want sides that divide by {self.patch_size}; crop or pad them"
            )
        if not 1 <= frames <= MAX_FRAMES:
            raise InputError(f"got {frames} dates, want 1 to {MAX_FRAMES}")
        if not pixels.isfinite().all():
            raise InputError(f"{name} holds NaN or infinity; fill clouds first, or drop the date")
        if name == "reflectance":
            if self.statistics is None:
                raise InputError("these weights do not say if they are of Prithvi-EO 1.0 or 2.0; give pixel_values")
            if pixels.min() < -1 or pixels.max() > 2:
                raise InputError(
                    f"got reflectance {float(pixels.min()):.3g} to {float(pixels.max()):.3g}, want 0-1; divide by 10000"
                )
            shape = (-1, 1, 1, 1)
            mean, std = (torch.tensor([values[band] for band in index]).view(shape) for values in self.statistics)
            pixels = (1e4 * pixels - mean) / std
        elif pixels.abs().max() > LARGEST_NORMALISED:
            raise InputError(
                f"got pixel_values up to {float(pixels.abs().max()):.0f}, want normalised ones; use reflectance"
            )
        parts = {"pixels": pixels, "index": torch.tensor(index).expand(num, -1)}
        for coords, scale, shape2 in (
            ("temporal_coords", self.time_scale, (num, frames, 2)),
            ("location_coords", self.location_scale, (num, 2)),
        ):
            if inputs.get(coords) is None:
                continue
            if scale is None:
                raise InputError(
                    f"got {coords}, which this model was not trained with; use a TL variant, or leave it out"
                )
            values = torch.as_tensor(np.asarray(inputs[coords], dtype=np.float64))
            must_be(coords, values, shape2)
            parts[coords] = values
        return Patches(parts=parts)

    def cut(self, samples: Sequence[Sample]) -> Patches:
        """Return the rows of samples with one image series each, whose channels are Sentinel-2's B2 to B12.

        Time and place are given to models that take them.
        """
        has_time, has_place = self.time_scale is not None, self.location_scale is not None
        return self.cut_inputs(inputs_of(samples, self.patch_size, has_time=has_time, has_place=has_place))

    def facts(self) -> dict[str, Any]:
        """Return what it takes to build the tokenizer again."""
        version = next((number for number, values in MEAN_STD.items() if values == self.statistics), None)
        codes = [
            name for name, scale in (("time", self.time_scale), ("location", self.location_scale)) if scale is not None
        ]
        return {
            "kind": "prithvi", "patch_size": self.patch_size, "side": self.side, "version": version,
            "bands": list(self.bands), "codes": codes,
        }  # fmt: skip

    def _index(self, bands: Sequence[str]) -> list[int]:
        unknown = [band for band in bands if band not in BANDS]
        if unknown or not bands or len(set(bands)) < len(bands):
            raise ChannelError(f"got bands {', '.join(bands) or 'none'}, Prithvi reads {', '.join(BANDS)}, each once")
        return [BANDS.index(band) for band in bands]

    def project(self, patches: Patches) -> TokenBatch:
        """Return tokens; a subset of bands uses its slices of the projection."""
        weight = self.patch.weight[:, patches["index"][0]]
        grid = F.conv3d(patches["pixels"].to(weight), weight, self.patch.bias, self.patch.stride)
        num, _, frames, height, width = grid.shape
        tokens = grid.flatten(2).transpose(1, 2) + self._cells(frames, height, width)
        if "temporal_coords" in patches:
            tokens = tokens + self._when(patches["temporal_coords"]).repeat_interleave(height * width, 1)
        if "location_coords" in patches:
            tokens = tokens + self._where(patches["location_coords"]).unsqueeze(1)
        tokens = torch.cat([self.class_token.expand(num, 1, -1), tokens], 1)
        mask = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
        return replace(place(tokens, mask), cell=cells(mask, num_prefix=1), is_dense=True)

    def _cells(self, frames: int, rows: int, columns: int) -> Tensor:
        """Codes of cells, bicubic between corners where the grid is not the one of pretraining."""
        codes = positions_3d(self.dim, frames, self.side, self.side)
        if (rows, columns) != (self.side, self.side):
            square = codes.view(frames, self.side, self.side, -1).permute(0, 3, 1, 2)
            resized = F.interpolate(square, (rows, columns), mode="bicubic", align_corners=True)
            codes = resized.permute(0, 2, 3, 1).flatten(0, 2)
        return codes.to(self.class_token)

    def _when(self, coords: Tensor) -> Tensor:
        """Half the width for the year, half for the day of year, times the learned scale: (n, time, dim)."""
        assert self.time_scale is not None
        halves = [sincos(self.dim // 2, coords[..., part]) for part in (0, 1)]
        return self.time_scale * torch.cat(halves, 1).view(*coords.shape[:2], -1).to(self.time_scale)

    def _where(self, coords: Tensor) -> Tensor:
        """Half the width for latitude, half for longitude, times the learned scale: (n, dim)."""
        assert self.location_scale is not None
        halves = [sincos(self.dim // 2, coords[:, part]) for part in (0, 1)]
        return self.location_scale * torch.cat(halves, 1).to(self.location_scale)


def matches(config: Mapping[str, Any], shapes: Shapes) -> bool:
    """True where the weights project six bands with a three-dimensional kernel."""
    return any(_bare(key) == "patch_embed.proj.weight" and len(shape) == 5 for key, shape in shapes.items())


def _bare(key: str) -> str:
    """A key without what other releases put before it."""
    return key.replace("_timm_module.", "").removeprefix("encoder.")


def blueprint(weights: Weights) -> Blueprint:
    """Read the shapes, and from the config, where there is one, heads, image size and codes.

    Raises:
        ArtifactError: if the width is of no known variant and the config does not say its heads.
    """
    plain = {_bare(key): key for key in weights.state if not _is_decoder(key)}
    shapes = {name: weights.shapes[key] for name, key in plain.items()}
    if "cls_token" not in shapes:
        raise ArtifactError(f"{weights.name} has no cls_token; it is no Prithvi-EO encoder (family prithvi)")
    config = weights.config.get("pretrained_cfg", weights.config)
    dim, num_bands, _, patch_size, _ = shapes["patch_embed.proj.weight"]
    if num_bands != len(BANDS):
        raise ArtifactError(f"{weights.name} projects {num_bands} bands, Prithvi-EO has {len(BANDS)}; it is not read")
    heads = int(config.get("num_heads", NUM_HEADS.get(dim, 0)))
    if not heads:
        raise ArtifactError(f"{weights.name} is {dim} wide, which no known variant is; put its config.json beside it")
    depth = len({name.split(".")[1] for name in shapes if name.startswith("blocks.")})
    codes = [
        code for code, name in (("time", "temporal"), ("location", "location")) if f"{name}_embed_enc.scale" in shapes
    ]
    block = {"norm1": "norm1", "norm2": "norm2", "attn.qkv": "attention.qkv", "attn.proj": "attention.out",
             "mlp.fc1": "mlp.up", "mlp.fc2": "mlp.down"}  # fmt: skip
    keys = {
        "cls_token": "tokenizer.class_token",
        **weight_and_bias({"patch_embed.proj": "tokenizer.patch", "norm": "trunk.norm"}),
        **block_keys(depth, "blocks.{}", weight_and_bias(block)),
    }
    if "time" in codes:
        keys["temporal_embed_enc.scale"] = "tokenizer.time_scale"
    if "location" in codes:
        keys["location_embed_enc.scale"] = "tokenizer.location_scale"
    trunk = TrunkConfig(
        dim=dim,
        depth=depth,
        num_heads=heads,
        hidden=shapes["blocks.0.mlp.fc1.weight"][0],
        num_registers=0,
        num_prefix=1,
        norm_eps=1e-5,
        pooling="mean_norm",
    )
    size = int(config.get("img_size", 224))
    bands = tuple(weights.config.get("use_bands", BANDS))
    version = _version(weights, size // patch_size)
    return Blueprint(
        trunk=trunk,
        tokenizer=PrithviTokenizer(dim, patch_size, size // patch_size, version, bands, codes),
        kind="grid",
        keys={plain.get(name, name): target for name, target in keys.items()},
        set_aside=(
            r"(.*\.)?decoder",
            r"(_timm_module\.)?mask_token$",
            r"(encoder\.|_timm_module\.)*pos_embed$",
            r"(.*\.)?(temporal|location)_embed_dec\.",
        ),
    )


def _is_decoder(key: str) -> bool:
    return key.replace("_timm_module.", "").startswith(("decoder", "mask_token"))


FRAMES = {3: 1, 4: 2}  # of pretraining -> version


def _version(weights: Weights, side: int) -> int | None:
    """1 or 2, as the config says, else by the frames that the fixed codes cover; None where neither tells."""
    text = str(weights.config.get("architecture", "")).lower()
    for version in (1, 2):
        if f"_v{version}_" in text:
            return version
    shape = next((shape for key, shape in weights.shapes.items() if _bare(key) == "pos_embed"), (1, 1))
    frames, rest = divmod(shape[1] - 1, side * side)
    return None if rest else FRAMES.get(frames)


class PrithviFacts(TokenizerFacts):
    """Prithvi-EO: pixels a side of a patch, patches a side, version, bands and codes."""

    kind: Literal["prithvi"]
    patch_size: Annotated[int, Field(ge=1, le=256)]
    side: Annotated[int, Field(ge=1, le=128)]
    version: Literal[1, 2] | None
    bands: Annotated[list[Annotated[str, Field(max_length=40)]], Field(min_length=1, max_length=64)]
    codes: list[Literal["time", "location"]]

    def num_weights(self, dim: int) -> int:
        """A lower bound."""
        return len(BANDS) * self.patch_size**2 * dim

    def tokenizer(self, dim: int) -> OpenTokenizer:
        """Build it."""
        plain = self.model_dump(exclude={"kind"})
        return PrithviTokenizer(dim, **plain).requires_grad_(False)


FAMILY = Family(name="prithvi", matches=matches, blueprint=blueprint, tokenizers={"prithvi": PrithviFacts})
