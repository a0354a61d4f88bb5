"""An archive of 20,000 pictures: indexed, indexed again, searched; and a million vectors, by their codes and exactly.

Shared cores make wall time mean little: `processor` figures are of the processor time of this process and those that it
waited for. Memory is the largest sum of proportional set sizes (PSS) of the command and all processes below it, looked
at every PSS_EVERY_S. Pictures are crops of the photographs of pdq with noise of their own, 256 to 384 pixels a side.

A million vectors are drawn three ways. `described`: normally, with mean and covariance of real descriptions, of crops
of the photographs of pdq and c2pa-samples, 15 to 100 % of a side. `copies`: around such descriptions themselves, with a
sixteenth of that variance, as where an archive holds hundreds of versions of each. `scattered`: evenly over all
directions, the hardest there is, which no archive is like. How many candidates are compared again was chosen on others:
crops of blood smears and of scikit-learn's two photographs, and other seeds.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

NUM, QUERIES = 20_000, 200
VECTORS, DIM, CROPS, CHUNK = 1_000_000, 384, 4000, 50_000
FILTERS = (1.0, 0.1, 0.01, 0.001)  # shares of the vectors that are kept, drawn at random
PSS_EVERY_S = 0.25
Draw = Callable[[int, np.random.Generator], np.ndarray]  # vectors (num, DIM) of length 1


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
    found: dict[str, float] = {}
    program = "from mainstem.apps.cli import main; main()"
    for name in ("first", "second"):
        wall, before = time.perf_counter(), processor_s()
        asked = [sys.executable, "-c", program, "media", "index", str(folder), "--json"]
        with subprocess.Popen(asked, stdout=subprocess.DEVNULL) as running:
            peak = peak_mib(running)
        assert running.returncode == 0
        found |= {f"{name}_wall_s": time.perf_counter() - wall, f"{name}_processor_s": processor_s() - before}
        found[f"{name}_peak_pss_of_all_processes_mib"] = peak
    return {
        **found, "second_share_of_processor": found["second_processor_s"] / found["first_processor_s"],
        "second_share_of_wall": found["second_wall_s"] / found["first_wall_s"],
    }  # fmt: skip


def peak_mib(running: subprocess.Popen[bytes]) -> float:
    """The most memory, MiB, that a process and all below it held together: pages that they share count once."""
    peak = 0.0
    while running.poll() is None:
        peak = max(peak, sum(map(pss_kib, below(running.pid))) / 1024)
        time.sleep(PSS_EVERY_S)
    return peak


def below(pid: int) -> list[int]:
    """A process and all that it and its children began."""
    try:
        texts = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:  # it ended meanwhile
        return []
    return [pid, *(one for text in texts for child in text.split() for one in below(int(child)))]


def pss_kib(pid: int) -> float:
    """A process's proportional set size."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it ended meanwhile
        return 0.0
    return next((float(line.split()[1]) for line in lines if line.startswith("Pss:")), 0.0)


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


def described(paths: list[Path]) -> np.ndarray:
    """Descriptions (CROPS, DIM) of crops of photographs."""
    from mainstem.data.media.description import describe
    from mainstem.data.media.pictures import read_picture

    shown, rng, found = [read_picture(path, 768).pixels for path in paths], np.random.default_rng(1), []
    for number in range(CROPS):
        pixels, share = shown[number % len(shown)], rng.uniform(0.15, 1)
        height, width = (max(int(side * share), 16) for side in pixels.shape[:2])
        top, left = (
            int(rng.integers(side - size + 1)) for side, size in zip(pixels.shape, (height, width), strict=False)
        )
        found.append(describe(pixels[top : top + height, left : left + width]))
    return np.stack(found)


def intrinsic_dim(vectors: np.ndarray) -> float:
    """By the ratio of distances to the two nearest.

    Source: Facco et al. 2017, Estimating the intrinsic dimension of datasets by a minimal neighborhood information.
    """
    angles = np.sort(np.arccos(np.clip(vectors @ vectors.T, -1, 1)), 1)
    apart = angles[angles[:, 1] > 1e-4]
    return float(len(apart) / np.log(apart[:, 2] / apart[:, 1]).sum())


def draws_of(found: np.ndarray) -> dict[str, Draw]:
    """Ways to draw vectors, of descriptions (CROPS, DIM)."""
    values, sides = np.linalg.eigh(np.cov(found.T.astype(np.float64)))
    spread, mean = (sides * np.sqrt(values.clip(0))).T.astype(np.float32), found.mean(0)

    def normal(num: int, rng: np.random.Generator) -> np.ndarray:
        return rng.standard_normal((num, DIM), np.float32)

    def unit(vectors: np.ndarray) -> np.ndarray:
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    return {
        "described": lambda num, rng: unit(mean + normal(num, rng) @ spread),
        "copies": lambda num, rng: unit(found[rng.integers(0, CROPS, num)] + normal(num, rng) @ spread / 4),
        "scattered": lambda num, rng: unit(normal(num, rng)),
    }


def fill(folder: Path, draw: Draw) -> Path:
    """An index of a million drawn vectors."""
    from mainstem.apps.media.catalogue import Catalogue
    from mainstem.apps.media.embedding import settle_model

    folder.mkdir()
    catalogue, rng = Catalogue(folder), np.random.default_rng(100)
    settle_model(catalogue, "built-in")
    with catalogue.writing() as db:
        db.execute("INSERT INTO contents (sha256, kind, facts, reader) VALUES ('drawn', 'image', '{}', '1')")
    for start in range(1, VECTORS + 1, CHUNK):
        rows = [(start + row, one.tobytes()) for row, one in enumerate(draw(CHUNK, rng).astype(np.float16))]
        with catalogue.writing() as db:
            db.executemany("INSERT INTO frames (id, content) VALUES (?, 1)", [(frame,) for frame, _ in rows])
            db.executemany("INSERT INTO vectors VALUES (?, ?)", rows)
    catalogue.close()
    return folder


def nearest_of(folder: Path, asked: np.ndarray) -> list[tuple[np.ndarray | None, np.ndarray]]:
    """By filter, the numbers that it keeps and those (queries, 10) of the nearest, all being compared."""
    from mainstem.apps.media.catalogue import Catalogue
    from mainstem.apps.media.store import read_vectors

    catalogue, rng = Catalogue(folder, is_read_only=True), np.random.default_rng(8)
    kept = [np.sort(rng.choice(VECTORS, round(VECTORS * share), replace=False) + 1) for share in FILTERS]
    best = [(np.full((len(asked), 10), -2.0, np.float32), np.zeros((len(asked), 10), np.int64)) for _ in kept]
    for start in range(0, VECTORS, CHUNK):
        ids, vectors = read_vectors(catalogue, start, CHUNK)
        cosines = asked @ vectors.T
        for row, allowed in enumerate(kept):
            at = np.flatnonzero(np.isin(ids, allowed))
            scores = np.hstack([best[row][0], cosines[:, at]])
            both = np.hstack([best[row][1], np.tile(ids[at], (len(asked), 1))])
            order = np.argpartition(-scores, 10, 1)[:, :10]
            best[row] = np.take_along_axis(scores, order, 1), np.take_along_axis(both, order, 1)
    catalogue.close()
    return [
        (None if share == 1 else own, ids)
        for share, own, (_, ids) in zip(FILTERS, kept, best, strict=True)
    ]  # fmt: skip


def million(folder: Path, draw: Draw) -> dict[str, float]:
    """A million vectors: making the codes, and queries on one core, beside their true neighbours, by filter."""
    from mainstem.apps.media.catalogue import Catalogue
    from mainstem.apps.media.store import VectorStore, build_codes

    asked = draw(QUERIES, np.random.default_rng(9))
    catalogue = Catalogue(fill(folder, draw))
    begin = time.process_time()
    codes = build_codes(catalogue)
    figures = {
        "build_processor_s": time.process_time() - begin,
        "codes_mb": (catalogue.home / codes.file).stat().st_size / 1e6,
    }
    store = VectorStore(catalogue)
    for share, (allowed, true) in zip(FILTERS, nearest_of(folder, asked), strict=True):
        store.nearest(asked[0], 10, allowed)
        walls, processors, found = [], [], []
        for query in asked:
            wall, begin = time.perf_counter(), time.process_time()
            found.append(store.nearest(query, 10, allowed)[0])
            walls.append(time.perf_counter() - wall)
            processors.append(time.process_time() - begin)
        figures |= {
            f"p50_ms_of_{share:.1%}": 1e3 * float(np.percentile(walls, 50)),
            f"p95_ms_of_{share:.1%}": 1e3 * float(np.percentile(walls, 95)),
            f"p95_processor_ms_of_{share:.1%}": 1e3 * float(np.percentile(processors, 95)),
            f"recall_at_10_of_{share:.1%}": float(
                np.mean([len({*a} & {*b}) / 10 for a, b in zip(found, true, strict=True)])
            ),
        }
    catalogue.close()
    return figures


def millions(place: Path) -> dict[str, float]:
    """A million vectors of each way of drawing them."""
    from mainstem.data.catalogue import pull

    paths = [path for name in ("pdq", "c2pa-samples") for path in sorted(pull(name).rglob("*.jpg"))]
    found = described(paths)
    figures = {"intrinsic_dim_of_descriptions": intrinsic_dim(found)}
    for name, draw in draws_of(found).items():
        figures |= {f"million_{name}_{what}": value for what, value in million(place / name, draw).items()}
    return figures


def bench_media_index() -> dict[str, float]:
    """All of it, in a home and a folder of their own."""
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as place:
        os.environ["MAINSTEM_HOME"] = str(Path(place) / "home")
        archive = Path(place) / "archive"
        archive.mkdir()
        write_pictures(archive, NUM)
        found = index_twice(archive)
        return {"pictures": float(NUM), **found, **search_pictures(archive), **millions(Path(place))}
