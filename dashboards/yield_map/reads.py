"""What the yield page reads once for all sessions: boards, outlines, seasons and the stories of regions."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import streamlit as st

from mainstem.apps.region_sets import RegionChoice, choices
from mainstem.core.errors import ArtifactError
from mainstem.dashboards.components.fieldmap import Geometry, MapContent, pack_geometry
from mainstem.dashboards.yield_map.board import YieldBoard, load_board, outlines_of, region_story, season_table
from mainstem.dashboards.yield_map.controls import Controls
from mainstem.dashboards.yield_map.lasting import lasting_ends
from mainstem.dashboards.yield_map.layers import colour_regions
from mainstem.data.earth.outlines import Outlines

MOST = 0.5  # share of regions
US_CRS = "EPSG:5070"  # NAD83 / Conus Albers, equal-area; other sets are drawn in their own UTM zone


@dataclass(frozen=True, kw_only=True)
class BoardKey:
    """A set's name and its run; the stamp renews what was read when the run is calibrated or trained again."""

    name: str
    run: str
    stamp: str

    def choice(self) -> RegionChoice:
        """Return the set of this name."""
        return next(choice for choice in choices() if choice.name == self.name)


def key_of(choice: RegionChoice) -> BoardKey:
    """Return what a set's board is kept under; the stamp is of the run's file and of a user's tables."""
    stamp = "-".join((stamp_of(choice.run() / "adapter.safetensors"), *map(stamp_of, tables_of(choice))))
    return BoardKey(name=choice.name, run=str(choice.run()), stamp=stamp)


def tables_of(choice: RegionChoice) -> list[Path]:
    """The tables that a user brought of a set."""
    return [] if choice.folder is None else sorted(choice.folder.rglob("*.csv"))


def stamp_of(path: Path) -> str:
    """What changes when a file is written, or another is put in its place with the same times."""
    stat = path.stat()
    return f"{stat.st_ino}.{stat.st_size}.{stat.st_mtime_ns}.{stat.st_ctime_ns}"


def is_trained(choice: RegionChoice) -> bool:
    """True where a run of a set can be read; one that was, and has not changed since, is not read again."""
    if not (choice.run() / "adapter.safetensors").is_file():
        return False
    try:
        _check_run(key_of(choice))
    except ArtifactError:
        return False
    return True


@st.cache_data(show_spinner=False, max_entries=64)
def _check_run(key: BoardKey) -> bool:
    """True where a run can be read; what is refused is asked again, as nothing that is raised is kept."""
    if not key.choice().is_trained():
        raise ArtifactError(f"the run {key.run} cannot be read")
    return True


@st.cache_resource(show_spinner="Reading the model and its regions", max_entries=4)
def read_board(key: BoardKey) -> YieldBoard:
    """Read a board once for all sessions."""
    return load_board(key.choice().read(), Path(key.run))


@st.cache_resource(show_spinner="Reading outlines", max_entries=4)
def read_outlines(key: BoardKey) -> tuple[Outlines | None, Geometry | None]:
    """Read and pack a set's outlines once for all sessions."""
    outlines = outlines_of(read_board(key).source, folder=key.choice().folder)
    if outlines is None:
        return None, None
    return outlines, pack_outlines(outlines)


def pack_outlines(outlines: Outlines) -> Geometry:
    """Pack outlines for the browser, in the CRS that they are drawn in."""
    crs = US_CRS if outlines.background is not None else str(outlines.frame.estimate_utm_crs())
    return pack_geometry(outlines.frame, outlines.background, crs)


@st.cache_data(show_spinner="Predicting", max_entries=64)
def predict_season(key: BoardKey, season: str, lead: int, level: float, threshold_t_ha: float) -> pd.DataFrame:
    """Predict a season once for all sessions."""
    table = season_table(read_board(key), season, lead, level, threshold_t_ha)
    table["gap"] = table["value"] - table["expected"]
    return table


@st.cache_data(show_spinner=False, max_entries=4)
def read_lasting_ends(key: BoardKey) -> dict[str, tuple[float, float]]:
    """Return the ends of colours that hold for all seasons, once for all sessions."""
    return lasting_ends(read_board(key).source.samples)


@st.cache_resource(show_spinner=False, max_entries=16)
def read_map(key: BoardKey, controls: Controls) -> MapContent:
    """Colour a season's map by every layer once for all sessions; nothing in it is chosen.

    Raises:
        ValueError: if the set has no outlines.
    """
    _, geometry = read_outlines(key)
    if geometry is None:
        raise ValueError(f"the set {key.name} has no outlines")
    table = predict_season(key, controls.season, controls.lead, controls.level, controls.threshold_t_ha)
    return colour_regions(key.name, table, geometry, controls, read_lasting_ends(key))


@st.cache_data(show_spinner="Looking for claims", max_entries=64)
def newest_claimed(key: BoardKey, lead: int, level: float) -> str:
    """Return the newest season with a claim in most regions, or ""."""
    board = read_board(key)
    for season in board.seasons():
        if board.reach(season, lead) or board.is_trained_on(season):
            continue
        claims = season_table(board, season, lead, level, None)["claim"]
        if (claims == "stated").mean() > MOST:
            return season
    return ""


@st.cache_data(show_spinner=False, max_entries=256)
def predict_story(key: BoardKey, region: str, season: str, level: float) -> pd.DataFrame:
    """Predict a region through the season once for all sessions."""
    return region_story(read_board(key), region, season, level)
