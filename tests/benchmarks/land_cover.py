"""Land cover on a frozen open encoder, before (the tree of commit BEFORE) and now: processor seconds a megapixel.

It trains on the data of eo-learn's example, MAINSTEM_MIRROR being where they lie, with five members that read one
encoder. Each tree trains its own run and maps the same scenes by the command line, on one thread, in turn.
"""

import os
import sys
import tempfile
from pathlib import Path

import numpy as np

from tests.benchmarks.pixels import CLI, CORES, interleaved, ratio, spent, trees, write_scene

SMALL, LARGE, REPEATS = 64, 120, 2  # pixels a side, whole tiles that share 8: the rest falls out of their difference
DATES = [f"2018-{month:02d}-{day:02d}" for month in range(1, 13) for day in (5, 20)]
FROZEN = ["--data", "eolearn-ndvi", "--trunk", "galileo-nano", "--frozen"]


def make_scenes(folder: Path, side: int) -> list[str]:
    """Two cloudy dates a month of a year's NDVI."""
    rng, paths = np.random.default_rng(0), []
    for place, date in enumerate(DATES):
        paths.append(folder / f"scene_{date}.tif")
        green = 0.3 + 0.4 * np.exp(-(((place / 2 - 6) / 2.5) ** 2))
        values = (green + 0.05 * rng.normal(size=(1, side, side))).clip(-1, 1)
        values[:, rng.random((side, side)) < 0.15] = np.nan
        write_scene(paths[-1], values, ("NDVI",))
    return list(map(str, paths))


def bench_land_cover() -> dict[str, float]:
    """Seconds a megapixel on CORES cores of a map of classes, and how many times as fast it is."""
    if "MAINSTEM_MIRROR" not in os.environ:
        print("land_cover: MAINSTEM_MIRROR names no folder with the data, so no figures", file=sys.stderr)
        return {}
    with trees() as compared, tempfile.TemporaryDirectory() as name:
        folder, tasks = Path(name), {"before": ["crop-yield", "--task", "land-cover"], "now": ["land-cover"]}
        scenes = {}
        for side in (SMALL, LARGE):
            (folder / str(side)).mkdir()
            scenes[side] = make_scenes(folder / str(side), side)
        for what, tree in compared.items():
            spent(tree, [CLI, "finetune", *tasks[what], *FROZEN, "--out", str(folder / what)])

        def mapped(what: str, tree: Path) -> tuple[float, float]:
            used = {}
            for side, paths in scenes.items():
                with tempfile.TemporaryDirectory(dir=folder) as out:
                    asked = [tasks[what][0], *paths, "--run", str(folder / what), "--out", f"{out}/map"]
                    used[side] = spent(tree, [CLI, "map", *asked])
            more = used[LARGE][0] - used[SMALL][0]
            return more / (LARGE**2 - SMALL**2) * 1e6 / CORES, used[LARGE][1]

        seconds, peaks = interleaved(compared, mapped, REPEATS)
    figures = {f"{what}_s_megapixel": found for what, found in seconds.items()}
    return figures | {f"{what}_peak_gib": peak for what, peak in peaks.items()} | ratio(seconds)
