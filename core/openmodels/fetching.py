"""Open models by name: staged below MAINSTEM_HOME from the hub, an address or a mirror, whole or not at all."""

import os
import re
import threading
import time
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import yaml

from mainstem.core.errors import ArtifactError, InputError, MainstemError
from mainstem.core.files import home, write_atomically
from mainstem.core.schema import printable
from mainstem.core.transport import LEAST_RATE, LOOK_S, Wanted, copy
from mainstem.core.transport import fetch as fetch_file
from mainstem.core.weights import file_sha256

INDEX = "model.safetensors.index.json"
HOSTS = ("raw.githubusercontent.com", "media.githubusercontent.com")  # to which github.com sends for files
BYTES_A_PARAMETER = 16  # at most: float64, twice; published files have 4 to 9
BYTES_BESIDE = 64 << 20  # configs, tokenizers, image processors
LARGEST_REPO = 16 << 30  # of a hub repository that is not listed
STALL_S = 300.0  # over which the hub's least rate is taken: it hashes what is there, and asks for each file
SAFE = (".safetensors",)
CHECKED = (".pt", ".pth", ".bin")
REPO_FILES = (
    "config.json", "preprocessor_config.json", "tokenizer*", "special_tokens_map.json", "*.safetensors", INDEX,
)  # fmt: skip
COMPLETE = ".cache/mainstem/complete"  # written last: a folder without it was left halfway; the hub keeps its own there
REVISION = re.compile(r"[0-9a-f]{40}")  # of a commit: a branch or a tag may come to mean another
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")


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


def locate(name: str) -> Path:
    """The folder of a named model: staged, on the mirror, or fetched now."""
    check_name(name)
    return _staged(name, models_home()) or fetch(name, models_home())


def pinned(name: str) -> str:
    """Return the name with the revision that is staged of a hub repository, as NAME@REVISION; it is fetched if need be.

    Whatever is no hub repository, a file, a size or a model whose files' hashes are on record, is returned as it is.
    """
    base, revision = split_revision(name)
    listing = listings().get(base)
    is_hub = not Path(name).exists() and (listing.repo if listing else HUB_NAME.fullmatch(base))
    if revision or not is_hub:
        return name
    found = revision_of(locate(name))
    return f"{name}@{found}" if found else name


def split_revision(name: str) -> tuple[str, str]:
    """Return a model's name, and the revision that is asked for; "" for the newest, or the one that is staged."""
    base, _, revision = name.partition("@")
    return base, revision


def revision_of(staged: Path) -> str:
    """The revision of a hub repository that a folder was staged from; "" where none is known."""
    told = (staged / COMPLETE).read_text(encoding="utf-8").strip() if is_whole(staged) else ""
    return told if REVISION.fullmatch(told) else ""


def _staged(name: str, root: Path) -> Path | None:
    """The whole folder of a model below a root, of the revision that is asked for, if any; None where there is none."""
    base, revision = split_revision(name)
    for folder in dict.fromkeys((staged_folder(name, root), staged_folder(base, root))):
        if is_whole(folder) and revision in ("", revision_of(folder)):
            return folder
    return None


def is_whole(staged: Path) -> bool:
    """True where a model was staged to its end; what a kill left halfway is fetched again."""
    return (staged / COMPLETE).is_file()


def is_fetched(name: str) -> bool:
    """True for a name of the list or of a hub repository, which is staged before it is read; no size or path is."""
    base = split_revision(name)[0]
    return not Path(name).exists() and (base in listings() or HUB_NAME.fullmatch(base) is not None)


def check_name(name: str) -> None:
    """Refuse what is no known model and no hub repository: a path that does not exist is never asked of the hub.

    Raises:
        InputError: if it is neither.
    """
    base, revision = split_revision(name)
    if base in listings() and not revision:
        return
    path = Path(name)
    looks_like_path = path.suffix in (*SAFE, *CHECKED, ".json", ".npz") or (
        len(path.parts) > 1 and path.parent.exists()
    )
    is_hub = HUB_NAME.fullmatch(base) and ".." not in base and "--" not in base
    if revision and (base in listings() or (is_hub and not looks_like_path)):
        if base in listings() and not listings()[base].repo:
            raise InputError(f"got {printable(name)}: the files of {base} are known by their sha256; leave @ out")
        if not REVISION.fullmatch(revision):
            raise InputError(f"got {printable(name)}: want the 40 digits of a commit after @, not a branch or a tag")
        return
    if looks_like_path or not is_hub or "@" in name:
        raise InputError(
            f"got {printable(name)!r}, which is no file, folder, known model or hub repository (owner/name); "
            "see mainstem models list"
        )


def fetch(name: str, root: Path, mirror: Path | None = None) -> Path:
    """Stage a model's files below a root and return its folder.

    Args:
        name: of the list, or owner/name on the hub; NAME@COMMIT for one revision of a repository.
        root: where it is staged.
        mirror: the only place to take it from: laid out as `models pull --to` does, or as the data sets' mirror.
            MAINSTEM_MIRROR is one too, but for hub repositories that it lacks.

    Raises:
        InputError: if the name is unknown, or the mirror lacks a file.
        ArtifactError: if a file cannot be had, or its hash is not the one on record.
    """
    check_name(name)
    listing, revision = listings().get(split_revision(name)[0]), ""
    target = staged_folder(name, root)
    told = mirror or (Path(os.environ["MAINSTEM_MIRROR"]) if os.environ.get("MAINSTEM_MIRROR") else None)
    if listing is not None and isinstance(listing.files, Mapping):
        source = None if told is None else _in_mirror(listing, told)
        for local, remote in listing.files.items():
            _fetch_file(listing, local, remote, source, target)
    elif told is not None and (mirror is not None or _staged(name, told)):
        revision = _copy_repo(name, told, target)
    else:
        revision = _fetch_repo(name, listing, target)
    write_atomically(target / COMPLETE, f"{revision or 'every file is here'}\n".encode())
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
        is_right = copy(source, path, sha256)
    except OSError as error:
        raise ArtifactError(f"cannot copy {source} ({error.strerror or error}); check rights and space") from error
    if not is_right:
        raise ArtifactError(f"{source} has another sha256 than the one on record; it was changed: refused")


def _copy_repo(name: str, mirror: Path, target: Path) -> str:
    """Copy what `models pull --to` staged of a hub repository; return its revision, "" where none is known."""
    source = _staged(name, mirror)
    if source is None:
        lacking = staged_folder(name, mirror)
        raise InputError(f"the mirror has no whole {lacking}; stage it there by mainstem models pull {name} --to DIR")
    for path in sorted(source.iterdir()):
        if path.is_file():
            _copy(path, target / path.name)
    return revision_of(source)


def _fetch_repo(name: str, listing: Listing | None, target: Path) -> str:
    """Download a repository; return the revision that came."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    base, wanted = split_revision(name)
    repo, found = listing.repo if listing else base, list[str]()
    patterns = list(listing.files) if listing else list(REPO_FILES)
    target.mkdir(parents=True, exist_ok=True)
    try:
        _within_limits(lambda: found.append(_download_repo(repo, wanted, patterns, target)), repo, listing, target)
    except GatedRepoError as error:
        raise ArtifactError(
            f"{repo} is gated: {listing.gate if listing and listing.gate else 'accept its licence'}"
        ) from error
    except RepositoryNotFoundError as error:
        raise InputError(f"the hub has no model {repo!r} that you may read; check its name or log in") from error
    except RevisionNotFoundError as error:
        raise InputError(f"the hub's {repo!r} has no revision {wanted}; check it, or leave @ out") from error
    except MainstemError:
        raise
    except Exception as error:  # the library's HTTP client has errors of its own, another with each version
        raise ArtifactError(
            f"cannot reach the hub for {repo}; on a machine with network run: mainstem models pull {name} --to DIR"
        ) from error
    return found[0]


def _download_repo(repo: str, wanted: str, patterns: Sequence[str], target: Path) -> str:
    """Download a repository's files one by one: the hub's own pool would keep a process that has given up alive."""
    from huggingface_hub import HfApi, hf_hub_download

    found = HfApi().model_info(repo, revision=wanted or None)
    for name in [file.rfilename for file in found.siblings or ()]:
        if any(fnmatch(name, pattern) for pattern in patterns) and ".." not in Path(name).parts:
            hf_hub_download(repo, name, local_dir=target, revision=found.sha)
    return found.sha or ""


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
