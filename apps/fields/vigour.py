"""`mainstem fields vigour`: how green pixels and fields were over a season against the map's mean, with no model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.apps.map import Inputs, MapSize, make_blocks, unwritten
from mainstem.apps.map_blocks import Placed
from mainstem.apps.map_context import Context, ContextSpec
from mainstem.apps.map_files import (
    MAP,
    SCENES,
    WRITTEN,
    check_free,
    facts_digest,
    facts_of,
    fields_sha256,
    publish,
)
from mainstem.apps.map_journal import reserved
from mainstem.apps.map_models import VIGOUR
from mainstem.core.errors import InputError
from mainstem.core.files import content, file_stat
from mainstem.core.outputs import check_output_folder
from mainstem.core.progress import Progress, silent
from mainstem.data.earth.greenness import Season, common_season, half_width, ndvi, relative_greenness
from mainstem.data.earth.raster import missing_as_nan, read_window
from mainstem.data.earth.scenes import Scenes, in_units, open_scenes, seconds_of
from mainstem.data.earth.staging import files_named, stage

DAY_S = 86_400.0
VERSION = 2  # of what is computed: raise it when the same scenes would give another map
BANDS = ("B4", "B8")
LOOKED_AT = 64, 512  # rows, and pixels of each, at most, by which the map's season is known before the map is
NOT_YIELD = "measured greenness over the dates given, no prediction: nothing is claimed of yield"
METHOD = "greenness (NDVI), no model"


@dataclass(frozen=True, kw_only=True)
class VigourSpec:
    """What is asked of a map of vigour: level of its intervals, fields, and whose data are shown under which terms."""

    level: float = 0.9
    fields: Path | None = None
    attribution: str = "scenes of the user's own"
    licence: str = ""


class Greenness:
    """Says of tiles how green each pixel was on the dates that show it, in percent of the mean of the map's fields."""

    def __init__(self, scenes: Scenes, context: Context, level: float) -> None:
        self.scenes, self.level = scenes, level
        names = [channel.name for channel in scenes.channels]
        lacking = [name for name in BANDS if name not in names]
        if lacking:
            raise InputError(f"the scenes lack {lacking[0]}; vigour needs red (B4) and near infrared (B8)")
        self.red, self.infrared = (names.index(name) for name in BANDS)
        self.days = np.array(seconds_of(scenes)) / DAY_S
        self.season, self.reference = self._season_of(context)

    def __call__(self, tiles: NDArray[np.float32], corners: Sequence[tuple[int, ...]]) -> NDArray[np.float32]:
        """Vigour of tiles (tile, date, band, y, x): mean, lower and upper (tile, 3, y, x) in percent."""
        return np.stack([self._tile(tile) for tile in tiles]).astype(np.float32)

    def _tile(self, tile: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        found = relative_greenness(self._series(tile), self.days, self.season)
        half = half_width(found, self.level)
        bands = np.stack([found.mean, found.mean - half, found.mean + half])
        return 100 / self.reference * bands.reshape(3, *tile.shape[-2:])

    def _series(self, tile: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """NDVI (pixel, date) of a tile (date, band, y, x) as stored."""
        values = in_units(self.scenes, np.moveaxis(tile, (0, 1), (2, 3)))
        series = ndvi(values[..., self.red], values[..., self.infrared])
        return series.reshape(-1, len(self.days))

    def _season_of(self, context: Context) -> tuple[Season, float]:
        """What the fields' pixels have in common, and the mean of their levels."""
        grid, (most_rows, most) = self.scenes.grid, LOOKED_AT
        rows = np.unique(np.linspace(0, grid.height - 1, most_rows).astype(int))
        columns = np.arange(grid.width)
        inside = context.is_inside(rows.repeat(grid.width), np.tile(columns, len(rows))).reshape(len(rows), -1)
        found = []
        for row, its in zip(rows.tolist(), inside, strict=True):
            window = slice(row, row + 1), slice(0, grid.width)
            strip = np.stack([missing_as_nan(one, read_window(one, *window)) for one in self.scenes.sources])
            chosen = columns[its][:: -(-its.sum() // most) or 1]
            found.append(self._series(strip[..., chosen]))
        series = np.concatenate(found)
        series = series[np.isfinite(series).any(1)]  # what lies outside the scenes' swath tells of no date
        season = common_season(series, self.days)
        level = relative_greenness(series, self.days, season).mean
        if not np.isfinite(level).any() or np.nanmean(level) <= 0:
            raise InputError(
                "no pixel is seen often enough: want 4 clear dates or more, at most 75 days apart, over 60% of the time"
            )
        return season, float(np.nanmean(level))


def map_vigour(inputs: Sequence[Path], out: Path, spec: VigourSpec, progress: Progress = silent) -> dict[str, Any]:
    """Map how green each pixel was, into `out` as `mainstem map` does; goes on where it was killed.

    Raises:
        InputError: if the scenes or the fields cannot be used as they are, or too little is seen.
    """
    if not 0 < spec.level < 1:
        raise InputError(f"got a level of {spec.level:g}, want one between 0 and 1")
    context = ContextSpec(fields=spec.fields)
    check_output_folder(out, WRITTEN, [*inputs, *files_named(inputs), *context.files()])
    check_free(out)
    try:
        with reserved(out / MAP):
            staged = stage(inputs, out / SCENES)
            return _map(staged, context, out, spec, progress)
    except OSError as error:
        raise unwritten(out / MAP, error) from error


def _map(
    staged: Sequence[Path], context: ContextSpec, out: Path, spec: VigourSpec, progress: Progress
) -> dict[str, Any]:
    together = [path for path in (*staged, *context.files()) if path.is_file()]
    seen = {path: file_stat(path) for path in together}  # before anything is read of them
    scenes = open_scenes(staged)
    model = Greenness(scenes, Context.open(context, scenes), spec.level)
    tags = _tags(scenes, spec)
    told = {
        "names": ["mean", "lower", "upper"], "tags": tags, "dates": list(scenes.times), "layers": {"valid": True},
        "fields": None if spec.fields is None else str(spec.fields.resolve()),
        "fields_sha256": None if spec.fields is None else fields_sha256(spec.fields), "mean_factor": 1.0,
    }  # fmt: skip
    facts = facts_of(told, "what the scenes say of themselves")
    watched = [content(path, stat) for path, stat in seen.items()]
    token = f"{METHOD} {VERSION} {model.reference} {[file.sha256 for file in watched]} {facts_digest(facts)}"
    size = MapSize(tile=64, overlap=0, batch_size=1)
    make_blocks(Placed(model), Inputs(sources=scenes.sources, watched=watched), out / MAP, size, token, progress)
    files = publish(out, facts)
    return {"map": str(out / MAP), **files, "claim": "none", "reason": NOT_YIELD, "units": VIGOUR}


def _tags(scenes: Scenes, spec: VigourSpec) -> Mapping[str, str]:
    return {
        "UNITS": VIGOUR, "LEVEL": f"{spec.level:g}", "CLAIM": "none", "CLAIM_REASON": NOT_YIELD, "ADAPTER": METHOD,
        "TRAINING": "none", "INPUTS": "simulated" if scenes.is_simulated else "real",
        "ATTRIBUTION": spec.attribution, "LICENCE": spec.licence,
        "DATES": ", ".join(sorted({date.isoformat() for date in scenes.dates})),
    }  # fmt: skip
