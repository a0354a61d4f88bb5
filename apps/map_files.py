"""What lies in a map's folder, put there all at once: the raster, its layers, its fields, the STAC item, the notes.

All of it is made aside and then moved into place, the notes last; a kill, a full disk or a mistake in between leaves
the map that was there before, or one that the same command makes again from its blocks.
"""

import datetime
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mainstem.apps.field_exports import field_table, write_fields
from mainstem.apps.map import assemble
from mainstem.apps.map_journal import parts_folder, reserved
from mainstem.apps.map_layers import write_layers
from mainstem.core.errors import InputError
from mainstem.core.files import content, write_atomically
from mainstem.core.schema import Positive, Sha256, first_mistake, read_object

MAP, NOTES, ITEM, SCENES = "map.tif", "notes.json", "item.json", ".scenes"
WHOLE = "whole"  # where the files of a map lie until all of them are made
BESIDE = ("valid.tif", "classes.tif", *(f"fields.{kind}" for kind in ("gpkg", "geojson", "shp.zip", "csv")))
WRITTEN = (MAP, NOTES, ITEM, *BESIDE)


class MapFacts(BaseModel):
    """What shards tell the one that assembles them, and a map the page that shows it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    names: list[str] = Field(min_length=1, max_length=1000)
    tags: dict[str, str]
    dates: list[datetime.datetime] = Field(min_length=1)
    layers: dict[str, Any]
    fields: str | None
    fields_sha256: Sha256 | None = None
    mean_factor: Positive


def read_facts(path: Path) -> MapFacts:
    """Read what a map is to be finished with.

    Raises:
        InputError: if they are damaged.
    """
    try:
        return MapFacts.model_validate(read_object(path, InputError))
    except ValidationError as error:
        raise InputError(f"{path} is damaged: {first_mistake(error)}; make the map again") from error


def facts_bytes(notes: MapFacts) -> bytes:
    """The notes as they are kept."""
    plain = {**dict(notes), "dates": [date.isoformat() for date in notes.dates]}
    return json.dumps(plain).encode()


def fields_sha256(path: Path) -> str:
    """Hash of a file of fields, of a Shapefile with the files that belong to it."""
    together = sorted(path.parent.glob(f"{path.stem}.*")) if path.suffix.lower() == ".shp" else [path]
    return hashlib.sha256("".join(content(file).sha256 for file in together).encode()).hexdigest()


def publish(out: Path, notes: MapFacts) -> dict[str, Any]:
    """Assemble a map's blocks, make what goes beside it, and put all of it into `out`, which is `reserved` meanwhile.

    Raises:
        InputError: if blocks are missing, the fields changed meanwhile, or something cannot be written.
        OSError: if something cannot be put into place.
    """
    parts = parts_folder(out / MAP)
    whole = parts / WHOLE
    shutil.rmtree(whole, ignore_errors=True)
    whole.mkdir()
    assemble(out / MAP, whole / MAP, names=notes.names, tags=notes.tags)
    layers = write_layers(whole / MAP, notes.layers, notes.tags)
    fields: list[Path] = []
    if notes.fields is not None and "classes" not in notes.layers:
        if fields_sha256(Path(notes.fields)) != notes.fields_sha256:
            raise InputError(f"{notes.fields} changed since the map was begun; leave it as it is, then run again")
        table = field_table(whole / MAP, Path(notes.fields), notes.tags, notes.mean_factor)
        fields = write_fields(table, whole)
    write_item(whole / MAP, out.resolve().name, notes, layers)
    write_atomically(whole / NOTES, facts_bytes(notes))
    _put(whole, out)
    shutil.rmtree(parts)
    shutil.rmtree(out / SCENES, ignore_errors=True)
    files: dict[str, Any] = {"layers": [str(out / path.name) for path in layers]}
    if fields:
        files["fields"] = [str(out / path.name) for path in fields]
    return files | {"item": str(out / ITEM)}


def _put(whole: Path, out: Path) -> None:
    """Move files into place, the notes last: a folder without them holds no map, so nobody reads halves of two."""
    if (out / NOTES).is_file() or (out / MAP).is_file():
        for name in (NOTES, ITEM, *BESIDE):
            (out / name).unlink(missing_ok=True)
    made = sorted(whole.iterdir(), key=lambda path: (path.name == NOTES, path.name))
    for path in made:
        path.replace(out / path.name)


def merge_map(out: Path) -> Path:
    """Assemble a map whose shards are all made.

    Raises:
        InputError: if there is none in the making, or blocks are missing.
    """
    path = parts_folder(out / MAP) / NOTES
    if not path.is_file():
        raise InputError(f"{out} holds no map in shards; run mainstem map --shard first")
    with reserved(out / MAP):
        publish(out, read_facts(path))
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
    plain = item.to_dict(include_self_link=False)
    write_atomically(target.parent / ITEM, (json.dumps(plain, indent=2) + "\n").encode())
