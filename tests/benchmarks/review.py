"""Verification of a store of reviews, beside the sha256 of as many bytes; and what recording one review costs.

Shared cores make wall time mean little: `processor` figures are seconds of the process's own processor time.
"""

import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path
from statistics import median

from mainstem.apps.review import ReviewStore
from mainstem.apps.review_anchors import AnchorFile, anchor_line
from mainstem.apps.review_chain import Row, canonical, linked
from mainstem.apps.review_database import add_rows, clock, head, rows_of
from mainstem.apps.review_records import body_of
from tests.apps.reviews import READER, some_review

NUM, CHUNK, ROUNDS, RECORDS = 50_000, 1000, 5, 100


def filled(folder: Path) -> ReviewStore:
    """A store of many reviews, each with its anchor."""
    store = ReviewStore.open(f"sqlite:///{folder / 'reviews.db'}", folder / "home").as_user(READER)
    assert store.signer is not None
    with store.database.writing() as connection:
        last = head(connection)
        said = {"when": clock(connection), "user": "dr-a", "role": "reader", "code": "1"}
        for start in range(0, NUM, CHUNK):
            rows: list[Row] = []
            for number in range(start, start + CHUNK):
                last = linked(last, canonical(body_of(some_review(number), said)), store.signer)
                rows.append(last)
            add_rows(connection, rows)
    store.anchor_file(store.anchors[0].path)
    return store


def timed(call: Callable[[], object]) -> tuple[float, float]:
    """Seconds of wall and of processor time."""
    wall, processor = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - processor


def bench_review() -> dict[str, float]:
    """Verified records a second, beside the sha256 of as many bytes, and milliseconds a recorded review."""
    with tempfile.TemporaryDirectory() as name:
        store = filled(Path(name))
        with store.database.reading() as connection:
            bodies = [row.body.encode() for row in rows_of(connection)]

        def verify() -> None:
            found = store.verify()
            assert found.ok, found.why
            assert found.num == found.anchored == NUM

        times: dict[str, list[tuple[float, float]]] = {"verify": [], "floor": []}
        for _ in range(ROUNDS):
            times["verify"].append(timed(verify))
            times["floor"].append(timed(lambda: [sha256(body).hexdigest() for body in bodies]))
        ours, floor = (min(processor for _, processor in times[name]) for name in ("verify", "floor"))
        kept = [timed(partial(store.record, some_review(number)))[0] for number in range(RECORDS)]
        further, line = AnchorFile(Path(name) / "further.jsonl"), anchor_line(1, "a" * 64, "b" * 128)
        anchored = [timed(partial(further.append, 1, lambda _: [line], 0))[0] for _ in range(RECORDS)]
        size = os.path.getsize(Path(name) / "reviews.db") / (NUM + RECORDS)
    return {
        "verified_per_processor_s": NUM / ours,
        "verified_per_wall_s": NUM / min(wall for wall, _ in times["verify"]),
        "sha256_per_processor_s": NUM / floor,
        "verify_against_sha256_ratio": ours / floor,
        "record_ms": 1e3 * median(kept),
        "of_it_anchor_ms": 1e3 * median(anchored),
        "bytes_a_record": size,
    }
