"""JSON whose names stand once an object and whose numbers are some: Python's own reader insists on neither."""

import json
from typing import Any


def read_json(text: str) -> Any:  # noqa: ANN401 - what the text holds
    """Read a text.

    Raises:
        ValueError: if it is no JSON, names something twice in one object, or holds NaN or infinity.
        RecursionError: if it is nested too deep.
    """
    return json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)[:40]!r} stands twice")
    return found


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")
