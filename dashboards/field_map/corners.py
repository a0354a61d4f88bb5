"""Fields with more corners than a map's cells can show: fewer, so that a page stays quick; the given file is kept."""

from typing import TYPE_CHECKING

import numpy as np

from mainstem.data.earth.raster import Grid

if TYPE_CHECKING:
    import geopandas as gpd

MOST_CORNERS = 10_000  # of a field that is taken as it is
TOLERANCES = (0.1, 0.25, 0.5)  # of a cell's side: how far a border may move; the first that is enough is taken


def with_fewer_corners(table: "gpd.GeoDataFrame", grid: Grid) -> tuple["gpd.GeoDataFrame", float, list[str]]:
    """Move borders of more than MOST_CORNERS corners by a part of a cell at most, so that they have fewer.

    Returns:
        The table, by how much of a cell's side borders were moved at most, and the fields whose were.
    """
    import shapely

    borders = table.geometry.to_numpy()
    rows = np.flatnonzero(shapely.get_num_coordinates(borders) > MOST_CORNERS)
    if not rows.size:
        return table, 0.0, []
    cell = min(abs(grid.transform[0]), abs(grid.transform[4]))
    found, most = borders.copy(), 0.0
    for row in rows:
        for share in TOLERANCES:
            border = shapely.simplify(borders[row], share * cell, preserve_topology=True)
            most = max(most, share)
            if shapely.get_num_coordinates(border) <= MOST_CORNERS:
                break
        if border.is_valid and not border.is_empty:
            found[row] = border
    moved = [field for field, old, new in zip(table["field"], borders, found, strict=True) if old is not new]
    return table.set_geometry(found, crs=table.crs), most, moved
