"""Rasters on a field's grid: their own cells as they are, gaps kept as gaps."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from mainstem.data.earth.field_grids import on_grid
from mainstem.data.earth.raster import Grid, describe

X, Y = 500_000, 5_400_000


@pytest.fixture
def strips(tmp_path: Path) -> Path:
    """Cells of 10 m, every fourth and fifth column without a value."""
    values = np.arange(1600, dtype=np.float32).reshape(40, 40)
    values[:, np.arange(40) % 5 >= 3] = np.nan
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", width=40, height=40, count=1, dtype="float32", nodata=float("nan"),
        crs="EPSG:32633", transform=from_origin(X, Y, 10, 10),
    ) as target:  # fmt: skip
        target.write(values, 1)
    return tmp_path / "a.tif"


def grid(strips: Path, cell: float, left: float, width: int, height: int) -> Grid:
    return Grid(
        width=width, height=height, crs=describe(strips).grid.crs, transform=(cell, 0.0, X + left, 0.0, -cell, Y + 20.0)
    )


def test_a_grid_of_the_raster_s_own_cells_takes_them_as_they_are(strips: Path) -> None:
    found = on_grid(strips, grid(strips, 10.0, -30.0, 20, 50))
    with rasterio.open(strips) as source:
        values = source.read(1)
    np.testing.assert_array_equal(found[2:42, 3:], values[:, :17])
    assert np.isnan(found[:2]).all()
    assert np.isnan(found[:, :3]).all()
    assert np.isnan(found[42:]).all()


@pytest.mark.parametrize("cell", [2.0, 7.0, 13.0])
def test_a_gap_stays_one_on_other_cells(strips: Path, cell: float) -> None:
    width = int(400 / cell)
    found = on_grid(strips, grid(strips, cell, 3.0, width, int(360 / cell)))
    middle = (3.0 + cell * (np.arange(width) + 0.5)) % 50
    inside_gap, seen = (middle > 30 + cell / 2) & (middle < 50 - cell / 2), (middle > cell) & (middle < 30 - cell)
    rows = slice(int(40 / cell), None)
    assert np.isnan(found[rows, inside_gap]).all()
    assert np.isfinite(found[rows, seen]).all()
