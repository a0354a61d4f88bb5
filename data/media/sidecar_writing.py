"""A user's words about a file, written beside it; the file itself is not even opened."""

import json
import stat
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from mainstem.core.errors import ArtifactError, InputError
from mainstem.core.files import locked, write_atomically
from mainstem.core.plain import plain
from mainstem.data.media.bounds import DEFAULT_BOUNDS, Bounds, check_file
from mainstem.data.media.embargoes import read_embargo
from mainstem.data.media.said import WORDS
from mainstem.data.media.sidecar_json import Fields, read_fields

FIELDS = (*WORDS, "keywords", "embargo", "opt_out")
STATES = ("reserved", "allowed", "unclear")
WAIT_S = 10.0  # for another who writes the same sidecar
Value = str | list[str] | None
Changes = Mapping[str, Value]


def sidecar_path(path: Path) -> Path:
    """Where what a user says of a file is written."""
    return path.with_name(f"{path.name}.json")


def write_sidecar(path: Path, changes: Changes, bounds: Bounds = DEFAULT_BOUNDS) -> Changes:
    """Change fields of the sidecar of a file; None takes a field away, and what else stands there stays.

    Args:
        path: of the file that is spoken of; it is never opened.
        changes: by name of FIELDS; keywords are a list, an embargo is a date in ISO 8601, an opt-out one of STATES.
        bounds: of the sidecar's bytes.

    Returns:
        The changes that undo these.

    Raises:
        InputError: if there is no such file, a change is none, or what stands in the sidecar cannot be read.
        ArtifactError: if it cannot be written.
    """
    checked = {name: _checked(name, value) for name, value in changes.items()}
    if not path.is_file():
        raise InputError(f"{plain(path)}: no such file; its sidecar is written beside it")
    target = sidecar_path(path)
    try:
        with locked(target.with_name(f".{target.name[:100]}.lock"), plain(target.name), wait_s=WAIT_S):
            fields = _existing(target, bounds)
            before = {name: fields.get(name) for name in checked}
            _write(target, _changed(fields, checked), bounds)
    except OSError as error:
        raise ArtifactError(f"cannot write {plain(target)}: {error.strerror or error}; free it") from error
    return before


def _checked(name: str, value: Value) -> Value:
    if name not in FIELDS:
        raise InputError(f"{plain(name)!r} is no field of a sidecar; name one of {', '.join(FIELDS)}")
    if value is None:
        return None
    if name == "keywords":
        if not isinstance(value, list) or not all(isinstance(word, str) and word.strip() for word in value):
            raise InputError("keywords want a list of words; give one, or null to take them away")
        return value
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{name} wants words; give some, or null to take it away")
    if name == "embargo" and read_embargo(value).until is None:
        raise InputError(f"{plain(value)!r} is no date of an embargo; give one like 2026-11-30T18:00+01:00")
    if name == "opt_out" and value not in STATES:
        raise InputError(f"{plain(value)!r} is no state of an opt-out; give one of {', '.join(STATES)}")
    if name == "captured":
        _check_time(value)
    return value


def _check_time(value: str) -> None:
    try:
        datetime.fromisoformat(value)
    except ValueError as error:
        raise InputError(f"{plain(value)!r} is no time; give one like 2026-11-30T18:00+01:00") from error


def _existing(target: Path, bounds: Bounds) -> Fields:
    try:
        mode = target.lstat().st_mode
    except FileNotFoundError:
        return {}
    if not stat.S_ISREG(mode):
        raise InputError(f"{plain(target.name)} is a link or no plain file; it is left as it is, move it away")
    check_file(target, bounds.text_bytes)
    try:
        return read_fields(target.read_bytes())
    except InputError as error:
        raise InputError(f"{plain(target.name)} is {error}; it is left as it is, mend it or move it away") from error


def _changed(fields: Fields, changes: Changes) -> Fields:
    kept = {
        name: value for name, value in fields.items() if changes.get(name, value) is not None or name not in changes
    }
    return kept | {name: value for name, value in changes.items() if value is not None}


def _write(target: Path, fields: Fields, bounds: Bounds) -> None:
    """Write the fields; a sidecar in which nothing is left is taken away."""
    if not fields:
        target.unlink(missing_ok=True)
        return
    try:
        data = (json.dumps(fields, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
    except UnicodeEncodeError:  # half a character of UTF-16 in the file, which only an escape can write
        data = (json.dumps(fields, indent=2, allow_nan=False) + "\n").encode()
    except ValueError as error:
        raise InputError(f"{plain(target.name)} holds a number that JSON cannot write; mend it") from error
    if len(data) > bounds.text_bytes:
        raise InputError(f"{plain(target.name)} would have {len(data)} bytes, want at most {bounds.text_bytes}")
    write_atomically(target, data)
