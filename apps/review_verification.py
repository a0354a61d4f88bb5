"""Verification of a store: its chain, its anchors and the guards of its table; public keys are all it needs."""

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mainstem.apps.review_anchors import AnchorFile
from mainstem.apps.review_chain import Row, Verified, verify_rows
from mainstem.apps.review_database import Database, check_layout, layout_of, row_of, rows_of
from mainstem.apps.review_keys import Keys
from mainstem.apps.review_tables import guard_fault
from mainstem.core.errors import InputError

GRACE_S = 2.0  # between a record and its anchor, which another process is just writing


def begun_as(first: Row, name: str) -> dict[str, Any]:
    """Return what a store's first record says of it; whether it is genuine, the chain says.

    Raises:
        InputError: if it says nothing.
    """
    try:
        found: dict[str, Any] = json.loads(first.body)
        if found["mode"] in ("clinic", "research") and int(found["anchor_every"]) > 0:
            return found
    except (ValueError, KeyError, TypeError):
        pass
    raise InputError(f"the first record of {name} is no beginning of a store; restore a backup")


def verify_store(database: Database, files: Sequence[AnchorFile], keys: Keys) -> Verified:
    """Say whether all is as it was written, and else name the first record that is not.

    Raises:
        InputError: if the store cannot be read, or there is none.
        OSError: if the anchors cannot be read.
    """
    sizes = [file.size() for file in files]  # before the rows are read: an anchor never comes before its record
    if database.is_file_missing():
        raise InputError(f"there is no review store at {database.name}; check the address")
    with database.reading() as connection:
        layout = layout_of(connection)
        if layout is None:
            raise InputError(f"there is no review store at {database.name}; check the address")
        check_layout(layout, database.name)
        first = row_of(connection, 0)
        found = verify_rows(
            lambda: rows_of(connection),
            lambda: [file.reel(size) for file, size in zip(files, sizes, strict=True)],
            keys,
        )
        fault = guard_fault(connection) if found.ok else ""
    if fault:
        return replace(found, ok=False, why=fault)
    if not found.ok or first is None:
        return found
    return _check_lag(found, files, int(begun_as(first, database.name)["anchor_every"]))


def _check_lag(found: Verified, files: Sequence[AnchorFile], every: int) -> Verified:
    """Find records that lack their anchors, unless a process is just writing them."""
    until, own = time.monotonic() + GRACE_S, [file for file in files if not file.is_auditors()]
    while (behind := min((file.last() for file in own), default=found.anchored)) <= found.num - every and own:
        if time.monotonic() >= until:
            why = (
                f"records after {behind} are signed but lack their anchors: the program was stopped just then, a disk "
                "of the anchors was full, or somebody cut them; compare with another copy, then: mainstem review anchor"
            )
            return replace(found, ok=False, why=why, anchored=behind, is_behind=True)
        time.sleep(0.05)
    return replace(found, anchored=min(behind, found.num))
