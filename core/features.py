"""Features of a frozen trunk, computed once a sample and kept by content; heads train on them."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mainstem.core.devices import Precision, in_precision
from mainstem.core.errors import ArtifactError
from mainstem.core.files import home
from mainstem.core.tokens import OpenTokenizer, Patches, weights_device
from mainstem.core.trunk import Trunk
from mainstem.core.weights import load_tensors, save_tensors, state_sha256

VERSION = "1"  # of tokenizing and pooling: raise it when the same weights and rows would give other features
BATCH_SIZE = 256
KEYS = "keys"


def cache_folder() -> Path:
    """Where features are kept: MAINSTEM_HOME/features."""
    return home() / "features"


def model_key(tokenizer: OpenTokenizer, trunk: Trunk, precision: Precision = "float32") -> str:
    """Hash of all weights, the trunk's switches and the way of making features: kind of device, precision."""
    parts = {f"tokenizer.{name}": value for name, value in tokenizer.state_dict().items()}
    parts |= {f"trunk.{name}": value for name, value in trunk.state_dict().items()}
    made = f"{VERSION}|{weights_device(trunk).type}|{precision}|{type(tokenizer).__name__}"
    text = f"{made}|{trunk.config!r}|{state_sha256(parts)}"
    return hashlib.sha256(text.encode()).hexdigest()


def row_keys(patches: Patches) -> list[bytes]:
    """Hash of each sample's patches: names, types, shapes and bytes."""
    digests = [hashlib.sha256() for _ in range(len(patches))]
    for name in sorted(patches.parts):
        for digest, row in zip(digests, patches.each(name), strict=True):
            digest.update(f"{name}|{row.dtype}|{tuple(row.shape)}|".encode())
            digest.update(row.contiguous().numpy().tobytes())
    return [digest.digest() for digest in digests]


def frozen_features(
    tokenizer: OpenTokenizer,
    trunk: Trunk,
    batches: Iterable[Patches],
    folder: Path | None = None,
    precision: Precision = "float32",
) -> Tensor:
    """Pooled latents (samples, dim) of a frozen tokenizer and trunk; only samples not yet kept are computed.

    A file is named after the weights' hash and holds features by the hash of what was read, so that none of another
    model, or of changed data, is ever taken; a damaged file is computed anew.
    """
    path = (folder or cache_folder()) / f"{model_key(tokenizer, trunk, precision)}.safetensors"
    kept = _read(path, trunk.config.project or trunk.config.dim)
    every: list[bytes] = []
    known = len(kept)
    for patches in batches:
        keys = row_keys(patches)
        missing = sorted({key: row for row, key in enumerate(keys) if key not in kept}.values())
        if missing:
            computed = _compute((tokenizer, trunk), patches.rows(torch.tensor(missing)), precision)
            kept |= {keys[row]: feature for row, feature in zip(missing, computed, strict=True)}
        every += keys
    if len(kept) > known:
        _write(path, kept)
    return torch.stack([kept[key] for key in every])


def _compute(parts: tuple[OpenTokenizer, Trunk], patches: Patches, precision: Precision) -> Tensor:
    tokenizer, trunk = parts
    device = weights_device(trunk)
    with torch.no_grad(), in_precision(device, precision):
        found = [
            trunk.eval()(tokenizer.project(patches.rows(rows).to(device))).pooled.float().cpu()
            for rows in torch.split(torch.arange(len(patches)), BATCH_SIZE)
        ]
    return torch.cat(found)


def _read(path: Path, dim: int) -> dict[bytes, Tensor]:
    if not path.is_file():
        return {}
    try:
        tensors, metadata = load_tensors(path)
    except ArtifactError:
        return {}
    keys, features = tensors.get(KEYS), tensors.get("features")
    if keys is None or features is None or features.shape != (len(keys), dim) or metadata.get("model") != path.stem:
        return {}
    names = [bytes(row) for row in keys.numpy().astype(np.uint8)]
    return dict(zip(names, features, strict=True))


def _write(path: Path, kept: dict[bytes, Tensor]) -> None:
    keys = torch.tensor([list(key) for key in kept], dtype=torch.uint8)
    save_tensors(path, {KEYS: keys, "features": torch.stack(list(kept.values()))}, {"model": path.stem})
