"""Sounds that were seen, and which of them a new one is a copy of."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from mainstem.data.media.prints_matches import Match
from mainstem.data.media.prints_postings import Postings, Words
from mainstem.data.media.prints_shelf import Shelf
from mainstem.data.media.prints_sounds import HOP_S, LOUD, VARIANTS, SoundPiece, Variant, signs_apart

EVERY = 2  # words of a sound that was seen, one is looked for; of a new one all are
CANDIDATES = 24  # of a minute, those with most words in common, that are held side by side
FEWEST_WORDS = 2
NEAR, LEAST_S = 0.3, 1.5  # share of signs that differ, where so much loud sound is compared
NEAR_SHORT, LEAST_SHORT_S = 0.2, 0.7  # and where less is: a cut of three seconds may hold one second of loud sound
SLACK = 2  # words to either side that the best place is looked for
# tests/benchmarks/copies.py counts this
RATE = "sound: none of 325 pairs of 26 held-out recordings of 9 voices; other kinds of sound were not counted"


@dataclass(frozen=True)
class _Lead:
    """Where a minute may lie in a sound that was seen: its word 0 on that sound's word `offset`."""

    votes: int
    owner: int
    offset: int
    variant: Variant


def joined(pieces: Iterable[SoundPiece]) -> Words:
    """Words (n,) of a whole sound, as it plays."""
    return np.concatenate([np.zeros(0, np.uint32), *(piece.words() for piece in pieces)])


def is_telling(words: Words) -> bool:
    """Whether a sound (n,) is loud and changes for long enough to be told from others."""
    return float(((words & LOUD) > 0).sum()) * HOP_S >= LEAST_SHORT_S


class SoundIndex:
    """Sounds by the number in which they were added."""

    def __init__(self) -> None:
        self._postings, self._shelf = Postings(), Shelf()
        self._starts = np.zeros(0, np.int64)  # row of each sound's first word
        self._end = 0

    def look_up(self, pieces: Iterable[SoundPiece]) -> dict[int, Match]:
        """Say of which sounds a new one holds a copy, or is one, by their numbers; then add it."""
        heard = list(pieces)
        found = self.find(heard)
        self.add(joined(heard))
        return found

    def find(self, pieces: Iterable[SoundPiece]) -> dict[int, Match]:
        """Say of which sounds a new one holds a copy, or is one, by their numbers.

        Of several minutes that match one sound the nearest tells how.
        """
        found: dict[int, Match] = {}
        for piece in pieces:
            for owner, match in self._copies(piece):
                if owner not in found or match.distance < found[owner].distance:
                    found[owner] = match
        return found

    def add(self, words: Words) -> None:
        """Add a sound by its words (n,)."""
        self._starts = np.append(self._starts, self._end)
        self._shelf.put(words)
        places = np.arange(0, len(words), EVERY)
        loud = places[(words[places] & LOUD) > 0]
        self._postings.add(words[loud] & ~LOUD, (self._end + loud // EVERY).astype(np.uint32))
        self._end += len(words) // EVERY + 1

    def _copies(self, piece: SoundPiece) -> Iterator[tuple[int, Match]]:
        played = dict(zip(VARIANTS, piece.played, strict=True))
        leads = [lead for variant, words in played.items() for lead in self._leads(words, variant)]
        for lead in sorted(leads, key=lambda lead: -lead.votes)[:CANDIDATES]:
            match = self._compare(played[lead.variant], lead, piece.start)
            if match:
                yield lead.owner, match

    def _leads(self, words: Words, variant: Variant) -> Iterator[_Lead]:
        loud = np.flatnonzero(words & LOUD)
        places, rows = self._postings.find(words[loud] & ~LOUD)
        if not len(places):
            return
        owners = np.searchsorted(self._starts, rows, "right") - 1
        offsets = (rows - self._starts[owners]) * EVERY - loud[places]
        pairs, votes = np.unique(np.stack([owners, offsets]), axis=1, return_counts=True)
        for best in np.argsort(-votes)[:CANDIDATES]:
            if votes[best] >= FEWEST_WORDS:
                yield _Lead(int(votes[best]), int(pairs[0, best]), int(pairs[1, best]), variant)

    def _compare(self, words: Words, lead: _Lead, start: int) -> Match | None:
        held = self._shelf.get(lead.owner)[0].astype(np.uint32, copy=False)
        tried = [(*_side_by_side(held, words, offset), offset) for offset in _around(lead.offset)]
        apart, seconds, offset = min((each for each in tried if each[1] >= LEAST_SHORT_S), default=(1.0, 0.0, 0))
        near = NEAR if seconds >= LEAST_S else NEAR_SHORT
        if apart > near:
            return None
        return Match(
            what="sound",
            distance=round(apart, 4),
            unit="share of signs that differ",
            threshold=near,
            transform=f"{lead.variant.words()}, {seconds:.1f} s of loud sound compared",
            offset_s=round((offset - start * lead.variant.speed) * HOP_S, 3),
            rate=RATE,
        )


def _around(offset: int) -> range:
    return range(offset - SLACK, offset + SLACK + 1)


def _side_by_side(held: Words, words: Words, offset: int) -> tuple[float, float]:
    """How far words are from those held, where their word 0 lies on word `offset` of these."""
    begin, end = max(0, -offset), min(len(words), len(held) - offset)
    return signs_apart(held[begin + offset : end + offset], words[begin:end]) if end > begin else (1.0, 0.0)
