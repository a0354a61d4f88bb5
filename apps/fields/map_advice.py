"""Advice beside a map that is kept on this machine: its zones, rates by its user's signed rule, its reports."""

import io
import json
import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mainstem.apps.field_maps import known_maps, maps_folder
from mainstem.apps.fields.rates import make_rates, plan_rates
from mainstem.apps.fields.report import field_pages
from mainstem.apps.fields.report_drawing import pdf_bytes
from mainstem.apps.fields.zones import make_zones, read_seasons
from mainstem.core.errors import InputError
from mainstem.core.files import content, write_atomically
from mainstem.core.progress import Progress, silent
from mainstem.data.earth.field_grids import degrees_of, is_meeting
from mainstem.data.earth.rate_rules import read_rule, seal_of, sign
from mainstem.data.earth.zones import ZoneSpec

MAP, FIELDS = "map.tif", "fields.gpkg"
ZONES, RATES, RULE = "zones", "rates", "rule.txt"
BEFORE = "zones.before"  # what zones were before they were drawn anew: rates may have been signed for them
LARGEST_FACTS = 16 << 20  # bytes of zones.json


def zones_file(folder: Path) -> Path | None:
    """The zones that are kept with a map; None where none are drawn."""
    path = folder / ZONES / "zones.gpkg"
    return path if path.is_file() else None


def read_verdicts(folder: Path) -> dict[str, dict[str, Any]]:
    """What was found of each field's zones by the field's name: whether they were drawn, claim and reason.

    Raises:
        InputError: if the file beside the zones is damaged.
    """
    path = folder / ZONES / "zones.json"
    try:
        if path.stat().st_size > LARGEST_FACTS:
            raise InputError(f"zones.json of {folder.name} is beyond 16 MiB; draw the zones again")
        told = json.loads(path.read_bytes())
        return {str(one["field"]): dict(one) for one in told["fields"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"zones.json of {folder.name} is damaged; draw the zones again") from error


def find_seasons(name: str) -> list[tuple[str, str]]:
    """Names of the other maps on this machine that overlap a map, each with its season: other seasons of its fields.

    Raises:
        InputError: if the map itself cannot be read.
    """
    (own,) = read_seasons([maps_folder() / name / MAP])
    here, found = degrees_of(own.grids[0]), []
    for other in known_maps():
        if other == name:
            continue
        try:
            (season,) = read_seasons([maps_folder() / other / MAP])
        except InputError:
            continue  # its own page says what is wrong with it
        if is_meeting(degrees_of(season.grids[0]), here):
            found.append((other, season.name))
    return found


def one_a_season(name: str, found: Sequence[tuple[str, str]]) -> list[str]:
    """Of maps with their seasons, as `find_seasons` gives them, the first of every season but a map's own."""
    (own,) = read_seasons([maps_folder() / name / MAP])
    first: dict[str, str] = {}
    for other, season in found:
        first.setdefault(season, other)
    return [other for season, other in first.items() if season != own.name]


def draw_map_zones(name: str, others: Sequence[str], num_zones: int = 0, progress: Progress = silent) -> dict[str, Any]:
    """Draw zones of a map's fields from it and from other maps, a season each, and keep them with the map.

    Zones that were kept before are kept once more, as BEFORE.

    Raises:
        InputError: if a map is gone, two are of one season, or no field could be drawn.
    """
    known = known_maps()
    gone = [one for one in (name, *others) if one not in known]
    if gone:
        raise InputError(f"there is no map {gone[0]!r:.60} any more; choose others")
    folder = maps_folder() / name
    if not (folder / FIELDS).is_file():
        raise InputError(f"the map {name} has no field; draw one, or bring a file of fields")
    rasters = [maps_folder() / one / MAP for one in (name, *others)]
    with tempfile.TemporaryDirectory(dir=folder, prefix=f".{ZONES}-") as made:
        told = make_zones(rasters, folder / FIELDS, Path(made) / ZONES, ZoneSpec(num_zones=num_zones), progress)
        if (folder / ZONES).is_dir():
            shutil.rmtree(folder / BEFORE, ignore_errors=True)
            (folder / ZONES).rename(folder / BEFORE)
        (Path(made) / ZONES).rename(folder / ZONES)
    return told


def keep_rule(folder: Path, text: str) -> Path:
    """Keep a rule with a map, as its user left it."""
    write_atomically(folder / RULE, text.encode())
    return folder / RULE


def read_kept_rule(folder: Path) -> str:
    """The rule that is kept with a map; "" where there is none that can be read."""
    try:
        return (folder / RULE).read_text(encoding="utf-8")[: 64 << 10]
    except (OSError, UnicodeDecodeError):
        return ""


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What each field would get: its name, hectares, mean rate and amount in all, in `unit` and that times hectares.

    `seal` is of the rule and the zones that this was told of: who signs, signs these.
    """

    unit: str
    rows: tuple[tuple[str, float, float, float], ...]
    seal: str


def preview_rates(folder: Path) -> Preview:
    """What each field would get by the kept rule.

    Raises:
        InputError: if no zones are drawn, or the rule lacks something.
    """
    known, planned, _, sha256 = plan_rates(_zones_of(folder), folder / RULE)
    rows = tuple((made.rates.field, made.area_ha, made.mean, made.amount) for made in planned)
    return Preview(unit=known.unit, rows=rows, seal=seal_of(known, sha256))


def is_as_shown(folder: Path, shown: Preview) -> bool:
    """True where rule and zones are those that a preview was told of."""
    zones = zones_file(folder)
    if zones is None or not (folder / RULE).is_file():
        return False
    try:
        return seal_of(read_rule((folder / RULE).read_text(encoding="utf-8")), content(zones).sha256) == shown.seal
    except (InputError, UnicodeDecodeError):
        return False


def make_map_rates(folder: Path, signer: str, seal: str, progress: Progress = silent) -> Path:
    """Write rate maps of all zoned fields by the kept rule, signed by a name, into a new folder beside the map.

    Raises:
        InputError: if the name is none, zones or rule cannot be used, or are others than what was signed.
    """
    signature = sign(signer, seal)
    out = folder / RATES / f"{signature.time:%Y-%m-%d %H.%M.%S}"
    make_rates(_zones_of(folder), folder / RULE, signature, out, progress=progress)
    return out


def _zones_of(folder: Path) -> Path:
    path = zones_file(folder)
    if path is None:
        raise InputError("no zones are drawn of these fields yet; draw them first")
    return path


def find_rates(folder: Path) -> list[Path]:
    """Folders of rate maps that were written beside a map, newest first."""
    found = (folder / RATES).glob("*/rates.json") if (folder / RATES).is_dir() else ()
    return sorted((path.parent for path in found if not path.parent.name.startswith(".")), reverse=True)


def zip_folder(folder: Path) -> bytes:
    """Return a folder's files as a .zip; links are left out."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                archive.write(path, Path(folder.name) / path.relative_to(folder))
    return packed.getvalue()


def report_bytes(folder: Path, today: str, only: Sequence[str] = ()) -> bytes:
    """Return one PDF, a page a field of a map with its zones where they are drawn; all fields unless some are named.

    Raises:
        InputError: if the map has no fields, or not one that is named.
    """
    chosen = list(field_pages(folder, zones_file(folder), only).values())
    if not chosen:
        raise InputError(f"the map {folder.name} has none of the fields asked for; choose one of its list")
    return pdf_bytes(chosen, today)
