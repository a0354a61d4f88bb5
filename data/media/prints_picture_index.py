"""Pictures that were seen, and which of them a new one is a copy of, in whole or in part."""

import numpy as np
from numpy.typing import NDArray

from mainstem.data.media.prints_matches import Match
from mainstem.data.media.prints_parts import Parts, part_keys
from mainstem.data.media.prints_pictures import PLAIN, PicturePrint, compare_hashes, compare_parts, hash_keys
from mainstem.data.media.prints_postings import Postings, Words
from mainstem.data.media.prints_shelf import Shelf

FEWEST_KEYS = 3  # that parts of two pictures share, for them to be laid over one another
CANDIDATES = 32  # of one picture


class PictureIndex:
    """Pictures by the number in which they were added: 0.5 kB of keys each for the whole and 5 kB for the parts."""

    def __init__(self) -> None:
        self._wholes, self._parts, self._shelf = Postings(), Postings(), Shelf()

    def look_up(self, picture: PicturePrint) -> dict[int, Match]:
        """Say of which pictures a new one is a copy, or they of it, by their numbers; then add it."""
        found = self.find(picture)
        self.add(picture)
        return found

    def find(self, picture: PicturePrint) -> dict[int, Match]:
        """Say of which pictures a new one is a copy, or they of it, by their numbers."""
        found = self._whole_copies(picture)
        for owner in self._sharing_parts(picture.parts):
            if owner not in found:
                match = compare_parts(self._parts_of(owner), picture.parts)
                if match:
                    found[owner] = match
        return found

    def add(self, picture: PicturePrint) -> None:
        """Add one, of which the first hash and no mirrored codes are needed."""
        parts = picture.parts
        owner = self._shelf.put(picture.hashes[0], parts.places, np.array(parts.size), parts.codes)
        if picture.quality >= PLAIN:
            _add(self._wholes, hash_keys(picture.hashes[:1]).ravel(), owner)
        _add(self._parts, np.unique(part_keys(parts.codes)), owner)

    def _whole_copies(self, picture: PicturePrint) -> dict[int, Match]:
        if picture.quality < PLAIN:
            return {}
        _, owners = self._wholes.find(np.unique(hash_keys(picture.hashes)))
        matches = {int(owner): compare_hashes(self._hash_of(owner), picture.hashes) for owner in np.unique(owners)}
        return {owner: match for owner, match in matches.items() if match}

    def _sharing_parts(self, parts: Parts) -> list[int]:
        """Pictures that share enough keys with this one, or with this one mirrored; those that share most first."""
        shared: dict[int, int] = {}
        for codes in (parts.codes, parts.mirrored):
            _, rows = self._parts.find(np.unique(part_keys(codes)))
            owners, counts = np.unique(rows, return_counts=True)
            for owner, count in zip(owners.tolist(), counts.tolist(), strict=True):
                shared[owner] = max(count, shared.get(owner, 0))
        ordered = sorted((-count, owner) for owner, count in shared.items() if count >= FEWEST_KEYS)
        return [owner for _, owner in ordered[:CANDIDATES]]

    def _hash_of(self, owner: int) -> NDArray[np.uint8]:
        return self._shelf.get(owner)[0].astype(np.uint8, copy=False)

    def _parts_of(self, owner: int) -> Parts:
        _, places, size, codes = self._shelf.get(owner)
        held = codes.astype(np.uint8, copy=False)
        return Parts(
            places=places.astype(np.float32, copy=False),
            size=(int(size[0]), int(size[1])),
            codes=held,
            mirrored=np.zeros((0, held.shape[1]), np.uint8),
        )


def _add(postings: Postings, keys: Words, owner: int) -> None:
    postings.add(keys, np.full(len(keys), owner, np.uint32))
