"""Raw images of 224 pixels read from shards at random, warm, and what entering an order of 10^8 samples costs.

Shared cores make wall time mean little: `processor` figures are of the process's own processor time, and the floor, a
copy out of one flat file and its CRC-32, is read in turn with the shards.
"""

import tempfile
import time
import tracemalloc
from functools import partial
from pathlib import Path
from zlib import crc32

import numpy as np

from mainstem.core.loader import order
from mainstem.core.parallel import map_in_processes
from mainstem.core.samples import SampleSet
from mainstem.data.rights import Rights
from mainstem.data.shard_writing import ReadBy, bake
from mainstem.data.shards import open_shards, verify
from tests.core.lazy_images import images

NUM, SIDE, ROUNDS, SEEKS, FLIPS = 3000, 224, 5, 100, 1000
SIZE = 3 * SIDE * SIDE
FLAT = "flat.bin"


def write(folder: Path) -> float:
    """Bake drawn images, and write them to one flat file too; return processor seconds of baking a GB."""
    drawn = images(NUM, SIDE)
    source = SampleSet(name="drawn", samples=drawn, flagged={}, attribution="", licence="CC0-1.0")
    start = time.process_time()
    record = bake(source, Rights("CC0-1.0", "drawn", is_stated=True), folder / "set", ReadBy())
    baking = time.process_time() - start
    with (folder / FLAT).open("wb") as file:
        for row in range(NUM):
            file.write(drawn.load(row)["image"].values.tobytes())
    return baking / (sum(each.size for each in record.files) / 1e9)


def read(folder: Path, seed: int) -> dict[str, float]:
    """Samples a second of wall and of processor time, the best of some rounds over all rows at random."""
    load = open_shards(folder / "set").samples.load
    flat = np.memmap(folder / FLAT, np.uint8, "r", shape=(NUM, SIZE))
    rows = np.random.default_rng(seed).permutation(NUM).tolist()
    ways = {"shards": load, "floor": lambda row: crc32(np.array(flat[row]))}
    best: dict[str, float] = {}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            wall, processor = time.perf_counter(), time.process_time()
            for row in rows:
                way(row)
            found = {"wall": time.perf_counter() - wall, "processor": time.process_time() - processor}
            for clock, seconds in found.items():
                best[f"{name}_{clock}"] = max(best.get(f"{name}_{clock}", 0.0), NUM / seconds)
    return best


def seeks() -> tuple[float, float]:
    """The most processor milliseconds, and megabytes, that it takes to enter an order of 10^8 at any batch."""
    worst = 0.0
    tracemalloc.start()
    for first in np.random.default_rng(0).integers(0, 50 * 10**8 // 256, SEEKS).tolist():
        start = time.process_time()
        next(order(1, 10**8, 256, first))
        worst = max(worst, time.process_time() - start)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return 1e3 * worst, peak / 1e6


def flips_found(folder: Path) -> int:
    """Of so many flipped bits, anywhere in a small set's shards, index and batches, how many `verify` finds."""
    source = SampleSet(name="few", samples=images(20, 16), flagged={}, attribution="", licence="CC0-1.0")
    bake(source, Rights("CC0-1.0", "drawn", is_stated=True), folder / "few", ReadBy())
    paths = [path for path in sorted((folder / "few").iterdir()) if path.suffix != ".json"]
    rng, found = np.random.default_rng(0), 0
    for _ in range(FLIPS):
        path = paths[int(rng.integers(len(paths)))]
        data = path.read_bytes()
        changed = bytearray(data)
        changed[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        found += len(verify(folder / "few")) == 1
        path.write_bytes(data)
    return found


def bench_shards() -> dict[str, float]:
    """Samples a second on two cores beside the floor; opening; seeks; flipped bits found."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        baking = write(folder)
        start = time.process_time()
        open_shards(folder / "set")
        opening = time.process_time() - start
        alone = read(folder, 0)
        both = map_in_processes(partial(read, folder), [1, 2], 2)
        found = flips_found(folder)
    seek_ms, seek_mb = seeks()
    return {
        "two_processes_per_s": sum(each["shards_wall"] for each in both),
        "per_processor_s": alone["shards_processor"],
        "floor_per_processor_s": alone["floor_processor"],
        "floor_ratio": alone["floor_processor"] / alone["shards_processor"],
        "open_processor_ms": 1e3 * opening,
        "bake_processor_s_per_gb": baking,
        "seek_worst_processor_ms": seek_ms,
        "seek_peak_mb": seek_mb,
        "flips_found": float(found),
        "flips": float(FLIPS),
    }
