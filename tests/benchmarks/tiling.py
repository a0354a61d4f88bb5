"""Streaming maps beside a bare read and write of the same files, and beside a blend of whole arrays in memory."""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
import rasterio.shutil
import rasterio.windows

BANDS, OUTPUTS = 6, 3
MODELS = {
    "identity": "lambda t: t[:, 0, :3]",
    "convolution": "small_convolution()",
    "all bands": "lambda t: t[:, 0]",
}
PROGRAM = """
import json, sys, time
import numpy as np
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


def run(model: str, paths: list[Path], out: Path) -> dict[str, float]:
    """Map in a process of its own: seconds and peak resident memory in MiB."""
    program = PROGRAM.replace("{channels}", str(BANDS * len(paths))).replace("{model}", MODELS[model])
    done = subprocess.run(
        [sys.executable, "-c", program, str(out), *map(str, paths)], check=True, capture_output=True, text=True
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def bare(paths: list[Path], out: Path) -> float:
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
            plain, out, driver="COG", COMPRESS="DEFLATE", LEVEL="1", PREDICTOR="YES", NUM_THREADS="ALL_CPUS",
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
    figures: dict[str, float] = {"side": side, "dates": 4}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths, out = make_inputs(folder, side, 4), folder / "out.tif"
        plain = bare(paths, out)
        for model in ("identity", "convolution"):
            found = run(model, paths, out)
            figures |= {f"{model}_s": found["seconds"], f"{model}_peak_mib": found["peak_mib"]}
        plain = min(plain, bare(paths, out))
        figures |= {"bare_s": plain, "throughput_to_bare": plain / figures["identity_s"]}
        figures["mpix_a_second"] = side * side / 1e6 / figures["identity_s"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths, out = make_inputs(folder, 4096, 1), folder / "out.tif"
        ours = run("all bands", paths, out)["seconds"]
        peer = in_memory(paths, out)
        figures |= {"small_s": ours, "in_memory_s": peer, "throughput_to_in_memory": peer / ours}
        figures["in_memory_peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return figures
