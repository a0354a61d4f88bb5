"""Names of groups as artefacts keep them: numbers, which have an order, as they are; others as salted hashes."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mainstem.core.folds import is_number, one_writing

LENGTH = 8  # bytes of a hash: two of a million names meet by chance once in 40 million artefacts


@dataclass(frozen=True, kw_only=True)
class Keys:
    """Turns a group's name into its key; who has an artefact can ask whether a name is in it, and read none.

    `salt` is drawn from what was trained on, so that one seed gives one artefact and a list of names hashed for another
    artefact tells nothing. `is_private` hashes numbers too, where they name persons.
    """

    salt: str
    is_private: bool = False

    @classmethod
    def drawn_from(cls, prints: NDArray[np.int64], *, is_private: bool) -> "Keys":
        """Return keys whose salt comes from hashes of the training samples."""
        return cls(salt=hashlib.blake2b(prints.tobytes(), digest_size=LENGTH).hexdigest(), is_private=is_private)

    def __call__(self, group: str | None) -> str:
        """Return the key of a group's name; "" of none."""
        if group is None:
            return ""
        if is_number(group) and not self.is_private:
            return one_writing(group)
        hashed = hashlib.blake2b(one_writing(group).encode(), digest_size=LENGTH, key=self.salt.encode())
        return f"#{hashed.hexdigest()}"

    def each(self, groups: Iterable[str | None]) -> tuple[str, ...]:
        """Return the keys of many names, each hashed once."""
        listed = list(groups)
        known = {name: self(name) for name in set(listed)}
        return tuple(known[name] for name in listed)
