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

from mainstem.core.cases import Block, Cases
from mainstem.core.errors import ChannelError, InputError
from mainstem.core.openmodels.base import (
    Blueprint,
    Family,
    Shapes,
    Weights,
    as_tensor,
    block_keys,
    must_be,
    only,
    weight_and_bias,
)
from mainstem.core.openmodels.facts import TokenizerFacts
from mainstem.core.stream import Channel, Sample, Stream
from mainstem.core.tokens import Inputs, OpenTokenizer, Patches, TokenBatch, is_shown, place
from mainstem.core.trunk_config import TrunkConfig

BANDS = ("VV", "VH", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B11", "B12",
         "temperature_2m", "total_precipitation", "elevation", "slope", "NDVI")  # fmt: skip
KEPT = tuple(index for index, band in enumerate(BANDS) if band != "B9")  # the 17 that the model reads
GROUPS = {  # of the 17, in the order of their channel embeddings
    "S1": (0, 1), "S2_RGB": (2, 3, 4), "S2_Red_Edge": (5, 6, 7), "S2_NIR_10m": (8,), "S2_NIR_20m": (9,),
    "S2_SWIR": (10, 11), "ERA5": (12, 13), "SRTM": (14, 15), "NDVI": (16,),
}  # fmt: skip
SHIFT = (25.0, 25.0, *[0.0] * 10, -272.15, 0.0, 0.0, 0.0, 0.0)
DIVISOR = (25.0, 25.0, *[1e4] * 10, 35.0, 0.03, 2000.0, 50.0, 1.0)
B4, B8, NDVI = 4, 8, 16  # of the 17
NUM_COVERS, MISSING_COVER = 9, 9  # Dynamic World classes 0-8; 9 stands for none
MAX_MONTHS = 24
NAMES = ("bands", "latlon", "month", "dynamic_world", "mask")
MONTHLY_SUMS = ("total_precipitation",)
SHORTEST_MONTH, LONGEST_MONTH = 28, 31  # days between steps that are months already
MILLION = 1e6  # no raw value of any band is larger
UNITS = {  # of a stream's channels -> (factor, offset) to the model's raw values: 1e4 reflectance, K, m of water
    "dB": (1.0, 0.0), "1": (1e4, 0.0), "degC": (1.0, 273.15), "K": (1.0, 0.0), "mm": (1e-3, 0.0), "m": (1.0, 0.0),
    "deg": (1.0, 0.0),
}  # fmt: skip
BAND_UNITS = {
    "VV": ("dB",), "VH": ("dB",), "temperature_2m": ("degC", "K"), "total_precipitation": ("mm", "m"),
    "elevation": ("m",), "slope": ("deg",),
}  # fmt: skip


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


def inputs_of(samples: Sequence[Sample]) -> dict[str, np.ndarray[Any, Any]]:
    """Presto's inputs from samples with streams `pixel` (series of bands) and `place` (latitude, longitude).

    Bands may be absent, samples of unequal length (padded, hidden); `land_cover` (series, class) is optional. Channels
    are known by name and converted from their units. Steps are composed by calendar month, which their times say,
    counted from the sample's origin; a month between two others that no date shows is hidden, not left out.

    Raises:
        ChannelError: if a channel is no band of Presto's, or its unit cannot be converted.
        InputError: if a sample lacks its place or its clock.
    """
    if isinstance(samples, Cases) and _is_plain(samples):
        return _inputs_of_cases(samples)
    found = [_months_of(sample) for sample in samples]
    num, steps = len(samples), max((len(months) for months, _ in found), default=1)
    bands = np.full((num, steps, len(BANDS)), np.nan)
    month, cover = np.zeros((num, steps), np.int64), np.full((num, steps), MISSING_COVER)
    latlon = np.zeros((num, 2))
    for row, (sample, (months, place_of_step)) in enumerate(zip(samples, found, strict=True)):
        where = sample.streams["place"]
        latlon[row] = [_channel(where, "latitude", "deg"), _channel(where, "longitude", "deg")]
        month[row, : len(months)] = months % 12
        bands[row, : len(months)] = _bands_by_month(sample, place_of_step, len(months))
        land = sample.streams.get("land_cover")
        if land is not None:
            cover[row, : len(months)] = _cover_by_month(land, sample, months, place_of_step)
    return {"bands": bands, "latlon": latlon, "month": month, "dynamic_world": cover}


def _is_plain(samples: Cases) -> bool:
    """True where cases share their dates, all have a series and a place, and none a land cover."""
    pixel, where = samples.streams.get("pixel"), samples.streams.get("place")
    if pixel is None or where is None or "land_cover" in samples.streams or not len(samples):
        return False
    is_one_clock = pixel.times is not None and pixel.times.ndim == 1 and isinstance(samples.origin, str)
    return is_one_clock and pixel.has is None and where.has is None


def _inputs_of_cases(samples: Cases) -> dict[str, np.ndarray[Any, Any]]:
    """The same of many cases on one clock, month by month for all of them."""
    first, pixel, num = samples[0], samples.streams["pixel"], len(samples)
    months, place_of_step = _months_of(first)
    given, starts = np.unique(place_of_step, return_index=True)
    seen, bands = pixel.observed(), np.full((num, len(months), len(BANDS)), np.nan)
    for column, channel in enumerate(pixel.channels):
        factor, offset = _conversion(channel.name, channel.unit)
        here = seen[..., column]
        count = np.add.reduceat(here, starts, 1, dtype=np.int64)
        _check_sums(first, channel, int(count.max(initial=0)))
        total = np.add.reduceat(np.where(here, factor * pixel.values[..., column] + offset, 0.0), starts, 1)
        bands[:, given, BANDS.index(channel.name)] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    where = samples.streams["place"]
    latlon = np.column_stack([where.values[:, _column(where, name, "deg")] for name in ("latitude", "longitude")])
    shape = (num, len(months))
    return {
        "bands": bands, "latlon": latlon, "month": np.broadcast_to(months % 12, shape),
        "dynamic_world": np.full(shape, MISSING_COVER),
    }  # fmt: skip


def num_months(sample: Sample) -> int:
    """How many of the months of `inputs_of` are a sample's own; the others only fill up beside a longer one.

    Raises:
        InputError: if it lacks its series, place or clock, or spans more months than Presto reads.
    """
    return len(_months_of(sample)[0])


def _calendar_months(stream: Stream, origin: str) -> np.ndarray[Any, Any]:
    """Months since January 1970 (step,) of a stream's steps."""
    assert stream.times is not None
    dates = np.datetime64(origin.removesuffix("Z"), "s") + stream.times.astype("timedelta64[s]")
    numbers: np.ndarray[Any, Any] = dates.astype("datetime64[M]").astype(np.int64)
    return numbers


def _months_of(sample: Sample) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """A sample's calendar months, first to last without a gap, and the index among them of each step.

    Steps a month apart are composites already, and each keeps its own place: two of 30 days may begin in one month.

    Raises:
        InputError: if it lacks its series, place or clock, or spans more months than Presto reads.
    """
    pixel, where = sample.streams.get("pixel"), sample.streams.get("place")
    if pixel is None or where is None or pixel.times is None or not sample.origin or not len(pixel.times):
        raise InputError(f"{sample.source.item} lacks its pixel series, its place or its clock; Presto needs all")
    numbers = _calendar_months(pixel, sample.origin)
    days = np.diff(pixel.times) / 86400
    if ((days >= SHORTEST_MONTH) & (days <= LONGEST_MONTH)).all():
        return numbers, np.arange(len(numbers))
    span = int(numbers[-1] - numbers[0]) + 1
    if span > MAX_MONTHS:
        raise InputError(f"{sample.source.item} spans {span} months, Presto reads 1 to {MAX_MONTHS}; cut the series")
    return numbers[0] + np.arange(span), numbers - numbers[0]


def _bands_by_month(sample: Sample, step_month: np.ndarray[Any, Any], num: int) -> np.ndarray[Any, Any]:
    """Raw bands (month, 18): the mean of a month's dates that show a band, NaN where none does.

    Raises:
        ChannelError: if a channel is no band of Presto's, its unit cannot be converted, or a month holds several sums.
    """
    pixel = sample.streams["pixel"]
    seen = pixel.observed()
    bands = np.full((num, len(BANDS)), np.nan)
    for column, channel in enumerate(pixel.channels):
        factor, offset = _conversion(channel.name, channel.unit)
        here = seen[:, column]
        count = np.bincount(step_month[here], minlength=num)
        _check_sums(sample, channel, int(count.max(initial=0)))
        total = np.bincount(step_month[here], factor * pixel.values[here, column] + offset, minlength=num)
        bands[:, BANDS.index(channel.name)] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return bands


def _check_sums(sample: Sample, channel: Channel, most: int) -> None:
    if channel.name in MONTHLY_SUMS and most > 1:
        raise ChannelError(
            f"{sample.source.item} gives {channel.name} on several dates of a month, of days or of the month; give its "
            "sum once a month"
        )


def _cover_by_month(
    land: Stream, sample: Sample, months: np.ndarray[Any, Any], step_month: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """The commonest land cover class of each month (month,), MISSING_COVER where none is seen.

    Land cover on the clock of the series keeps the places of its steps; on another it is placed by calendar month.
    """
    pixel = sample.streams["pixel"]
    assert pixel.times is not None
    if np.array_equal(np.asarray(land.times), pixel.times):
        numbers, wanted = step_month, np.arange(len(months))
    else:
        numbers, wanted = _calendar_months(land, sample.origin), months
    classes = np.where(land.observed()[:, 0], land.values[:, 0], MISSING_COVER).astype(np.int64)
    if classes.min(initial=0) < 0 or classes.max(initial=0) > MISSING_COVER:
        raise InputError(f"{sample.source.item} has Dynamic World class {classes.max()}, want 0-8, or 9 where missing")
    found = np.full(len(months), MISSING_COVER)
    for index, month in enumerate(wanted.tolist()):
        here = classes[(numbers == month) & (classes != MISSING_COVER)]
        if len(here):
            found[index] = np.bincount(here).argmax()
    return found


def _channel(stream: Stream, name: str, unit: str) -> float:
    return float(stream.values[_column(stream, name, unit)])


def _column(stream: Stream | Block, name: str, unit: str) -> int:
    for index, channel in enumerate(stream.channels):
        if channel.name == name and channel.unit == unit:
            return index
    raise ChannelError(f"a place needs {name} in {unit}; it has {', '.join(c.name for c in stream.channels)}")


def _conversion(name: str, unit: str) -> tuple[float, float]:
    if name not in BANDS:
        raise ChannelError(f"got band {name!r}, Presto reads {', '.join(BANDS)}; rename or drop it")
    allowed = BAND_UNITS.get(name, ("1",))
    if unit not in allowed:
        raise ChannelError(f"got {name} in {unit!r}, want {' or '.join(allowed)}; convert it first")
    return (1.0, 0.0) if name == "NDVI" else UNITS[unit]


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
