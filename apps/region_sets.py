"""Region sets that the dashboards offer: real counties, simulated regions, and what users brought themselves."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mainstem.adapters.crop_yield import TASK
from mainstem.apps.finetune import aside_of, fit_where_none, is_fitted
from mainstem.apps.hindsight import keep_looked_back, look_back, looked_back_file
from mainstem.core.errors import ArtifactError, InputError
from mainstem.core.files import new_folder
from mainstem.core.fitted import load_run
from mainstem.core.fitted_file import read_manifest
from mainstem.core.progress import Progress, part_of, silent
from mainstem.core.samples import SampleSet
from mainstem.core.task import DataRequest
from mainstem.data.catalogue import data_home, find_data_set, is_pulled
from mainstem.data.earth.open_regions import OWN, licensed
from mainstem.data.earth.outlines import read_centres
from mainstem.data.earth.regions import load_cybench
from mainstem.data.hearing import hearing

REAL, SIMULATED = "us-maize", "simulated-maize"
FILE_NAME = re.compile(r"(yield|ndvi|fpar|soil|crop_calendar|location)_([a-z]+)_([A-Z]{2})\.csv")
SET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _-]{0,39}")
FITTED = 0.8  # of the time that training takes has gone when the run is written; the rest goes to looking back
NOTES = "notes.txt"  # beside a user's tables: what was understood of them, and what was left out


@dataclass(frozen=True, kw_only=True)
class RegionChoice:
    """One set on offer: its title, and the folder where a user's own files lie."""

    name: str
    title: str
    folder: Path | None = None
    crop: str | None = None
    country: str | None = None

    def read(self) -> SampleSet:
        """Read the samples; of a user's set with yields throughout, the newest season is kept for showing."""
        if self.folder is None:
            return TASK.read(DataRequest(data=self.name))
        assert self.crop is not None
        assert self.country is not None
        return hold_out_newest(licensed(load_cybench(self.folder, self.crop, self.country, self.name), OWN))

    def run(self) -> Path:
        """Return where the run of this set lives."""
        return run_folder(self.name)

    def is_trained(self) -> bool:
        """True where a run of this set can be read."""
        return is_fitted(TASK, self.run())

    def damage(self) -> str:
        """Say what is wrong with a run that is there and cannot be read; "" where there is none, or a good one."""
        if not (self.run() / "adapter.safetensors").exists():
            return ""
        try:
            read_manifest(self.run())
        except ArtifactError as error:
            return str(error)
        return ""

    def outdated(self) -> str:
        """Say that a run of another version is there, and where training keeps it; "" where there is none such."""
        try:
            version = read_manifest(self.run())[0].version
        except ArtifactError:
            return ""
        if version == TASK.version:
            return ""
        return (
            f"The model of these regions was made by version {version} of {TASK.name}, this is version {TASK.version}. "
            f"Training makes a new one and keeps the old as {aside_of(self.run()).name}."
        )

    def notes(self) -> list[str]:
        """Say what was understood of a user's tables beyond the plain reading, and what was left out, a line a table.

        Raises:
            InputError: if the notes cannot be read.
        """
        path = None if self.folder is None else self.folder / NOTES
        if path is None or not path.is_file():
            return []
        try:
            return path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeError) as error:
            raise InputError(f"{NOTES} of {self.name} cannot be read; bring the files again to see it") from error

    def train(self, progress: Progress = silent) -> None:
        """Fit and write the run, and look back; one of another version, or that cannot be read, is set aside."""
        fit_where_none(TASK, self.run(), self.read, part_of(progress, 0.0, FITTED))
        self.look_back(part_of(progress, FITTED, 1.0))

    def has_looked_back(self) -> bool:
        """True where what the model says of past seasons is kept.

        Raises:
            ArtifactError: if the run cannot be read.
        """
        return looked_back_file(self.name, load_run(self.run(), TASK).adapter_sha256).is_file()

    def look_back(self, progress: Progress = silent) -> None:
        """Keep what the model says of past seasons, each without what learned from it.

        Raises:
            ArtifactError: if the run cannot be read.
        """
        fitted = load_run(self.run(), TASK)
        looked = look_back(fitted, self.read(), progress)
        keep_looked_back(looked, looked_back_file(self.name, fitted.adapter_sha256))


def run_folder(data: str) -> Path:
    """Return where the run of a region set is kept."""
    return data_home() / "runs" / f"{TASK.name}-{data}"


def choices() -> list[RegionChoice]:
    """Return the sets on offer, real ones first."""
    found = []
    if is_pulled(REAL) and is_pulled("us-counties"):
        found.append(RegionChoice(name=REAL, title=f"US counties, maize (real): {find_data_set(REAL).title}"))
    for folder in sorted(uploads().iterdir()) if uploads().is_dir() else []:
        tables = sorted(folder.glob("*/*/yield_*.csv"))
        if tables and SET_NAME.fullmatch(folder.name) and folder.name not in (REAL, SIMULATED):
            crop, country = tables[0].parts[-3], tables[0].parts[-2]
            found.append(
                RegionChoice(
                    name=folder.name,
                    title=f"{folder.name}: your {crop} in {country}",
                    folder=folder,
                    crop=crop,
                    country=country,
                )
            )
    return [*found, RegionChoice(name=SIMULATED, title="64 simulated regions, maize (simulated)")]


def hold_out_newest(source: SampleSet) -> SampleSet:
    """Return the set with its newest season kept for showing, where every season has its yields already."""
    if source.test_groups or len(source.labelled()) < len(source.samples):
        return source
    newest = max(str(sample.source.group) for sample in source.samples)
    return replace(source, test_groups=frozenset({newest}))


def uploads() -> Path:
    """Return the folder of users' own region sets."""
    return data_home() / "uploads"


def keep_upload(name: str, files: Mapping[str, bytes]) -> RegionChoice:
    """Check and keep a user's CY-Bench files under a name; nothing is kept of a set that cannot be read.

    A run of tables that had the name before is set aside.

    Raises:
        InputError: if the name or a file's name is odd, the yields are missing, or the tables cannot be read.
        ArtifactError: if they cannot be written.
    """
    if not SET_NAME.fullmatch(name):
        raise InputError(f"got the name {name!r}, want letters, digits, blanks, - or _, at most 40")
    if name in (REAL, SIMULATED):
        raise InputError(f"the name {name!r} is taken by a set that comes with Mainstem; choose another name")
    target = uploads() / name
    if os.path.lexists(target):
        raise InputError(f"a set named {name!r} exists already; choose another name")
    matches = {file: FILE_NAME.fullmatch(file) for file in files}
    odd = sorted(file for file, match in matches.items() if match is None)
    if odd:
        raise InputError(f"got a file {odd[0]!r}, want CY-Bench's names, e.g. yield_wheat_NL.csv and ndvi_wheat_NL.csv")
    places = {(match[2], match[3]) for match in matches.values() if match}
    if len(places) != 1 or not any(file.startswith("yield_") for file in files):
        raise InputError("want the files of one crop and country, with its yield_CROP_COUNTRY.csv")
    (crop, country) = places.pop()
    with new_folder(target) as made:  # this upload's alone: what a killed one or another tab writes never gets in
        place = made / crop / country
        place.mkdir(parents=True)
        for file, content in files.items():
            (place / file).write_bytes(content)
        with hearing() as heard:
            hold_out_newest(load_cybench(made, crop, country, name))
            centres = place / f"location_{crop}_{country}.csv"
            if centres.exists():
                read_centres(centres)
        if heard:
            (made / NOTES).write_text("\n".join(heard) + "\n", encoding="utf-8")
    run = run_folder(name)
    if run.exists():  # of tables that had the name before
        run.rename(aside_of(run))
    return RegionChoice(name=name, title=name, folder=target, crop=crop, country=country)
