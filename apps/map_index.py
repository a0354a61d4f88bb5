"""Maps of many tiles put together: an index of where each lies, and a STAC collection of them; no pixel is copied."""

import io
import json
import re
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mainstem.apps.map import unwritten
from mainstem.apps.map_files import COLLECTION, ITEM, MAP, NOTES, MapFacts, Text, is_whole, read_facts
from mainstem.apps.map_journal import reserved
from mainstem.core.errors import InputError
from mainstem.core.files import write_atomically
from mainstem.core.schema import Sha256, first_mistake, read_object
from mainstem.data.earth.raster import Grid, describe

if TYPE_CHECKING:
    import geopandas as gpd
    from shapely import Polygon

INDEX, TILES = "index.parquet", ".tiles.json"
SPDX = re.compile(r"[A-Za-z0-9.+-]{2,60}")  # what STAC takes for a licence's name
FOLDER = r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$"
POINTS = 20  # a side of a footprint: a straight side of a grid is bent in degrees


class TilesPlan(BaseModel):
    """What all shards of a collection's maps agree on: its name, its source, and a hash of what is asked of a tile."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    collection: Text
    source: Text
    source_licence: Text
    providers: list[Text]
    tiles: dict[Annotated[str, Field(pattern=FOLDER)], Sha256] = Field(min_length=1)

    def encoded(self) -> bytes:
        """The plan as it is kept."""
        return self.model_dump_json(indent=1).encode()


def finish(out: Path) -> Path | None:
    """Write the index and the collection if all tiles are there and nobody else is at work, who will then do it."""
    plan = _read_plan(out)
    if _lacking(out, plan):
        return None
    with ExitStack() as held:
        try:
            held.enter_context(reserved(out / COLLECTION))
        except InputError:
            return None
        return _write(out, plan)


def merge_collection(out: Path) -> Path:
    """Write the index and the collection of tiles that are all made.

    Raises:
        InputError: if tiles are missing or damaged.
    """
    try:
        with reserved(out / COLLECTION):
            return _write(out, _read_plan(out))
    except OSError as error:
        raise unwritten(out / COLLECTION, error) from error


def _read_plan(out: Path) -> TilesPlan:
    try:
        return TilesPlan.model_validate(read_object(out / TILES, InputError))
    except ValidationError as error:
        raise InputError(f"{out / TILES} is damaged: {first_mistake(error)}; run map or its shards again") from error


def _lacking(out: Path, plan: TilesPlan) -> list[str]:
    """Tiles that are not made, or of another question."""
    return [name for name, asked in plan.tiles.items() if not _is_asked(out / name, asked)]


def _is_asked(folder: Path, asked: str) -> bool:
    try:
        part = read_facts(folder / NOTES).part_of
    except InputError:
        return False
    return part is not None and part.asked == asked


def _write(out: Path, plan: TilesPlan) -> Path:
    if lacking := _lacking(out, plan):
        raise InputError(
            f"{len(lacking)} of {len(plan.tiles)} tiles of {out} are not made, first {lacking[0]}; run map or its "
            "shards again"
        )
    notes = {name: read_facts(out / name / NOTES) for name in sorted(plan.tiles)}
    if damaged := [name for name in notes if not is_whole(out / name, notes[name])]:
        raise InputError(f"tile {damaged[0]} of {out} is damaged; run map or its shards again")
    index, packed = _index(out, notes), io.BytesIO()
    index.to_parquet(packed)
    write_atomically(out / INDEX, packed.getvalue())
    west, south, east, north = map(float, index.total_bounds)
    plain = _collection(plan, notes, [west, south, east, north])
    write_atomically(out / COLLECTION, (json.dumps(plain, indent=2) + "\n").encode())
    return out / COLLECTION


def _index(out: Path, notes: Mapping[str, MapFacts]) -> "gpd.GeoDataFrame":
    """A row a tile: where its map lies on Earth and on the disk, on which grid, of which days, and its sha256."""
    import geopandas as gpd

    rows, footprints = [], []
    for name, told in notes.items():
        source = describe(out / name / MAP)
        footprints.append(_footprint(source.grid))
        rows.append({
            "tile": name,
            "path": f"{name}/{MAP}",
            "sha256": told.files[MAP],
            "bytes": (out / name / MAP).stat().st_size,
            "crs": source.grid.crs,
            "transform": [float(number) for number in source.grid.transform],
            "height": source.grid.height,
            "width": source.grid.width,
            "start": min(told.dates).isoformat(),
            "end": max(told.dates).isoformat(),
            "units": told.tags["UNITS"],
            "claim": told.tags["CLAIM"],
        })  # fmt: skip
    return gpd.GeoDataFrame(rows, geometry=footprints, crs="EPSG:4326")


def _footprint(grid: Grid) -> "Polygon":
    """Outline of a grid, degrees WGS 84."""
    import geopandas as gpd
    from shapely import box

    size, _, left, _, down, top = grid.transform
    outline = box(left, top + down * grid.height, left + size * grid.width, top)
    dense = outline.segmentize(max(grid.width * size, grid.height * -down) / POINTS)
    return gpd.GeoSeries([dense], crs=grid.crs).to_crs("EPSG:4326").iloc[0]


def _collection(plan: TilesPlan, notes: Mapping[str, MapFacts], box: list[float]) -> dict[str, Any]:
    """The collection, as STAC has it."""
    import pystac

    dates = [date.replace(tzinfo=UTC) for told in notes.values() for date in told.dates]
    tags = next(iter(notes.values())).tags
    licence = tags.get("LICENCE", "")
    claims = Counter(told.tags["CLAIM"] for told in notes.values())
    made = pystac.Collection(
        id=plan.collection,
        description=f"{tags.get('ADAPTER', plan.collection)} over {plan.source}: {tags['UNITS']}, {len(notes)} tiles",
        extent=pystac.Extent(pystac.SpatialExtent([box]), pystac.TemporalExtent([[min(dates), max(dates)]])),
        license=licence if SPDX.fullmatch(licence) else "other",
        providers=[pystac.Provider(name) for name in plan.providers],
        extra_fields={
            "mainstem:licence": licence,
            "mainstem:attribution": tags["ATTRIBUTION"],
            "mainstem:training": tags["TRAINING"],
            "mainstem:source_licence": plan.source_licence,
            "mainstem:claims": dict(sorted(claims.items())),
        },
        assets={"index": pystac.Asset(f"./{INDEX}", media_type="application/vnd.apache.parquet", roles=["metadata"])},
    )
    for name in notes:
        made.add_link(pystac.Link("item", f"./{name}/{ITEM}", pystac.MediaType.GEOJSON))
    found: dict[str, Any] = made.to_dict(include_self_link=False)
    return found
