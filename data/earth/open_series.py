"""Real Sentinel-2 series with an open licence, brought into the form that maps are made of."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from mainstem.core.errors import MissingExtraError
from mainstem.data.catalogue import find_data_set, pull
from mainstem.data.earth.gdal import load_geopandas
from mainstem.data.earth.staging import stage

if TYPE_CHECKING:
    import xarray

REFLECTANCE = 1e-4  # of a level-2A number before processing baseline 04.00, which is younger than these scenes
NO_DATA = 65_535


@dataclass(frozen=True, kw_only=True)
class OpenSeries:
    """One series.

    Attributes:
        name: of its map.
        data: of the set in the catalogue, and the file of it.
        bands: the file's names of red and near infrared.
        is_field: NaN surrounds one field, whose outline is what is ever seen.
        since: the first date that is taken; "" for all.
    """

    name: str
    data: str
    file: str
    bands: tuple[str, str]
    is_field: bool
    since: str = ""

    @property
    def attribution(self) -> str:
        """Whose data it is."""
        return find_data_set(self.data).attribution

    @property
    def licence(self) -> str:
        """Under which terms."""
        return find_data_set(self.data).licence


SERIES = (
    OpenSeries(
        name="Castilla y Leon", data="s2-fusets-field", file="raw_s2_ndvi_field_57x56.nc", bands=("B04", "B08"),
        is_field=True,
    ),
    OpenSeries(
        name="Belgium", data="s2-worldcereal-belgium", file="worldcereal_preprocessed_inputs.nc",
        bands=("S2-L2A-B04", "S2-L2A-B08"), is_field=False, since="2021-02-01",  # two winter months are empty
    ),
)  # fmt: skip


def write_series(series: OpenSeries, folder: Path, mirror: Path | None = None) -> tuple[list[Path], Path | None]:
    """Write a series as GeoTIFFs into `folder`, and the outline of its field as fields.gpkg where it is of one.

    Returns the scenes and the outline.

    Raises:
        InputError: if it cannot be pulled.
    """
    try:
        import xarray
    except ImportError as error:
        raise MissingExtraError("xarray", "maps") from error
    with xarray.open_dataset(pull(series.data, mirror) / series.file) as found:
        cube = _cube(found, series)
    with TemporaryDirectory() as aside:
        cube.to_netcdf(Path(aside) / "scenes.nc")
        scenes = stage([Path(aside) / "scenes.nc"], folder)
    if not series.is_field:
        return scenes, None
    fields = folder / "fields.gpkg"
    _outline(cube, fields)
    return scenes, fields


def _cube(found: "xarray.Dataset", series: OpenSeries) -> "xarray.Dataset":
    """Reflectance of the dates that show anything, as (time, y, x)."""
    import xarray

    bands = {}
    for ours, name in zip(("B4", "B8"), series.bands, strict=True):
        stored = found[name].transpose("t", "y", "x").astype(np.float32)
        stored = stored.where(stored != NO_DATA)
        bands[ours] = (("time", "y", "x"), REFLECTANCE * stored.values, {"units": "1", "grid_mapping": "spatial_ref"})
    shows = np.isfinite(bands["B4"][1]).any((1, 2))
    if series.since:
        shows &= found["t"].values >= np.datetime64(series.since)
    coordinates = {"time": found["t"].values, "y": found["y"].values, "x": found["x"].values}
    made = xarray.Dataset(bands, coordinates).isel(time=np.flatnonzero(shows))
    made["spatial_ref"] = (
        (),
        0,
        {"crs_wkt": found["crs"].attrs["crs_wkt"], "spatial_ref": found["crs"].attrs["crs_wkt"]},
    )
    return made


def _outline(cube: "xarray.Dataset", path: Path) -> None:
    """The largest part of what is ever seen, as one field."""
    from rasterio.features import shapes
    from rasterio.transform import from_origin
    from shapely.geometry import shape

    gpd = load_geopandas()
    x, y = cube["x"].values, cube["y"].values
    cell = float(x[1] - x[0])
    seen = np.isfinite(cube["B4"].values).any(0)
    transform = from_origin(x[0] - cell / 2, y[0] + cell / 2, cell, cell)
    parts = [shape(part) for part, _ in shapes(seen.astype(np.uint8), mask=seen, transform=transform)]
    largest = max(parts, key=lambda part: part.area)
    gpd.GeoDataFrame({"field": ["1"]}, geometry=[largest], crs=cube["spatial_ref"].attrs["crs_wkt"]).to_file(path)
