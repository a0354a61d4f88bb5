"""Named data sets: their address, sha256, licence and known faults; pulled once, verified always."""

import difflib
import hashlib
import os
import re
import urllib.parse
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from mainstem.core.errors import InputError
from mainstem.core.files import home, sweep
from mainstem.core.transport import Wanted, copy, fetch

LAYOUT = "v1"  # of the folders below MAINSTEM_HOME
HOST = "raw.githubusercontent.com"


@dataclass(frozen=True, kw_only=True)
class DataFile:
    """One file: its name in the set's folder, its path upstream ("": it lies nowhere so), size in bytes, sha256."""

    name: str
    upstream: str
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """One data set; `folder` is its path below MAINSTEM_HOME/v1 and below a mirror."""

    name: str
    title: str
    folder: str
    repository: str
    commit: str
    licence: str
    attribution: str
    scale: str
    known_faults: tuple[str, ...]
    files: tuple[DataFile, ...]


@cache
def read_catalogue() -> Mapping[str, DataSet]:
    """Return all data sets by name."""
    entries = yaml.safe_load((Path(__file__).parent / "catalogue.yaml").read_text())
    return MappingProxyType({name: _entry(name, entry) for name, entry in entries.items()})


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """What a simulator makes: a regular expression of the names that its reader takes, licence and source."""

    names: str
    licence: str
    source: str


def find_simulation(name: str) -> Simulation | None:
    """Return what is known of a simulated set of this name, None where there is none; nothing is simulated."""
    return next((made for made in _simulations() if re.fullmatch(made.names, name)), None)


@cache
def _simulations() -> tuple[Simulation, ...]:
    entries = yaml.safe_load((Path(__file__).parent / "simulations.yaml").read_text())
    return tuple(Simulation(**entry) for entry in entries.values())


@dataclass(frozen=True, kw_only=True)
class MadeSet:
    """A set that a reader makes of others: names in the catalogue, and licence and source of what else is in it."""

    parts: tuple[str, ...]
    others: tuple[tuple[str, str], ...]


def find_made_set(name: str) -> MadeSet | None:
    """Return of what a set of this name is made, None where it is none; nothing is made."""
    entry = _made_sets().get(name)
    if entry is None:
        return None
    others = tuple((other["licence"], other["source"]) for other in entry["others"])
    return MadeSet(parts=tuple(entry["parts"]), others=others)


@cache
def _made_sets() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "made_sets.yaml").read_text())
    return found


def parts_of(name: str) -> tuple[DataSet, ...]:
    """Return the catalogue's sets that a name stands for: its own, those that it is made of, or none."""
    known, made = read_catalogue(), find_made_set(name)
    return tuple(known[part] for part in (made.parts if made else (name,)) if part in known)


@cache
def names() -> frozenset[str]:
    """Return the names of all data sets."""
    return frozenset(yaml.safe_load((Path(__file__).parent / "catalogue.yaml").read_text()))


def own_name(name: str) -> str:
    """The name by which a user's own files go, which is no data set's: that alone goes by it which `pull` opened."""
    return f"own {name}" if name in names() else name


def _entry(name: str, entry: dict[str, object]) -> DataSet:
    faults, files, upstream = entry.pop("known_faults"), entry.pop("files"), entry.pop("upstream", "")
    assert isinstance(faults, list)
    if isinstance(files, str):
        files = _listed(Path(__file__).parent / files, str(upstream))
    assert isinstance(files, list)
    texts = {key: str(value) for key, value in entry.items()}
    return DataSet(name=name, known_faults=tuple(faults), files=tuple(DataFile(**file) for file in files), **texts)


def _listed(path: Path, upstream: str) -> list[dict[str, object]]:
    """Files of a set of many, a line each: its name, a colon, its size in bytes and sha256; all below `upstream`.

    One that lies elsewhere has its path in the repository after these, one that lies nowhere upstream as it is a dash.
    """
    lines = [line.partition(": ") for line in path.read_text().splitlines() if not line.startswith("#")]
    return [_listed_file(name, told, f"{upstream}/{name}" if upstream else name) for name, _, told in lines]


def _listed_file(name: str, told: str, usual: str) -> dict[str, object]:
    size, sha256, *elsewhere = told.split()
    place = elsewhere[0] if elsewhere else usual
    return {"name": name, "upstream": "" if place == "-" else place, "size": int(size), "sha256": sha256}


def find_data_set(name: str) -> DataSet:
    """Return the set of this name.

    Raises:
        InputError: if there is none; the nearest name is suggested.
    """
    known = read_catalogue()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
        raise InputError(f"got data set {name!r}, which the catalogue lacks; {hint}")
    return known[name]


def data_home() -> Path:
    """Where pulled sets live: MAINSTEM_HOME or ~/.mainstem, and the layout's version."""
    return home() / LAYOUT


def is_pulled(name: str) -> bool:
    """True where every file of the set is here at its size; `verify` reads them whole."""
    data_set = find_data_set(name)
    paths = [(data_home() / data_set.folder / file.name, file.size) for file in data_set.files]
    return all(path.is_file() and path.stat().st_size == size for path, size in paths)


def pull(name: str, mirror: Path | None = None, only: Collection[str] = ()) -> Path:
    """Bring a set's files into MAINSTEM_HOME, each checked against its sha256, and return their folder.

    Args:
        name: of the set.
        mirror: a folder to copy from; else MAINSTEM_MIRROR; else the upstream repository over https.
        only: names of files, where not all are wanted.

    Raises:
        InputError: if a file is missing, is not the one the catalogue names, or cannot be written.
    """
    data_set = find_data_set(name)
    if mirror is None and os.environ.get("MAINSTEM_MIRROR"):
        mirror = Path(os.environ["MAINSTEM_MIRROR"])
    folder = data_home() / data_set.folder
    try:
        for file in [file for file in data_set.files if not only or file.name in only]:
            (folder / file.name).parent.mkdir(parents=True, exist_ok=True)
            if not _is_whole(folder / file.name, file):
                _bring(data_set, file, folder / file.name, mirror)
    except OSError as error:
        raise InputError(f"cannot pull {name}: {error}; check the mirror, the network and the space on disk") from error
    return folder


def verify(name: str) -> list[str]:
    """Return the names of files that are absent or differ from the catalogue; empty where the set is whole.

    Raises:
        InputError: if one cannot be read.
    """
    data_set = find_data_set(name)
    folder = data_home() / data_set.folder
    try:
        return [file.name for file in data_set.files if not _is_whole(folder / file.name, file)]
    except OSError as error:
        raise InputError(f"cannot read {name} in {folder} ({error}); check its rights") from error


def prune(name: str) -> int:
    """Delete a set's files, links among them and what a killed pull left, and return how many there were.

    Raises:
        InputError: if one cannot be deleted.
    """
    data_set = find_data_set(name)
    paths = [data_home() / data_set.folder / file.name for file in data_set.files]
    present = [path for path in paths if os.path.lexists(path)]
    try:
        for path in present:
            path.unlink()
        for path in paths:
            if path.parent.is_dir():
                sweep(path)
    except OSError as error:
        raise InputError(f"cannot delete {name}: {error}; check its rights") from error
    return len(present)


def _bring(data_set: DataSet, file: DataFile, path: Path, mirror: Path | None) -> None:
    """Copy a file from a mirror, or fetch it."""
    if mirror is None and not file.upstream:
        raise InputError(f"{file.name} lies in no public place as it is; give --mirror DIR, which holds it")
    if mirror is None:
        address = f"https://{HOST}/{data_set.repository}/{data_set.commit}/{urllib.parse.quote(file.upstream)}"
        fetch(Wanted(address=address, hosts=(HOST,), size=file.size, sha256=file.sha256, largest=file.size), path)
        return
    source = mirror / data_set.folder / file.name
    if not source.is_file():  # nor a pipe, which would never end
        raise InputError(f"{mirror} has no file {data_set.folder}/{file.name}; check the mirror")
    if source.stat().st_size != file.size or not copy(source, path, file.sha256):
        raise InputError(f"{file.name} is not the file that the catalogue names (sha256 or size differs); pull again")


def _is_whole(path: Path, file: DataFile) -> bool:
    if not path.is_file() or path.stat().st_size != file.size:
        return False
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest() == file.sha256
