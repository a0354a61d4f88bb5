"""GDAL, PROJ and HDF5 kept to this machine's files: no network, no plugin, and no vector format but those read here."""

import os
from collections.abc import Mapping
from typing import Any

from mainstem.core.errors import MissingExtraError

DRIVERS = ("GPKG", "ESRI Shapefile", "GeoJSON", "LIBKML", "KML", "MEM", "Memory")  # GeoJSON is written, never read
SETTINGS: Mapping[str, str] = {  # options of GDAL, PROJ and HDF5; each library reads them from the environment
    "PROJ_NETWORK": "OFF",
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": "{none}",  # no name ends so: /vsicurl/, /vsis3/ and their like open nothing
    "CPL_VSIL_CURL_USE_HEAD": "NO",
    "GDAL_HTTP_PROXY": "127.0.0.1:9",  # the discard port: what else asks the network gets no further than here
    "GDAL_HTTP_MAX_RETRY": "0",
    "GDAL_HTTP_CONNECTTIMEOUT": "1",
    "GDAL_VRT_ENABLE_PYTHON": "NO",
    "OGR_SQLITE_ALLOW_EXTERNAL_ACCESS": "NO",
    "OGR_SQLITE_LOAD_EXTENSIONS": "",
    "OGR_GEOMETRY_ACCEPT_UNCLOSED_RING": "NO",  # a border that does not close is not guessed
    "LIBKML_EXTERNAL_STYLE": "NO",
    "LIBKML_RESOLVE_STYLE": "NO",
    "HDF5_PLUGIN_PRELOAD": "::",  # HDF5 reference manual, H5PL: no filter is loaded from a file
}


def keep_offline() -> None:
    """Bar GDAL, PROJ and HDF5 from the network and from plugins, in this process and those it starts.

    Called before any of them is used. Downloads of our own go by Python's urllib and are not touched.
    """
    os.environ.update(SETTINGS)


def load_pyogrio() -> Any:  # noqa: ANN401 - the module itself
    """Import pyogrio with the DRIVERS alone, for the whole process.

    pyogrio opens a file with whichever driver of GDAL claims it, and has no allow-list of its own; a virtual format
    would be followed to other files and hosts.

    Raises:
        MissingExtraError: if it is not installed, or cannot be kept to DRIVERS.
    """
    keep_offline()
    try:
        import pyogrio
        from pyogrio import core
    except ImportError as error:
        raise MissingExtraError("pyogrio", "maps") from error
    others = sorted(set(pyogrio.list_drivers()) - set(DRIVERS))
    if others:
        pyogrio.set_gdal_config_options({"OGR_SKIP": ",".join(others)})
        getattr(core, "_register_drivers", int)()  # GDAL drops what OGR_SKIP names when it registers drivers
        pyogrio.set_gdal_config_options({"OGR_SKIP": None})
        left = sorted(set(pyogrio.list_drivers()) - set(DRIVERS))
        if left:
            raise MissingExtraError(f"a pyogrio that can be kept from {left[0]}", "maps")
    return pyogrio


def load_geopandas() -> Any:  # noqa: ANN401 - the module itself
    """Import geopandas, its reader and writer kept to DRIVERS.

    Raises:
        MissingExtraError: if it is not installed.
    """
    load_pyogrio()
    try:
        import geopandas
    except ImportError as error:
        raise MissingExtraError("geopandas", "maps") from error
    return geopandas
