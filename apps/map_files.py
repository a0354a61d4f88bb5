"""What lies in a map's folder, put there all at once: the raster, its layers, its fields, the STAC item, the notes.

All of it is made aside and then moved into place, the notes last; a kill, a full disk or a mistake in between leaves
the map that was there before, or one that the same command makes again from its blocks.
"""

import datetime
import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from mainstem.apps.field_exports import mean_fields, write_fields
from mainstem.apps.map import assemble, unwritten
from mainstem.apps.map_journal import parts_folder, read_plan, reserved
from mainstem.apps.map_layers import write_layers
from mainstem.core.bounds import Bounds
from mainstem.core.errors import InputError
from mainstem.core.files import content, write_atomically
from mainstem.core.schema import Finite, Flag, Positive, Sha256, first_mistake, printable, read_object
from mainstem.data.earth.fields import usable_fields
from mainstem.data.earth.raster import describe
from mainstem.data.earth.vectors import files_of

MAP, NOTES, ITEM, SCENES = "map.tif", "notes.json", "item.json", ".scenes"
COLLECTION = "collection.json"  # in the folder above, of a map that is a tile of one
UNFINISHED = "whole"  # where the files of a map lie until all of them are made
PUTTING = f".{MAP}.putting"  # there while files are moved into place
FIELDS = tuple(f"fields.{kind}" for kind in ("gpkg", "geojson", "shp.zip", "csv"))
BY_DATE = "by_date.csv"
BESIDE = ("valid.tif", "classes.tif", *FIELDS, BY_DATE)
WRITTEN = (MAP, NOTES, ITEM, *BESIDE)
MOST_LEFT_OUT = 1000  # fields that are told one by one
TAGS = ("UNITS", "LEVEL", "CLAIM", "CLAIM_REASON", "TRAINING", "ATTRIBUTION")  # that tables of fields repeat


def _plain(text: str) -> str:
    """Check that files can hold a text."""
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError("a text that no file can hold")
    return text


Text = Annotated[str, AfterValidator(_plain)]


class Layers(BaseModel):
    """What is derived from a map: the mask of what is known, and of classes the least probability to stay in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    valid: Flag = True
    classes: list[Text] | None = Field(default=None, min_length=1)
    thresholds: list[Finite] | None = None

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if len(self.classes or ()) != len(self.thresholds or ()):
            raise ValueError("classes and thresholds are not one each")
        return self


class PartOf(BaseModel):
    """The collection that a map is a tile of, and hashes of what it was asked for and of the scenes that were read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    collection: Text
    asked: Sha256
    read: Sha256


class MapFacts(BaseModel):
    """What shards tell the one that assembles them, and a map the page that shows it; `files`, of a whole map, are the
    sha256 of all others, and `left_out` the fields that could not be used, a line each with why."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    names: list[Text] = Field(min_length=1, max_length=1000)
    tags: dict[Text, Text]
    dates: list[datetime.datetime] = Field(min_length=1)
    layers: Layers
    fields: str | None
    fields_sha256: Sha256 | None = None
    mean_factor: Positive
    lowest: Finite | None = None
    highest: Finite | None = None
    part_of: PartOf | None = None
    files: dict[str, Sha256] = Field(default_factory=dict)
    left_out: list[Text] = Field(default_factory=list, max_length=MOST_LEFT_OUT)

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if foreign := sorted(set(self.files) - set(WRITTEN)):
            raise ValueError(f"files name {foreign[0]}, which is no map's")
        if self.layers.classes is not None and len(self.layers.classes) != len(self.names):
            raise ValueError("classes and bands are not one each")
        if self.lowest is not None and self.highest is not None and self.lowest >= self.highest:
            raise ValueError("lowest is not below highest")
        lacking = [name for name in TAGS if name not in self.tags]
        if lacking:
            raise ValueError(f"tags lack {lacking[0]}")
        return self


def facts_of(plain: Mapping[str, Any], where: str) -> MapFacts:
    """Check what a map is to be finished with.

    Raises:
        InputError: naming what is wrong with it.
    """
    try:
        return MapFacts.model_validate(plain)
    except ValidationError as error:
        raise InputError(f"{where} is damaged: {first_mistake(error)}; make the map again") from error


def read_facts(path: Path) -> MapFacts:
    """Read what a map is to be finished with.

    Raises:
        InputError: if they are damaged.
    """
    return facts_of(read_object(path, InputError), str(path))


def facts_bytes(notes: MapFacts) -> bytes:
    """The notes as they are kept."""
    layers, dates = notes.layers.model_dump(exclude_none=True), [date.isoformat() for date in notes.dates]
    part_of = None if notes.part_of is None else notes.part_of.model_dump()
    return json.dumps({**dict(notes), "dates": dates, "layers": layers, "part_of": part_of}).encode()


def facts_digest(notes: MapFacts) -> str:
    """Hash of the notes, for the plan; where the fields lie is left out, as shards may see them by another path."""
    plain = {**json.loads(facts_bytes(notes)), "fields": notes.fields is not None}
    plain.pop("left_out")  # told at the end, as the files are
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def fields_sha256(path: Path) -> str:
    """Hash of a file of fields, of a Shapefile with the files that belong to it.

    Raises:
        InputError: if it cannot be read.
    """
    try:
        together = [f"{file.suffix.lower()} {content(file).sha256}" for file in files_of(path)]
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({printable(error, 100)}); put the fields back") from error
    return hashlib.sha256("\n".join(together).encode()).hexdigest()


def publish(out: Path, notes: MapFacts, by_date: bytes | None = None) -> dict[str, Any]:
    """Assemble a map's blocks, make what goes beside it, and put all of it into `out`, which is `reserved` meanwhile.

    `by_date` is the table of its fields by date, where one was asked for.

    Raises:
        InputError: if blocks are missing, the fields changed meanwhile, something cannot be written, or files that are
            no map's would be written over.
        OSError: if something cannot be put into place.
    """
    check_free(out)
    parts = parts_folder(out / MAP)
    whole = parts / UNFINISHED
    shutil.rmtree(whole, ignore_errors=True)
    whole.mkdir()
    assemble(out / MAP, whole / MAP, names=notes.names, tags=notes.tags)
    layers = write_layers(whole / MAP, notes.layers.model_dump(exclude_none=True), notes.tags)
    fields: list[Path] = []
    left_out: list[str] = []
    if notes.fields is not None:
        if fields_sha256(Path(notes.fields)) != notes.fields_sha256:
            raise InputError(f"{notes.fields} changed since the map was begun; leave it as it is, then run again")
        known, bad = usable_fields(Path(notes.fields), describe(whole / MAP).grid)
        bounds = Bounds.of(notes.lowest, notes.highest)
        table = mean_fields(whole / MAP, known, notes.tags, notes.mean_factor, bounds)
        left_out = [printable(one, 300) for one in bad[:MOST_LEFT_OUT]]
        fields = write_fields(table, whole)
    if by_date is not None:
        write_atomically(whole / BY_DATE, by_date)
    write_item(whole / MAP, out.resolve().name, notes, layers)
    made = {path.name: content(path).sha256 for path in sorted(whole.iterdir())}
    write_atomically(whole / NOTES, facts_bytes(notes.model_copy(update={"files": made, "left_out": left_out})))
    check_free(out)  # again: it took a while
    _put(whole, out)
    drop_staged(out)
    files: dict[str, Any] = {"layers": [str(out / path.name) for path in layers]}
    if fields:
        files |= {"fields": [str(out / path.name) for path in fields], "left_out": left_out}
    if by_date is not None:
        files["by_date"] = str(out / BY_DATE)
    return files | {"item": str(out / ITEM)}


def drop_staged(out: Path) -> None:
    """Delete what only a map in the making needs."""
    shutil.rmtree(parts_folder(out / MAP), ignore_errors=True)
    shutil.rmtree(out / SCENES, ignore_errors=True)


def is_whole(out: Path, notes: MapFacts) -> bool:
    """True where all files of a map are as they were written; they are read."""
    if not notes.files or (out / PUTTING).exists():
        return False
    try:
        return all(content(out / name).sha256 == sha256 for name, sha256 in notes.files.items())
    except OSError:
        return False


def _put(whole: Path, out: Path) -> None:
    """Move files into place, the notes last: a folder without them holds no map, so nobody reads halves of two."""
    before = _files_of_map(out)
    (out / PUTTING).touch()
    for name in (NOTES, ITEM, *BESIDE):
        if name in before:
            (out / name).unlink(missing_ok=True)
    made = sorted(whole.iterdir(), key=lambda path: (path.name == NOTES, path.name))
    for path in made:
        path.replace(out / path.name)
    (out / PUTTING).unlink()


def check_free(out: Path) -> None:
    """Check that whatever bears the name of a map's file in a folder is of a map there.

    Raises:
        InputError: naming what is not.
    """
    before = _files_of_map(out)
    foreign = [name for name in WRITTEN if name not in before and os.path.lexists(out / name)]
    if foreign:
        raise InputError(f"{out} holds {foreign[0]}, but no map that it is of; name another folder, or move it away")


def _files_of_map(out: Path) -> tuple[str, ...]:
    """Names that the map in a folder has given: those its notes tell of, or all where a kill left some moved."""
    if (out / PUTTING).is_file():
        return WRITTEN
    try:
        notes = read_facts(out / NOTES)
    except InputError:
        return ()
    fields = FIELDS if notes.fields is not None else ()
    others = (*fields, *(name for name in (BY_DATE,) if name in notes.files))
    return (MAP, NOTES, ITEM, "valid.tif", *(() if notes.layers.classes is None else ("classes.tif",)), *others)


def merge_map(out: Path) -> Path:
    """Assemble a map whose shards are all made.

    Raises:
        InputError: if there is none in the making, or blocks are missing.
    """
    path = parts_folder(out / MAP) / NOTES
    if not path.is_file():
        raise InputError(f"{out} holds no map in shards; run mainstem map --shard first")
    try:
        with reserved(out / MAP):
            notes = read_facts(path)
            if not read_plan(path.parent).token.endswith(facts_digest(notes)):
                raise InputError(f"{path} is not what the blocks were made with; run the shards again")
            publish(out, notes)
    except OSError as error:
        raise unwritten(out / MAP, error) from error
    return out / MAP


def write_item(target: Path, name: str, notes: MapFacts, layers: Sequence[Path] = ()) -> None:
    """Write a STAC item of this name beside a map."""
    import pystac
    import rasterio
    from rasterio.warp import transform_bounds

    with rasterio.open(target) as found:
        west, south, east, north = transform_bounds(found.crs, "EPSG:4326", *found.bounds)
        epsg, shape, transform = found.crs.to_epsg(), list(found.shape), list(found.transform)[:6]
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    dates = [date.replace(tzinfo=datetime.UTC) for date in notes.dates]
    facts: Mapping[str, Any] = {f"mainstem:{name.lower()}": value for name, value in notes.tags.items()}
    item = pystac.Item(
        id=name,
        geometry={"type": "Polygon", "coordinates": [ring]},
        bbox=[west, south, east, north],
        datetime=dates[-1],
        start_datetime=dates[0],
        end_datetime=dates[-1],
        properties={
            **facts,
            "proj:code": f"EPSG:{epsg}" if epsg else None,
            "proj:shape": shape,
            "proj:transform": transform,
        },
        stac_extensions=["https://stac-extensions.github.io/projection/v2.0.0/schema.json"],
    )
    asset = pystac.Asset(href=f"./{target.name}", media_type=pystac.MediaType.COG, roles=["data"])
    asset.extra_fields["bands"] = [{"name": name} for name in notes.names]
    item.add_asset("map", asset)
    for layer in layers:
        beside = pystac.Asset(href=f"./{layer.name}", media_type=pystac.MediaType.COG, roles=["data"])
        item.add_asset(layer.stem, beside)
    if notes.part_of is not None:
        item.collection_id = notes.part_of.collection
        for rel in ("root", "parent", "collection"):
            item.add_link(pystac.Link(rel, f"../{COLLECTION}", pystac.MediaType.JSON))
    plain = item.to_dict(include_self_link=False)
    write_atomically(target.parent / ITEM, (json.dumps(plain, indent=2) + "\n").encode())
