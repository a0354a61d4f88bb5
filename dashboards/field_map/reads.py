"""What the field page reads once for all sessions: a map with its fields, and their outlines."""

import geopandas as gpd
import streamlit as st
from shapely.geometry import box

from mainstem.apps.field_maps import maps_folder
from mainstem.apps.fields.map_advice import zones_file
from mainstem.apps.map_files import NOTES
from mainstem.dashboards.components.fieldmap import Geometry, pack_geometry
from mainstem.dashboards.field_map.board import FIELDS, FieldBoard, load_field_board
from mainstem.dashboards.field_map.changes import Changes, find_changes
from mainstem.dashboards.field_map.journal import JOURNAL
from mainstem.dashboards.field_map.units import in_unit


@st.cache_resource(show_spinner="Reading the map", max_entries=4)
def read_map(name: str, stamp: str) -> FieldBoard:
    """Read a map once for all sessions; `stamp` renews it when it or its fields change."""
    assert stamp
    return load_field_board(name)


@st.cache_resource(show_spinner=False, max_entries=8)
def read_shown(name: str, stamp: str, unit: str) -> FieldBoard:
    """Turn a map into another unit once for all sessions."""
    return in_unit(read_map(name, stamp), unit)


@st.cache_resource(show_spinner=False, max_entries=4)
def read_geometry(name: str, stamp: str) -> Geometry:
    """Pack a map's fields once for all sessions."""
    board = read_map(name, stamp)
    return pack_geometry(board.table.set_index("field"), None if len(board.table) else frame_of(board), board.crs)


@st.cache_resource(show_spinner="Comparing the last scenes", max_entries=4)
def read_changes(name: str, stamp: str) -> Changes:
    """Compare a map's last scenes once for all sessions."""
    return find_changes(read_map(name, stamp))


def frame_of(board: FieldBoard) -> gpd.GeoDataFrame:
    """The map's own border, to look at where there is no field yet."""
    return gpd.GeoDataFrame(geometry=[box(*board.bounds)], crs=board.crs)


def stamp_of(name: str) -> str:
    """When map and fields last changed."""
    folder = maps_folder() / name
    paths = [*map(folder.joinpath, ("map.tif", NOTES, FIELDS, JOURNAL)), zones_file(folder)]
    times = [path.stat().st_mtime_ns for path in paths if path is not None and path.is_file()]
    return "-".join(map(str, times))
