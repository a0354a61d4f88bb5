"""From a name, a folder or a file to a model's config and tensors; nothing on disk is run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from mainstem.core.errors import ArtifactError
from mainstem.core.openmodels.base import Weights
from mainstem.core.openmodels.fetching import CHECKED, INDEX, SAFE, locate
from mainstem.core.schema import printable, read_object
from mainstem.core.weights import load_pt, load_tensors

PREFERRED = ("model.safetensors", "default_model.pt", "encoder.pt", "pytorch_model.bin")
CONFIGS = ("config.json", "default.json")
TOWERS = ("vision_config", "text_config", "pretrained_cfg", "encoder")
WIDE = 1 << 14
SIZES: dict[str, tuple[float, float, type]] = {  # wider than any published encoder; what is beyond was damaged
    **dict.fromkeys(("hidden_size", "embed_dim", "embedding_size", "encoder_embed_dim"), (1, WIDE, int)),
    **dict.fromkeys(("num_hidden_layers", "depth", "encoder_depth"), (1, 256, int)),
    **dict.fromkeys(("num_attention_heads", "num_heads", "encoder_num_heads"), (1, 256, int)),
    "intermediate_size": (1, 8 * WIDE, int), "projection_size": (1, 4 * WIDE, int), "num_channels": (1, 1024, int),
    "num_patches": (1, 1 << 20, int), "image_size": (1, WIDE, int), "img_size": (1, WIDE, int),
    "num_register_tokens": (0, 1024, int), "max_position_embeddings": (1, 1 << 16, int),
    "vocab_size": (1, 1 << 21, int), "mlp_ratio": (0.1, 64, float), "rope_theta": (1e-3, 1e9, float),
    "layer_norm_eps": (1e-12, 1e-2, float),
}  # fmt: skip


def read_weights(name: str) -> Weights:
    """Read a local file or folder, a staged or named model, or a hub repository.

    Raises:
        InputError: if there is none of that name.
        ArtifactError: if files are damaged, unsafe, or ask for code of their own.
    """
    path = Path(name)
    if not path.exists():
        path = locate(name)
    if not path.is_dir() and not path.is_file():
        raise ArtifactError(f"{path} is no plain file or folder; name one that holds weights")
    folder = path if path.is_dir() else path.parent
    return Weights(name=name, config=read_config(folder), state=_state(path), folder=folder)


def read_config(folder: Path) -> dict[str, Any]:
    """Read the config beside weights; {} where there is none.

    Raises:
        ArtifactError: if it is damaged, or asks for code of its own.
    """
    for name in CONFIGS:
        path = folder / name
        if path.is_file():
            config = read_object(path)
            if "auto_map" in config:
                raise ArtifactError(f"{path} asks to run code of its own (auto_map); only known families are read")
            check_sizes(config, str(path))
            return config
    return {}


def check_sizes(config: Mapping[str, Any], name: str) -> None:
    """Check the sizes of a config, its towers' included, before anything is made of them.

    Raises:
        ArtifactError: if one is no whole number, or no encoder is that large or small.
    """
    for key, value in config.items():
        if key in TOWERS and isinstance(value, dict):
            check_sizes(value, name)
        if key not in SIZES:
            continue
        least, most, kind = SIZES[key]
        is_number = isinstance(value, int if kind is int else (int, float)) and not isinstance(value, bool)
        if value is not None and not (is_number and least <= value <= most):
            raise ArtifactError(f"{name} says {key} {printable(value)}, want {least} to {most}; fetch it again")


def _state(path: Path) -> dict[str, Tensor]:
    if path.is_file():
        return _tensors(path)
    for name in PREFERRED:
        if (path / name).is_file():
            return _tensors(path / name)
    if (path / INDEX).is_file():
        return _sharded(path)
    found = sorted(file for file in path.iterdir() if file.suffix in (*SAFE, *CHECKED))
    if len(found) != 1:
        names = ", ".join(file.name for file in found) or "none"
        raise ArtifactError(f"{path} holds weights {names}; want one file, or name the file itself")
    return _tensors(found[0])


def _tensors(path: Path) -> dict[str, Tensor]:
    if path.suffix in SAFE:
        return load_tensors(path)[0]
    if path.suffix in CHECKED:
        return load_pt(path)
    raise ArtifactError(f"{path.name} is no .safetensors, .pt, .pth or .bin file")


def _sharded(folder: Path) -> dict[str, Tensor]:
    """Tensors of a sharded checkpoint; the index names each key's file, which must lie beside it."""
    places = read_object(folder / INDEX).get("weight_map")
    if not isinstance(places, dict) or not places or not all(isinstance(name, str) for name in places.values()):
        raise ArtifactError(f"{folder / INDEX} names no file for each weight; fetch it again")
    state: dict[str, Tensor] = {}
    for name in sorted(set(places.values())):
        if Path(name).name != name or Path(name).suffix not in SAFE:
            raise ArtifactError(
                f"{folder / INDEX} names {printable(name)!r}, a file elsewhere or of another kind; refused"
            )
        state |= load_tensors(folder / name)[0]
    if set(state) != set(places):
        raise ArtifactError(f"{folder / INDEX} and its shards hold different keys; fetch them again")
    return state
