"""Harvests that a user brings to the page: logs kept under a name, and mapped beside the pages."""

import json
import shlex
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mainstem.apps.field_maps import check_file_name, fields_in, free_folder, maps_folder
from mainstem.apps.fields.harvest import HarvestSpec, harvest
from mainstem.apps.fields.harvest_files import HARVEST, write_map
from mainstem.core.errors import InputError
from mainstem.core.files import new_folder, write_atomically
from mainstem.core.progress import Progress, silent
from mainstem.data.earth.fields import SUFFIXES, open_fields
from mainstem.data.earth.harvests.cleaning import RULES
from mainstem.data.earth.harvests.columns import Reading, said_of
from mainstem.data.earth.harvests.kinds import SHAPES, TABLES
from mainstem.data.earth.harvests.reading import read_parts

LOGS, SAID, BORDERS = "logs", "said.json", "borders"
TASKS = "taskdata.xml"  # in any case, with its timelogs (.xml and .bin) beside it
KINDS = (*TABLES, *(suffix for suffix in SHAPES if suffix != ".shp"), ".xml", ".bin")  # a Shapefile comes in a .zip
LARGEST_BYTES = 1 << 20
MOST_ALIKE = 100  # maps whose names differ by a number
LONGEST_STEM = 25  # letters of a map's name before a field's number
OPTIONS = ("--unit", "--column", "--crs", "--crop")


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    counts: dict[str, int] = Field(max_length=100)
    notes: tuple[str, ...] = Field(max_length=100, strict=False)


def said_on_page(units: Mapping[str, str], options: str, crop: str) -> Reading:
    """Return what the page's pickers say (units by quantity, "": as the file tells), and the options typed beside them.

    Raises:
        InputError: if a word among the options is none of OPTIONS with what follows it.
    """
    given: dict[str, list[str]] = {name: [] for name in OPTIONS}
    try:
        words = shlex.split(options)
    except ValueError as error:
        raise InputError(f"got {options[:60]!r}, whose quotes do not close; close them") from error
    for name, word in zip(words[::2], [*words[1::2], ""], strict=False):
        if name not in given or not word:
            raise InputError(f"got {name[:40]!r}, want --unit swath=ft, --column yield=Ertrag or --crs EPSG:n")
        given[name].append(word)
    picked = [f"{quantity}={unit}" for quantity, unit in units.items() if unit]
    crs, typed = (given[name][0] if given[name] else None for name in ("--crs", "--crop"))
    return said_of([*picked, *given["--unit"]], given["--column"], crop.strip() or typed, crs)


def keep_logs(name: str, files: Mapping[str, bytes], said: Reading, borders: Mapping[str, bytes] | None = None) -> None:
    """Keep a user's logs under a name, and the file of the fields' borders if there is one; whole, or not at all.

    Raises:
        InputError: if the name is odd or taken, or the logs or borders cannot be read as they are.
    """
    folder = free_folder(name)
    borders = borders or {}
    for file in borders:
        check_file_name(file)
        if not file.lower().endswith(SUFFIXES):
            raise InputError(f"got borders {file!r:.60}, want {', '.join(SUFFIXES)}")
    for file in files:
        check_file_name(file)
        if not file.lower().endswith(KINDS):
            raise InputError(f"got a file {file!r:.60}, want logs as {', '.join(KINDS)}")
    with new_folder(folder) as made:
        for file, content in files.items():
            write_atomically(made / LOGS / file, content)
        for file, content in borders.items():
            write_atomically(made / BORDERS / file, content)
            open_fields(made / BORDERS / file)
        read_parts(logs_in(made), said)
        write_atomically(made / LOGS / SAID, json.dumps(asdict(said)).encode())


def logs_in(folder: Path) -> list[Path]:
    """The logs that are kept for a map: files, or the folder of a terminal's task data."""
    found = sorted(path for path in (folder / LOGS).iterdir() if path.suffix.lower() in KINDS)
    return [folder / LOGS] if any(path.name.lower() == TASKS for path in found) else found


def make_harvest(name: str, progress: Progress = silent) -> str:
    """Map the logs that are kept under a name; what fails or is stopped leaves the name free again.

    Task data of several fields become a map each, the first under the name, the others with their field's number, and
    another behind it where that name is taken.

    Raises:
        InputError: saying what is wrong with them.
    """
    folder, made = maps_folder() / name, []
    try:
        said = Reading(**json.loads((folder / LOGS / SAID).read_text()))
        borders = fields_in(folder / BORDERS) if (folder / BORDERS).is_dir() else None
        found = harvest(HarvestSpec(paths=tuple(logs_in(folder)), said=said, fields=borders), progress)
        for one in found[1:]:
            made.append(_free_beside(f"{name[:LONGEST_STEM]} {one.name}"))
            write_map(one, made[-1])
        write_map(found[0], folder)
    except BaseException:  # also a job that is stopped
        for place in (*made, folder):
            shutil.rmtree(place, ignore_errors=True)
        raise
    return name


def _free_beside(name: str) -> Path:
    """The folder of a map of this name, or of the name with the first number behind it that is free.

    Raises:
        InputError: if MOST_ALIKE are taken.
    """
    for number in range(1, MOST_ALIKE):
        with suppress(InputError):
            return free_folder(name if number == 1 else f"{name} {number}")
    return free_folder(name)


def read_counts(folder: Path) -> tuple[dict[str, int], tuple[str, ...]]:
    """Records read, kept, corrected and taken out by each rule of a harvest's map, and what was said of its files.

    Raises:
        InputError: if its file is damaged.
    """
    path = folder / HARVEST
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise InputError(f"{HARVEST} of {folder.name} is beyond 1 MiB; make the map again")
        told = _Told.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise InputError(f"{HARVEST} of {folder.name} is damaged; make the map again") from error
    known = ("read", *RULES, "corrected", "kept")
    return {rule: told.counts[rule] for rule in known if rule in told.counts}, told.notes


def is_harvest(folder: Path) -> bool:
    """True for a map that a harvest made."""
    return (folder / HARVEST).is_file()
