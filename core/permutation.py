"""A permutation of any number of samples that is computed place by place, so that none of it is held.

An alternating Feistel network over pairs (left, right) with left < a, right < b and a b just above the number, each
half shifted in turn by a keyed hash of the other; a place that falls outside is sent through again (cycle walking).
Source: Black and Rogaway 2002, Ciphers with Arbitrary Finite Domains (CT-RSA), sections 3.2 and 3.3; the hash is the
finaliser of Steele, Lea and Flood 2014, Fast Splittable Pseudorandom Number Generators (OOPSLA), figure 17.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.int64]
Words = NDArray[np.uint64]
ROUNDS = 12  # of half the state each; four of both halves are a strong cipher of random functions (Luby, Rackoff 1988)
MOST = 1 << 62
SHIFTS = tuple(np.uint64(bits) for bits in (30, 27, 31))
FACTORS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
HALF = np.uint64(32)


@dataclass(frozen=True, kw_only=True)
class Permutation:
    """The order of `num` samples, at most 2^62, in an epoch of a seed: all whole numbers from 0."""

    num: int
    seed: int
    epoch: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.num <= MOST:
            raise ValueError(f"got {self.num} samples, want 1 to 2^62")

    @cached_property
    def _sides(self) -> tuple[np.uint64, np.uint64]:
        """Numbers of left and of right halves; each is at most 2^31 + 1."""
        left = math.isqrt(self.num - 1) + 1
        return np.uint64(left), np.uint64(-(-self.num // left))

    @cached_property
    def _keys(self) -> Words:
        return np.random.SeedSequence((self.seed, self.epoch)).generate_state(ROUNDS, np.uint64).astype(np.uint64)

    def at(self, places: Places) -> Places:
        """Return the samples that stand at places (places,), each from 0 to `num` - 1."""
        found = self._once(places.astype(np.uint64))
        while (outside := np.flatnonzero(found >= self.num)).size:
            found[outside] = self._once(found[outside])
        return found.astype(np.int64)

    def _once(self, numbers: Words) -> Words:
        """Send numbers below a b through the network once."""
        left, right = np.divmod(numbers, self._sides[1])
        for turn, key in enumerate(self._keys):
            if turn % 2:
                right = _shifted(right, _hash(left + key), self._sides[1])
            else:
                left = _shifted(left, _hash(right + key), self._sides[0])
        return left * self._sides[1] + right


def _shifted(numbers: Words, hashes: Words, side: np.uint64) -> Words:
    """Move numbers below `side` on by hashes, round in a circle; the hash's upper half is scaled to the side."""
    moved = numbers + ((hashes >> HALF) * side >> HALF)
    return np.where(moved < side, moved, moved - side)


def _hash(words: Words) -> Words:
    words = (words ^ (words >> SHIFTS[0])) * FACTORS[0]
    words = (words ^ (words >> SHIFTS[1])) * FACTORS[1]
    return words ^ (words >> SHIFTS[2])
