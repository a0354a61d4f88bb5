"""Studies that the clinician's page shows: those of the demonstration, and what a user opens for a session.

A study is a folder: its files in `input/`, and study.json with a title of ours, its origin and what each model says.
No text of a file gets into it: a title, a number and a hash name a study.
"""

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.files import write_atomically
from mainstem.core.schema import read_object
from mainstem.data.catalogue import data_home

INPUT, FACTS = "input", "study.json"
WHOLE = f"[!.]*/{FACTS}"  # of studies below a folder, without those that are being written
MOST_FILES = 5000


@dataclass(frozen=True, kw_only=True)
class Layer:
    """What a model lays over the slices: a file of arrays (z, y, x) uint8, a mask's names; none for a heatmap."""

    file: str
    title: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Study:
    """One study.

    Attributes:
        id: opaque, of its contents.
        title: ours; `kind` says what it is: its modality and how many images.
        series: the key of what it is in its files, where they hold several things.
        patient: whose it is, for a pseudonym: kept in memory, never written or shown; "" where no file says so.
        facts: what is told beside the files and of the whole set, as its age band; never of a person.
        predictions: as `Prediction.to_dict` writes them.
        pixel_sha256: of every slice, those that no model reads too.
        truth: what the data set says, shown in hindsight; "" where unknown.
    """

    id: str
    folder: Path
    title: str
    kind: str
    note: str = ""
    series: str = ""
    simulated: bool | None = None
    attribution: str = ""
    facts: Mapping[str, str]
    predictions: tuple[Mapping[str, Any], ...] = ()
    layers: tuple[Layer, ...] = ()
    pixel_sha256: str = ""
    truth: str = ""
    patient: str = field(default="", repr=False)

    @property
    def files(self) -> Path:
        """Where its files lie."""
        return self.folder / INPUT


def clinic_folder() -> Path:
    """Where the demonstration's studies lie."""
    return data_home() / "clinic"


def opaque(*parts: str | bytes) -> str:
    """Return a name that tells nothing of what it is made of."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else part)
        digest.update(b"|")
    return digest.hexdigest()[:12]


def write_study(study: Study) -> None:
    """Write a study's facts beside its files; whose it is is none of them."""
    write_atomically(study.folder / FACTS, json.dumps(facts_of(study)).encode())


def read_study(folder: Path) -> Study:
    """Read a study's facts.

    Raises:
        InputError: if they are damaged.
    """
    return study_of(folder, read_object(folder / FACTS, InputError))


def facts_of(study: Study) -> dict[str, Any]:
    """A study's facts as JSON has them; whose it is is none of them."""
    return {name: value for name, value in asdict(study).items() if name not in ("folder", "patient")}


def study_of(folder: Path, facts: Mapping[str, Any]) -> Study:
    """Return the study in a folder by its facts.

    Raises:
        InputError: if they are damaged.
    """
    told = dict(facts)
    try:
        layers = tuple(
            Layer(file=str(one["file"]), title=str(one["title"]), names=tuple(map(str, one["names"])))
            for one in told.pop("layers")
        )
        predictions = tuple(told.pop("predictions"))
        return Study(folder=folder, layers=layers, predictions=predictions, **told)
    except (TypeError, KeyError) as error:
        raise InputError(f"{folder.name}/{FACTS} is damaged; delete the folder and run mainstem demo again") from error


def write_layer(study: Study, number: int, values: NDArray[np.uint8]) -> str:
    """Write what a model lays over a study (z, y, x) under the study's own name; return the file's."""
    file = f"layer-{study.id}-{number}.npz"
    np.savez_compressed(study.folder / file, values=values, study=np.array(study.id))
    return file


def read_layer(study: Study, layer: Layer, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Read what a model lays over a study whose slices are of a shape (z, y, x).

    Raises:
        InputError: if it is damaged, of another study, or of another shape.
    """
    try:
        with np.load(study.folder / layer.file, allow_pickle=False) as kept:
            values, whose = kept["values"], str(kept["study"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise InputError("a mask of the study cannot be read; open the files again, or make the demo anew") from error
    if (whose, values.shape, values.dtype) != (study.id, shape, np.dtype(np.uint8)):
        raise InputError(
            f"a mask {values.shape} is not of this study {shape}; open the files again, or make the demo anew"
        )
    found: NDArray[np.uint8] = values
    return found


def known_studies(folder: Path) -> list[Study]:
    """Studies that are whole, in the order of their titles."""
    found = [read_study(path.parent) for path in sorted(folder.glob(WHOLE))]
    return sorted(found, key=lambda study: study.title)


def keep_files(folder: Path, contents: Mapping[str, bytes]) -> Path:
    """Keep a user's files under numbers, for their names may be patients'; return where they lie.

    Raises:
        InputError: if there is none, or there are too many.
    """
    if not 0 < len(contents) <= MOST_FILES:
        raise InputError(f"got {len(contents)} files, want 1 to {MOST_FILES}; choose fewer, or give them as a zip")
    kept = folder / INPUT
    for number, (name, content) in enumerate(contents.items()):
        write_atomically(kept / f"{number:05d}{_ending(name)}", content)
    return kept


def _ending(name: str) -> str:
    return next((ending for ending in (".nii.gz", ".nii", ".zip") if name.lower().endswith(ending)), ".dcm")
