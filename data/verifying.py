"""Which files of a set are as they were written: of the catalogue, of a baked folder, or listed by a card."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from mainstem.core.schema import printable
from mainstem.data import catalogue, shards
from mainstem.data.croissant import CardFile, place_of, read_card


@dataclass(frozen=True, kw_only=True)
class Verified:
    """How many files were read to be compared, what is wrong with which of them, and what was not checked, and why."""

    num: int
    wrong: tuple[str, ...]
    unchecked: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """True where something was checked, and nothing is wrong."""
        return self.num > 0 and not self.wrong

    def __str__(self) -> str:
        told = [f"{self.num - len(self.wrong)} of {self.num} files whole" if self.num else "nothing was checked"]
        told += [f"absent or damaged: {', '.join(self.wrong)}"] if self.wrong else []
        told += [f"not checked: {', '.join(self.unchecked)}"] if self.unchecked else []
        return "; ".join(told)


def verify(name: str) -> Verified:
    """Read all files of a set, and compare them with its record: a baked folder's, a card, or the catalogue's entry.

    Raises:
        InputError: if there is no such set, or its record is damaged.
    """
    if shards.is_baked(name):
        return Verified(num=len(shards.read_record(Path(name)).files), wrong=tuple(shards.verify(Path(name))))
    if Path(name).exists():
        return verify_card(place_of(name))
    return Verified(num=len(catalogue.find_data_set(name).files), wrong=tuple(catalogue.verify(name)))


def verify_card(card: Path) -> Verified:
    """Read the files that a card lists beside it; what it gives no sha256 of, or an address, is not checked.

    Raises:
        InputError: if the card cannot be read.
    """
    folder = card.parent.resolve()
    told = [(file, _unchecked(file)) for file in read_card(card).files]
    checked = [file for file, why in told if not why]
    faults = (_fault(folder, file) for file in checked)
    return Verified(
        num=len(checked),
        wrong=tuple(f"{printable(file.name)} {fault}" for file, fault in zip(checked, faults, strict=True) if fault),
        unchecked=tuple(f"{printable(file.name)} ({why})" for file, why in told if why),
    )


def _unchecked(file: CardFile) -> str:
    return "an address" if "://" in file.name else "" if file.sha256 else "the card gives no sha256 of it"


def _fault(folder: Path, file: CardFile) -> str:
    path = folder / file.name
    try:
        if not path.resolve().is_relative_to(folder):
            return "lies outside the folder"
        if not path.is_file():
            return "is absent"
        with path.open("rb") as opened:
            return "" if hashlib.file_digest(opened, "sha256").hexdigest() == file.sha256 else "differs"
    except (OSError, ValueError, RuntimeError) as error:  # no name of a file, a loop of links, no right to read
        return f"cannot be read ({printable(error)})"
