"""Places on the earth as east, north and up of an origin (topocentric), by PROJ."""

from dataclasses import dataclass
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Origin:
    """Where the local ENU begins: geodetic degrees and metres above the WGS 84 ellipsoid."""

    latitude_deg: float
    longitude_deg: float
    altitude_m: float

    def to_enu(self, geodetic: Array) -> Array:
        """Return east, north, up (n, 3), m, of (latitude deg, longitude deg, altitude m) rows."""
        cart = "+proj=pipeline +step +proj=unitconvert +xy_in=deg +xy_out=rad +step +proj=cart +ellps=WGS84"
        local = _pyproj().Transformer.from_pipeline(f"{cart} +step {self._topocentric()}")
        return np.stack(local.transform(geodetic[:, 1], geodetic[:, 0], geodetic[:, 2]), axis=-1).astype(np.float64)

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
