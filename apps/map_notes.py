"""What a map's notes.json says, as far as pages need it: read by a schema, with ranges, before anything is believed."""

import os
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mainstem.apps.map_files import NOTES
from mainstem.core.errors import InputError
from mainstem.core.files import open_own

LARGEST_BYTES = 1 << 22
TAGS = ("UNITS", "LEVEL", "CLAIM", "CLAIM_REASON", "ADAPTER", "TRAINING", "ATTRIBUTION", "DATES")  # that pages show
LAYERS = ("mean", "lower", "upper")


class MapNotes(BaseModel):
    """Names of the map's layers, its tags, how much wider or narrower a field's interval is than its pixels', and the
    bounds of what is possible, in the map's units; and the fields left out when it was made, a line each."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    names: Annotated[tuple[Annotated[str, Field(max_length=200)], ...], Field(max_length=1000, strict=False)]
    tags: dict[str, str]
    mean_factor: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
    lowest: Annotated[float, Field(allow_inf_nan=False)] | None = None
    highest: Annotated[float, Field(allow_inf_nan=False)] | None = None
    left_out: Annotated[tuple[Annotated[str, Field(max_length=1000)], ...], Field(max_length=1000, strict=False)] = ()

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if self.lowest is not None and self.highest is not None and self.lowest >= self.highest:
            raise ValueError("lowest is not below highest")
        return self


def read_notes(folder: Path) -> MapNotes:
    """Read the notes of a yield map.

    Raises:
        InputError: if there are none, they are a link or damaged, or those of another kind of map.
    """
    path = folder / NOTES
    try:
        with os.fdopen(open_own(path, os.O_RDONLY), "rb") as file:
            content = file.read(LARGEST_BYTES + 1)
        if len(content) > LARGEST_BYTES:
            raise InputError(f"{NOTES} of {folder.name} is beyond 4 MiB; make the map again")
        notes = MapNotes.model_validate_json(content)
        level = float(notes.tags.get("LEVEL", ""))
    except OSError as error:
        raise InputError(f"{NOTES} of {folder.name} cannot be read ({error.strerror}); make the map again") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise InputError(
            f"{NOTES} of {folder.name} is damaged ({where}: {first['msg']:.100}); make the map again"
        ) from error
    except ValueError as error:
        raise InputError(f"{NOTES} of {folder.name} states no level as a number; make the map again") from error
    missing = [name for name in TAGS if name not in notes.tags]
    if missing or not 0 < level < 1:
        raise InputError(f"{NOTES} of {folder.name} has no {(missing or ['LEVEL from 0 to 1'])[0]}; make the map again")
    if not set(LAYERS) <= set(notes.names):
        raise InputError(
            f"the map {folder.name} holds no layers {', '.join(LAYERS)}: it is none of yields; open it in GIS"
        )
    return notes
