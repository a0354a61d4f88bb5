"""Many cases at once, before (the tree of commit BEFORE, where there is history) and now: pixels of a map, table rows.

Each tree trains its own run and maps the same scenes by the command line, in processes of their own on one thread, in
turn. Seconds are of processor time, divided by CORES: what a machine of two cores takes that nothing else uses.
"""

import datetime
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np
import rasterio

BEFORE, CORES = "525a909", 2
SMALL, LARGE, REPEATS = 64, 192, 3  # pixels a side, whole tiles: what is paid once a map falls out of their difference
NUM_ROWS = 1_000_000
CLI = "from mainstem.apps.cli import main; main()"
READ = """
import sys
from pathlib import Path
from mainstem.data.table import read_samples
assert len(read_samples(Path(sys.argv[1])).training()) == int(sys.argv[2])
"""
TOKENS, MEMBERS = 12, 4  # seven months, sums and four registers, of the adapter that ships
SHAPES = ((64, 192), (64, 64), (64, 256), (256, 64))  # of trunk xs, a block each


@contextmanager
def trees() -> Iterator[dict[str, Path]]:
    """The checkouts to compare, by what their figures are called."""
    here = Path(__file__).resolve().parents[2]
    with tempfile.TemporaryDirectory() as folder:
        before = Path(folder) / "before"
        added = ["git", "-C", str(here), "worktree", "add", "--detach", str(before), BEFORE]
        known = subprocess.run(added, capture_output=True, check=False).returncode == 0
        try:
            yield {**({"before": before} if known else {}), "now": here}
        finally:
            if known:
                subprocess.run(["git", "-C", str(here), "worktree", "remove", "--force", str(before)], check=True)


def spent(tree: Path, arguments: list[str]) -> tuple[float, float]:
    """Processor seconds of a Python process on a tree's package, and its peak memory in GiB."""
    path = {"PYTHONPATH": str(tree / ".src"), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    process = subprocess.Popen(
        [sys.executable, "-c", *arguments], env={**os.environ, **path}, cwd=tree, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{arguments[1:]} failed in {tree}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20


def write_scene(path: Path, values: np.ndarray, bands: tuple[str, ...]) -> None:
    """Write a date's bands (band, y, x), pure numbers in pixels of 10 m, tagged as simulated."""
    profile = {
        "driver": "GTiff", "crs": "EPSG:32632", "transform": rasterio.Affine(10, 0, 5e5, 0, -10, 5e6),
        "count": len(bands), "height": values.shape[1], "width": values.shape[2], "dtype": "float32", "nodata": np.nan,
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as target:
        target.write(values.astype(np.float32))
        target.descriptions, target.units = bands, ("1",) * len(bands)
        target.update_tags(SIMULATED="yes")


def make_scenes(folder: Path, side: int) -> list[str]:
    """Fourteen cloudy dates of a season of maize, tagged as simulated."""
    rng, paths = np.random.default_rng(0), []
    for month, day in ((month, day) for month in range(4, 11) for day in (3, 18)):
        paths.append(folder / f"scene_2021-{month:02d}-{day:02d}.tif")
        green = np.exp(-(((month + day / 30 - 7.4) / 1.6) ** 2))
        red = 0.12 - 0.09 * green + 0.01 * rng.normal(size=(side, side))
        values = np.stack([red, 0.2 + 0.3 * green + 0.02 * rng.normal(size=(side, side))]).clip(0.01, 1)
        values[:, rng.random((side, side)) < 0.15] = np.nan
        write_scene(paths[-1], values, ("B4", "B8"))
    return list(map(str, paths))


def make_weather(path: Path) -> Path:
    """A year's daily weather of a mild place."""
    lines = ["date,temperature_c,rain_mm,radiation_mj_m2"]
    for day in range(365):
        season = np.cos(2 * np.pi * (day - 20) / 365)
        date = datetime.date(2021, 1, 1) + datetime.timedelta(day)
        lines.append(f"{date},{12 - 10 * season:.2f},{6.6 * (day % 3 == 0):.1f},{14 - 9 * season:.2f}")
    path.write_text("\n".join([*lines, ""]))
    return path


def floor_s_megapixel(dtype: str) -> float:
    """Seconds of the matrix products alone that a megapixel needs, whatever comes between them, on CORES cores."""
    import time

    import torch

    num, kind = 128, getattr(torch, dtype)
    torch.set_num_threads(1)
    layers = [
        (torch.nn.Linear(*shape, dtype=kind), torch.randn(num * TOKENS, shape[0], dtype=kind)) for shape in SHAPES
    ]
    used = 3 * layers[:3] + 2 * layers[3:]  # the last block's last product comes after the mean over tokens

    def once() -> float:
        start = time.process_time()
        for layer, x in used:
            layer(x)
        return time.process_time() - start

    with torch.no_grad():
        best = min(once() for _ in range(50))
    return best * MEMBERS / num * 1e6 / CORES


def bench_pixels() -> dict[str, float]:
    """Seconds a megapixel of the yield map of pixels, its peak memory, and the share of the matrix products' floor."""
    figures: dict[str, float] = {f"floor_{kind}_s": floor_s_megapixel(kind) for kind in ("float32", "bfloat16")}
    with trees() as compared, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scenes = {}
        for side in (SMALL, LARGE):
            (folder / str(side)).mkdir()
            scenes[side] = make_scenes(folder / str(side), side)
        weather = make_weather(folder / "weather.csv")
        for what, tree in compared.items():
            train = ["finetune", "crop-yield", "--task", "pixel", "--data", "few-simulated-farms"]
            spent(tree, [CLI, *train, "--out", str(folder / what)])
        seconds, peaks = interleaved(compared, lambda what, tree: mapped(folder, what, tree, (scenes, weather)))
    for what, found in seconds.items():
        figures |= {f"{what}_s_megapixel": found, f"{what}_peak_gib": peaks[what]}
    figures["share_of_bfloat16_floor"] = figures["floor_bfloat16_s"] / figures["now_s_megapixel"]
    return figures | ratio(seconds)


def mapped(folder: Path, what: str, tree: Path, given: tuple[Mapping[int, list[str]], Path]) -> tuple[float, float]:
    """Seconds a megapixel and peak memory of one map."""
    scenes, weather = given
    used = {}
    for side, paths in scenes.items():
        with tempfile.TemporaryDirectory(dir=folder) as out:
            asked = ["--run", str(folder / what), "--weather", str(weather), "--crop", "maize"]
            used[side] = spent(tree, [CLI, "map", "crop-yield", *paths, *asked, "--out", f"{out}/map"])
    more = used[LARGE][0] - used[SMALL][0]
    return more / (LARGE**2 - SMALL**2) * 1e6 / CORES, used[LARGE][1]


def bench_rows() -> dict[str, float]:
    """Processor seconds and peak memory of reading a million rows of ten numbers to a training set."""
    with trees() as compared, tempfile.TemporaryDirectory() as name:
        path = Path(name) / "rows.csv"
        values = np.random.default_rng(0).normal(size=(NUM_ROWS, 10)).round(4)
        with path.open("w") as file:
            file.write(f"sample,target,group,licence,{','.join(f'c{index} [1]' for index in range(10))}\n")
            for row, cells in enumerate(values.tolist()):
                file.write(f"s{row},{cells[0]:.4f},g{row % 50},CC0-1.0,{','.join(map(str, cells))}\n")
        asked = [READ, str(path), str(NUM_ROWS)]
        seconds, peaks = interleaved(compared, lambda what, tree: spent(tree, asked), repeats=1)
    figures = {f"{what}_s": found for what, found in seconds.items()}
    return figures | {f"{what}_peak_gib": peak for what, peak in peaks.items()} | ratio(seconds)


def interleaved(
    compared: Mapping[str, Path], run: Callable[[str, Path], tuple[float, float]], repeats: int = REPEATS
) -> tuple[dict[str, float], dict[str, float]]:
    """Median seconds and largest memory of each tree, run in turn."""
    found: dict[str, list[tuple[float, float]]] = {what: [] for what in compared}
    for _ in range(repeats):
        for what, tree in compared.items():
            found[what].append(run(what, tree))
    return (
        {what: median(seconds for seconds, _ in each) for what, each in found.items()},
        {what: max(peak for _, peak in each) for what, each in found.items()},
    )


def ratio(seconds: Mapping[str, float]) -> dict[str, float]:
    """How many times as fast it is now."""
    return {"times_as_fast": seconds["before"] / seconds["now"]} if "before" in seconds else {}
