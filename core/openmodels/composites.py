"""Monthly composites of image series: what encoders that know months, not dates, are given of irregular dates."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mainstem.core.blocks import Block
from mainstem.core.cases import Cases
from mainstem.core.errors import ChannelError, InputError
from mainstem.core.layout import channel_places
from mainstem.core.stream import Channel, Sample, Stream

Array = NDArray[np.float64]
SQUARE = 0.01  # of its width, by which a pixel's height may differ


@dataclass(frozen=True, kw_only=True, eq=False)
class Months:
    """Means of clear pixels by calendar month: values (month, channel, y, x), NaN where none; months (month,)."""

    values: Array
    months: NDArray[np.datetime64]

    def numbers(self) -> NDArray[np.int64]:
        """Month of the year, 0 (January) to 11."""
        return self.months.astype(np.int64) % 12


def grid_of(sample: Sample, family: str) -> Stream:
    """The one grid stream of a sample.

    Raises:
        InputError: if it has none, or several, or no clock.
    """
    grids = [stream for stream in sample.streams.values() if stream.kind == "grid"]
    if len(grids) != 1 or not sample.origin:
        raise InputError(f"{sample.source.item} has {len(grids)} dated image series, {family} reads one; give one")
    return grids[0]


def share_clock(samples: Cases) -> bool:
    """True where all cases have one dated image series on one clock, so that they can be read at once."""
    grids = _grids(samples)
    is_one = len(grids) == 1 and grids[0].times is not None and grids[0].times.ndim == 1
    return is_one and isinstance(samples.origin, str) and bool(samples.origin) and len(samples) > 0


def windows_in(samples: Cases) -> Block:
    """The one dated image series of cases that share its clock."""
    (block,) = _grids(samples)
    return block


def _grids(samples: Cases) -> list[Block]:
    return [block for block in samples.streams.values() if block.kind == "grid" and block.has is None]


def monthly(stream: Stream, origin: str, longest: int) -> Months:
    """The newest `longest` calendar months that show anything."""
    assert stream.times is not None
    dates = np.datetime64(origin.removesuffix("Z"), "s") + stream.times.astype("timedelta64[s]")
    months = dates.astype("datetime64[M]")
    seen = stream.observed()
    kept = [month for month in np.unique(months) if seen[months == month].any()][-longest:]
    means = []
    for month in kept:
        here = months == month
        count = seen[here].sum(0)
        total = np.where(seen[here], stream.values[here], 0.0).sum(0)
        means.append(np.where(count > 0, total / np.maximum(count, 1), np.nan))
    shape = (0, *stream.values.shape[1:])
    return Months(values=np.stack(means) if means else np.zeros(shape), months=np.array(kept, "datetime64[M]"))


def composed(windows: Block, origin: str, longest: int) -> tuple[Array, NDArray[np.int64]]:
    """The same of windows that share their dates: values (n, month, channel, y, x), months of the year (n, month).

    Each window's months come first, in order; where it has fewer than others, NaN and January follow.
    """
    assert windows.times is not None
    dates = np.datetime64(origin.removesuffix("Z"), "s") + windows.times.astype("timedelta64[s]")
    months, starts = np.unique(dates.astype("datetime64[M]"), return_index=True)
    seen = windows.observed()
    count = np.add.reduceat(seen, starts, 1, dtype=np.int64)
    total = np.add.reduceat(np.where(seen, windows.values, 0.0), starts, 1)
    values = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    shown = np.asarray(count.any((2, 3, 4)))
    newest = shown & (shown[:, ::-1].cumsum(1)[:, ::-1] <= longest)
    order = np.argsort(~newest, axis=1, kind="stable")[:, : max(int(newest.sum(1).max()), 1)]
    kept = np.take_along_axis(newest, order, 1)
    values = np.take_along_axis(values, order[:, :, None, None, None], 1)
    values[~kept] = np.nan
    return values, np.where(kept, (months.astype(np.int64) % 12)[order], 0)


def in_order(values: Array, channels: Sequence[Channel], bands: Sequence[Channel]) -> Array:
    """Values (..., channel, y, x) in the order of an encoder's bands; those that lack are NaN.

    Raises:
        ChannelError: if a channel comes in another unit, twice, or under another name.
    """
    found = np.full((*values.shape[:-3], len(bands), *values.shape[-2:]), np.nan)
    for index, place in enumerate(channel_places(channels, bands)):
        if place is not None:
            found[..., place, :, :] = values[..., index, :, :]
    return found


def one_size(streams: Sequence[Stream]) -> tuple[int, int]:
    """Rows and columns that all windows share.

    Raises:
        InputError: if two differ.
    """
    sizes = {stream.values.shape[2:] for stream in streams}
    if len(sizes) != 1:
        raise InputError(f"got windows of {sorted(sizes)} pixels in one batch, want one size; crop them")
    rows, columns = next(iter(sizes))
    return int(rows), int(columns)


def spacing_of(sample: Sample, stream: Stream) -> float:
    """Metres a pixel of a sample's images.

    Raises:
        InputError: if they do not say it, or pixels are no squares.
    """
    if stream.geometry is None or stream.geometry.unit is None:
        raise InputError(f"{sample.source.item} does not say its pixels' size; give it a Geometry in m or mm")
    x, y, _ = stream.geometry.spacing_m()
    if abs(x - y) > SQUARE * x:
        raise InputError(f"{sample.source.item} has pixels of {x:g} x {y:g} m, want squares; resample them")
    return x


def latlon_of(sample: Sample) -> tuple[float, float] | None:
    """Latitude and longitude of a sample's stream `place`, by name, or None.

    Raises:
        ChannelError: if the place does not give both in degrees.
    """
    place = sample.streams.get("place")
    if place is None:
        return None
    found = {
        channel.name: float(place.values[row]) for row, channel in enumerate(place.channels) if channel.unit == "deg"
    }
    if not {"latitude", "longitude"} <= set(found):
        names = ", ".join(channel.name for channel in place.channels)
        raise ChannelError(f"a place needs latitude and longitude in deg; that of {sample.source.item} has {names}")
    return found["latitude"], found["longitude"]
