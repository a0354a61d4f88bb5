"""`mainstem runs compare`: what tells runs apart: settings, data, code, and the figures that came out."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mainstem.apps.runs import figures_of
from mainstem.core.records import read_record

LEFT_OUT = ("command", "seconds", "trained", "calibrations", "held_out", "last", "next_adapter_sha256")


def compare(runs: Sequence[Path]) -> dict[str, Any]:
    """Return `settings` {name: [a value a run]} where runs differ, `figures` {name: [...]}, None where one has none.

    Raises:
        InputError: if one is no run folder.
    """
    records = [read_record(run) for run in runs]
    settings = [dict(_flat({key: value for key, value in one.items() if key not in LEFT_OUT})) for one in records]
    return {
        "runs": [str(run) for run in runs],
        "settings": {name: row for name, row in _table(settings).items() if any(value != row[0] for value in row)},
        "figures": _table([figures_of(one) for one in records]),
        "seconds": [one["seconds"] for one in records],
    }


def _table(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Values by name, one a row, None where a row has none, in the order in which names are met."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _flat(plain: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in plain.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
