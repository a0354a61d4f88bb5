"""Which rows hold a key, while rows are added: what candidates for a copy are found by, with no look at every pair.

Sorted runs whose lengths double, merged as they grow: n rows cost n log n in all, and 8 bytes each.

Source: P. O'Neil, E. Cheng, D. Gawlick, E. O'Neil, 1996, The log-structured merge-tree (the idea of doubling runs).
"""

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]
MOST = 64  # rows that one key gives: of 10,000 files that share it each is held against 64, and those chain them all
SPREAD = np.uint64(2_654_435_761)  # odd, 2^32 over the golden ratio: which 64 differs from key to key (Knuth 6.4)


class Postings:
    """Rows by key; both are whole numbers of 32 bits."""

    def __init__(self) -> None:
        self._runs: list[tuple[Words, Words]] = []

    def add(self, keys: Words, rows: Words) -> None:
        """Let rows be found by keys (n,)."""
        order = np.argsort(keys, kind="stable")
        self._runs.append((keys[order], rows[order]))
        while len(self._runs) > 1 and len(self._runs[-2][0]) <= 2 * len(self._runs[-1][0]):
            second, first = self._runs.pop(), self._runs.pop()
            keys, rows = np.concatenate([first[0], second[0]]), np.concatenate([first[1], second[1]])
            order = np.argsort(keys, kind="stable")
            self._runs.append((keys[order], rows[order]))

    def find(self, keys: Words) -> tuple[NDArray[np.int64], Words]:
        """Places in `keys` (n,), and the rows that hold these; of a run at most MOST rows a key."""
        found = [_find(keys, *run) for run in self._runs]
        if not found:
            return np.zeros(0, np.int64), np.zeros(0, np.uint32)
        return np.concatenate([places for places, _ in found]), np.concatenate([rows for _, rows in found])


def _find(keys: Words, held: Words, rows: Words) -> tuple[NDArray[np.int64], Words]:
    begin, end = np.searchsorted(held, keys, "left"), np.searchsorted(held, keys, "right")
    spare = np.maximum(end - begin - MOST, 0)
    begin = begin + ((np.arange(len(keys), dtype=np.uint64) * SPREAD) % (spare + 1).astype(np.uint64)).astype(np.int64)
    counts = np.minimum(end - begin, MOST)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(np.arange(len(keys)), counts), rows[np.repeat(begin, counts) + within]


def sampled_bits(size: int, tables: int, bits: int, seed: int) -> NDArray[np.int64]:
    """Which bits (tables, bits) of codes of `size` bits make the key of each table: locality-sensitive hashing.

    Codes that differ in d bits share a given key with probability near (1 - d / size)^bits, and one of the tables'
    with 1 - (1 - that)^tables.

    Source: Indyk and Motwani, 1998, Approximate nearest neighbors, section 4.
    """
    random = np.random.default_rng(seed)
    return np.stack([random.permutation(size)[:bits] for _ in range(tables)])


def keys_of(codes: NDArray[np.bool_], chosen: NDArray[np.int64]) -> Words:
    """Keys (n, tables) of codes (n, size), by the bits chosen; the table's number is in the key."""
    tables, bits = chosen.shape
    weights = 1 << np.arange(bits, dtype=np.uint32)
    keys = (codes[:, chosen] * weights).sum(-1, dtype=np.uint32)
    return np.asarray(keys + (np.arange(tables, dtype=np.uint32) << np.uint32(bits)), np.uint32)
