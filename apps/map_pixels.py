"""`mainstem map`: a fitted adapter of pixel series over dated scenes, written with its intervals, claim and origin."""

import datetime
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.apps.map import Progress, map_raster, merge, parts_folder
from mainstem.apps.map_blocks import Placed
from mainstem.core.artifact import Artifact, load_artifact
from mainstem.core.errors import InputError
from mainstem.core.files import write_atomically
from mainstem.core.predict import group_claims
from mainstem.core.prediction import Claim
from mainstem.core.regression import RegressionTask
from mainstem.data.raster import read_window
from mainstem.data.scenes import Scenes, open_scenes, pixel_samples

TILE, BATCH = 64, 1
LOOKED_AT = 12  # pixels a side of the regular grid on which the shift alarm looks at a map
NOTES = "notes.json"


@dataclass(frozen=True, kw_only=True)
class MapSpec:
    """What a map shows: level of its intervals, thresholds whose probability is wanted, and which share to make."""

    level: float = 0.9
    below: tuple[float, ...] = ()
    shard: tuple[int, int] = (0, 1)
    workers: int = 2


class PixelModel:
    """Predicts tiles of scenes: mean, lower and upper end of the interval, and a probability a threshold."""

    def __init__(self, task: RegressionTask, artifact: Artifact, scenes: Scenes, spec: MapSpec) -> None:
        self.artifact, self.scenes, self.spec = artifact, scenes, spec
        self.view = next(iter(task.views))
        self.calibration = artifact.calibration[self.view]
        self.half = self.calibration.half_width(spec.level)

    def names(self) -> list[str]:
        """Names of the output's bands."""
        return ["mean", "lower", "upper", *(f"probability below {mark:g}" for mark in self.spec.below)]

    def __call__(self, tiles: NDArray[np.float32], corners: Sequence[tuple[int, int]]) -> NDArray[np.float32]:
        """Predict (batch, time, band, y, x) at the tiles' first rows and columns; NaN where no date shows a pixel."""
        size = tiles.shape[-1]
        found = np.full((len(tiles), len(self.names()), size, size), np.nan, np.float32)
        for tile, out, (top, left) in zip(tiles, found, corners, strict=True):
            seen = np.isfinite(tile).any((0, 1))
            rows, columns = np.nonzero(seen)
            if len(rows):
                out[:, rows, columns] = self._values(tile[:, :, rows, columns], rows + top, columns + left)
        return found

    def _values(
        self, values: NDArray[np.float32], rows: NDArray[np.intp], columns: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        samples = pixel_samples(self.scenes, np.moveaxis(values, -1, 0), rows, columns, "map")
        mean, scale = self.artifact.regressor.predict(samples, self.view)
        chances = [
            [self.calibration.probability_below(mark, value, spread) for value, spread in zip(mean, scale, strict=True)]
            for mark in self.spec.below
        ]
        return np.array([mean, mean - self.half * scale, mean + self.half * scale, *chances])

    def claim(self) -> Claim:
        """What may be claimed of the whole map: its inputs, on a regular grid of pixels, against calibration's."""
        grid = self.scenes.grid
        rows = np.unique(np.linspace(0, grid.height - 1, LOOKED_AT).astype(int))
        columns = np.unique(np.linspace(0, grid.width - 1, LOOKED_AT).astype(int))
        strips = []
        for row in rows.tolist():
            dates = [read_window(source, slice(row, row + 1), slice(0, grid.width)) for source in self.scenes.sources]
            strips.append(np.stack([date[:, 0, columns] for date in dates]).astype(np.float32))
        values = np.concatenate(strips, -1)
        for index, source in enumerate(self.scenes.sources):
            if source.nodata is not None:
                values[index][values[index] == np.float32(source.nodata)] = np.nan
        at = np.stack(np.meshgrid(rows, columns, indexing="ij")).reshape(2, -1)
        seen = np.isfinite(values).any((0, 1))
        if not seen.any():
            return Claim(state="none", reason="no pixel that was looked at shows anything")
        samples = pixel_samples(
            self.scenes, np.moveaxis(values[:, :, seen], -1, 0), at[0, seen], at[1, seen], "this map"
        )
        return group_claims(self.artifact, samples, self.view, self.spec.level)["this map"]


def map_scenes(
    task: RegressionTask, run: Path, paths: Sequence[Path], out: Path, spec: MapSpec, progress: Progress | None = None
) -> dict[str, Any]:
    """Map a run over scenes into `out`/map.tif, with a STAC item beside it.

    Raises:
        InputError: if the task is not of pixel series, or the scenes cannot be used as they are.
    """
    if not task.is_mapped:
        raise InputError(f"{task.name}'s task {task.task} is of regions, not of pixels; take --task fuel-moisture")
    artifact = load_artifact(run, task.restore)
    scenes = open_scenes(paths)
    model = PixelModel(task, artifact, scenes, spec)
    claim = model.claim()
    tags = _tags(artifact, scenes, spec, claim)
    out.mkdir(parents=True, exist_ok=True)
    target = out / "map.tif"
    made = map_raster(
        Placed(model), [source.path for source in scenes.sources], target, tile=TILE, overlap=0, batch_size=BATCH,
        workers=spec.workers, names=model.names(), tags=tags, shard=spec.shard,
        token=f"{artifact.adapter_sha256} {spec.level} {spec.below}", progress=progress,
    )  # fmt: skip
    notes = {"names": model.names(), "tags": tags, "dates": [date.isoformat() for date in scenes.dates]}
    if made is None:
        write_atomically(parts_folder(target) / NOTES, json.dumps(notes).encode())
        return {"map": None, "shard": list(spec.shard), "claim": claim.state}
    write_item(target, notes)
    return {"map": str(target), "item": str(out / "item.json"), "claim": claim.state, "reason": claim.reason}


def merge_map(out: Path) -> Path:
    """Assemble a map whose shards are all made.

    Raises:
        InputError: if there is none in the making, or blocks are missing.
    """
    target = out / "map.tif"
    path = parts_folder(target) / NOTES
    if not path.is_file():
        raise InputError(f"{out} holds no map in shards; run mainstem map --shard first")
    notes = json.loads(path.read_text())
    made = merge(target, names=notes["names"], tags=notes["tags"])
    write_item(made, notes)
    return made


def _tags(artifact: Artifact, scenes: Scenes, spec: MapSpec, claim: Claim) -> dict[str, str]:
    """What travels with the map: units, level, claim, model, dates, attribution."""
    manifest = artifact.manifest
    return {
        "UNITS": manifest.units,
        "LEVEL": f"{spec.level:g}",
        "CLAIM": claim.state,
        "CLAIM_REASON": claim.reason or "",
        "ADAPTER": f"{manifest.adapter} {manifest.task} {manifest.version}",
        "ADAPTER_SHA256": artifact.adapter_sha256,
        "TRUNK_SHA256": manifest.trunk_sha256,
        "TRAINING": "simulated" if manifest.simulated else "real",
        "INPUTS": "simulated" if scenes.is_simulated else "real",
        "ATTRIBUTION": manifest.attribution,
        "LICENCE": manifest.licence,
        "DATES": ", ".join(date.isoformat() for date in scenes.dates),
        "KNOWN_FAILURES": "; ".join(manifest.known_failures),
    }


def write_item(target: Path, notes: dict[str, Any]) -> None:
    """Write a STAC item beside a map."""
    import pystac
    import rasterio
    from rasterio.warp import transform_bounds

    with rasterio.open(target) as found:
        west, south, east, north = transform_bounds(found.crs, "EPSG:4326", *found.bounds)
        epsg, shape, transform = found.crs.to_epsg(), list(found.shape), list(found.transform)[:6]
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    dates = [datetime.datetime.fromisoformat(date).replace(tzinfo=datetime.UTC) for date in notes["dates"]]
    item = pystac.Item(
        id=target.parent.resolve().name,
        geometry={"type": "Polygon", "coordinates": [ring]},
        bbox=[west, south, east, north],
        datetime=dates[-1],
        start_datetime=dates[0],
        end_datetime=dates[-1],
        properties={f"mainstem:{name.lower()}": value for name, value in notes["tags"].items()}
        | {"proj:code": f"EPSG:{epsg}" if epsg else None, "proj:shape": shape, "proj:transform": transform},
        stac_extensions=["https://stac-extensions.github.io/projection/v2.0.0/schema.json"],
    )
    asset = pystac.Asset(href=f"./{target.name}", media_type=pystac.MediaType.COG, roles=["data"])
    asset.extra_fields["bands"] = [{"name": name} for name in notes["names"]]
    item.add_asset("map", asset)
    write_atomically(
        target.parent / "item.json", (json.dumps(item.to_dict(include_self_link=False), indent=2) + "\n").encode()
    )
