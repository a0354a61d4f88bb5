"""Settings of a fit by dotted name, as a YAML file or --set gives them: `training.epochs` is `config.training.epochs`.

Whatever is given is text until its setting's own type reads it, in a file as on the command line.
"""

import dataclasses
import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_type_hints

import yaml
from pydantic import TypeAdapter, ValidationError

from mainstem.core.errors import InputError
from mainstem.core.finetuning import FitSpec
from mainstem.core.schema import printable

LARGEST_BYTES = 64 << 10  # of a file of settings, which has some dozen lines
DEEPEST = 8  # levels of one
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
    texts = {} if file is None else _flat(_read_yaml(file), "", str(file))
    typed: dict[str, str] = {}
    for one in given:
        name, equals, text = one.partition("=")
        if not equals:
            raise InputError(f"got --set {printable(one)}, want NAME=VALUE, as training.epochs=5")
        if name in typed:
            raise InputError(f"got --set {printable(name)} twice; give it once")
        typed[name] = text
    known = names()
    return {name: _read(name, text, known) for name, text in {**texts, **typed}.items()}


def with_settings(spec: FitSpec, values: Mapping[str, Any]) -> FitSpec:
    """Return the spec with settings by name in the place of its own."""
    config = {name: value for name, value in values.items() if name not in _own_names()}
    own = {name: value for name, value in values.items() if name in _own_names()}
    return dataclasses.replace(spec, config=_replaced(spec.config, config), **own)


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


def _read_yaml(path: Path) -> Any:  # noqa: ANN401 - whatever a file holds
    """Read a small YAML file without tags, anchors and repeated names; every value stays the text that it is."""
    try:
        if not path.is_file():
            raise InputError(f"no file {printable(path, 200)}; name a YAML file of settings")
        if path.stat().st_size > LARGEST_BYTES:
            raise InputError(f"{path} has more than {LARGEST_BYTES >> 10} KiB, which no file of settings has")
        text = path.read_text(encoding="utf-8-sig")
        _check_events(text, str(path))
        return _plain(yaml.compose(text, Loader=yaml.BaseLoader), str(path))
    except (OSError, yaml.YAMLError, ValueError) as error:
        raise InputError(f"{printable(path, 200)} cannot be read as YAML ({printable(error, 200)}); mend it") from error


def _check_events(text: str, name: str) -> None:
    """Refuse what could grow when it is read, before it is."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.BaseLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        where = f"{name}, line {event.start_mark.line + 1}" if event.start_mark else name
        if getattr(event, "anchor", None) or getattr(event, "tag", None):
            raise InputError(f"{where}: got an anchor, an alias or a tag; write the value out")
        if depth > DEEPEST:
            raise InputError(f"{where}: got more than {DEEPEST} levels, which no settings have; mend it")


def _plain(node: yaml.Node | None, name: str) -> Any:  # noqa: ANN401 - whatever a file holds
    """A node's texts, lists and mappings."""
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.value in found:
                line = key.start_mark.line + 1
                raise InputError(f"{name}, line {line}: a setting comes twice, or has no name; mend it")
            found[key.value] = _plain(value, name)
        return found
    if isinstance(node, yaml.SequenceNode):
        return [_plain(value, name) for value in node.value]
    return {} if node is None else node.value


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
