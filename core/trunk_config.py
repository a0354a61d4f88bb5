"""A trunk's shape and switches, the ranges that a file must keep to, and the project's own sizes."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from mainstem.core.errors import ArtifactError, InputError
from mainstem.core.schema import first_mistake, printable

Pooling = Literal["cls", "last", "mean_norm", "norm_mean", "map"]
Activation = Literal["gelu", "gelu_tanh", "silu"]
LARGEST_WIDTH = 1 << 16
RANGES: dict[str, tuple[float, float]] = {  # wider than any published encoder; what is beyond was damaged
    "dim": (1, 1 << 14), "depth": (1, 256), "num_heads": (1, 256), "hidden": (1, 1 << 17),
    "num_registers": (0, 1024), "num_prefix": (0, 1024), "norm_eps": (1e-12, 1e-2), "dropout": (0, 0.99),
    "project": (1, 1 << 16), "space_axes": (1, 3),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RotaryAxis:
    """The share of a head that turns with one coordinate, and the periods it covers, log-spaced, ends included.

    Source: Su et al. 2021, RoFormer, section 3.2; here with real coordinates and periods in their units.
    """

    pairs: int
    shortest: float
    longest: float

    def __post_init__(self) -> None:
        if not 1 <= self.pairs <= LARGEST_WIDTH or not 0 < self.shortest <= self.longest < math.inf:
            raise InputError(f"got {self}, want 1 or more pairs and periods above 0, shortest first; mend the config")

    def frequencies(self) -> Tensor:
        """Angular frequencies (pairs,) float64, radians a unit."""
        periods = torch.logspace(math.log10(self.shortest), math.log10(self.longest), self.pairs, dtype=torch.float64)
        return 2 * math.pi / periods


MILLISECOND, DECADE = 4e-3, 4e8  # shortest and longest period of time, seconds: Nyquist of 500 Hz, twelve years


@dataclass(frozen=True, kw_only=True)
class TrunkConfig:
    """Shape and switches of a trunk.

    Attributes:
        hidden: width of the MLP after its activation; stored, never a ratio.
        num_registers: the trunk's own registers, before the tokens.
        num_prefix: first tokens of a batch (class token, registers) that the mean poolings leave out.
        pooling: cls (normed first token), last (normed last), mean_norm (mean of normed tokens), norm_mean (norm of
            their mean), map (normed tokens, attended to by a learned probe).
        project: width of a linear layer after pooling; None for none.
        gated: the MLP's activation gates a second product (SwiGLU, GeGLU).
        key_bias: False holds the bias of the keys at zero.
        time, space: how a head's rotary pairs are shared; `space` serves each of the last `space_axes` of z, y, x.
    """

    dim: int
    depth: int
    num_heads: int
    hidden: int
    num_registers: int = 4
    num_prefix: int = 0
    norm_eps: float = 1e-6
    dropout: float = 0.0
    pooling: Pooling = "norm_mean"
    project: int | None = None
    activation: Activation = "gelu"
    gated: bool = False
    layer_scale: bool = False
    key_bias: bool = True
    time: RotaryAxis | None = None
    space: RotaryAxis | None = None
    space_axes: int = 3

    def __post_init__(self) -> None:
        for name, (least, most) in RANGES.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= most:  # NaN lies in no range
                raise InputError(f"got {name} {value}, want {least} to {most}; mend the model's config")
        if self.pooling not in get_args(Pooling) or self.activation not in get_args(Activation):
            raise InputError(
                f"got pooling {self.pooling!r}, activation {self.activation!r}; this version knows neither"
            )
        pairs = self.rotary_pairs
        if self.dim % self.num_heads or 2 * pairs > self.dim // self.num_heads:
            raise InputError(f"a head of {self.dim}/{self.num_heads} cannot hold {pairs} rotary pairs; lower them")

    def num_weights(self) -> int:
        """A lower bound of the trunk's weights, to hold against a file before anything is allocated."""
        mlp = (3 if self.gated else 2) * self.dim * self.hidden
        layer = 4 * self.dim**2 + mlp
        extra = self.num_registers + (self.project or 0)
        return (self.depth + (self.pooling == "map")) * layer + extra * self.dim

    @property
    def rotary_pairs(self) -> int:
        """Pairs of features of a head that turn."""
        return (self.time.pairs if self.time else 0) + (self.space_axes * self.space.pairs if self.space else 0)


def trunk_config(plain: Mapping[str, Any]) -> TrunkConfig:
    """Read what `dataclasses.asdict` made of a TrunkConfig.

    Raises:
        ArtifactError: if an entry is absent, unknown, or of another type.
        InputError: if one is out of its range.
    """
    known = {field.name for field in fields(TrunkConfig)}
    unknown = sorted(set(plain) - known) if isinstance(plain, Mapping) else []
    if unknown:
        raise ArtifactError(f"the trunk's config holds {printable(unknown[0])}, which this version does not know")
    try:
        return TypeAdapter(TrunkConfig).validate_json(json.dumps(plain), strict=True)
    except (ValidationError, ValueError) as error:
        said = first_mistake(error) if isinstance(error, ValidationError) else printable(error)
        raise ArtifactError(f"the trunk's config is damaged: {said}; fetch or train it again") from error


def _size(dim: int, depth: int, num_heads: int, time_pairs: int, space_pairs: int) -> TrunkConfig:
    return TrunkConfig(
        dim=dim,
        depth=depth,
        num_heads=num_heads,
        hidden=4 * dim,
        time=RotaryAxis(pairs=time_pairs, shortest=MILLISECOND, longest=DECADE),
        space=RotaryAxis(pairs=space_pairs, shortest=1e-2, longest=1e6),
    )


SIZES = {  # ti, s and b have the widths of DeiT (Touvron et al. 2021, table 1); xs is for tables on a laptop
    "xs": _size(64, 3, 2, 10, 2),
    "ti": _size(192, 12, 3, 17, 5),
    "s": _size(384, 12, 6, 17, 5),
    "b": _size(768, 12, 12, 17, 5),
}
