"""A simulated farm as a STAC collection of two tiles that share a border: items of band files and a classification."""

import json
from pathlib import Path

import numpy as np
import rasterio

from mainstem.data.earth.farms import BANDS, OFFSET, SCALE, YEAR, Farm, simulate_farm, write_farm

FARM, DATES = 9004, 5
EVERY = 8  # rows: others are never seen, so that maps are made quickly
RED, NIR = BANDS.index("B4"), BANDS.index("B8")
EAST = "EPSG32631_{left:.15g}_{top:.15g}_10_{width}x{height}"


def write_collection(folder: Path, side: int = 96) -> tuple[Path, Path, list[str]]:
    """Write it; return its file, the farm's weather, and the tiles' names in order.

    The western tile says its MGRS tile, the eastern one its grid; items of the latter lie in a catalog of their own.
    """
    farm = simulate_farm(FARM, side)
    write_farm(farm, folder / "farm")
    root, catalog = folder / "stac", folder / "stac" / "east" / "catalog.json"
    items = [_write_item(farm, tile, index, root) for tile in (0, 1) for index in _clear(farm)]
    links = [{"rel": "item", "href": f"./{path.relative_to(root)}"} for path in items if path.parts[-3] == "west"]
    east = [{"rel": "item", "href": f"./{path.relative_to(catalog.parent)}"} for path in items if "east" in path.parts]
    catalog.write_text(
        json.dumps({**_catalog("Catalog", "east"), "links": [*east, {"rel": "root", "href": "../c.json"}]})
    )
    terms = {"license": "CC-BY-4.0", "providers": [{"name": "a test"}], "extent": {}}
    links.append({"rel": "child", "href": "./east/catalog.json"})
    (root / "c.json").write_text(json.dumps({**_catalog("Collection", "farm"), **terms, "links": links}))
    transform, half = farm.grid.transform, side // 2
    named = EAST.format(left=transform[2] + half * transform[0], top=transform[5], height=side, width=half)
    return root / "c.json", folder / "farm" / "weather.csv", ["31TDL", named]


def _clear(farm: Farm) -> list[int]:
    """Dates that show most of the farm, spread over the season."""
    seen = np.isfinite(farm.reflectance[:, 0]).mean((1, 2))
    clear = np.flatnonzero(seen > 0.8)
    return clear[np.linspace(0, len(clear) - 1, DATES).astype(int)].tolist()


def _catalog(kind: str, name: str) -> dict[str, object]:
    return {"type": kind, "stac_version": "1.0.0", "id": name, "description": "simulated"}


def _write_item(farm: Farm, tile: int, index: int, root: Path) -> Path:
    date = np.datetime64(f"{YEAR}-01-01") + int(farm.days[index])
    folder = root / ("west", "east")[tile] / str(date)
    folder.mkdir(parents=True)
    side, half = farm.grid.width, farm.grid.width // 2
    columns = slice(tile * half, (tile + 1) * half)
    values = farm.reflectance[index][:, :, columns]
    stored = np.where(np.isnan(values), 0, np.rint((np.nan_to_num(values) - OFFSET) / SCALE)).astype(np.uint16)
    a, b, c, d, e, f = farm.grid.transform
    transform = rasterio.Affine(a, b, c + a * columns.start, d, e, f)
    profile = {
        "driver": "GTiff",
        "height": side,
        "width": half,
        "count": 1,
        "crs": farm.grid.crs,
        "transform": transform,
    }
    clear = np.where(np.isnan(values[0]), 9, 4).astype(np.uint8)  # cloud, vegetation
    clear[np.arange(side) % EVERY != 0] = 9
    for name, band in (("red", stored[RED]), ("nir", stored[NIR]), ("scl", clear)):
        with rasterio.open(folder / f"{name}.tif", "w", dtype=band.dtype, **profile) as target:
            target.write(band, 1)
    raster = {"raster:bands": [{"scale": SCALE, "offset": OFFSET}]}
    assets = {name: {"href": f"./{name}.tif", **raster} for name in ("red", "nir", "scl")}
    epsg = rasterio.CRS.from_wkt(farm.grid.crs).to_epsg()
    said = {"grid:code": "MGRS-31TDL"} if tile == 0 else {"proj:code": f"EPSG:{epsg}", "proj:shape": [side, half],
            "proj:transform": list(transform)[:6]}  # fmt: skip
    plain = {
        "type": "Feature", "stac_version": "1.0.0", "id": f"{('west', 'east')[tile]}-{date}", "geometry": None,
        "properties": {"datetime": f"{date}T10:00:00Z", **said}, "links": [], "assets": assets,
    }  # fmt: skip
    (folder / "item.json").write_text(json.dumps(plain))
    return folder / "item.json"
