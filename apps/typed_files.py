"""YAML files read as types: an unknown key is refused with the nearest name there is."""

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, ValidationError, model_validator

from mainstem.core.errors import InputError
from mainstem.core.plain_yaml import read_yaml
from mainstem.core.schema import printable

TIME = re.compile(r"(?:(\d{1,2})-)?(\d{1,2}):([0-5]\d):([0-5]\d)")
OURS = "Value error, "  # what pydantic puts before a message of ours


class Typed(BaseModel):
    """What a file may hold: its fields, and nothing else."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _know_every_key(cls, given: Any) -> Any:  # noqa: ANN401 - whatever a file holds
        if not isinstance(given, dict):
            raise ValueError(f"got {printable(given)}, want names with values")
        for key in given:
            if key not in cls.model_fields:
                raise ValueError(f"there is no {printable(key)}; {nearest(str(key), cls.model_fields)}")
        return given


Kind = TypeVar("Kind", bound=Typed)


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which name was likely meant, or which there are."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"


def read_typed(kind: type[Kind], path: Path) -> Kind:
    """Read a YAML file as a type.

    Raises:
        InputError: naming the first entry that is unknown, missing or of another type.
    """
    try:
        return kind.model_validate(read_yaml(path))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(printable(part) for part in first["loc"])
        said = first["msg"].removeprefix(OURS)
        if first["type"] == "missing":
            said = "is missing"
        elif not first["msg"].startswith(OURS):
            said = f"is {printable(first['input'])}: {printable(said, 200).lower()}"
        raise InputError(f"{path}: {f'{where} ' if where else ''}{said}") from error


def seconds_of(text: str) -> int:
    """Read a time as HH:MM:SS or D-HH:MM:SS.

    Raises:
        InputError: if it is none.
    """
    found = TIME.fullmatch(text)
    if found is None:
        raise InputError(f"got the time {printable(text)}, want HH:MM:SS or D-HH:MM:SS")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _seconds(given: object) -> int:
    try:
        return seconds_of(str(given))
    except InputError as error:
        raise ValueError(str(error)) from error


def as_time(seconds: int) -> str:
    """Return a time as Slurm writes it."""
    days, rest = divmod(seconds, 86_400)
    text = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days}-{text}" if days else text


Seconds = Annotated[int, BeforeValidator(_seconds), PlainSerializer(as_time, when_used="json")]
