"""Types with ranges for what files say of themselves, and JSON objects read with limits on size and depth."""

import json
import unicodedata
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from mainstem.core.errors import ArtifactError, MainstemError
from mainstem.core.plain import plain

MAX_JSON_BYTES = 64 << 20  # a record of thousands of groups has some hundred kB
SHOWN = 60  # letters of a wrong value that a message repeats
Finite = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Positive = Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0)]
Share = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0, le=1)]
Count = Annotated[int, Field(strict=True, ge=0, le=1 << 53)]
Flag = Annotated[bool, Field(strict=True)]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def is_name(value: object) -> bool:
    """True for text that may stand as a name on one line."""
    return isinstance(value, str) and 0 < len(value) <= 200 and not any(unicodedata.category(c) == "Cc" for c in value)


def first_mistake(error: ValidationError) -> str:
    """Return in one line the first of what a schema found wrong: where, what was found, what was wanted."""
    found = error.errors(include_url=False)[0]
    where = ".".join(printable(part) for part in found["loc"]) or "it"
    if found["type"] == "missing":
        return f"{where} is missing"
    return f"{where} is {printable(found['input'])}: {printable(found['msg'], 200).lower()}"


def printable(value: object, length: int = SHOWN) -> str:
    """Return a value as a line without control characters, cut to a length."""
    text = " ".join(plain(str(value)[: 2 * length]).split())
    return text if len(text) <= length else f"{text[: length - 3]}..."


def read_object(path: Path, kind: type[MainstemError] = ArtifactError) -> dict[str, Any]:
    """Read a file that holds one JSON object.

    Raises:
        kind: if it is no plain file, too large, no JSON or no object.
    """
    try:
        if not path.is_file():
            raise kind(f"no file {path}; name the folder that holds it")
        if path.stat().st_size > MAX_JSON_BYTES:
            raise kind(
                f"{path} has more than {MAX_JSON_BYTES >> 20} MiB, which no such file has; fetch or make it again"
            )
        return parse_object(path.read_bytes(), str(path), kind)
    except (OSError, ValueError) as error:
        raise kind(f"{path} cannot be read ({printable(error)}); fetch or make it again") from error


def parse_object(text: str | bytes, name: str, kind: type[MainstemError] = ArtifactError) -> dict[str, Any]:
    """Read text that is one JSON object.

    Raises:
        kind: if it is not.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise kind(f"{name} is no JSON ({printable(error)}); fetch or make it again") from error
    if not isinstance(found, dict):
        raise kind(f"{name} holds a {type(found).__name__}, want one JSON object; fetch or make it again")
    return found
