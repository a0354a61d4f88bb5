"""Cubes of Zarr and NetCDF through xarray: bands as variables of (time, y, x), CRS by CF's grid mapping."""

import datetime
import lzma
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError, MissingExtraError
from mainstem.core.plain import one_line
from mainstem.core.stream import Channel
from mainstem.data.earth.bands import ROWS, WAVELENGTHS_NM, Staged, canonical
from mainstem.data.earth.crs import parse_crs
from mainstem.data.earth.pixels import UNITS
from mainstem.data.earth.raster import Grid
from mainstem.data.earth.stores import check_netcdf, check_zarr
from mainstem.data.limits import bounded_memory

if TYPE_CHECKING:
    import xarray

EVEN = 1e-3  # of a pixel: how far coordinates may lie from an even grid
MOST_AT_ONCE = 512 << 20  # bytes of the ROWS that are staged at once
FIRST, LAST = np.datetime64("1970-01-01"), np.datetime64("2200-01-01")  # of what a satellite can have seen
DAMAGED = (  # what xarray, zarr, its codecs and netCDF4 raise of files that are none
    OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError, RuntimeError, EOFError,
    zlib.error, lzma.LZMAError,
)  # fmt: skip


def open_cube(path: Path) -> Iterator[Staged]:
    """Yield the dates of a cube whose variables are bands; fill values and packing are CF's, as xarray undoes them.

    Raises:
        InputError: if it cannot be read, or lacks bands, units, CRS, time or an even, north-up grid.
    """
    dataset = _open(path)
    bands = _bands(dataset, path)
    grid = _grid(dataset, path)
    channels = tuple(Channel(name=name, unit=UNITS[name], wavelength_nm=WAVELENGTHS_NM.get(name)) for name in bands)
    if ROWS * grid.width * len(bands) * 4 > MOST_AT_ONCE:
        raise InputError(f"{path.name} is {grid.width} pixels wide with {len(bands)} bands; cut it in narrower parts")
    stamps = _stamps(dataset, path)
    for index, stamp in enumerate(stamps):
        yield Staged(
            name=f"{path.stem}-{index:03d}",
            time=stamp,
            grid=grid,
            channels=channels,
            read=_reader(dataset, list(bands.values()), index, path),
        )


def _bands(dataset: "xarray.Dataset", path: Path) -> dict[str, str]:
    """The file's names of bands, by ours."""
    bands: dict[str, str] = {}
    for name in map(str, dataset.data_vars):
        ours = canonical(name)
        if ours in bands:
            raise InputError(f"{path.name} holds {ours} twice, as {bands[ours]} and {name}; drop one")
        if ours in UNITS:
            bands[ours] = name
    if not bands:
        held = ", ".join(map(str, dataset.data_vars))
        raise InputError(f"{path.name} holds {held[:200]}, want {', '.join(UNITS)}")
    for ours, name in bands.items():
        found = dataset[name]
        if sorted(map(str, found.dims)) != ["time", "x", "y"]:
            raise InputError(f"{name} of {path.name} has dims {found.dims}, want time, y, x; rename them")
        unit = str(found.attrs.get("units", ""))
        if unit != UNITS[ours]:
            raise InputError(
                f"{name} of {path.name} comes in {unit[:40] or 'no unit'!r}, want {UNITS[ours]!r}; convert it"
            )
        _check_packing(found, name, path)
    return bands


def _check_packing(found: "xarray.DataArray", name: str, path: Path) -> None:
    """Refuse what are no real numbers, or are packed by a scale or offset that is none."""
    if found.dtype.kind not in "iuf":
        raise InputError(f"{name} of {path.name} holds {found.dtype}, want real numbers; write it again")
    for key in ("scale_factor", "add_offset"):
        value = found.encoding.get(key, 1.0)
        is_number = isinstance(value, int | float | np.integer | np.floating) and np.isfinite(value)
        if not is_number or (key == "scale_factor" and value <= 0):
            raise InputError(f"{name} of {path.name} has the {key} {str(value)[:40]}, want a number; write it again")


def _stamps(dataset: "xarray.Dataset", path: Path) -> list[datetime.datetime]:
    """UTC of each date."""
    times = dataset["time"].values
    if times.ndim != 1 or not len(times):
        raise InputError(f"{path.name} has times of shape {times.shape}, want one a date; write it again")
    odd = [str(time) for time in times if not FIRST <= time <= LAST]  # NaT is neither
    if odd:
        raise InputError(f"{path.name} has the time {odd[0]}, want dates between {FIRST} and {LAST}; mend it")
    stamps: list[datetime.datetime] = times.astype("datetime64[s]").astype(datetime.datetime).tolist()
    return stamps


def _reader(
    dataset: "xarray.Dataset", names: list[str], index: int, path: Path
) -> Callable[[slice], NDArray[np.generic]]:
    def read(rows: slice) -> NDArray[np.generic]:
        chosen = dataset[names].isel(time=index, y=rows)
        values = np.empty((len(names), chosen.sizes["y"], chosen.sizes["x"]), np.float32)
        try:
            with bounded_memory(path.name):
                for number, name in enumerate(names):
                    values[number] = chosen[name].transpose("y", "x").values
        except DAMAGED as error:
            raise InputError(
                f"{path.name} cannot be read to its end ({one_line(error, 160)}); fetch it again"
            ) from error
        return values

    return read


def _open(path: Path) -> "xarray.Dataset":
    try:
        import xarray
    except ImportError as error:
        raise MissingExtraError("xarray", "maps") from error
    is_zarr = path.suffix == ".zarr"
    if not path.exists():
        raise InputError(f"no cube {path}; give a .zarr folder or a .nc file")
    (check_zarr if is_zarr else check_netcdf)(path)
    engine = "zarr" if is_zarr else "netcdf4"
    try:
        with bounded_memory(path.name), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of metadata that are not consolidated, and times that CF knows anyway
            dataset = xarray.open_dataset(path, engine=engine, chunks=None)
    except DAMAGED as error:
        raise InputError(f"{path.name} cannot be read as {engine} ({one_line(error, 160)}); write it again") from error
    if any(name not in dataset.coords or dataset[name].ndim != 1 for name in ("time", "y", "x")):
        held = ", ".join(map(str, dataset.coords))
        raise InputError(f"{path.name} lacks one of the coordinates time, y, x; it has {held[:200]}")
    if not np.issubdtype(dataset["time"].dtype, np.datetime64):
        raise InputError(f"{path.name} has times of {dataset['time'].dtype}, want dates (CF units since ...)")
    return dataset


def _grid(dataset: "xarray.Dataset", path: Path) -> Grid:
    mapping = dataset.variables.get("spatial_ref")
    text = None if mapping is None else mapping.attrs.get("crs_wkt") or mapping.attrs.get("spatial_ref")
    text = text or dataset.attrs.get("crs")
    if not text:
        raise InputError(f"{path.name} has no CRS (spatial_ref with crs_wkt, or an attribute crs); it is not guessed")
    crs = parse_crs(text, path.name).to_wkt()
    x, y = (_axis(dataset, name, path) for name in ("x", "y"))
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


def _axis(dataset: "xarray.Dataset", name: str, path: Path) -> NDArray[np.float64]:
    found = dataset[name].values
    if found.dtype.kind not in "iuf" or not np.isfinite(found).all():
        raise InputError(f"{path.name} has coordinates {name} that are no finite numbers; write it again")
    axis: NDArray[np.float64] = found.astype(np.float64)
    return axis
