"""Small YAML files that people write: settings, specs, profiles; texts, lists and names, nothing that could grow."""

from pathlib import Path
from typing import Any

import yaml

from mainstem.core.errors import InputError
from mainstem.core.schema import printable

LARGEST_BYTES = 64 << 10  # of a file of settings, which has some dozen lines
DEEPEST = 8  # levels of one


def read_yaml(path: Path) -> Any:  # noqa: ANN401 - whatever a file holds
    """Read a small YAML file without tags, anchors and repeated names; every value stays the text that it is.

    Raises:
        InputError: if it is none, or holds more than one who writes settings would.
    """
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
