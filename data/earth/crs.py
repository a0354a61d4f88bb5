"""Coordinate reference systems from files and users: EPSG names, WKT and plain PROJ strings that name no file."""

import functools
import re
from typing import TYPE_CHECKING, Any

from mainstem.core.errors import InputError
from mainstem.core.plain import one_line
from mainstem.data.earth.gdal import keep_offline

if TYPE_CHECKING:
    import pyproj

LONGEST = 1 << 16  # characters of a definition; the longest of EPSG's own have some 10,000
EPSG = re.compile(
    r"(?:EPSG:|\+?init=epsg:|urn:(?:x-)?ogc:def:crs:EPSG:[0-9.]*:|https?://www\.opengis\.net/def/crs/EPSG/[0-9.]+/)"
    r"(\d{4,6})(?: \+type=crs| \+no_defs)*",
    re.IGNORECASE,
)
CRS84 = re.compile(r"OGC:CRS84|urn:(?:x-)?ogc:def:crs:OGC:[0-9.]*:CRS84|.*/def/crs/OGC/[0-9.]+/CRS84", re.IGNORECASE)
WKT = re.compile(r"[A-Z][A-Z0-9_]*\s*\[", re.IGNORECASE)
EXTENSION = re.compile(r'EXTENSION\s*[\[(]\s*"([^"]*)"\s*,\s*"((?:[^"]|"")*)"', re.IGNORECASE)
INNER = re.compile(  # PROJ strings that PROJ reads out of WKT: a derived CRS's method, and what it writes into remarks
    r'METHOD\s*[\[(]\s*"PROJ (?P<method>(?:[^"]|"")*)"|PROJ CRS string:(?P<remark>(?:[^"]|"")*)"', re.IGNORECASE
)
FILES = re.compile(r"PARAMETERFILE|PROJ-based|[\"\s]\+?\w*grids\s*=(?!@null)|\+init|proj=pipeline", re.IGNORECASE)
KEYS = {  # PROJ, "Cartographic projection" and "Ellipsoids": parameters that are numbers or names, never files
    "proj", "zone", "south", "north", "datum", "ellps", "a", "b", "rf", "f", "es", "R", "lat_0", "lat_1", "lat_2",
    "lat_3", "lat_ts", "lon_0", "lon_1", "lon_2", "lon_3", "lon_wrap", "lonc", "alpha", "gamma", "k", "k_0", "x_0",
    "y_0", "units", "to_meter", "vunits", "pm", "towgs84", "no_defs", "type", "over", "wktext", "h", "sweep", "axis",
    "no_uoff", "no_off", "M", "m", "n", "nadgrids", "o_proj", "o_lat_p", "o_lon_p", "o_alpha", "o_lon_c", "o_lat_c",
    "o_lon_1", "o_lat_1", "o_lon_2", "o_lat_2",
}  # fmt: skip
PLAIN = re.compile(r"[\w.,@+-]*", re.ASCII)


def parse_crs(text: object, where: str) -> "pyproj.CRS":
    """Read a CRS that an input names, opening no file and asking no host.

    Args:
        text: `EPSG:n` in any of its spellings, CRS84, WKT, or a PROJ string of numbers and names.
        where: what names it, for messages.

    Raises:
        InputError: if it is none of these, names a file or a grid, or PROJ does not know it.
    """
    keep_offline()
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    if not isinstance(text, str) or not 0 < len(text := text.strip()) <= LONGEST or "\0" in text:
        raise InputError(f"{where} names its CRS by {_shown(text)}, want EPSG:n or WKT; set it anew")
    found = EPSG.fullmatch(text)
    try:
        if found:
            crs = CRS.from_epsg(int(found[1]))
        elif CRS84.fullmatch(text):
            crs = CRS.from_authority("OGC", "CRS84")
        elif WKT.match(text):
            _check_wkt(text, where)
            crs = CRS.from_wkt(text)
        else:
            _check_proj(text, where)
            crs = CRS.from_string(text)
    except CRSError as error:
        raise InputError(f"{where} names a CRS that is not one ({one_line(error, 160)}); set EPSG:n or WKT") from error
    if not (crs.is_projected or crs.is_geographic):
        raise InputError(f"{where} has a CRS of {crs.type_name!r}, want one of places on the ground; set EPSG:n")
    return crs


def to_wgs84(wkt: str, where: str) -> Any:  # noqa: ANN401 - pyproj's Transformer
    """From a CRS to longitude and latitude, degrees WGS 84.

    Raises:
        InputError: as `parse_crs` does, before PROJ looks for any way from one to the other.
    """
    parse_crs(wkt, where)
    return _transformer(wkt)


@functools.lru_cache(maxsize=16)
def _transformer(wkt: str) -> Any:  # noqa: ANN401 - pyproj's Transformer
    from pyproj import CRS, Transformer

    return Transformer.from_crs(CRS.from_wkt(wkt), "EPSG:4326", always_xy=True)


def _check_wkt(text: str, where: str) -> None:
    """Refuse WKT that leads PROJ to a file: grids, parameter files, pipelines."""
    for kind, content in EXTENSION.findall(text):
        if kind.upper() != "PROJ4":
            raise InputError(f"{where} has a CRS with the extension {_shown(kind)}, which names files; set EPSG:n")
        _check_proj(content, where)
    for found in INNER.finditer(text):
        _check_proj(found["remark"] if found["method"] is None else f"proj={found['method']}", where)
    named = FILES.search(text)
    if named:
        raise InputError(f"{where} has a CRS that names a file ({named[0].strip()}); set EPSG:n instead")


def _check_proj(text: str, where: str) -> None:
    """Refuse a PROJ string with anything but numbers and names."""
    for word in text.split():
        key, _, value = word.removeprefix("+").partition("=")
        is_file = key == "nadgrids" and value != "@null"
        if key not in KEYS or is_file or not PLAIN.fullmatch(value) or (key, value) == ("proj", "pipeline"):
            raise InputError(f"{where} names its CRS by {_shown(word)}, want EPSG:n or WKT that names no file")


def _shown(text: object) -> str:
    shown = repr(text)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
