"""Settings of a fit by dotted name, as a YAML file or --set gives them: `training.epochs` is `config.training.epochs`.

Whatever is given is text until its setting's own type reads it, in a file as on the command line.
"""

import dataclasses
import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from mainstem.core.errors import InputError
from mainstem.core.finetuning import FitSpec
from mainstem.core.plain_yaml import read_yaml
from mainstem.core.schema import printable

CONFIG = "config"  # the field of a spec whose own fields are named without it
NOTHING = ("null", "none", "~")
TRUNK, DEVICE = "trunk", "training.device"


def names() -> dict[str, Any]:
    """Return the type of every setting, by name."""
    return dict(_fields(FitSpec, ""))


def _fields(kind: type, prefix: str) -> Iterator[tuple[str, Any]]:
    hints = get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        hint = hints[field.name]
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            yield from _fields(hint, prefix if field.name == CONFIG else f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", hint


def read_settings(file: Path | None, given: Sequence[str]) -> dict[str, Any]:
    """Return settings by name, read as their types: a file's, and over them those given as NAME=VALUE.

    Raises:
        InputError: if one is unknown, given twice, or of another type.
    """
    texts = {} if file is None else _flat(read_yaml(file), "", str(file))
    known = names()
    return {name: _read(name, text, known) for name, text in {**texts, **split_settings(given)}.items()}


def split_settings(given: Sequence[str]) -> dict[str, str]:
    """Return the texts of settings given as NAME=VALUE, by name.

    Raises:
        InputError: if one is not given so, or twice.
    """
    found: dict[str, str] = {}
    for one in given:
        name, equals, text = one.partition("=")
        if not equals:
            raise InputError(f"got --set {printable(one)}, want NAME=VALUE, as training.epochs=5")
        if name in found:
            raise InputError(f"got --set {printable(name)} twice; give it once")
        found[name] = text
    return found


def with_settings(spec: FitSpec, values: Mapping[str, Any]) -> FitSpec:
    """Return the spec with settings by name in the place of its own."""
    own = {name: value for name, value in values.items() if name.partition(".")[0] in _own_names()}
    config = {name: value for name, value in values.items() if name not in own}
    changed: FitSpec = _replaced(spec, own)
    return dataclasses.replace(changed, config=_replaced(spec.config, config))


def _own_names() -> set[str]:
    return {field.name for field in dataclasses.fields(FitSpec)} - {CONFIG}


def _replaced(part: Any, values: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any of the dataclasses of a config
    inner: dict[str, dict[str, Any]] = {}
    found: dict[str, Any] = {}
    for name, value in values.items():
        head, point, rest = name.partition(".")
        if point:
            inner.setdefault(head, {})[rest] = value
        else:
            found[name] = value
    found |= {head: _replaced(getattr(part, head), below) for head, below in inner.items()}
    return dataclasses.replace(part, **found)


def _read(name: str, text: str, known: Mapping[str, Any]) -> Any:  # noqa: ANN401 - whatever the field holds
    """Read a text as a setting's type."""
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        ending = [one for one in known if one.endswith(f".{name}")]
        meant = (ending or near or [None])[0]
        told = f"did you mean {meant}?" if meant else f"want one of {', '.join(sorted(known))}"
        raise InputError(f"there is no setting {printable(name)}; {told}")
    try:
        is_nothing = text.lower() in NOTHING
        return TypeAdapter(known[name]).validate_python(None if is_nothing else text)
    except ValidationError as error:
        wanted = error.errors(include_url=False)[0]["msg"].lower()
        raise InputError(f"got {name}={printable(text)}: {printable(wanted, 200)}") from error


def _flat(plain: Any, prefix: str, name: str) -> dict[str, str]:  # noqa: ANN401 - whatever a file holds
    """Texts by dotted name."""
    if not isinstance(plain, dict):
        raise InputError(f"{name} holds {type(plain).__name__} {printable(plain)}, want names with values; mend it")
    found: dict[str, str] = {}
    for key, value in plain.items():
        full = f"{prefix}{key}"
        below = _flat(value, f"{full}.", name) if isinstance(value, dict) else {full: value}
        if not all(isinstance(text, str) for text in below.values()):
            raise InputError(f"{name}: {printable(full)} is a list, want one value; mend it")
        if set(below) & set(found):
            raise InputError(f"{name}: {printable(full)} comes twice; give it once")
        found |= below
    return found
