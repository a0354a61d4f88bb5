"""Which fields to visit first, and why in words; and how the farms of this machine stand beside one another."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mainstem.apps.field_maps import known_maps, maps_folder
from mainstem.apps.fields.harvest_maps import is_harvest
from mainstem.apps.map_notes import read_notes
from mainstem.core.errors import InputError
from mainstem.dashboards.field_map.board import FieldBoard
from mainstem.dashboards.field_map.changes import Changes

LOWEST = 0.1  # of the fields are told as the lowest, one at least
FEWEST = 3  # fields of which one can be the lowest


@dataclass(frozen=True)
class Visit:
    """A field to visit: reasons in words, the most urgent first; `order` sorts visits."""

    field: str
    reasons: tuple[str, ...]
    order: tuple[int, float]


@dataclass(frozen=True)
class Farm:
    """A map of this machine: its name, how many fields it has, how many of them are not seen, and words of both."""

    name: str
    fields: int
    unseen: int
    words: str


def find_visits(board: FieldBoard, changes: Changes) -> list[Visit]:
    """Fields to visit first: not seen, claim withdrawn, fallen most since the last scene, lowest of the farm."""
    found: dict[str, list[tuple[tuple[int, float], str]]] = {}
    told = (_unseen(board), _withdrawn(board), _fallen(changes), _lowest(board))
    for kind, reasons in enumerate(told):
        for field, (urgency, words) in reasons.items():
            found.setdefault(field, []).append(((kind, urgency), words))
    visits = [Visit(field, tuple(words for _, words in why), why[0][0]) for field, why in found.items()]
    return sorted(visits, key=lambda visit: visit.order)


Reasons = Mapping[str, tuple[float, str]]  # by field: what sorts them, lowest first, and words


def _unseen(board: FieldBoard) -> Reasons:
    rows = board.table[board.table["mean"].isna()]
    shares = rows["seen_share"].fillna(0.0).tolist()
    return {
        field: (share, f"not seen: {share:.0%} of it is known, too little to say anything")
        for field, share in zip(rows["field"], shares, strict=True)
    }


def _withdrawn(board: FieldBoard) -> Reasons:
    """Fields whose claim is withdrawn where others' are not; of all alike the page's status says it."""
    seen = board.table[board.table["mean"].notna()]
    is_withdrawn = seen["claim"] == "withdrawn"
    if is_withdrawn.all():
        return {}
    rows = seen[is_withdrawn]
    return {
        field: (0.0, f"claim withdrawn: {reason}") for field, reason in zip(rows["field"], rows["reason"], strict=True)
    }


def _fallen(changes: Changes) -> Reasons:
    rows = changes.table[changes.table["fell"]]
    told = zip(*(rows[name].tolist() for name in ("field", "change", "others", "before", "after")), strict=True)
    return {field: (change, fall_words(change, *rest)) for field, change, *rest in told}


def fall_words(change: float, others: float, before: str, after: str) -> str:
    """A field's fall beside the others'."""
    beside = "" if np.isnan(others) else f"; the other fields {'rose' if others > 0 else 'fell'} by {abs(others):.2f}"
    return f"fell by {-change:.2f} NDVI from {before} to {after}{beside}"


def _lowest(board: FieldBoard) -> Reasons:
    seen = board.table[board.table["mean"].notna()]
    if len(seen) < FEWEST:
        return {}
    mean = farm_mean(board)
    unit = "%" if "percent" in board.tags["UNITS"] else board.tags["UNITS"]
    rows = seen.nsmallest(max(int(LOWEST * len(seen)), 1), "mean")
    which = "the lowest" if len(rows) == 1 else f"one of the {len(rows)} lowest"
    return {
        field: (float(value), f"{which} of {len(seen)} fields: {value:.1f} {unit}, {mean - value:.1f} below their mean")
        for field, value in zip(rows["field"], rows["mean"], strict=True)
        if value < mean
    }


def farm_mean(board: FieldBoard) -> float:
    """Mean of the fields that are seen, by area."""
    seen = board.table[board.table["mean"].notna()]
    return float(np.average(seen["mean"], weights=seen["area_ha"].clip(lower=1e-9))) if len(seen) else np.nan


def find_farms(but: str) -> list[Farm]:
    """Other maps of this machine, those with the most fields not seen first; one that is damaged says so."""
    found = [_farm(name) for name in known_maps() if name != but]
    return sorted(found, key=lambda farm: (-farm.unseen / max(farm.fields, 1), farm.name))


def _farm(name: str) -> Farm:
    folder = maps_folder() / name
    try:
        tags = read_notes(folder).tags
        path = folder / "fields.csv"
        means = pd.read_csv(path, usecols=["mean"])["mean"] if path.is_file() else pd.Series([], dtype=float)
        values = pd.to_numeric(means, errors="coerce")
    except (InputError, ValueError, OSError):
        return Farm(name, 0, 0, "cannot be read; open it to see why")
    unseen = int(values.isna().sum())
    last = tags["DATES"].split(", ")[-1][:10]
    parts = [f"{len(values)} field{'s' * (len(values) != 1)}", f"{unseen} not seen" if unseen else ""]
    parts += [
        f"claim {tags['CLAIM']}" if tags["CLAIM"] == "withdrawn" else "",
        f"{'harvested' if is_harvest(folder) else 'scenes to'} {last}" if last else "",
    ]
    return Farm(name, len(values), unseen, ", ".join(filter(None, parts)))
