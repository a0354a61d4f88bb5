"""Small maps for the pages, made without a model: what they show is of the test's own choosing."""

import json
from collections.abc import Sequence
from pathlib import Path

import geopandas as gpd
import numpy as np
from shapely.geometry import box

from mainstem.apps.field_exports import field_table, write_fields
from mainstem.core.bounds import Bounds
from mainstem.core.task import FitConfig
from mainstem.core.training import TrainingConfig
from mainstem.data.earth.cog import write_cog
from mainstem.data.earth.raster import Grid

QUICK = FitConfig(trunk_size="xs", training=TrainingConfig(epochs=1), num_folds=2)
SIDE = 48
GRID = Grid(width=SIDE, height=SIDE, transform=(10.0, 0.0, 500_000.0, 0.0, -10.0, 4_600_000.0), crs="EPSG:32615")
LAYERS = ["mean", "lower", "upper"]
TAGS = {
    "UNITS": "t/ha", "LEVEL": "0.9", "CLAIM": "stated", "CLAIM_REASON": "", "ADAPTER": "crop-yield pixel 1",
    "ADAPTER_SHA256": "0" * 64, "TRAINING": "simulated", "INPUTS": "simulated", "LICENCE": "CC0",
    "ATTRIBUTION": "Simulated by a test", "DATES": "2021-05-01, 2021-06-01", "KNOWN_FAILURES": "",
}  # fmt: skip


def squares(names: Sequence[str]) -> gpd.GeoDataFrame:
    """Fields of 80 m, five a row, from the map's upper left corner."""
    left, top = GRID.transform[2], GRID.transform[5]
    corners = [(left + 10 + 90 * (n % 5), top - 10 - 90 * (n // 5)) for n in range(len(names))]
    shapes = [box(x, y - 80, x + 80, y) for x, y in corners]
    return gpd.GeoDataFrame({"field": list(names)}, geometry=shapes, crs=GRID.crs)


def small_map(
    home: Path, name: str, fields: Sequence[str] = (), layers: Sequence[str] = (), least: float = 4.0, **tags: str
) -> Path:
    """Write a map of yields from `least` to 12 t/ha below a MAINSTEM_HOME, and return its folder."""
    folder = home / "v1" / "maps" / name
    folder.mkdir(parents=True)
    names, told = [*LAYERS, *layers], {**TAGS, **tags}
    mean = np.linspace(least, 12, SIDE * SIDE, dtype=np.float32).reshape(SIDE, SIDE)
    values = np.stack([mean, mean - 1, mean + 1, *(np.full_like(mean, 0.3) for _ in layers)])
    write_cog(iter([(0, 0, values)]), folder / "map.tif", GRID, names, told)
    notes = {"names": names, "tags": told, "dates": ["2021-05-01"], "layers": {}, "fields": None, "mean_factor": 0.8}
    (folder / "notes.json").write_text(json.dumps(notes))
    if fields:
        squares(fields).to_file(folder / "given.gpkg", driver="GPKG")
        write_fields(field_table(folder / "map.tif", folder / "given.gpkg", told, 0.8, Bounds()), folder)
        (folder / "given.gpkg").unlink()
    return folder
