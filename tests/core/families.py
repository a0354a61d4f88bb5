"""Every family and every kind of stream, small, with drawn weights, and something for each to read."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from mainstem.core.openmodels.galileo import GalileoTokenizer
from mainstem.core.openmodels.images import PatchConfig, PatchTokenizer
from mainstem.core.openmodels.presto import PrestoTokenizer
from mainstem.core.openmodels.prithvi import PrithviTokenizer
from mainstem.core.openmodels.prithvi_samples import BANDS, SENTINEL
from mainstem.core.openmodels.siglip2 import NaFlexTokenizer, WordTokenizer
from mainstem.core.stream import Channel, Geometry, Provenance, Sample, Stream
from mainstem.core.tokenizers.streams import StreamsTokenizer, read_specs
from mainstem.core.tokens import OpenTokenizer, Patches
from mainstem.core.trunk import Trunk
from mainstem.core.trunk_config import RotaryAxis, TrunkConfig

DIM, DAY_S = 32, 86_400.0
SPACE = RotaryAxis(pairs=2, shortest=1.0, longest=10.0)
OPEN = TrunkConfig(dim=DIM, depth=2, num_heads=4, hidden=DIM, num_registers=0, pooling="mean_norm")
OWN = replace(
    OPEN, num_registers=2, pooling="norm_mean", space=replace(SPACE, pairs=1),
    time=RotaryAxis(pairs=1, shortest=DAY_S, longest=365 * DAY_S),
)  # fmt: skip
VIT = PatchConfig(dim=DIM, patch_size=4, side=2, num_registers=2, has_mask_token=True, is_antialiased=True)


@dataclass(frozen=True, eq=False)
class Drawn:
    """A tokenizer and a trunk of one family, and what cuts `num` samples, of unequal lengths, for it."""

    tokenizer: OpenTokenizer
    trunk: Trunk
    cut: Callable[[int], Patches]


def channels(*names: str, **units: str) -> tuple[Channel, ...]:
    return tuple(Channel(name=name, unit=units.get(name, "1")) for name in names)


def place(row: int) -> Stream:
    where = channels("latitude", "longitude", latitude="deg", longitude="deg")
    return Stream(kind="scalar", values=np.array([40.0 + row, -100.0]), channels=where)


def own_streams(row: int, rng: np.random.Generator) -> dict[str, Stream]:
    """Streams of every kind that has a tokenizer; every second sample lacks the first."""
    steps, times = 2 + row % 3, DAY_S * np.arange(2 + row % 3)
    values = rng.normal(size=(steps, 2))
    values[0, 0] = np.nan
    ten = Geometry.of_spacing(10.0)
    found = {
        "weather": Stream(kind="series", values=values, channels=channels("t", "p"), times=times),
        "soil": Stream(kind="scalar", values=rng.normal(size=2), channels=channels("ph", "clay")),
        "cube": Stream(
            kind="grid", values=rng.normal(size=(steps, 2, 4, 4)), times=times, geometry=ten,
            channels=(Channel(name="B4", unit="1", wavelength_nm=664.6), Channel(name="NDVI", unit="1")),
        ),
        "scan": Stream(
            kind="volume", values=rng.normal(size=(1, 2 + row % 2, 4, 4)), channels=channels("density"),
            geometry=Geometry(affine=np.diag([0.5, 0.5, 3.0, 1.0]), unit="mm", frame="patient LPS"),
        ),
        "photo": Stream(kind="image", values=rng.uniform(size=(3, 4, 6)), channels=channels("red", "green", "blue")),
    }  # fmt: skip
    return dict(list(found.items())[row % 2 :])


def sample(streams: dict[str, Stream], row: int) -> Sample:
    return Sample(
        streams=streams, target=float(row), source=Provenance(data="drawn", item=str(row), group=str(row % 4)),
        origin="2020-03-01T00:00:00Z",
    )  # fmt: skip


def own_samples(num: int) -> list[Sample]:
    rng = np.random.default_rng(0)
    return [sample(own_streams(row, rng), row) for row in range(num)]


def pixel_series(num: int) -> list[Sample]:
    rng, bands = np.random.default_rng(1), channels("B4", "B8", "VV", VV="dB")
    found = []
    for row in range(num):
        steps = 1 + row % 3
        pixel = Stream(
            kind="series", values=rng.uniform(0.1, 0.5, (steps, 3)), channels=bands, times=31 * DAY_S * np.arange(steps)
        )
        found.append(sample({"pixel": pixel, "place": place(row)}, row))
    return found


def _cubes(num: int, names: tuple[str, ...], ragged: bool) -> list[Sample]:
    rng, found = np.random.default_rng(2), []
    for row in range(num):
        steps = 1 + row % 2 if ragged else 2
        values = rng.uniform(0.1, 0.5, (steps, len(names), 8, 8))
        cube = Stream(
            kind="grid", values=values, channels=channels(*names), times=31 * DAY_S * np.arange(steps),
            geometry=Geometry.of_spacing(10.0 + row),
        )  # fmt: skip
        found.append(sample({"cube": cube, "place": place(row)}, row))
    return found


def picture(values: np.ndarray, *names: str, row: int = 0) -> Sample:
    return sample({"picture": Stream(kind="image", values=values, channels=channels(*names))}, row)


def pictures(num: int) -> list[Sample]:
    rng, rgb = np.random.default_rng(3), ("red", "green", "blue")
    return [picture(rng.uniform(size=(3, 8, 8 + 4 * (row % 2))), *rgb, row=row) for row in range(num)]


def _words(num: int) -> dict[str, np.ndarray]:
    ids = np.random.default_rng(4).integers(0, 40, (num, 6))
    return {"input_ids": ids, "attention_mask": np.arange(6) < 3 + np.arange(num)[:, None] % 3}


def _presto() -> Drawn:
    tokenizer = PrestoTokenizer(DIM)
    return Drawn(tokenizer, Trunk(replace(OPEN, pooling="norm_mean")), lambda num: tokenizer.cut(pixel_series(num)))


def _galileo() -> Drawn:
    tokenizer = GalileoTokenizer(DIM, 4, 24)
    return Drawn(tokenizer, Trunk(OPEN), lambda num: tokenizer.cut(_cubes(num, ("B4", "B8"), ragged=True)))


def _prithvi() -> Drawn:
    tokenizer = PrithviTokenizer(DIM, 4, 4, 2, BANDS, ("time", "location"))
    return Drawn(
        tokenizer,
        Trunk(replace(OPEN, num_prefix=1)),
        lambda num: tokenizer.cut(_cubes(num, tuple(band.name for band in SENTINEL), ragged=False)),
    )


def _vit(config: PatchConfig, trunk: TrunkConfig) -> Drawn:
    tokenizer = PatchTokenizer(config)
    return Drawn(tokenizer, Trunk(trunk), lambda num: tokenizer.cut(pictures(num)))


def _dinov2() -> Drawn:
    return _vit(VIT, replace(OPEN, num_prefix=3, pooling="cls", layer_scale=True, gated=True, activation="silu"))


def _dinov3() -> Drawn:
    trunk = replace(OPEN, num_prefix=3, pooling="cls", layer_scale=True, key_bias=False, space=SPACE, space_axes=2)
    return _vit(replace(VIT, side=0, is_rotary=True), trunk)


def _siglip2() -> Drawn:
    tokenizer = NaFlexTokenizer(replace(VIT, has_class_token=False, num_registers=0, has_mask_token=False))
    trunk = Trunk(replace(OPEN, pooling="map", activation="gelu_tanh"))
    return Drawn(tokenizer, trunk, lambda num: tokenizer.cut(pictures(num)))


def _siglip2_text(tmp: str = ".") -> Drawn:
    from pathlib import Path

    tokenizer = WordTokenizer(DIM, 40, 6, Path(tmp))
    trunk = Trunk(replace(OPEN, pooling="last", project=16, activation="gelu_tanh"))
    return Drawn(tokenizer, trunk, lambda num: tokenizer.cut_inputs(_words(num)))


def _own() -> Drawn:
    tokenizer = StreamsTokenizer(read_specs(own_samples(6)), DIM)
    return Drawn(tokenizer, Trunk(OWN), lambda num: tokenizer.cut(own_samples(num)))


MADE: dict[str, Callable[[], Drawn]] = {
    "presto": _presto, "galileo": _galileo, "prithvi": _prithvi, "dinov2": _dinov2, "dinov3": _dinov3,
    "siglip2": _siglip2, "siglip2_text": _siglip2_text, "mainstem": _own,
}  # fmt: skip


def drawn(family: str) -> Drawn:
    """Draw every weight, also those that begin at zero or one, which would hide faults."""
    torch.manual_seed(0)
    found = MADE[family]()
    for part in (found.tokenizer, found.trunk):
        part.eval().requires_grad_(False)
        for parameter in part.parameters():
            parameter.normal_(0, 0.3)
    return found
