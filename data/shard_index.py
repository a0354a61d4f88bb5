"""All that is told of baked samples but their streams: an Arrow table, a row each, read when a set is opened."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.cases import Cases
from mainstem.core.errors import InputError
from mainstem.core.plain import is_text
from mainstem.core.samples import LazySamples, LazyStreams, Load
from mainstem.core.schema import printable
from mainstem.core.stream import Provenance, Sample
from mainstem.data.shard_records import form_of

TEXTS = ("data", "item", "group", "licence", "attribution", "part")  # of Provenance; "group" may be null
MAY_LACK = {"group", "form", "target"}
ROWS_AT_ONCE = 1 << 16
MOST_BITS = 64  # of a fact that is a whole number


@dataclass
class IndexRows:
    """Rows that wait to be written."""

    columns: dict[str, list[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.columns.get("item", ()))

    def add(self, sample: Sample) -> None:
        """Add a sample's row: texts as they are, facts in JSON, a target as type, shape and bytes.

        Raises:
            InputError: if something of it could not be read back as it is.
        """
        source = sample.source
        name = printable(source.item)
        target = None if sample.target is None else np.ascontiguousarray(sample.target).reshape(np.shape(sample.target))
        told = {column: getattr(source, column) for column in TEXTS} | {
            "simulated": bool(source.simulated),
            "origin": sample.origin,
            "facts": json.dumps(
                {fact: _plain(value, f"fact {fact!r:.60} of {name}") for fact, value in source.facts.items()}
            ),
            "form": None if target is None else json.dumps(form_of(target, f"the target of {name}")),
            "target": None if target is None else target.tobytes(),
        }
        for column, value in told.items():
            if isinstance(value, str) and not is_text(value):
                raise InputError(f"{column} of {name} is {printable(value)!r}, which is no UTF-8; rename it")
            self.columns.setdefault(column, []).append(value)


def _plain(value: object, name: str) -> str | float:
    """A fact as JSON gives it back: text, a number, true or false; a number of NumPy's as Python's.

    Raises:
        InputError: if it is anything else, or has too many digits.
    """
    found = value.item() if isinstance(value, np.generic) else value
    if not isinstance(found, str | int | float) or isinstance(value, np.datetime64 | np.timedelta64 | np.longdouble):
        raise InputError(f"{name} is of type {type(value).__name__}, want text or a number; convert it")
    if isinstance(found, int) and found.bit_length() > MOST_BITS:
        raise InputError(f"{name} has {found.bit_length()} bits, want {MOST_BITS} at most; write it as text")
    return found


def schema() -> Any:  # noqa: ANN401 - pyarrow's Schema
    """Columns of an index."""
    import pyarrow as pa

    texts = [pa.field(name, pa.string()) for name in (*TEXTS, "origin", "facts", "form")]
    return pa.schema([*texts, pa.field("simulated", pa.bool_()), pa.field("target", pa.large_binary())])


def read_samples(table: Any, load: Load) -> Sequence[Sample]:  # noqa: ANN401 - pyarrow's Table
    """Return an index's samples, as arrays where targets have one shape, else one by one; `load` reads streams.

    Raises:
        ValueError: if it has other columns than an index, or a text is absent.
    """
    if table.schema != schema() or any(table[name].null_count for name in {*table.column_names} - MAY_LACK):
        raise ValueError("its columns are not an index's")
    texts = {name: table[name].to_numpy(zero_copy_only=False) for name in (*TEXTS, "origin")}
    forms, kept = table["form"].to_pylist(), table["target"].to_pylist()
    parsed = {form: json.loads(form) for form in set(forms) - {None}}
    if all(dtype == "<f8" for dtype, _ in parsed.values()) and len(parsed) < 2:
        shape = tuple(next(iter(parsed.values()))[1]) if parsed else None
        return LazySamples.of(_cases(table, texts, None if shape is None else _stacked(kept, shape)), load)
    facts = table["facts"].to_pylist()
    simulated = table["simulated"].to_pylist()
    return tuple(
        Sample(
            streams=LazyStreams(load, row),
            target=None if forms[row] is None else _target(kept[row], *parsed[forms[row]]),
            source=Provenance(
                **{name: texts[name][row] for name in TEXTS},
                simulated=simulated[row],
                facts=json.loads(facts[row]),
            ),
            origin=texts["origin"][row],
        )
        for row in range(table.num_rows)
    )


def _cases(table: Any, texts: dict[str, NDArray[Any]], targets: NDArray[Any] | None) -> Cases:  # noqa: ANN401
    told = [json.loads(each) for each in table["facts"].to_pylist()]
    facts = {name: np.empty(len(told), object) for name in sorted({name for each in told for name in each})}
    for name, column in facts.items():
        column[:] = [each.get(name) for each in told]
    simulated = table["simulated"].to_numpy(zero_copy_only=False).astype(object)
    return Cases(
        num=table.num_rows,
        streams={},
        source=Provenance(data="", item=""),
        told={**{name: texts[name] for name in TEXTS}, "simulated": simulated},
        facts=facts,
        targets=targets,
        origin=texts["origin"],
    )


def _stacked(kept: list[bytes | None], shape: tuple[int, ...]) -> NDArray[np.float64]:
    nothing = np.full(shape, np.nan).tobytes()
    joined = b"".join(nothing if each is None else each for each in kept)
    return np.frombuffer(joined, np.float64).reshape(len(kept), *shape)


def _target(kept: bytes, dtype: str, shape: list[int]) -> float | NDArray[Any]:
    found = np.frombuffer(kept, np.dtype(dtype)).reshape(shape).copy()
    return found.item() if not found.ndim else found
