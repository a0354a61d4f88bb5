"""From a name, a folder or a file to a model's config and tensors; nothing on disk is run."""

import os
import re
import shutil
import threading
import time
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor

from mainstem.core.errors import ArtifactError, InputError, MainstemError
from mainstem.core.files import home, scratch, sync_file, write_atomically
from mainstem.core.openmodels.base import Weights
from mainstem.core.schema import printable, read_object
from mainstem.core.transport import LEAST_RATE, LOOK_S, Wanted
from mainstem.core.transport import fetch as fetch_file
from mainstem.core.weights import file_sha256, load_pt, load_tensors

PREFERRED = ("model.safetensors", "default_model.pt", "encoder.pt", "pytorch_model.bin")
INDEX = "model.safetensors.index.json"
CONFIGS = ("config.json", "default.json")
HOSTS = ("raw.githubusercontent.com", "media.githubusercontent.com")  # to which github.com sends for files
BYTES_A_PARAMETER = 16  # at most: float64, twice; published files have 4 to 9
BYTES_BESIDE = 64 << 20  # configs, tokenizers, image processors
LARGEST_REPO = 16 << 30  # of a hub repository that is not listed
STALL_S = 300.0  # over which the hub's least rate is taken: it hashes what is there, and asks for each file
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

    Args:
        name: of the list, or owner/name on the hub.
        root: where it is staged.
        mirror: the only place to take it from: laid out as `models pull --to` does, or as the data sets' mirror.
            MAINSTEM_MIRROR is one too, but for hub repositories that it lacks.

    Raises:
        InputError: if the name is unknown, or the mirror lacks a file.
        ArtifactError: if a file cannot be had, or its hash is not the one on record.
    """
    _check_name(name)
    listing = listings().get(name)
    target = staged_folder(name, root)
    told = mirror or (Path(os.environ["MAINSTEM_MIRROR"]) if os.environ.get("MAINSTEM_MIRROR") else None)
    if listing is not None and isinstance(listing.files, Mapping):
        source = None if told is None else _in_mirror(listing, told)
        for local, remote in listing.files.items():
            _fetch_file(listing, local, remote, source, target)
    elif told is not None and (mirror is not None or is_whole(staged_folder(name, told))):
        _copy_repo(name, told, target)
    else:
        _fetch_repo(name, listing, target)
    write_atomically(target / COMPLETE, b"every file is here\n")
    return target


def _in_mirror(listing: Listing, mirror: Path) -> Path:
    staged = staged_folder(listing.name, mirror)
    return staged if is_whole(staged) or not listing.mirror else mirror / listing.mirror


def _fetch_file(listing: Listing, local: str, remote: str, source: Path | None, target: Path) -> None:
    wanted = (listing.sha256 or {}).get(local, "")
    if wanted and (target / local).is_file() and file_sha256(target / local) == wanted:
        return
    if source is not None:
        _copy(source / local, target / local, wanted)
        return
    address = f"{listing.url}/{remote}"
    hosts = (urllib.parse.urlsplit(address).hostname or "", *HOSTS)
    largest = int(listing.million_parameters * 1e6) * BYTES_A_PARAMETER + (1 << 20)
    try:
        fetch_file(Wanted(address=address, hosts=hosts, sha256=wanted, largest=largest), target / local)
    except InputError as error:
        raise ArtifactError(
            f"cannot fetch {local} of {listing.name} ({error}); stage it by mainstem models pull elsewhere"
        ) from error


def _copy(source: Path, path: Path, sha256: str = "") -> None:
    """Copy a mirror's file, whole or not at all.

    Raises:
        InputError: if the mirror lacks it; nothing is fetched in its stead.
        ArtifactError: if it is another file, or cannot be written.
    """
    if not source.is_file():  # nor a pipe, which would never end
        raise InputError(f"the mirror has no file {source}; stage it there by mainstem models pull NAME --to DIR")
    try:
        with scratch(path) as folder:
            part = folder / path.name
            shutil.copyfile(source, part)
            sync_file(part)
            if sha256 and file_sha256(part) != sha256:
                raise ArtifactError(f"{source} has another sha256 than the one on record; it was changed: refused")
            part.replace(path)
    except OSError as error:
        raise ArtifactError(f"cannot copy {source} ({error.strerror or error}); check rights and space") from error


def _copy_repo(name: str, mirror: Path, target: Path) -> None:
    """Copy what `models pull --to` staged of a hub repository."""
    source = staged_folder(name, mirror)
    if not is_whole(source):
        raise InputError(f"the mirror has no whole {source}; stage it there by mainstem models pull {name} --to DIR")
    for path in sorted(source.iterdir()):
        if path.is_file():
            _copy(path, target / path.name)


def _fetch_repo(name: str, listing: Listing | None, target: Path) -> Path:
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    repo = listing.repo if listing else name
    patterns = list(listing.files) if listing else list(REPO_FILES)
    target.mkdir(parents=True, exist_ok=True)
    try:
        _within_limits(lambda: _download_repo(repo, patterns, target), repo, listing, target)
    except GatedRepoError as error:
        raise ArtifactError(
            f"{repo} is gated: {listing.gate if listing and listing.gate else 'accept its licence'}"
        ) from error
    except RepositoryNotFoundError as error:
        raise InputError(f"the hub has no model {repo!r} that you may read; check its name or log in") from error
    except MainstemError:
        raise
    except Exception as error:  # the library's HTTP client has errors of its own, another with each version
        raise ArtifactError(
            f"cannot reach the hub for {repo}; on a machine with network run: mainstem models pull {name} --to DIR"
        ) from error
    return target


def _download_repo(repo: str, patterns: Sequence[str], target: Path) -> None:
    """Download a repository's files one by one: the hub's own pool would keep a process that has given up alive."""
    from huggingface_hub import HfApi, hf_hub_download

    found = HfApi().model_info(repo)
    for name in [file.rfilename for file in found.siblings or ()]:
        if any(fnmatch(name, pattern) for pattern in patterns) and ".." not in Path(name).parts:
            hf_hub_download(repo, name, local_dir=target, revision=found.sha)


def _within_limits(download: Callable[[], object], repo: str, listing: Listing | None, target: Path) -> None:
    """Wait for the hub's library, which bounds each read alone: neither the whole nor the rate.

    Raises:
        ArtifactError: if it is too slow or sends too much; and what the library raises.
    """
    most = LARGEST_REPO if listing is None else int(listing.million_parameters * 1e6) * BYTES_A_PARAMETER + BYTES_BESIDE
    is_over, errors = threading.Event(), list[Exception]()

    def run() -> None:
        try:
            download()
        except Exception as error:
            errors.append(error)
        finally:
            is_over.set()

    threading.Thread(target=run, daemon=True).start()
    since, before = time.monotonic(), _bytes_in(target)
    while not is_over.wait(LOOK_S):
        there, spent = _bytes_in(target), time.monotonic() - since
        if there > most:
            raise ArtifactError(f"{repo} is larger than {most:,} bytes; delete {target} and fetch it by other means")
        if spent > STALL_S and there - before < LEAST_RATE * spent:
            raise ArtifactError(f"{repo} comes at less than {LEAST_RATE:,} bytes a second; run the same command later")
        if spent > STALL_S:
            since, before = time.monotonic(), there
    if errors:
        raise errors[0]


def _bytes_in(folder: Path) -> int:
    """Bytes of the files below a folder, those still being written included; files come and go meanwhile."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(place, name)).st_size
    return total


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
