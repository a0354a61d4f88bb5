"""What a trunk that was pretrained has seen, and from whom, wherever one is adapted: `seen.npy` beside its record."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mainstem.core.errors import InputError
from mainstem.core.records import RECORD_FILE, read_record
from mainstem.core.stream import Sample
from mainstem.core.taught import Prints, content_of

PRETRAINED = "pretrain"  # in a record, in the place of an adapter's name
SEEN_FILE = "seen.npy"

TOLD = ("data", "licence", "attribution", "simulated", "num_samples")  # of each corpus
SEEN = "it saw {} of the samples adapted on, so that figures and intervals of what is held out may flatter"


@dataclass(frozen=True, kw_only=True, eq=False)
class Pretrained:
    """A pretrained trunk: contents (prints,) of the samples that it saw, and what its record says of each corpus."""

    folder: Path
    sha256: str
    seen: Prints
    corpora: dict[str, dict[str, Any]]

    def count(self, samples: Iterable[Sample]) -> int:
        """Return how many of the samples it saw, whatever they and their groups are called."""
        return int(np.isin([content_of(sample) for sample in samples], self.seen).sum())

    def refuse_seen(self, scored: Sequence[Sample], data: str) -> None:
        """Refuse to score on samples that the trunk saw.

        Raises:
            InputError: if it saw any.
        """
        if found := self.count(scored):
            raise InputError(
                f"the trunk {self.folder} saw {found} of the {len(scored)} samples on which {data} is scored; pretrain "
                "without them (evaluations in its SPEC), or take another trunk"
            )

    def facts(self, num_seen: int) -> dict[str, Any]:
        """Return what the record of an adapter says of its trunk: its corpora, and how many training samples it saw."""
        corpora = {name: {key: one[key] for key in TOLD} for name, one in self.corpora.items()}
        return {"sha256": self.sha256, "corpora": corpora, "num_seen": num_seen}

    def words(self, num_seen: int) -> str:
        """Say so in a line of a card."""
        learned = "; ".join(f"{one['data']} ({one['licence']})" for one in self.corpora.values())
        told = f"pretrained on {learned}, sha256 {self.sha256}"
        return f"{told}; {SEEN.format(num_seen)}" if num_seen else told


def write_seen(folder: Path, contents: Iterable[int]) -> None:
    """Keep the contents that a trunk saw."""
    np.save(folder / SEEN_FILE, np.array(sorted(contents), np.int64), allow_pickle=False)


def read_pretrained(trunk: str | Path | None) -> Pretrained | None:
    """Return what is known of a trunk, or of the one that a run adapted; None where no pretraining is on record.

    Raises:
        InputError: if a trunk was pretrained and does not say what it saw.
    """
    folder = Path(trunk or "")
    if not trunk or not (folder / RECORD_FILE).is_file():
        return None
    record = read_record(folder)
    is_trunk = record["adapter"] == PRETRAINED
    told = record if is_trunk else record.get("trunk")
    if told is None:
        return None
    try:
        seen = np.load(folder / SEEN_FILE, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            f"{folder / SEEN_FILE} is missing or damaged, so that nobody knows what the trunk saw; pretrain it "
            "again, or restore the file"
        ) from error
    sha256 = record["trunk_sha256"] if is_trunk else told["sha256"]
    return Pretrained(folder=folder, sha256=sha256, seen=seen, corpora=told["corpora"])
