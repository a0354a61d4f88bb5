"""Cubes of Zarr and NetCDF through xarray: bands as variables of (time, y, x), CRS by CF's grid mapping."""

import datetime
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError, MissingExtraError
from mainstem.core.stream import Channel
from mainstem.data.inputs import WAVELENGTHS_NM, Staged, canonical
from mainstem.data.pixels import UNITS
from mainstem.data.raster import Grid

if TYPE_CHECKING:
    import xarray

EVEN = 1e-3  # of a pixel: how far coordinates may lie from an even grid


def open_cube(path: Path) -> Iterator[Staged]:
    """Yield the dates of a cube whose variables are bands; fill values and packing are CF's, as xarray undoes them.

    Raises:
        InputError: if it cannot be read, or lacks bands, units, CRS, time or an even, north-up grid.
    """
    dataset = _open(path)
    bands = {canonical(str(name)): str(name) for name in dataset.data_vars if canonical(str(name)) in UNITS}
    if not bands:
        raise InputError(f"{path.name} holds {', '.join(map(str, dataset.data_vars))}, want {', '.join(UNITS)}")
    for name, ours in bands.items():
        if set(dataset[ours].dims) != {"time", "y", "x"}:
            raise InputError(f"{ours} of {path.name} has dims {dataset[ours].dims}, want time, y, x; rename them")
        unit = str(dataset[ours].attrs.get("units", ""))
        if unit != UNITS[name]:
            raise InputError(f"{ours} of {path.name} comes in {unit or 'no unit'!r}, want {UNITS[name]!r}; convert it")
    grid = _grid(dataset, path)
    channels = tuple(Channel(name=name, unit=UNITS[name], wavelength_nm=WAVELENGTHS_NM.get(name)) for name in bands)
    stamps = dataset["time"].values.astype("datetime64[s]").astype(datetime.datetime)
    for index, stamp in enumerate(stamps.tolist()):
        yield Staged(
            name=f"{path.stem}-{index:03d}",
            time=stamp,
            grid=grid,
            channels=channels,
            dtype="float32",
            nodata=float("nan"),
            scale=1.0,
            offset=0.0,
            read=_reader(dataset, list(bands.values()), index),
        )


def _reader(dataset: "xarray.Dataset", names: list[str], index: int) -> Callable[[slice], NDArray[np.generic]]:
    def read(rows: slice) -> NDArray[np.generic]:
        chosen = dataset[names].isel(time=index, y=rows)
        return np.stack([chosen[name].transpose("y", "x").values for name in names]).astype(np.float32)

    return read


def _open(path: Path) -> "xarray.Dataset":
    try:
        import xarray
    except ImportError as error:
        raise MissingExtraError("xarray", "maps") from error
    engine = "zarr" if path.suffix == ".zarr" else "netcdf4"
    if not path.exists():
        raise InputError(f"no cube {path}; give a .zarr folder or a .nc file")
    try:
        dataset = xarray.open_dataset(path, engine=engine, chunks=None)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path.name} cannot be read as {engine} ({error!s:.200}); write it again") from error
    if any(name not in dataset.coords for name in ("time", "y", "x")):
        raise InputError(
            f"{path.name} lacks one of the coordinates time, y, x; it has {', '.join(map(str, dataset.coords))}"
        )
    if not np.issubdtype(dataset["time"].dtype, np.datetime64):
        raise InputError(f"{path.name} has times of {dataset['time'].dtype}, want dates (CF units since ...)")
    return dataset


def _grid(dataset: "xarray.Dataset", path: Path) -> Grid:
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    mapping = dataset.variables.get("spatial_ref")
    text = None if mapping is None else mapping.attrs.get("crs_wkt") or mapping.attrs.get("spatial_ref")
    text = text or dataset.attrs.get("crs")
    if not text:
        raise InputError(f"{path.name} has no CRS (spatial_ref with crs_wkt, or an attribute crs); it is not guessed")
    try:
        crs = CRS.from_user_input(text).to_wkt()
    except CRSError as error:
        raise InputError(f"{path.name} names a CRS that is not one ({error!s:.100})") from error
    x, y = (dataset[name].values.astype(np.float64) for name in ("x", "y"))
    if len(x) < 2 or len(y) < 2:
        raise InputError(f"{path.name} is {len(x)} by {len(y)} pixels, want at least 2 by 2")
    width, height = float(x[1] - x[0]), float(y[1] - y[0])
    for values, step in ((x, width), (y, height)):
        if np.abs(np.diff(values) - step).max() > EVEN * abs(step):
            raise InputError(f"{path.name} has uneven coordinates; interpolate it to an even grid first")
    if width <= 0 or height >= 0:
        raise InputError(f"{path.name} is not north-up (x rising, y falling); flip it first")
    transform = (width, 0.0, float(x[0] - width / 2), 0.0, height, float(y[0] - height / 2))
    return Grid(width=len(x), height=len(y), transform=transform, crs=crs)
