"""Places on the earth as east, north and up of an origin (topocentric), by PROJ."""

from dataclasses import dataclass
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError

Array = NDArray[np.float64]
RADIUS_M = 6_371_008.8  # mean of the earth (IUGG): distances by it are right to half a percent
SCATTER_M = 100.0  # by which two fixes of one place may differ, as among houses


@dataclass(frozen=True)
class Origin:
    """Where the local ENU begins: geodetic degrees and metres above the WGS 84 ellipsoid."""

    latitude_deg: float
    longitude_deg: float
    altitude_m: float

    def to_enu(self, geodetic: Array) -> Array:
        """Return east, north, up (n, 3), m, of (latitude deg, longitude deg, altitude m) rows; NaN for no height."""
        cart = "+proj=pipeline +step +proj=unitconvert +xy_in=deg +xy_out=rad +step +proj=cart +ellps=WGS84"
        local = _pyproj().Transformer.from_pipeline(f"{cart} +step {self._topocentric()}")
        lacks = np.isnan(geodetic[:, 2])
        heights = np.where(lacks, self.altitude_m, geodetic[:, 2])
        found = np.stack(local.transform(geodetic[:, 1], geodetic[:, 0], heights), axis=-1).astype(np.float64)
        found[lacks, 2] = np.nan
        return found

    def from_ecef(self, ecef: Array) -> Array:
        """Return east, north, up (n, 3), m, of earth-centred, earth-fixed places (n, 3), m."""
        local = _pyproj().Transformer.from_pipeline(f"+proj=pipeline +step {self._topocentric()}")
        return np.stack(local.transform(*ecef.T), axis=-1).astype(np.float64)

    def axes(self) -> Array:
        """Return the rotation (3, 3) of vectors from ECEF to ENU."""
        sin_lat, sin_lon = np.sin(np.radians([self.latitude_deg, self.longitude_deg]))
        cos_lat, cos_lon = np.cos(np.radians([self.latitude_deg, self.longitude_deg]))
        return np.array(
            [
                [-sin_lon, cos_lon, 0.0],
                [-sin_lat * cos_lon, -sin_lat * sin_lon, cos_lat],
                [cos_lat * cos_lon, cos_lat * sin_lon, sin_lat],
            ]
        )

    def _topocentric(self) -> str:
        return (
            f"+proj=topocentric +ellps=WGS84 +lat_0={self.latitude_deg!r} +lon_0={self.longitude_deg!r} "
            f"+h_0={self.altitude_m!r}"
        )


def origin_of_ecef(ecef: Array) -> Origin:
    """Return the origin at one earth-centred, earth-fixed place (3,), m."""
    longitude, latitude, altitude = _pyproj().Transformer.from_crs(4978, 4979, always_xy=True).transform(*ecef)
    return Origin(float(latitude), float(longitude), float(altitude))


def first_agreed(times: Array, geodetic: Array, fastest_m_s: float) -> int:
    """Return the index of the first fix (latitude, longitude in deg, ...) from which the most others can be reached.

    Fixes are parted where one cannot be reached from the one before; the longest part counts, and every earlier one
    from whose end it can be reached.
    """
    latitude, longitude = np.radians(geodetic[:, 0]), np.radians(geodetic[:, 1])
    flat = np.cos(latitude)
    places = RADIUS_M * np.stack([flat * np.cos(longitude), flat * np.sin(longitude), np.sin(latitude)], axis=-1)

    def is_reached(start: NDArray[np.intp], end: NDArray[np.intp] | np.intp) -> NDArray[np.bool_]:
        away = np.linalg.norm(places[end] - places[start], axis=-1)
        reached: NDArray[np.bool_] = away <= SCATTER_M + fastest_m_s * (times[end] - times[start])
        return reached

    index = np.arange(len(times))
    starts = np.concatenate([[0], index[1:][~is_reached(index[:-1], index[1:])]])
    ends = np.append(starts[1:], len(times)) - 1
    longest = starts[np.argmax(ends - starts)]
    earlier = starts < longest
    agreed = starts[earlier][is_reached(ends[earlier], longest)]
    return int(agreed[0] if len(agreed) else longest)


def _pyproj() -> ModuleType:
    """PROJ's Python binding, which an extra brings.

    Raises:
        InputError: if it is not installed.
    """
    try:
        import pyproj
    except ImportError as error:
        raise InputError('places on the earth need PROJ; pip install "mainstem[robot]"') from error
    return pyproj
