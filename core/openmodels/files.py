"""From a name, a folder or a file to a model's config and tensors; nothing on disk is run."""

import os
import re
import shutil
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from http.client import HTTPException
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor

from mainstem.core.errors import ArtifactError, InputError
from mainstem.core.files import home, scratch, sync_file, write_atomically
from mainstem.core.openmodels.base import Weights
from mainstem.core.schema import printable, read_object
from mainstem.core.weights import file_sha256, load_pt, load_tensors

PREFERRED = ("model.safetensors", "default_model.pt", "encoder.pt", "pytorch_model.bin")
INDEX = "model.safetensors.index.json"
CONFIGS = ("config.json", "default.json")
SAFE = (".safetensors",)
CHECKED = (".pt", ".pth", ".bin")
REPO_FILES = (
    "config.json",
    "preprocessor_config.json",
    "tokenizer*",
    "special_tokens_map.json",
    "*.safetensors",
    INDEX,
)


COMPLETE = ".cache/mainstem/complete"  # written last: a folder without it was left halfway; the hub keeps its own there
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
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


@dataclass(frozen=True, kw_only=True)
class Listing:
    """A named open model: where it is fetched from and what its users must know.

    `files` are patterns of a hub repository, or local names by path below `url`.
    """

    name: str
    family: str
    files: Sequence[str] | Mapping[str, str]
    million_parameters: float
    licence: str
    expects: str
    repo: str = ""
    url: str = ""
    sha256: Mapping[str, str] | None = None
    mirror: str = ""
    gate: str = ""


@cache
def listings() -> dict[str, Listing]:
    """Every named open model."""
    plain = yaml.safe_load(Path(__file__).with_name("models.yaml").read_text(encoding="utf-8"))
    return {name: Listing(name=name, **facts) for name, facts in plain.items()}


def models_home() -> Path:
    """Where staged models live: MAINSTEM_HOME/models."""
    return home() / "models"


def staged_folder(name: str, root: Path) -> Path:
    """The folder of a named model or hub repository below a root."""
    return root / name.replace("/", "--")


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
    return Weights(name=name, config=_config(folder), state=_state(path), folder=folder)


def locate(name: str) -> Path:
    """The folder of a named model: staged, on the mirror, or fetched now."""
    _check_name(name)
    staged = staged_folder(name, models_home())
    return staged if is_whole(staged) else fetch(name, models_home())


def is_whole(staged: Path) -> bool:
    """True where a model was staged to its end; what a kill left halfway is fetched again."""
    return (staged / COMPLETE).is_file()


def _check_name(name: str) -> None:
    """Refuse what is no known model and no hub repository: a path that does not exist is never asked of the hub.

    Raises:
        InputError: if it is neither.
    """
    if name in listings():
        return
    path = Path(name)
    looks_like_path = path.suffix in (*SAFE, *CHECKED, ".json", ".npz") or (
        len(path.parts) > 1 and path.parent.exists()
    )
    if looks_like_path or not HUB_NAME.fullmatch(name) or ".." in name or "--" in name:
        raise InputError(
            f"got {printable(name)!r}, which is no file, folder, known model or hub repository (owner/name); "
            "see mainstem models list"
        )


def fetch(name: str, root: Path, mirror: Path | None = None) -> Path:
    """Stage a model's files below a root and return its folder.

    Raises:
        InputError: if the name is unknown.
        ArtifactError: if a file cannot be had, or its hash is not the one on record.
    """
    _check_name(name)
    listing = listings().get(name)
    if mirror is None and "MAINSTEM_MIRROR" in os.environ:
        mirror = Path(os.environ["MAINSTEM_MIRROR"])
    target = staged_folder(name, root)
    if listing is not None and isinstance(listing.files, Mapping):
        source = mirror / listing.mirror if mirror is not None and listing.mirror else None
        for local, remote in listing.files.items():
            _fetch_file(listing, local, remote, source, target)
    else:
        _fetch_repo(name, listing, target)
    write_atomically(target / COMPLETE, b"every file is here\n")
    return target


def _fetch_file(listing: Listing, local: str, remote: str, source: Path | None, target: Path) -> None:
    wanted = (listing.sha256 or {}).get(local)
    if wanted and (target / local).is_file() and file_sha256(target / local) == wanted:
        return
    try:
        with scratch(target / local) as made:
            part = made / local
            if source is not None and (source / local).is_file():
                shutil.copyfile(source / local, part)
            else:
                with urllib.request.urlopen(f"{listing.url}/{remote}", timeout=60) as answer, part.open("wb") as file:  # noqa: S310 - https addresses of models.yaml alone
                    shutil.copyfileobj(answer, file)
            sync_file(part)
            if wanted and file_sha256(part) != wanted:
                raise ArtifactError(
                    f"{local} of {listing.name} has another sha256 than the one on record; it was changed: refused"
                )
            part.replace(target / local)
    except (OSError, HTTPException) as error:
        raise ArtifactError(
            f"cannot fetch {local} of {listing.name} ({error}); stage it by mainstem models pull elsewhere"
        ) from error


def _fetch_repo(name: str, listing: Listing | None, target: Path) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    repo = listing.repo if listing else name
    patterns = list(listing.files) if listing else list(REPO_FILES)
    try:
        snapshot_download(repo, local_dir=target, allow_patterns=patterns)
    except GatedRepoError as error:
        raise ArtifactError(
            f"{repo} is gated: {listing.gate if listing and listing.gate else 'accept its licence'}"
        ) from error
    except RepositoryNotFoundError as error:
        raise InputError(f"the hub has no model {repo!r} that you may read; check its name or log in") from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise ArtifactError(
            f"cannot reach the hub for {repo}; on a machine with network run: mainstem models pull {name} --to DIR"
        ) from error
    return target


def _config(folder: Path) -> dict[str, Any]:
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
