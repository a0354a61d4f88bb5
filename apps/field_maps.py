"""Maps of fields that are kept on this machine: which there are, what a user brings for one, and how it is made."""

import re
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from mainstem.adapters import shipped_runs
from mainstem.adapters.crop_yield import pixel
from mainstem.apps.finetune import is_fitted
from mainstem.apps.jobs import clear_half_made, find_jobs
from mainstem.apps.map_context import ContextSpec
from mainstem.apps.map_files import NOTES
from mainstem.apps.map_models import MapSpec
from mainstem.apps.map_pixels import map_scenes
from mainstem.apps.map_places import last_parts, map_folders
from mainstem.core.errors import InputError
from mainstem.core.files import new_folder, write_atomically
from mainstem.core.progress import Progress, part_of, silent
from mainstem.data.catalogue import data_home
from mainstem.data.earth.crops import checked_crop
from mainstem.data.earth.farm_folders import raster_kind
from mainstem.data.earth.farms import simulate_farm, write_farm
from mainstem.data.earth.fields import SUFFIXES

DEMO, DEMO_FARM = "simulated farm", 9001
THRESHOLD_T_HA = 8.0  # whose probability is shown unless the user says another: about the simulated farms' mean
MAP_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _-]{0,39}")
MOST_OF_A_NAME = 100  # maps opened from elsewhere whose folders have one name
LONGEST_NAME = 200  # bytes of a file's name; file systems hold 255
WEATHER_SUFFIXES = (".csv", ".nc")
OF_FARMS = "management.csv"  # lies beside a farm's scenes, as a yield map, and a map does not read it
INPUT = "input"
BEGUN_S = 60.0  # between what is kept for a map and the job that makes it


def maps_folder() -> Path:
    """Where the page's maps lie."""
    return data_home() / "maps"


def run_folder() -> Path:
    """The run that makes them: the user's own where there is one, else that which comes with the package."""
    own = data_home() / "runs" / f"{pixel.TASK.name}-{pixel.TASK.task}"
    return own if is_fitted(pixel.TASK, own) else shipped_runs(pixel.TASK.name)[pixel.TASK.task]


def known_maps() -> list[str]:
    """Names of the maps that are whole: those with fields first, newest first, the demonstration last among them."""
    found = [path.parent for path in maps_folder().glob("*/map.tif") if (path.parent / NOTES).is_file()]
    first = sorted(found, key=lambda folder: (
        not (folder / "fields.gpkg").is_file(), folder.name == DEMO, -(folder / "map.tif").stat().st_mtime,
    ))  # fmt: skip
    return [folder.name for folder in first if not folder.name.startswith(".")]


def ensure_demo(progress: Progress = silent) -> str:
    """Return the name of a map of a simulated farm; make it where there is none."""
    if DEMO not in known_maps():
        progress("simulating a farm", 0.0)
        folder = maps_folder() / DEMO / INPUT
        if not folder.is_dir():
            with new_folder(folder) as made:
                write_farm(simulate_farm(DEMO_FARM), made)
        _map(DEMO, scenes_in(folder), progress)
    return DEMO


def ensure_real(mirror: Path | None = None, progress: Progress = silent) -> list[str]:
    """Return the names of maps of vigour of real, open Sentinel-2 series; make those that are not there.

    Raises:
        InputError: if a series cannot be pulled.
    """
    from mainstem.apps.fields.vigour import VigourSpec, map_vigour  # pages do not need it
    from mainstem.data.earth.open_series import SERIES, write_series

    for number, series in enumerate(SERIES):
        folder = maps_folder() / series.name
        if series.name in known_maps():
            continue
        shutil.rmtree(folder / INPUT, ignore_errors=True)
        (folder / INPUT).mkdir(parents=True)
        scenes, fields = write_series(series, folder / INPUT, mirror)
        spec = VigourSpec(fields=fields, attribution=series.attribution, licence=series.licence)
        map_vigour(scenes, folder, spec, part_of(progress, number / len(SERIES), (number + 1) / len(SERIES)))
    return [series.name for series in SERIES]


def offer_map(folder: Path) -> str:
    """Have the page offer a map that lies elsewhere, as those made by the command line do; return its name there.

    Of a folder of maps all are offered, and the first one's name is returned.

    Raises:
        InputError: if there is no whole map.
    """
    folder = folder.resolve()
    found = map_folders(folder)
    lacking = next((one for one in found if not (one / NOTES).is_file()), None)
    if lacking is not None:
        raise InputError(f"{last_parts(lacking)} has no {NOTES} beside its map.tif; make the map again")
    names = [_offer(one, one.name if one == folder else f"{folder.name[:20]} {one.name}") for one in found]
    return names[0]


def _offer(folder: Path, wanted: str) -> str:
    if folder.parent == maps_folder().resolve():
        return folder.name
    maps_folder().mkdir(parents=True, exist_ok=True)
    usual = re.sub(r"[^A-Za-z0-9_-]+", " ", wanted).strip(" _-")[:30] or "map"
    for name in (usual, *(f"{usual} {number}" for number in range(2, MOST_OF_A_NAME))):
        place = maps_folder() / name
        if not place.is_symlink() and not place.exists():
            place.symlink_to(folder, target_is_directory=True)
        if place.resolve() == folder:
            return name
    raise InputError(f"{MOST_OF_A_NAME} maps are named {usual!r} already; rename the folder, then open it again")


def keep_inputs(name: str, files: Mapping[str, bytes]) -> list[Path]:
    """Keep a user's scenes, weather, soil and fields under a name, whole or not at all; return the scenes.

    Raises:
        InputError: if the name is odd or taken, or scenes or weather are missing.
    """
    folder = free_folder(name)
    for file in files:
        check_file_name(file)
    kinds = [_kind_of(file) for file in files]
    if "" in kinds:
        odd = list(files)[kinds.index("")]
        raise InputError(
            f"got a file {odd!r:.60}, want scenes (.tif), weather (.csv, .nc), fields ({', '.join(SUFFIXES)})"
        )
    for kind in ("soil", "fields"):
        if kinds.count(kind) > 1:
            raise InputError(f"got {kinds.count(kind)} files of {kind}, want one; leave the others out")
    if "scene" not in kinds:
        raise InputError("got no scene; give GeoTIFFs, one a date, their bands named (B4, B8 ...) with unit and scale")
    if "weather" not in kinds:
        raise InputError("got no weather; give a .csv (date, temperature_c, rain_mm, radiation_mj_m2) or AgERA5 .nc")
    with new_folder(folder) as made:
        for file, content in files.items():
            write_atomically(made / INPUT / file, content)
    return scenes_in(folder / INPUT)


def free_folder(name: str) -> Path:
    """Return the folder of a map that is still to be made; what a killed job has left in it is deleted.

    Raises:
        InputError: if its name is odd or taken.
    """
    if not MAP_NAME.fullmatch(name):
        raise InputError(f"got the name {name!r:.60}, want letters, digits, blanks, - or _, at most 40")
    folder = maps_folder() / name
    if _is_left_over(folder) and not find_jobs():  # the demonstration's maps have no jobs of their own
        clear_half_made(folder / NOTES)
    if folder.exists():
        raise InputError(f"a map named {name!r} exists already or is being made; choose another name")
    return folder


def _is_left_over(folder: Path) -> bool:
    """True for what was begun and has lain so long that nobody is about to begin its job."""
    if folder.is_symlink() or not folder.is_dir() or (folder / "map.tif").exists() or (folder / NOTES).exists():
        return False
    return time.time() - folder.stat().st_mtime > BEGUN_S


def _kind_of(name: str) -> str:
    """What a map's input is, by its name, whatever the case of that; "" where a map is made of no such file."""
    name, raster = name.lower(), raster_kind(name)
    if name == OF_FARMS or raster == "yield":
        return "farm"
    if raster:
        return raster
    for kind, suffixes in (("weather", WEATHER_SUFFIXES), ("fields", SUFFIXES)):
        if name.endswith(tuple(suffixes)):
            return kind
    return ""


def check_file_name(name: str) -> None:
    """Refuse a file's name that could mean a place elsewhere, or none at all.

    Raises:
        InputError: if it does.
    """
    is_plain = name.isprintable() and not set(name) & set("/\\:") and not name.startswith(".")
    if not name or not is_plain or len(name.encode(errors="replace")) > LONGEST_NAME:
        raise InputError(f"got a file named {name!r:.60}, want a plain name of at most {LONGEST_NAME} bytes; rename it")


def make_map(name: str, threshold: float = THRESHOLD_T_HA, progress: Progress = silent, crop: str = "") -> str:
    """Map the inputs that are kept under a name; a map that fails or is stopped leaves the name free again.

    `crop` is that of fields which do not say theirs in a column crop; "" where nobody says it.

    Raises:
        InputError: saying what is wrong with them.
    """
    folder = maps_folder() / name
    try:
        _map(name, scenes_in(folder / INPUT), progress, threshold, crop)
    except BaseException:  # also a page that is closed meanwhile
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return name


def scenes_in(folder: Path) -> list[Path]:
    """The scenes among a map's inputs."""
    return _of_kind(folder, "scene")


def _of_kind(folder: Path, kind: str) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and _kind_of(path.name) == kind)


def _map(
    name: str, scenes: Sequence[Path], progress: Progress, threshold: float = THRESHOLD_T_HA, crop: str = ""
) -> None:
    folder = maps_folder() / name
    given = folder / INPUT
    soil, weather = _of_kind(given, "soil"), _of_kind(given, "weather")
    context = ContextSpec(weather=tuple(weather), soil=soil[0] if soil else None, fields=fields_in(given))
    facts = {"crop": checked_crop(crop, "got")} if crop.strip() else {}
    is_by_date = name == DEMO and context.fields is not None
    spec = MapSpec(context=context, below=(threshold,), facts=facts, is_by_date=is_by_date)
    map_scenes(pixel.TASK, run_folder(), scenes, folder, spec, progress)


def fields_in(folder: Path) -> Path | None:
    """The file of fields among a map's inputs, if there is one."""
    return next((path for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES), None)
