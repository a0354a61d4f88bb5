"""Streaming maps beside a bare read and write of the same files, and beside a blend of whole arrays in memory.

The code before is measured in the same run, in turns with today's: that of BEFORE in a worktree of this clone's
history, or that of a folder named by MAINSTEM_BENCH_BEFORE.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rasterio
import rasterio.shutil
import rasterio.windows

BANDS, OUTPUTS, ROUNDS = 6, 3, 2
ROOT = Path(__file__).parents[2]
BEFORE = "525a909"  # the last commit whose tiles were cut in apps/ alone
MODELS = {
    "identity": "lambda t: t[:, 0, :3]",
    "convolution": "small_convolution()",
    "all bands": "lambda t: t[:, 0]",
}
PROGRAM = """
import json, sys, time
import numpy as np
import rasterio.shutil  # as its peers have it by then
from mainstem.apps.map import map_raster

def small_convolution():
    import torch
    torch.manual_seed(0)
    layer = torch.nn.Conv2d({channels}, 3, 3, padding=1)
    def predict(tiles):
        with torch.no_grad():
            return layer(torch.from_numpy(tiles).flatten(1, 2)).numpy()
    return predict

start = time.perf_counter()
map_raster({model}, sys.argv[2:], sys.argv[1])
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024
print(json.dumps(dict(seconds=time.perf_counter() - start, peak_mib=peak)))
"""


def make_inputs(folder: Path, side: int, dates: int) -> list[Path]:
    """Smooth fields with noise, tiled and packed as reflectance products are."""
    rng, paths = np.random.default_rng(0), []
    noise = rng.integers(0, 60, (BANDS, 512, side), dtype=np.uint16)
    for date in range(dates):
        path = folder / f"date{date}.tif"
        profile = {
            "driver": "GTiff", "width": side, "height": side, "count": BANDS, "dtype": "uint16", "crs": "EPSG:32633",
            "transform": rasterio.Affine(10, 0, 5e5, 0, -10, 5e6), "tiled": True, "blockxsize": 512, "blockysize": 512,
            "compress": "deflate", "zlevel": 1, "predictor": 2, "BIGTIFF": "YES", "NUM_THREADS": "ALL_CPUS",
        }  # fmt: skip
        with rasterio.open(path, "w", **profile) as target:
            for top in range(0, side, 512):
                rows = min(512, side - top)
                slope = ((np.arange(side) + top + 700 * date) % 3000).astype(np.uint16)
                target.write(noise[:, :rows] + slope, window=rasterio.windows.Window(0, top, side, rows))
        paths.append(path)
    return paths


@contextmanager
def code_before() -> Iterator[Path | None]:
    """A folder with the code to compare with, or None, which is said."""
    named = os.environ.get("MAINSTEM_BENCH_BEFORE")
    if named:
        yield Path(named)
        return
    git = ["git", "-C", str(ROOT), "worktree"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "before"
        made = subprocess.run([*git, "add", "--detach", str(folder), BEFORE], capture_output=True, text=True)
        if made.returncode:
            print(f"tiles: no commit {BEFORE} here, so no figures of the code before; name a folder of it by "
                  f"MAINSTEM_BENCH_BEFORE ({made.stderr.strip()[:200]})", file=sys.stderr)  # fmt: skip
            yield None
            return
        try:
            yield folder
        finally:
            subprocess.run([*git, "remove", "--force", str(folder)], check=True, capture_output=True)


def run(model: str, paths: list[Path], out: Path, code: Path = ROOT) -> dict[str, float]:
    """Map in a process of its own: seconds and peak resident memory in MiB."""
    program = PROGRAM.replace("{channels}", str(BANDS * len(paths))).replace("{model}", MODELS[model])
    done = subprocess.run(
        [sys.executable, "-c", program, str(out), *map(str, paths)], check=True, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(code / ".src")},
    )  # fmt: skip
    found: dict[str, float] = json.loads(done.stdout)
    return found


def bare(paths: list[Path], out: Path, compress: str = "DEFLATE") -> float:
    """Read every block of every date once and write three bands as a COG: seconds."""
    start = time.perf_counter()
    with rasterio.Env(GDAL_CACHEMAX=512 << 20, GDAL_NUM_THREADS="ALL_CPUS"):
        sources = [rasterio.open(path) for path in paths]
        profile = {**sources[0].profile, "count": OUTPUTS, "dtype": "float32", "compress": None, "predictor": 1}
        plain = out.with_suffix(".plain.tif")
        with rasterio.open(plain, "w", **profile) as target:
            side = sources[0].width
            for top in range(0, side, 512):
                window = rasterio.windows.Window(0, top, side, min(512, side - top))
                strips = [source.read(window=window) for source in sources]
                target.write(strips[0][:OUTPUTS].astype(np.float32), window=window)
        rasterio.shutil.copy(
            plain, out, driver="COG", COMPRESS=compress, LEVEL="1", PREDICTOR="YES", NUM_THREADS="ALL_CPUS",
            RESAMPLING="AVERAGE", BIGTIFF="IF_SAFER",
        )  # fmt: skip
        plain.unlink()
    return time.perf_counter() - start


def in_memory(paths: list[Path], out: Path, crop: int = 224, step: int = 192) -> float:
    """Input, sums and counts of all bands in memory as tensors, chips of 16 blended by a cosine mask: seconds."""
    import torch

    start = time.perf_counter()
    values = torch.from_numpy(np.concatenate([rasterio.open(path).read() for path in paths]).astype(np.float32))
    margin = crop - step
    padded = torch.nn.functional.pad(values[None], (margin,) * 4, mode="reflect")
    ramp = 0.5 * (1 - torch.cos(torch.pi * torch.clamp((torch.arange(crop) + 1) / (margin + 1), max=1)))
    side = ramp * ramp.flip(0) + 1e-6
    mask = side[:, None] * side[None]
    height, width = padded.shape[2:]
    total, count = torch.zeros(BANDS, height, width), torch.zeros(BANDS, height, width)
    tops = sorted({min(top, height - crop) for top in range(0, height, step)})
    lefts = sorted({min(left, width - crop) for left in range(0, width, step)})
    corners = [(top, left) for top in tops for left in lefts]
    for begin in range(0, len(corners), 16):
        batch = corners[begin : begin + 16]
        chips = torch.cat([padded[:, :, top : top + crop, left : left + crop] for top, left in batch])
        for (top, left), predicted in zip(batch, chips * mask, strict=True):
            total[:, top : top + crop, left : left + crop] += predicted
            count[:, top : top + crop, left : left + crop] += mask
    blended = (total / count)[:, margin:-margin, margin:-margin].numpy()
    profile = {**rasterio.open(paths[0]).profile, "dtype": "float32", "compress": None, "predictor": 1}
    plain = out.with_suffix(".plain.tif")
    with rasterio.open(plain, "w", **profile) as target:
        target.write(blended)
    rasterio.shutil.copy(
        plain, out, driver="COG", COMPRESS="DEFLATE", LEVEL="1", PREDICTOR="YES", NUM_THREADS="ALL_CPUS",
        RESAMPLING="AVERAGE",
    )  # fmt: skip
    plain.unlink()
    return time.perf_counter() - start


def bench_tiles() -> dict[str, float]:
    """A Sentinel-2 tile of six bands and four dates to three outputs: memory, and throughput beside its peers."""
    side = int(os.environ.get("MAINSTEM_BENCH_SIDE", "10980"))
    with code_before() as before:
        return {"side": side, "dates": 4} | _tile(side, before) | _small(before)


def _tile(side: int, before: Path | None) -> dict[str, float]:
    """Four dates: today's code, that before and a bare read and write, in turns; of each the best of all rounds."""
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths, out = make_inputs(folder, side, 4), folder / "out.tif"
        for _ in range(ROUNDS):
            times.setdefault("bare", []).append(bare(paths, out))
            found = run("identity", paths, out)
            times.setdefault("identity", []).append(found["seconds"])
            if before is not None:
                times.setdefault("before", []).append(run("identity", paths, out, before)["seconds"])
            times.setdefault("bare_zstd", []).append(bare(paths, out, "ZSTD"))
        convolution = run("convolution", paths, out)
    best = {name: min(each) for name, each in times.items()}
    figures = {f"{name}_s": seconds for name, seconds in best.items()}
    figures |= {"identity_peak_mib": found["peak_mib"], "mpix_a_second": side * side / 1e6 / best["identity"]}
    figures |= {"convolution_s": convolution["seconds"], "convolution_peak_mib": convolution["peak_mib"]}
    figures |= {f"throughput_to_{name}": best[name] / best["identity"] for name in ("bare", "bare_zstd")}
    if before is not None:
        figures |= {"before_throughput_to_bare": best["bare"] / best["before"]}
    return figures


def _small(before: Path | None) -> dict[str, float]:
    """One date, all bands: today's code, that before and a blend in memory, in turns."""
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths, out = make_inputs(folder, 4096, 1), folder / "out.tif"
        for _ in range(ROUNDS):
            times.setdefault("in_memory", []).append(in_memory(paths, out))
            times.setdefault("small", []).append(run("all bands", paths, out)["seconds"])
            if before is not None:
                times.setdefault("small_before", []).append(run("all bands", paths, out, before)["seconds"])
    best = {name: min(each) for name, each in times.items()}
    figures = {f"{name}_s": seconds for name, seconds in best.items()}
    figures |= {"throughput_to_in_memory": best["in_memory"] / best["small"]}
    if before is not None:
        figures |= {"before_throughput_to_in_memory": best["in_memory"] / best["small_before"]}
    return figures | {"in_memory_peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
