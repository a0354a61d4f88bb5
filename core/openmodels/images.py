"""Image tokenizer of the vision transformers: patches, class token, registers, added or rotary positions."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from mainstem.core.errors import ArtifactError, ChannelError, InputError
from mainstem.core.openmodels.base import Weights
from mainstem.core.openmodels.facts import TokenizerFacts
from mainstem.core.openmodels.inputs import as_tensor, only
from mainstem.core.schema import printable, read_object
from mainstem.core.stream import Sample
from mainstem.core.tokens import Inputs, OpenTokenizer, Patches, TokenBatch, cells

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean and std of RGB 0-1, as the DINO families use them
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))  # SigLIP's
LARGEST_NORMALISED = 64.0  # no normalised pixel is that far from zero: values beyond were never normalised
NAMES = ("image", "pixel_values")
RGB, GREY = ("red", "green", "blue"), ("grey",)  # channels of an image stream, pure numbers 0-1
MOST_WEIGHTS = 1 << 28  # of patches and positions: a GiB; the largest encoders have 20 MiB


@dataclass(frozen=True, kw_only=True)
class PatchConfig:
    """How images become tokens.

    Attributes:
        side: patches along a side of the square that the learned positions cover; 0 where none are added.
        has_class_token, num_registers: what goes before the patches.
        is_antialiased: how positions are resized (bicubic).
        is_rotary: patches carry their centres in the image plane, -1..1 along each side, for the trunk to rotate.
        mean, std: of RGB 0-1, for images given as such.
        repeats_grey: the family was trained on grey images repeated to RGB.
    """

    dim: int
    patch_size: int
    num_channels: int = 3
    side: int = 0
    has_class_token: bool = True
    num_registers: int = 0
    has_mask_token: bool = False
    is_antialiased: bool = False
    is_rotary: bool = False
    mean: Sequence[float] = IMAGENET[0]
    std: Sequence[float] = IMAGENET[1]
    repeats_grey: bool = False

    def __post_init__(self) -> None:
        weights = self.dim * (self.num_channels * self.patch_size**2 + self.side**2)
        if self.patch_size < 1 or self.side < 0 or weights > MOST_WEIGHTS:
            raise InputError(
                f"patches of {self.patch_size} pixels, {self.side} a side, are no encoder's; mend the config"
            )
        if not len(self.mean) == len(self.std) == self.num_channels:
            raise InputError(f"got {len(self.mean)} means for {self.num_channels} channels; mend the config")


def normalisation(folder: Path, default: tuple[Sequence[float], Sequence[float]]) -> tuple[list[float], list[float]]:
    """Mean and std of a folder's `preprocessor_config.json`, or the family's."""
    path = folder / "preprocessor_config.json"
    plain = read_object(path) if path.is_file() else {}
    mean, std = (plain.get(name, usual) for name, usual in zip(("image_mean", "image_std"), default, strict=True))
    for name, values, least in (("image_mean", mean, -1e6), ("image_std", std, 1e-6)):
        given = values if isinstance(values, list | tuple) else ()
        told = [value for value in given if isinstance(value, int | float) and not isinstance(value, bool)]
        if not given or len(told) < len(given) or not all(least <= value <= 1e6 for value in told):
            raise ArtifactError(f"{path} says {name} {printable(values)}, want numbers a channel, std above 0; mend it")
    return list(mean), list(std)


def dino_patches(weights: Weights) -> PatchConfig:
    """What the hub's config of a DINO family says; one mean and std for all colours: grey images, as RAD-DINO's."""
    config, (mean, std) = weights.config, normalisation(weights.folder, IMAGENET)
    return PatchConfig(
        dim=int(config["hidden_size"]), patch_size=int(config["patch_size"]), mean=mean, std=std,
        num_channels=int(config.get("num_channels", 3)), repeats_grey=len(set(mean)) == len(set(std)) == 1,
    )  # fmt: skip


def read_images(inputs: Inputs, config: PatchConfig) -> list[Tensor] | Tensor:
    """Normalised images, (n, channel, y, x) or, of unequal sizes, a list of (channel, y, x).

    `image` holds uint8 0-255 or float 0-1, channels first or last; `pixel_values` what is normalised already. Either
    may be a list of images of unequal sizes. Nothing is resized: sides must divide by the patch size.

    Raises:
        InputError: if both or neither are given, or type, range, channels or sides are not what they must be.
    """
    given = [name for name in NAMES if name in inputs]
    if len(given) != 1:
        raise InputError(f"got {' and '.join(given) or 'no image'}, want one of {' or '.join(NAMES)}")
    name, values = given[0], inputs[given[0]]
    if isinstance(values, (list, tuple)):
        images = [read_one(name, value, config) for value in values]
        if not images:
            raise InputError(f"got an empty list of {name}, want at least one image")
        return torch.stack(images) if len({image.shape for image in images}) == 1 else images
    return read_one(name, values, config, is_batch=True)


def read_one(name: str, values: object, config: PatchConfig, is_batch: bool = False) -> Tensor:
    """One image, or a batch of them, normalised and channels first."""
    array = np.asarray(values)
    if name == "image":
        array = _scaled(array)
    lead = "n, " if is_batch else ""
    tensor = as_tensor(name, array, f"({lead}{config.num_channels}, y, x)", 4 if is_batch else 3)
    if tensor.shape[-3] != config.num_channels and tensor.shape[-1] == config.num_channels:
        tensor = tensor.movedim(-1, -3)
    if tensor.shape[-3] != config.num_channels:
        raise InputError(f"got {name} of shape {tuple(tensor.shape)}, want {config.num_channels} channels")
    if any(side < config.patch_size or side % config.patch_size for side in tensor.shape[-2:]):
        raise InputError(
            f"got an image of {tensor.shape[-2]} x {tensor.shape[-1]}, want sides that divide by {config.patch_size}; "
            "crop or pad it"
        )
    if not tensor.isfinite().all():
        raise InputError(f"{name} holds NaN or infinity; fill or drop those images")
    if name == "image":
        shape = (-1, 1, 1)
        return (tensor - torch.tensor(config.mean).view(shape)) / torch.tensor(config.std).view(shape)
    if tensor.abs().max() > LARGEST_NORMALISED:
        raise InputError(
            f"got pixel_values up to {float(tensor.abs().max()):.0f}, want normalised ones; give raw ones as image"
        )
    return tensor


def cut_images(samples: Sequence[Sample], config: PatchConfig) -> list[Tensor] | Tensor:
    """Normalised images of samples' one `image` stream, as `read_images` gives them.

    Raises:
        ChannelError: if channels are not red, green and blue, or grey where the family was trained on such.
        InputError: naming the item, if it has no image or several, or one that cannot be read as it is.
    """
    images = []
    for sample in samples:
        try:
            images.append(read_one("image", _rgb(sample, config), config))
        except (InputError, ChannelError) as error:
            raise type(error)(f"{sample.source.item}: {error}") from error
    return torch.stack(images) if len({image.shape for image in images}) == 1 else images


def _rgb(sample: Sample, config: PatchConfig) -> np.ndarray[Any, Any]:
    """The pixels (3, y, x) of a sample's image, NaN where they are not valid."""
    found = [stream for stream in sample.streams.values() if stream.kind == "image"]
    if len(found) != 1 or config.num_channels != len(RGB):
        raise InputError(f"it has {len(found)} images, this model reads one in RGB; give one")
    names = tuple(channel.name for channel in found[0].channels)
    units = {channel.unit for channel in found[0].channels}
    wanted = GREY if names == GREY and config.repeats_grey else RGB
    if sorted(names) != sorted(wanted) or units != {"1"}:
        also = ", or grey" if config.repeats_grey else "; a grey image is no RGB to it"
        raise ChannelError(f"got {', '.join(names)} in {', '.join(sorted(units))}, want {', '.join(RGB)} in 1{also}")
    seen = found[0].observed()
    values = found[0].values if seen.all() else np.where(seen, found[0].values, np.nan)
    return values[[names.index(name) for name in (wanted if wanted == RGB else 3 * GREY)]]


def _scaled(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if array.dtype == np.uint8:
        return array.astype(np.float32) / 255
    if np.issubdtype(array.dtype, np.floating):
        low, high = float(np.nanmin(array)), float(np.nanmax(array))
        if low < 0 or high > 1:
            raise InputError(
                f"got a float image from {low:.3g} to {high:.3g}, want 0-1; scale it by its own full range"
            )
        return array
    raise InputError(f"got an image of {array.dtype}, want uint8 0-255 or float 0-1; scale 16 bits by a window first")


def centres(rows: int, columns: int) -> Tensor:
    """Centres of patches (rows * columns, 4), (t, z, y, x) with y and x in -1..1, float64."""
    y = (torch.arange(rows, dtype=torch.float64) + 0.5) / rows * 2 - 1
    x = (torch.arange(columns, dtype=torch.float64) + 0.5) / columns * 2 - 1
    positions = torch.zeros(rows, columns, 4, dtype=torch.float64)
    positions[..., 2], positions[..., 3] = y[:, None], x[None]
    return positions.flatten(0, 1)


def pad_tokens(values: Sequence[Tensor], positions: Sequence[Tensor], num_prefix: int = 0) -> TokenBatch:
    """Stack the tokens of unequal images, each (tokens, dim), zeros where padded; the first are no patches."""
    longest = max(len(tokens) for tokens in values)
    mask = torch.stack([torch.arange(longest, device=tokens.device) < len(tokens) for tokens in values])
    return TokenBatch(
        values=torch.stack([F.pad(tokens, (0, 0, 0, longest - len(tokens))) for tokens in values]),
        positions=torch.stack([F.pad(place, (0, 0, 0, longest - len(place))) for place in positions]),
        stream=torch.zeros_like(mask, dtype=torch.int64),
        mask=mask,
        cell=cells(mask, num_prefix),
        is_dense=all(len(tokens) == longest for tokens in values),
    )


class PatchTokenizer(OpenTokenizer):
    """Images (n, channel, y, x) to class token, registers and patches; see `read_images` for what is taken."""

    main_input = "pixel_values"

    def __init__(self, config: PatchConfig) -> None:
        super().__init__()
        self.config = config
        self.patch = nn.Conv2d(config.num_channels, config.dim, config.patch_size, config.patch_size)
        has_class = config.has_class_token
        self.class_token = nn.Parameter(torch.zeros(config.dim)) if has_class else None
        self.registers = nn.Parameter(torch.zeros(config.num_registers, config.dim)) if config.num_registers else None
        self.mask_token = nn.Parameter(torch.zeros(config.dim)) if config.has_mask_token else None
        self.num_prefix = int(has_class) + config.num_registers
        learned = config.side**2 + int(has_class) if config.side else 0
        self.positions = nn.Parameter(torch.zeros(learned, config.dim)) if learned else None

    def cut_inputs(self, inputs: Inputs) -> Patches:
        """Return normalised images, a list of them where their sizes differ."""
        only(inputs, NAMES)
        return Patches(parts={"pixels": read_images(inputs, self.config)})

    def cut(self, samples: Sequence[Sample]) -> Patches:
        """Return the normalised images of samples with one `image` stream each."""
        return Patches(parts={"pixels": cut_images(samples, self.config)})

    def facts(self) -> dict[str, Any]:
        """Return what it takes to build the tokenizer again."""
        return {"kind": "images", **plain_config(self.config)}

    def project(self, patches: Patches) -> TokenBatch:
        """Return tokens; images of unequal sizes are padded to the longest."""
        pixels = patches.parts["pixels"]
        if isinstance(pixels, Tensor):
            return self._tokens(pixels)
        each = [self._tokens(image.unsqueeze(0)) for image in pixels]
        return pad_tokens([one.values[0] for one in each], [one.positions[0] for one in each], self.num_prefix)

    def _tokens(self, pixels: Tensor) -> TokenBatch:
        num = len(pixels)
        grid = self.patch(pixels.to(self.patch.weight))
        rows, columns = grid.shape[-2:]
        values = [grid.flatten(2).transpose(1, 2)]
        if self.class_token is not None:
            values.insert(0, self.class_token.expand(num, 1, -1))
        if self.positions is not None:
            values = [torch.cat(values, 1) + self._resized(rows, columns)]
        if self.registers is not None:
            joined = torch.cat(values, 1)
            values = [joined[:, :1], self.registers.expand(num, -1, -1), joined[:, 1:]]
        tokens = torch.cat(values, 1)
        positions = torch.zeros(num, tokens.shape[1], 4, dtype=torch.float64, device=tokens.device)
        if self.config.is_rotary:
            positions[:, -rows * columns :] = centres(rows, columns).to(tokens.device)
        mask = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
        return TokenBatch(
            values=tokens,
            positions=positions,
            stream=torch.zeros_like(mask, dtype=torch.int64),
            mask=mask,
            cell=cells(mask, self.num_prefix),
            is_dense=True,
        )

    def _resized(self, rows: int, columns: int) -> Tensor:
        """Learned positions of class token and patches, bicubic where the grid is not the one they were learned on."""
        assert self.positions is not None
        side, first = self.config.side, int(self.config.has_class_token)
        if (rows, columns) == (side, side):
            return self.positions
        square = self.positions[first:].T.reshape(1, -1, side, side).float()
        resized = resize(square, rows, columns, "bicubic", self.config.is_antialiased)
        return torch.cat([self.positions[:first], resized.to(self.positions)])


def plain_config(config: PatchConfig) -> dict[str, Any]:
    """A config in plain JSON types, without the width, which is the trunk's."""
    return {k: list(v) if isinstance(v, list | tuple) else v for k, v in asdict(config).items() if k != "dim"}


def resize(square: Tensor, rows: int, columns: int, mode: Literal["bicubic", "bilinear"], antialias: bool) -> Tensor:
    """Positions (1, dim, side, side) resized to (rows * columns, dim)."""
    resized = F.interpolate(square, (rows, columns), mode=mode, align_corners=False, antialias=antialias)
    return resized.flatten(2)[0].T


Statistics = Annotated[list[Annotated[float, Field(ge=-1e6, le=1e6)]], Field(min_length=1, max_length=64)]


class ImagesFacts(TokenizerFacts):
    """The vision transformers: what `PatchConfig` says, without the width; `naflex` is SigLIP 2's."""

    kind: Literal["images", "naflex"]
    patch_size: Annotated[int, Field(ge=1, le=256)]
    num_channels: Annotated[int, Field(ge=1, le=64)]
    side: Annotated[int, Field(ge=0, le=1024)]
    has_class_token: bool
    num_registers: Annotated[int, Field(ge=0, le=1024)]
    has_mask_token: bool
    is_antialiased: bool
    is_rotary: bool
    mean: Statistics
    std: Statistics
    repeats_grey: bool

    def num_weights(self, dim: int) -> int:
        """A lower bound."""
        return (self.num_channels * self.patch_size**2 + self.side**2) * dim

    def tokenizer(self, dim: int) -> OpenTokenizer:
        """Build it."""
        config = PatchConfig(dim=dim, **self.model_dump(exclude={"kind"}))
        return self.made(config).requires_grad_(False)

    def made(self, config: PatchConfig) -> OpenTokenizer:
        """Build it of a config."""
        return PatchTokenizer(config)
