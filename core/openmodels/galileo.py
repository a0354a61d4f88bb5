"""Galileo: space-time cubes of thirteen bands with maps, weather and static facts, at any patch size from 1 to 8.

Source: Tseng et al. 2025, Galileo; nasaharvest/galileo at 0f0b5b9, whose groups, encodings and masks these are. Its
sine frequencies are 10000^-(j / dim / 2), which the weights were trained with, not 10000^-(j / (dim / 2)).
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from mainstem.core.errors import InputError
from mainstem.core.openmodels.base import Blueprint, Family, Shapes, Weights, block_keys, weight_and_bias
from mainstem.core.openmodels.facts import TokenizerFacts
from mainstem.core.openmodels.galileo_samples import MASKS, SPACE_TIME, VALUES, inputs_of
from mainstem.core.openmodels.inputs import as_tensor, must_be, only
from mainstem.core.stream import Sample
from mainstem.core.tokens import Inputs, OpenTokenizer, Patches, TokenBatch, is_shown, place
from mainstem.core.trunk_config import TrunkConfig

SPACE = {"SRTM": tuple(range(2)), "DW": tuple(range(2, 11)), "WC": tuple(range(11, 16))}
TIME = {"ERA5": (0, 1), "TC": (2, 3, 4), "VIIRS": (5,)}
STATIC = {"LS": (0,), "location": (1, 2, 3), "DW_static": tuple(range(4, 13)), "WC_static": tuple(range(13, 18))}
GROUPS = {"space_time": SPACE_TIME, "space": SPACE, "time": TIME, "static": STATIC}
GROUP_VALUES = {"space_time": "s_t_x", "space": "sp_x", "time": "t_x", "static": "st_x"}
NAMES = (*VALUES, *MASKS, "months", "patch_size", "input_resolution_m")
BASE_RESOLUTION_M = 10.0


def sincos(dim: int, positions: Tensor) -> Tensor:
    """Sines, then cosines (positions, dim), with the family's own frequencies."""
    omega = 1.0 / 10000 ** (torch.arange(dim // 2, device=positions.device) / dim / 2.0)
    angles = positions.reshape(-1, 1) * omega
    return torch.cat([angles.sin(), angles.cos()], 1)


@lru_cache(maxsize=16)
def kernel_resize(old: int, new: int) -> Tensor:
    """Pseudo-inverse (new * new, old * old) of resizing patches from old to new pixels a side.

    Source: Beyer et al. 2023, FlexiViT, section 3.4.
    """
    basis = torch.eye(old * old).view(-1, 1, old, old)
    resized = F.interpolate(basis, (new, new), mode="bicubic", antialias=True).flatten(1)
    inverse: Tensor = torch.linalg.pinv(resized)
    return inverse


class GalileoTokenizer(OpenTokenizer):
    """The original's inputs to tokens, in its order: space-time (y, x, time, group), space, time, static.

    Inputs, values standardised as the original's: `s_t_x` (n, h, w, t, 13), `sp_x` (n, h, w, 16), `t_x` (n, t, 6),
    `st_x` (n, 18); masks by channel group, 0 where seen: `s_t_m` (n, h, w, t, 7), `sp_m` (n, h, w, 3), `t_m` (n, t, 3),
    `st_m` (n, 4), left out where all is seen; `months` (n, t) 0-11; `patch_size` pixels a side; `input_resolution_m`
    metres a pixel, one or (n,), 10 unless given. A patch's mask is that of its first pixel.
    """

    steps: Tensor
    months: Tensor

    def __init__(self, dim: int, kernel: int, max_steps: int) -> None:
        super().__init__()
        self.dim, self.kernel = dim, kernel
        self.space_time = nn.ModuleDict(
            {name: nn.Conv2d(len(m), dim, kernel, kernel) for name, m in SPACE_TIME.items()}
        )
        self.space = nn.ModuleDict({name: nn.Conv2d(len(m), dim, kernel, kernel) for name, m in SPACE.items()})
        self.time = nn.ModuleDict({name: nn.Linear(len(m), dim) for name, m in TIME.items()})
        self.static = nn.ModuleDict({name: nn.Linear(len(m), dim) for name, m in STATIC.items()})
        quarter = dim // 4
        self.channels = nn.ParameterDict({name: torch.zeros(len(groups), quarter) for name, groups in GROUPS.items()})
        self.register_buffer("steps", torch.zeros(max_steps, quarter))
        self.register_buffer("months", torch.zeros(12, quarter))

    def cut_inputs(self, inputs: Inputs) -> Patches:
        """Check the inputs."""
        only(inputs, NAMES)
        lacking = [name for name in (*VALUES, "months", "patch_size") if name not in inputs]
        if lacking:
            raise InputError(f"got no {lacking[0]}, Galileo needs {', '.join((*VALUES, 'months', 'patch_size'))}")
        patch_size = int(inputs["patch_size"])
        values = {
            name: as_tensor(name, inputs[name], f"(..., {width})", (2, 3, 4, 5)) for name, width in VALUES.items()
        }
        must_be("s_t_x", values["s_t_x"], (None, None, None, None, 13))
        num, rows, columns, steps, _ = values["s_t_x"].shape
        lead = {"s_t": (num, rows, columns, steps), "sp": (num, rows, columns), "t": (num, steps), "st": (num,)}
        if not 1 <= patch_size <= self.kernel or rows % patch_size or columns % patch_size:
            raise InputError(
                f"got patch_size {patch_size} for {rows} x {columns} pixels, want 1 to {self.kernel}, dividing both"
            )
        if not 1 <= steps <= len(self.steps):
            raise InputError(f"got {steps} time steps, Galileo reads 1 to {len(self.steps)}; cut the series")
        masks = {}
        for (name, width), value in zip(MASKS.items(), values, strict=True):
            shape = lead[name.removesuffix("_m")]
            must_be(value, values[value], (*shape, VALUES[value]))
            masks[name] = torch.as_tensor(np.asarray(inputs.get(name, np.zeros((*shape, width))))) >= 1
            must_be(name, masks[name], (*shape, width))
        months = torch.as_tensor(np.asarray(inputs["months"])).long()
        must_be("months", months, (num, steps))
        if months.min() < 0 or months.max() > 11:
            raise InputError(f"got months {int(months.min())} to {int(months.max())}, want 0 (January) to 11")
        resolution = _resolution(inputs.get("input_resolution_m", BASE_RESOLUTION_M), num)
        self._check_seen(values, masks)
        blind = torch.stack([mask.flatten(1).all(1) for mask in masks.values()]).all(0).nonzero()
        if len(blind):
            raise InputError(f"sample {int(blind[0])} is hidden altogether; drop it, or show at least one group")
        filled = {name: value.nan_to_num(0, 0, 0) for name, value in values.items()}
        for name in ("s_t_m", "sp_m"):  # a patch's mask is that of its first pixel
            masks[name] = masks[name][:, ::patch_size, ::patch_size]
        return Patches(parts={**filled, **masks, "months": months, "resolution": resolution})

    def _check_seen(self, values: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> None:
        for (value, mask), groups in zip(
            zip(VALUES, MASKS, strict=True), (SPACE_TIME, SPACE, TIME, STATIC), strict=True
        ):
            for index, (name, members) in enumerate(groups.items()):
                broken = ~values[value][..., list(members)].isfinite().all(-1) & ~masks[mask][..., index]
                if broken.any():
                    raise InputError(f"{value} holds NaN or infinity in {name} where {mask} says it is seen; mask it")

    def cut(self, samples: Sequence[Sample]) -> Patches:
        """Return the rows of samples with one image series each: monthly composites of Sentinel-1, -2 bands or NDVI.

        A patch, month or group that lacks a band is hidden, and so is all that is no band but the place, where it is
        known.
        """
        return self.cut_inputs(inputs_of(samples, self.kernel, len(self.steps)))

    def facts(self) -> dict[str, Any]:
        """Return what it takes to build the tokenizer again."""
        return {"kind": "galileo", "kernel": self.kernel, "max_steps": len(self.steps)}

    def project(self, patches: Patches) -> TokenBatch:
        """Return the tokens; those of hidden groups are dropped."""
        size = patches["s_t_x"].shape[1] // patches["s_t_m"].shape[1]
        num, steps = patches["months"].shape
        masks = {"space_time": patches["s_t_m"], "space": patches["sp_m"],
                 "time": patches["t_m"], "static": patches["st_m"]}  # fmt: skip
        cut = (masks["space"].shape[1], masks["space"].shape[2])
        where = self._space_code(*cut, patches["resolution"] * size / BASE_RESOLUTION_M)
        when = torch.cat([self.steps[:steps].expand(num, -1, -1), self.months[patches["months"]]], -1)
        codes = {  # of time and of place, spread over each other's axes
            "space_time": (when[:, None, None, :, None], where[:, :, :, None, None]),
            "space": (torch.zeros_like(when[:, :1, None, None]), where[:, :, :, None]),
            "time": (when[:, :, None], torch.zeros_like(where[:, :1, :1])),
            "static": (torch.zeros_like(when[:, 0, None]), torch.zeros_like(where[:, :1, 0])),
        }
        parts, seen = [], []
        for name, mask in masks.items():
            shown = [index for index in range(mask.shape[-1]) if is_shown(~mask[..., index])]
            if shown:
                values = torch.stack([self._embedded(name, index, patches, size) for index in shown], -2)
                channels = torch.stack([self.channels[name][index] for index in shown])
                parts.append((values + _joined(channels, *codes[name])).flatten(1, -2))
                seen.append(~torch.stack([mask[..., index] for index in shown], -1).flatten(1))
        return place(torch.cat(parts, 1), torch.cat(seen, 1)).trimmed()

    def _embedded(self, kind: str, index: int, patches: Patches, size: int) -> Tensor:
        """The tokens of one group of one kind (n, ..., dim)."""
        modules = {"space_time": self.space_time, "space": self.space, "time": self.time, "static": self.static}[kind]
        assert isinstance(modules, nn.ModuleDict)
        name, members = list(GROUPS[kind].items())[index]
        values = patches[GROUP_VALUES[kind]]
        if kind == "space_time":
            return self._patches(modules[name], values[..., _slice(members)], size)
        if kind == "space":
            return self._patches(modules[name], values[..., None, _slice(members)], size)[..., 0, :]
        embedded: Tensor = modules[name](values[..., _slice(members)])
        return embedded

    def _patches(self, projection: nn.Module, pixels: Tensor, size: int) -> Tensor:
        """Project patches of pixels (n, y, x, time, channel) to (n, rows, columns, time, dim)."""
        assert isinstance(projection, nn.Conv2d)
        weight = projection.weight
        if size != self.kernel:
            resized = torch.einsum("pk,dck->dcp", kernel_resize(self.kernel, size).to(weight), weight.flatten(2))
            weight = resized.view(*weight.shape[:2], size, size)
        num, height, width, steps, _ = pixels.shape
        cut = pixels.view(num, height // size, size, width // size, size, steps, -1)
        laid = cut.permute(0, 1, 3, 5, 6, 2, 4).flatten(4)  # (n, row, column, time, channel * pixels)
        return F.linear(laid, weight.flatten(1), projection.bias)

    def _space_code(self, rows: int, columns: int, ratio: Tensor) -> Tensor:
        """Sines of a patch's column, then row, times the ratio of its size to 10 m: (n, rows, columns, dim / 4)."""
        y, x = torch.meshgrid(
            torch.arange(rows, device=ratio.device), torch.arange(columns, device=ratio.device), indexing="ij"
        )
        eighth = self.dim // 8
        codes = [sincos(eighth, (axis[None] * ratio[:, None, None]).float()) for axis in (x, y)]
        return torch.cat(codes, 1).view(len(ratio), rows, columns, -1).to(self.steps)


def _slice(members: Sequence[int]) -> slice:
    """Neighbouring channels as a slice, which needs no index on the device."""
    return slice(members[0], members[-1] + 1)


def _resolution(metres: object, num: int) -> Tensor:
    """Metres a pixel (n,) of one number, or of one a sample."""
    found = as_tensor("input_resolution_m", metres, "one number, or (n,)", (0, 1))
    if found.ndim:
        must_be("input_resolution_m", found, (num,))
    if not (found.isfinite() & (found > 0)).all():
        raise InputError("input_resolution_m must be metres above 0; give each sample's own")
    return found.expand(num)


def _joined(channel: Tensor, when: Tensor, where: Tensor) -> Tensor:
    """Concatenate codes of channel (groups, quarter), time and space, spread over each other's axes."""
    shape = (when[..., :1] + where[..., :1] + channel[..., :1]).shape[:-1]
    return torch.cat([code.expand(*shape, -1) for code in (channel, when, where)], -1)


def matches(config: Mapping[str, Any], shapes: Shapes) -> bool:
    """True where the weights have Galileo's own keys."""
    return any(key.replace(".backbone", "").startswith("space_time_embed.S1.") for key in shapes)


def blueprint(weights: Weights) -> Blueprint:
    """Read the config beside the weights, and the shapes where it is absent."""
    encoder = weights.config.get("model", {}).get("encoder", {})
    shapes = {key.replace(".backbone", ""): shape for key, shape in weights.shapes.items()}
    dim, kernel = shapes["norm.weight"][0], shapes["space_time_embed.S1.proj.weight"][-1]
    depth = len({key.split(".")[1] for key in shapes if key.startswith("blocks.")})
    block = {"norm1": "norm1", "norm2": "norm2", "attn.q": "attention.qkv#q", "attn.k": "attention.qkv#k",
             "attn.v": "attention.qkv#v", "attn.proj": "attention.out",
             "mlp.fc1": "mlp.up", "mlp.fc2": "mlp.down"}  # fmt: skip
    layers = {f"space_time_embed.{n}.proj": f"tokenizer.space_time.{n}" for n in SPACE_TIME}
    layers |= {f"space_embed.{n}.proj": f"tokenizer.space.{n}" for n in SPACE}
    layers |= {f"time_embed.{n}": f"tokenizer.time.{n}" for n in TIME}
    layers |= {f"static_embed.{n}": f"tokenizer.static.{n}" for n in STATIC}
    keys = {
        "pos_embed": "tokenizer.steps",
        "month_embed.weight": "tokenizer.months",
        "s_t_channel_embed": "tokenizer.channels.space_time",
        "sp_channel_embed": "tokenizer.channels.space",
        "t_channel_embed": "tokenizer.channels.time",
        "st_channel_embed": "tokenizer.channels.static",
        **weight_and_bias({"norm": "trunk.norm", **layers}),
        **block_keys(depth, "blocks.{}", weight_and_bias(block)),
    }
    renamed = {key.replace(".backbone", ""): key for key in weights.state}
    trunk = TrunkConfig(
        dim=dim,
        depth=depth,
        num_heads=int(encoder.get("num_heads", 8)),
        hidden=shapes["blocks.0.mlp.fc1.weight"][0],
        num_registers=0,
        norm_eps=1e-5,
        pooling="mean_norm",
    )
    return Blueprint(
        trunk=trunk,
        tokenizer=GalileoTokenizer(dim, kernel, shapes["pos_embed"][0]),
        kind="grid",
        keys={renamed.get(key, key): target for key, target in keys.items()},
    )


class GalileoFacts(TokenizerFacts):
    """Galileo: pixels a side of its kernels, and months."""

    kind: Literal["galileo"]
    kernel: Annotated[int, Field(ge=1, le=64)]
    max_steps: Annotated[int, Field(ge=1, le=1000)]

    def num_weights(self, dim: int) -> int:
        """A lower bound."""
        return dim * self.kernel**2

    def tokenizer(self, dim: int) -> OpenTokenizer:
        """Build it."""
        return GalileoTokenizer(dim, self.kernel, self.max_steps).requires_grad_(False)


FAMILY = Family(name="galileo", matches=matches, blueprint=blueprint, tokenizers={"galileo": GalileoFacts})
