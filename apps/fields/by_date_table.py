"""by_date.csv beside a map: what was told of its fields at each date; read by pages, which need no model for it."""

import io
from pathlib import Path

import pandas as pd

from mainstem.apps.map_files import BY_DATE
from mainstem.core.errors import InputError

NUMBERS = ("area_ha", "seen_share", "mean", "lower", "upper", "lower_issued", "upper_issued", "level",
           "typical_error", "average_error")  # fmt: skip
TEXTS = (
    "field",
    "known_until",
    "view",
    "units",
    "claim",
    "reason",
    "errors_of",
    "adapter",
    "adapter_sha256",
    "training",
)
LARGEST_BYTES = 1 << 26


def read_by_date(folder: Path) -> pd.DataFrame | None:
    """Read the table beside a map; None where it was made without.

    Raises:
        InputError: if it is damaged.
    """
    path = folder / BY_DATE
    if not path.is_file():
        return None
    again = "make the map again with --by-date"
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise InputError(f"{BY_DATE} is beyond 64 MiB; {again}")
        found = pd.read_csv(io.BytesIO(path.read_bytes()), dtype=dict.fromkeys(TEXTS, str), keep_default_na=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{BY_DATE} cannot be read ({str(error)[:100]}); {again}") from error
    lacking = [name for name in (*TEXTS, *NUMBERS) if name not in found]
    if lacking:
        raise InputError(f"{BY_DATE} has no column {lacking[0]}; {again}")
    if found["units"].nunique() > 1:
        raise InputError(f"{BY_DATE} holds several units ({', '.join(sorted(set(found['units'])))[:80]}); {again}")
    for name in NUMBERS:
        found[name] = pd.to_numeric(found[name].astype(str), errors="coerce").astype(float)
    found["known_until"] = pd.to_datetime(found["known_until"], format="%Y-%m-%d", errors="coerce")
    if found["known_until"].isna().any():
        raise InputError(f"{BY_DATE} holds a date that is none; {again}")
    return found
