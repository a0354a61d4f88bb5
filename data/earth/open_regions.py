"""Region sets by name or by path: the catalogue's, a folder in CY-Bench's layout, or the simulator's."""

import difflib
import re
from dataclasses import replace
from pathlib import Path

from mainstem.core.errors import InputError
from mainstem.core.samples import SampleSet
from mainstem.data.catalogue import pull, read_catalogue
from mainstem.data.earth.crops import crop_name
from mainstem.data.earth.regions import load_cybench
from mainstem.data.earth.simulate import simulate_regions
from mainstem.data.earth.us_maize import load_us_maize

OWN = "the user's own data"
SIMULATED = re.compile(r"simulated-maize(?:-(\d+))?")


def open_regions(
    data: str, crop: str | None = None, country: str | None = None, mirror: Path | None = None
) -> SampleSet:
    """Read a region set.

    Args:
        data: name in the catalogue, "simulated-maize" (a seed may follow: "simulated-maize-7"), or a folder.
        crop: of a folder, e.g. wheat.
        country: of a folder, e.g. NL.
        mirror: folder to take the catalogue's files from.

    Raises:
        InputError: if there is none of this name, or a folder comes without crop and country.
    """
    if Path(data).is_dir():
        check_regions(data, crop, country)
        assert crop is not None
        assert country is not None
        return licensed(load_cybench(Path(data), crop, country, name=data), OWN)
    simulated = SIMULATED.fullmatch(data)
    if simulated:
        return simulate_regions(int(simulated[1] or 0))
    known = read_catalogue()
    if data not in known:
        sets = [*(name for name in known if name.endswith("-maize")), "simulated-maize"]
        near = difflib.get_close_matches(data, sets, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise InputError(
            f"there is no folder or set {data[:200]!r}; {hint}name a folder with --crop and --country, or one of "
            f"{', '.join(sets)}"
        )
    data_set = known[data]
    if not data.endswith("-maize"):
        raise InputError(f"{data} holds no yields; use us-maize, nl-maize, es-maize, simulated-maize or a folder")
    folder = pull(data, mirror)
    if data == "us-maize":
        return licensed(load_us_maize(folder, data_set.attribution), data_set.licence)
    found = load_cybench(folder.parents[1], "maize", folder.name, data, data_set.attribution)
    return licensed(found, data_set.licence)


def check_regions(data: str, crop: str | None, country: str | None) -> None:
    """Refuse a folder without crop and country, and of a named set another crop than its own.

    Raises:
        InputError: saying which.
    """
    if Path(data).is_dir():
        if not crop or not country:
            raise InputError(f"got the folder {data} without a crop or country; add --crop and --country")
        return
    is_maize = SIMULATED.fullmatch(data) or (data.endswith("-maize") and data in read_catalogue())
    if crop and is_maize and crop_name(crop) != "maize":
        raise InputError(f"{data} is of crop maize, not {crop!r:.60}; leave --crop out")


def licensed(found: SampleSet, licence: str) -> SampleSet:
    """Return the set with its licence in every sample's provenance."""
    samples = tuple(replace(sample, source=replace(sample.source, licence=licence)) for sample in found.samples)
    return replace(found, samples=samples, licence=licence)
