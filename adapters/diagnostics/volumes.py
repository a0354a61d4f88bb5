"""Volumes in training: MONAI's random transforms, seeded, and its U-Net, beside which masks are scored."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mainstem.core.devices import Precision, in_precision
from mainstem.core.errors import MissingExtraError
from mainstem.core.stream import Sample
from mainstem.core.tokens import Patches

Array = NDArray[np.float64]
BOX = (32, 48, 32)  # z, y and x of what training sees at once: most of a crop
SHIFT = 4.0  # voxels either way, so that a crop's rim is seen too
TURN, STRETCH = 0.25, 0.15  # radians about each axis, and share of the size
MOST_SEED = 2**31
STRIDES = (2, 2, 2)  # of the U-Net
SECONDS = 340.0  # of the processor: what a member of ours takes (40 epochs of 166 crops, on a core of its own)
BATCH_SIZE, LR_PER_STEP, WEIGHT_DECAY = 2, 2e-3, 0.01


@dataclass(frozen=True, kw_only=True, eq=False)
class Marked:
    """Volumes, standardised, and their labels (volumes, z, y, x), -1 where a volume has no voxel."""

    samples: Sequence[Sample]
    labels: Array


@cache
def _transforms() -> Any:  # noqa: ANN401 - MONAI's Compose
    """MONAI's transforms of nnU-Net's kinds (Isensee et al. 2021, methods, data augmentation), of a sagittal mirror."""
    try:
        from monai import transforms as of
    except ImportError as error:
        raise MissingExtraError("monai", "medical") from error
    both = ("image", "label")
    return of.Compose(
        [
            of.RandFlipd(both, prob=0.5, spatial_axis=2),
            of.RandAffined(
                both,
                prob=1.0,
                rotate_range=(TURN, TURN, TURN),
                scale_range=(STRETCH, STRETCH, STRETCH),
                translate_range=(SHIFT, SHIFT, SHIFT),
                spatial_size=BOX,
                mode=("bilinear", "nearest"),
                padding_mode=("border", "zeros"),
            ),
            of.RandScaleIntensityd("image", factors=0.25, prob=0.5),
            of.RandShiftIntensityd("image", offsets=0.3, prob=0.5),
            of.RandAdjustContrastd("image", prob=0.3, gamma=(0.7, 1.5), retain_stats=True),
            of.RandGaussianNoised("image", prob=0.3, std=0.15),
        ]
    )


def turned(patches: Patches, aims: Tensor, generator: torch.Generator) -> tuple[Patches, Tensor]:
    """Return a batch turned, stretched, shifted, mirrored and with another contrast, in boxes of BOX, and its labels.

    Positions stay those of the volume's first corner.
    """
    values = patches["image.values"]
    seeds = torch.randint(MOST_SEED, (len(values),), generator=generator).tolist()
    every = [_turned(*pair, seed) for pair, seed in zip(zip(values, aims, strict=True), seeds, strict=True)]
    images, labels = zip(*every, strict=True)
    return Patches(parts={**patches.parts, "image.values": torch.stack(images)}), torch.stack(labels)


def _turned(values: Tensor, labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """One volume (1, z, y, x), NaN beyond its last voxel, and its labels, both in a box of BOX."""
    from monai.data import get_track_meta, set_track_meta

    sides = [int(index.max()) + 1 for index in torch.nonzero(values[0].isfinite(), as_tuple=True)]
    box = (slice(None), *(slice(0, side) for side in sides))
    given = {"image": values[box].nan_to_num(), "label": labels[None][box].float()}
    before = get_track_meta()
    set_track_meta(False)
    try:
        found = _transforms().set_random_state(seed)(given)
    finally:
        set_track_meta(before)
    return found["image"].float(), found["label"][0].to(labels.dtype)


def unet(known: Marked, asked: Sequence[Sample], grid: Sequence[int], seed: int) -> Array:
    """Return labels (cases, *grid) by MONAI's U-Net, trained for SECONDS of the processor on samples and their labels.

    With residual units and instance norm (Kerfoot et al. 2018, Left-ventricle quantification using residual U-Net), by
    Dice and cross entropy, as ours is, at the same rate. In bfloat16 as ours, but in float32 on a processor without
    bfloat16, where its convolutions would take thirteen times as long.
    """
    from monai.losses import DiceCELoss
    from monai.networks.nets import UNet

    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    values, aims = _stacked(known.samples, grid), torch.from_numpy(known.labels)
    num_classes = int(aims.max()) + 1
    model = UNet(
        spatial_dims=3, in_channels=1, out_channels=num_classes, channels=(16, 32, 64, 128), strides=STRIDES,
        num_res_units=2,
    )  # fmt: skip
    loss_of = DiceCELoss(to_onehot_y=True, softmax=True, include_background=False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR_PER_STEP, weight_decay=WEIGHT_DECAY)
    ask = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)  # builds without the library have no such
    precision: Precision = "bfloat16" if ask is not None and ask() else "float32"
    start = time.process_time()
    order: list[int] = []
    while (share := (time.process_time() - start) / SECONDS) < 1:
        order = order or torch.randperm(len(values), generator=generator).tolist()
        rows, order = torch.tensor(order[:BATCH_SIZE]), order[BATCH_SIZE:]
        patches, labels = turned(Patches(parts={"image.values": values[rows]}), aims[rows], generator)
        optimizer.param_groups[0]["lr"] = LR_PER_STEP * min(10 * share + 0.01, 0.5 * (1 + math.cos(math.pi * share)))
        with in_precision(torch.device("cpu"), precision):
            logits = model(patches["image.values"])
        loss = loss_of(logits.float(), labels[:, None])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return _labels(model.eval(), asked, grid)


def _stacked(samples: Sequence[Sample], grid: Sequence[int]) -> Tensor:
    """Volumes (samples, 1, *grid), NaN where a sample has no voxel."""
    found = torch.full((len(samples), 1, *grid), float("nan"))
    for row, sample in zip(found, samples, strict=True):
        values = torch.from_numpy(sample.streams["image"].values)
        row[(slice(None), *(slice(0, side) for side in values.shape[1:]))] = values
    return found


def _labels(model: torch.nn.Module, samples: Sequence[Sample], grid: Sequence[int]) -> Array:
    """Labels by MONAI's sliding window: boxes as training saw them, overlapping by half, weighed by a Gaussian."""
    from monai.inferers import sliding_window_inference

    found = np.zeros((len(samples), *grid), np.int8)
    for row, sample in zip(found, samples, strict=True):
        sides = sample.streams["image"].values.shape[1:]
        with torch.no_grad():
            whole = _stacked([sample], sides).nan_to_num()
            logits = sliding_window_inference(whole, BOX, BATCH_SIZE, model, overlap=0.5, mode="gaussian")[0]
        row[tuple(slice(0, side) for side in sides)] = logits.argmax(0).numpy()
    return found  # type: ignore[return-value]  # labels, int8
