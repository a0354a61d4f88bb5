"""Points of a harvest: one a record of a combine's log, in our units."""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.data.earth.gdal import keep_offline

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class HarvestPoints:
    """Records of a harvest, one place in every array (record,), NaN where the log tells none.

    Attributes:
        longitude, latitude: degrees, EPSG:4326.
        yield_t_ha: as the monitor tells it, at whatever moisture it was set to.
        time_s: of any origin; distance_m and interval_s: that the record covers; heading_deg: clockwise from north.
        machine: number of the combine, or of its log's part, in `machines`.
        row: of the file, as a spreadsheet counts.
        notes: what was understood of the files; sources: their names; days: dates of harvest, as far as they are told.
    """

    longitude: Array
    latitude: Array
    yield_t_ha: Array
    time_s: Array
    interval_s: Array
    moisture_pct: Array
    swath_m: Array
    distance_m: Array
    speed_m_s: Array
    heading_deg: Array
    flow_kg_s: Array
    machine: NDArray[np.int64]
    row: NDArray[np.int64]
    crop: str | None = None
    machines: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    days: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.longitude)

    def where(self, chosen: NDArray[Any]) -> "HarvestPoints":
        """Return the records that a mask or numbers choose."""
        return replace(self, **{name: getattr(self, name)[chosen] for name in COLUMNS})

    def told(self, notes: "list[str]") -> "HarvestPoints":
        """Return the same with more notes."""
        return replace(self, notes=tuple(dict.fromkeys((*self.notes, *notes))))

    def local_crs(self) -> str:
        """The UTM zone of the middle of the records, as EPSG:n."""
        east, north = np.nanmedian(self.longitude), np.nanmedian(self.latitude)
        zone = int((east + 180) // 6) % 60 + 1
        return f"EPSG:{(32600 if north >= 0 else 32700) + zone}"

    def metric(self, crs: str | None = None) -> tuple[Array, Array]:
        """Easting and northing, m, in a CRS, that of `local_crs` unless given."""
        keep_offline()
        from pyproj import Transformer

        to = Transformer.from_crs("EPSG:4326", crs or self.local_crs(), always_xy=True)
        x, y = to.transform(self.longitude, self.latitude)
        return np.asarray(x, np.float64), np.asarray(y, np.float64)


NOT_COLUMNS = ("crop", "machines", "sources", "notes", "days")
COLUMNS = tuple(field.name for field in fields(HarvestPoints) if field.name not in NOT_COLUMNS)


def spoken(moisture_pct: Array) -> Array:
    """Moisture where the sensor tells any: 0 is what it says before it has seen grain."""
    return np.where(moisture_pct > 0, moisture_pct, np.nan)


def joined(parts: "list[HarvestPoints]") -> HarvestPoints:
    """Put the records of several logs one after another; each keeps machines of its own."""
    if len(parts) == 1:
        return parts[0]
    starts = np.cumsum([0, *(len(part.machines) for part in parts)])
    moved = [
        replace(part, machine=part.machine + start) for part, start in zip(parts, starts[:-1].tolist(), strict=True)
    ]
    columns: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in moved]) for name in COLUMNS}
    return replace(
        moved[0],
        **columns,
        machines=tuple(name for part in parts for name in part.machines),
        sources=tuple(name for part in parts for name in part.sources),
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
        days=tuple(sorted({day for part in parts for day in part.days})),
    )
