"""Presto: pixel time series of Sentinel-1, Sentinel-2, ERA5, SRTM and Dynamic World, monthly, up to 24 months.

Source: Tseng et al. 2023, Lightweight, Pre-trained Transformers for Remote Sensing Timeseries; nasaharvest/presto at
13173d0, whose band order, normalisation and masks these are.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from mainstem.core.errors import InputError
from mainstem.core.openmodels.base import Blueprint, Family, Shapes, Weights, block_keys, weight_and_bias
from mainstem.core.openmodels.facts import TokenizerFacts
from mainstem.core.openmodels.inputs import as_tensor, must_be, only
from mainstem.core.openmodels.presto_samples import BANDS, KEPT, MAX_MONTHS, MISSING_COVER, inputs_of
from mainstem.core.stream import Sample
from mainstem.core.tokens import Inputs, OpenTokenizer, Patches, TokenBatch, is_shown, place
from mainstem.core.trunk_config import TrunkConfig

GROUPS = {  # of the 17, in the order of their channel embeddings
    "S1": (0, 1), "S2_RGB": (2, 3, 4), "S2_Red_Edge": (5, 6, 7), "S2_NIR_10m": (8,), "S2_NIR_20m": (9,),
    "S2_SWIR": (10, 11), "ERA5": (12, 13), "SRTM": (14, 15), "NDVI": (16,),
}  # fmt: skip
SHIFT = (25.0, 25.0, *[0.0] * 10, -272.15, 0.0, 0.0, 0.0, 0.0)
DIVISOR = (25.0, 25.0, *[1e4] * 10, 35.0, 0.03, 2000.0, 50.0, 1.0)
B4, B8, NDVI = 4, 8, 16  # of the 17
NAMES = ("bands", "latlon", "month", "dynamic_world", "mask")
MILLION = 1e6  # no raw value of any band is larger
NUM_COVERS = 9  # Dynamic World classes 0-8


def normalised(bands: Tensor) -> Tensor:
    """Raw bands (n, time, 18), NaN where missing, to the model's 17; NDVI is computed anew from scaled B8 and B4."""
    scaled = (bands[..., list(KEPT)] + torch.tensor(SHIFT)) / torch.tensor(DIVISOR)
    near_infrared, red = scaled[..., B8], scaled[..., B4]
    total = near_infrared + red
    ndvi = torch.where(total > 0, (near_infrared - red) / torch.where(total > 0, total, 1.0), 0.0)
    scaled[..., NDVI] = torch.where(total.isfinite(), ndvi, math.nan)
    return scaled


class PrestoTokenizer(OpenTokenizer):
    """Raw pixel series to one token a band group and month, one of terrain, one of place, one of land cover a month.

    Inputs: `bands` (n, time, 18) raw in the order of `BANDS` (Sentinel-1 in dB, Sentinel-2 as 1e4 times reflectance,
    temperature in K, precipitation and elevation in m, slope in degrees), NaN where missing; `latlon` (n, 2) degrees;
    `month` (n,) of the first step, 0-11, or (n, time); `dynamic_world` (n, time) 0-8, 9 where missing, or left out;
    `mask` (n, time, 18 or 17), true where a band is hidden. A group with one hidden band gives no token. NDVI is made
    of B4 and B8, also of hidden ones, as in the original: who hides those hides NDVI too, or gives NaN for them.
    """

    steps: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        quarter = dim // 4
        self.groups = nn.ModuleDict({name: nn.Linear(len(members), dim) for name, members in GROUPS.items()})
        self.cover = nn.Embedding(NUM_COVERS + 1, dim)
        self.place = nn.Linear(3, dim)
        self.months = nn.Embedding(12, quarter)
        self.channels = nn.Embedding(len(GROUPS) + 1, quarter)
        self.register_buffer("steps", torch.zeros(MAX_MONTHS, dim // 2))

    def cut_inputs(self, inputs: Inputs) -> Patches:
        """Check, normalise and mask the inputs."""
        only(inputs, NAMES)
        lacking = [name for name in ("bands", "latlon", "month") if name not in inputs]
        if lacking:
            raise InputError(f"got no {lacking[0]}, Presto needs bands, latlon and month")
        bands = as_tensor("bands", inputs["bands"], "(n, time, 18)", 3)
        must_be("bands", bands, (None, None, len(BANDS)))
        num, steps = bands.shape[:2]
        if not 1 <= steps <= MAX_MONTHS:
            raise InputError(f"got {steps} months, Presto reads 1 to {MAX_MONTHS}; cut the series")
        if bands.isinf().any() or bands.nan_to_num().abs().max() > MILLION:
            raise InputError("bands hold infinite values or fill values beyond a million; set them to NaN")
        values = normalised(bands)
        hidden = ~values.isfinite() | self._hidden(inputs, num, steps)
        return Patches(
            parts={
                "values": values.nan_to_num(),
                "hidden": hidden,
                "latlon": self._latlon(inputs, num),
                "month": self._months(inputs, num, steps),
                "cover": self._cover(inputs, num, steps),
            }
        )

    def _hidden(self, inputs: Inputs, num: int, steps: int) -> Tensor:
        if "mask" not in inputs:
            return torch.zeros(num, steps, len(KEPT), dtype=torch.bool)
        mask = as_tensor("mask", inputs["mask"], "(n, time, 18) or (n, time, 17)", 3).bool()
        if mask.shape == (num, steps, len(BANDS)):
            return mask[..., list(KEPT)]
        must_be("mask", mask, (num, steps, len(KEPT)))
        return mask

    def _latlon(self, inputs: Inputs, num: int) -> Tensor:
        latlon = torch.as_tensor(np.asarray(inputs["latlon"], dtype=np.float64))
        must_be("latlon", latlon, (num, 2))
        limits = torch.tensor([90.0, 180.0])
        if not (latlon.abs() <= limits).all():
            raise InputError("latlon must be latitude -90..90 and longitude -180..180 in degrees, in this order")
        return latlon.float()

    def _months(self, inputs: Inputs, num: int, steps: int) -> Tensor:
        month = torch.as_tensor(np.asarray(inputs["month"]))
        if month.is_floating_point() or month.ndim > 2:
            raise InputError(
                f"got month of {month.dtype}, shape {tuple(month.shape)}; want whole months 0-11, (n,) or (n, time)"
            )
        month = month.long()
        if month.ndim < 2:
            month = (
                (month.expand(num).unsqueeze(1) + torch.arange(steps)) % 12 if _in_year(month) else month.expand(num, 1)
            )
        must_be("month", month, (num, steps))
        if not _in_year(month):
            raise InputError(f"got months {int(month.min())} to {int(month.max())}, want 0 (January) to 11")
        return month

    def _cover(self, inputs: Inputs, num: int, steps: int) -> Tensor:
        if "dynamic_world" not in inputs:
            return torch.full((num, steps), MISSING_COVER)
        cover = torch.as_tensor(np.asarray(inputs["dynamic_world"])).long()
        must_be("dynamic_world", cover, (num, steps))
        if cover.min() < 0 or cover.max() > MISSING_COVER:
            raise InputError(f"got Dynamic World class {int(cover.max())}, want 0-8, or 9 where missing")
        return cover

    def cut(self, samples: Sequence[Sample]) -> Patches:
        """Return the rows of samples that `inputs_of` can read."""
        return self.cut_inputs(inputs_of(samples))

    def facts(self) -> dict[str, Any]:
        """Return the family; the width is the trunk's."""
        return {"kind": "presto"}

    def project(self, patches: Patches) -> TokenBatch:
        """Return tokens (batch, tokens, dim): place, groups by month, terrain, land cover by month."""
        values, hidden, month = patches["values"], patches["hidden"], patches["month"]
        num, steps = month.shape
        months = self.months(month)
        time = self.steps[:steps].expand(num, -1, -1)
        tokens, masks = [self._place(patches["latlon"])], [torch.ones_like(month[:, :1], dtype=torch.bool)]
        for index, (name, members) in enumerate(GROUPS.items()):
            its = slice(members[0], members[-1] + 1)
            seen = ~hidden[..., its].any(-1)
            if not is_shown(seen):
                continue
            token = self.groups[name](values[..., its])
            channel = self.channels.weight[index].expand(num, steps, -1)
            if name == "SRTM":
                nothing = torch.zeros_like(months[:, :1])
                added = torch.cat([nothing, channel[:, :1], torch.zeros_like(time[:, :1])], -1)
                token, seen = token[:, :1] + added, seen[:, :1]
            else:
                token = token + torch.cat([months, channel, time], -1)
            tokens.append(token)
            masks.append(seen)
        channel = self.channels.weight[len(GROUPS)].expand(num, steps, -1)
        tokens.append(self.cover(patches["cover"]) + torch.cat([months, channel, time], -1))
        masks.append(patches["cover"] != MISSING_COVER)
        return place(torch.cat(tokens, 1), torch.cat(masks, 1)).trimmed()

    def _place(self, latlon: Tensor) -> Tensor:
        """The token of a place: its unit vector (x, y, z), projected."""
        lat, lon = latlon.deg2rad().unbind(-1)
        xyz = torch.stack([lat.cos() * lon.cos(), lat.cos() * lon.sin(), lat.sin()], -1)
        token: Tensor = self.place(xyz).unsqueeze(1)
        return token


def _in_year(month: Tensor) -> bool:
    return bool(((month >= 0) & (month <= 11)).all())


def matches(config: Mapping[str, Any], shapes: Shapes) -> bool:
    """True where the weights have Presto's own keys."""
    return "encoder.eo_patch_embed.S1.weight" in shapes


def blueprint(weights: Weights) -> Blueprint:
    """Read the shapes; heads are those of Presto's default config unless the config says others."""
    dim = weights.shapes["encoder.norm.weight"][0]
    depth = len({key.split(".")[2] for key in weights.state if key.startswith("encoder.blocks.")})
    hidden = weights.shapes.get("encoder.blocks.0.mlp.fc1.weight", (4 * dim,))[0]
    block = {"norm1": "norm1", "norm2": "norm2", "attn.qkv": "attention.qkv", "attn.proj": "attention.out",
             "mlp.fc1": "mlp.up", "mlp.fc2": "mlp.down"}  # fmt: skip
    groups = {f"encoder.eo_patch_embed.{name}": f"tokenizer.groups.{name}" for name in GROUPS}
    keys = {
        "encoder.pos_embed": "tokenizer.steps",
        "encoder.dw_embed.weight": "tokenizer.cover.weight",
        "encoder.month_embed.weight": "tokenizer.months.weight",
        "encoder.channel_embed.weight": "tokenizer.channels.weight",
        **weight_and_bias({"encoder.latlon_embed": "tokenizer.place", "encoder.norm": "trunk.norm", **groups}),
        **block_keys(depth, "encoder.blocks.{}", weight_and_bias(block)),
    }
    trunk = TrunkConfig(
        dim=dim,
        depth=depth,
        num_heads=int(weights.config.get("encoder_num_heads", 8)),
        hidden=hidden,
        num_registers=0,
        norm_eps=1e-5,
        pooling="norm_mean",
    )
    return Blueprint(trunk=trunk, tokenizer=PrestoTokenizer(dim), kind="series", keys=keys, set_aside=(r"decoder\.",))


class PrestoFacts(TokenizerFacts):
    """Presto: the width is the trunk's."""

    kind: Literal["presto"]

    def num_weights(self, dim: int) -> int:
        """A lower bound."""
        return NUM_COVERS * dim

    def tokenizer(self, dim: int) -> OpenTokenizer:
        """Build it."""
        return PrestoTokenizer(dim).requires_grad_(False)


FAMILY = Family(name="presto", matches=matches, blueprint=blueprint, tokenizers={"presto": PrestoFacts})
