"""An archive of 20,000 pictures: indexed, indexed again, searched; and a million vectors, approximately and exactly.

Shared cores make wall time mean little: `processor` figures are of the processor time of this process and those that it
waited for. Pictures are crops of the photographs of pdq with noise of their own, 256 to 384 pixels a side.
"""

import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

NUM, QUERIES = 20_000, 200
VECTORS, DIM, CENTRES, CHUNK = 1_000_000, 384, 5000, 50_000


def write_pictures(folder: Path, num: int) -> None:
    """Write small JPEGs; of the smallest photographs, crops of which are nearly the whole, some are the same bytes."""
    from PIL import Image

    from mainstem.data.catalogue import pull
    from mainstem.data.media.pictures import read_picture

    shown = [read_picture(path, 768).pixels for path in sorted(pull("pdq").rglob("*.jpg"))]
    rng = np.random.default_rng(0)
    noise = rng.integers(-12, 13, (512, 512, 3), dtype=np.int16)
    for number in range(num):
        pixels = shown[number % len(shown)]
        height, width = (min(int(rng.integers(256, 384)), side) for side in pixels.shape[:2])
        top, left = (
            int(rng.integers(side - size + 1)) for side, size in zip(pixels.shape, (height, width), strict=False)
        )
        y, x = rng.integers(0, 128, 2).tolist()
        crop = pixels[top : top + height, left : left + width] + noise[y : y + height, x : x + width]
        path = folder / f"{number // 1000:02}" / f"{number:05}.jpg"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.clip(crop, 0, 255).astype(np.uint8)).save(path, quality=80)


def processor_s() -> float:
    """Processor seconds of this process and of those that it waited for."""
    own, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime


def index_twice(folder: Path) -> dict[str, float]:
    """Index in processes of their own, as the command does; figures of the second run are over unchanged files."""
    import subprocess

    found: dict[str, float] = {}
    program = "from mainstem.apps.cli import main; main()"
    for name in ("first", "second"):
        wall, before = time.perf_counter(), processor_s()
        subprocess.run(
            [sys.executable, "-c", program, "media", "index", str(folder), "--json"],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        found |= {f"{name}_wall_s": time.perf_counter() - wall, f"{name}_processor_s": processor_s() - before}
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return {
        **found, "second_share_of_processor": found["second_processor_s"] / found["first_processor_s"],
        "second_share_of_wall": found["second_wall_s"] / found["first_wall_s"], "largest_process_mib": peak,
    }  # fmt: skip


def search_pictures(folder: Path) -> dict[str, float]:
    """Searches by picture and by word, of an index that is open."""
    from mainstem.apps.media.query import Query
    from mainstem.apps.media.search import MediaSearch

    search = MediaSearch(folder)
    paths = sorted(folder.rglob("*.jpg"))[:: NUM // 40]
    for query in (Query(like=(paths[0],)), Query(text="00001")):
        search.search(query)
    times = {"by_picture": [], "by_word": []}
    firsts = 0
    for path in paths:
        for name, query in (("by_picture", Query(like=(path,))), ("by_word", Query(text=path.stem))):
            start = time.process_time()
            told = search.search(query)
            times[name].append(time.process_time() - start)
            firsts += bool(told["results"]) and told["results"][0]["path"].endswith(path.name)
    search.close()
    return {f"search_{name}_p95_processor_ms": 1e3 * float(np.percentile(held, 95)) for name, held in times.items()} | {
        "searches_that_find_the_picture_first": firsts / (2 * len(paths))
    }


def vectors_of(num: int, seed: int) -> np.ndarray:
    """Clustered vectors (num, DIM) of length 1."""
    centres = np.random.default_rng(0).normal(size=(CENTRES, DIM)).astype(np.float32)
    rng = np.random.default_rng(seed)
    found = centres[rng.integers(0, CENTRES, num)] + 0.7 * rng.standard_normal((num, DIM), np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def million(folder: Path) -> dict[str, float]:
    """A million vectors: making the lists, and queries on one core, beside their true neighbours."""
    from mainstem.apps.media.catalogue import Catalogue
    from mainstem.apps.media.embedding import settle_model
    from mainstem.apps.media.store import VectorStore, build_lists

    folder.mkdir()
    catalogue, asked = Catalogue(folder), vectors_of(QUERIES, 9)
    settle_model(catalogue, "built-in")
    best = np.full((QUERIES, 10), -2.0, np.float32), np.zeros((QUERIES, 10), np.int64)
    with catalogue.writing() as db:
        db.execute("INSERT INTO contents (sha256, kind, facts) VALUES ('drawn', 'image', '{}')")
    for start in range(0, VECTORS, CHUNK):
        values = vectors_of(CHUNK, 100 + start // CHUNK).astype(np.float16)
        with catalogue.writing() as db:
            db.executemany(
                "INSERT INTO frames (id, content) VALUES (?, 1)", [(start + row + 1,) for row in range(CHUNK)]
            )
            db.executemany(
                "INSERT INTO vectors VALUES (?, ?)",
                [(start + row + 1, one.tobytes()) for row, one in enumerate(values)],
            )
        scores = np.hstack([best[0], asked @ values.astype(np.float32).T])
        ids = np.hstack([best[1], np.tile(np.arange(start + 1, start + CHUNK + 1), (QUERIES, 1))])
        order = np.argsort(-scores, 1)[:, :10]
        best = np.take_along_axis(scores, order, 1), np.take_along_axis(ids, order, 1)
    begin, wall = time.process_time(), time.perf_counter()
    lists = build_lists(catalogue)
    building, building_wall = time.process_time() - begin, time.perf_counter() - wall
    store = VectorStore(catalogue)
    store.nearest(asked[0], 10)
    walls, processors, found = [], [], []
    for query in asked:
        wall, begin = time.perf_counter(), time.process_time()
        found.append(store.nearest(query, 10)[0])
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - begin)
    size = (catalogue.home / lists.file).stat().st_size
    catalogue.close()
    return {
        "million_build_processor_s": building, "million_build_wall_s": building_wall, "million_lists_mb": size / 1e6,
        "million_query_p50_ms": 1e3 * float(np.percentile(walls, 50)),
        "million_query_p95_ms": 1e3 * float(np.percentile(walls, 95)),
        "million_query_p95_processor_ms": 1e3 * float(np.percentile(processors, 95)),
        "million_recall_at_10": float(np.mean([len({*a} & {*b}) / 10 for a, b in zip(found, best[1], strict=True)])),
    }  # fmt: skip


def bench_media_index() -> dict[str, float]:
    """All of it, in a home and a folder of their own."""
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as place:
        os.environ["MAINSTEM_HOME"] = str(Path(place) / "home")
        archive = Path(place) / "archive"
        archive.mkdir()
        write_pictures(archive, NUM)
        found = index_twice(archive)
        return {"pictures": float(NUM), **found, **search_pictures(archive), **million(Path(place) / "million")}
