"""The chain of reviews: each record hashes its place, its text as it is stored, and the record before it.

`hash` is the sha256 of number, `previous` and body; `signature` signs number and hash; `previous` is the sha256 of hash
and signature of the record before. So every byte of every record but the last is held by the next one, and the last
by its signature: who lacks the key can change nothing, and who cuts the tail is found by the anchors outside.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, NamedTuple

from mainstem.apps.review_anchors import AnchorFault, Reel, anchor_line
from mainstem.apps.review_keys import Keys, Signer
from mainstem.core.errors import InputError

NOTHING = "0" * 64  # `previous` of the first record
MAX_BODY_BYTES = 1 << 16  # a review of 500 instances has 20 kB


class Row(NamedTuple):
    """A record as it is stored; `body` is canonical JSON in ASCII, never written anew once it is hashed."""

    num: int
    previous: str
    body: str
    hash: str
    signature: str


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What verification found.

    Attributes:
        num: of the newest record; the first, 0, says how the store was begun.
        first_bad: number of the first record that is not as it was written; None where none is, or where an anchor or a
            guard of the table is bad.
        why: what is wrong.
        anchored: the last record that every copy of the anchors knows; -1 for none.
        is_behind: True where nothing is wrong but that anchors lack.
    """

    num: int
    ok: bool
    first_bad: int | None = None
    why: str = ""
    anchored: int = -1
    is_behind: bool = False


def canonical(value: object) -> str:
    """Return one writing of a value as JSON: sorted keys, no blanks, ASCII, floats by their shortest digits.

    Raises:
        InputError: if it is not finite, or too large to be a review.
    """
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"a review cannot be written as JSON ({error}); hand over plain finite values") from error
    if len(text) > MAX_BODY_BYTES:
        raise InputError(f"a review of {len(text)} bytes, of {MAX_BODY_BYTES} at most; name the series, not each slice")
    return text


def digest_of(num: object, previous: object, body: object) -> str:
    """Hash of a record."""
    return sha256(f"{num}\n{previous}\n{body}".encode("utf-8", "surrogatepass")).hexdigest()


def seal_of(row: Row) -> str:
    """What the next record holds as `previous`."""
    return sha256(f"{row.hash}{row.signature}".encode("utf-8", "surrogatepass")).hexdigest()


def linked(last: Row | None, body: str, signer: Signer) -> Row:
    """Return the record that follows the last one."""
    num, previous = (0, NOTHING) if last is None else (last.num + 1, seal_of(last))
    digest = digest_of(num, previous, body)
    return Row(num, previous, body, digest, signer.sign(num, digest))


def check_whole(row: Row, keys: Keys) -> dict[str, Any]:
    """Return a record's body.

    Raises:
        InputError: if it is not as it was written.
    """
    if row.hash != digest_of(*row[:3]) or not keys.believe(row.num, row.hash, row.signature):
        raise InputError(f"record {row.num} is not as it was written; run: mainstem review verify")
    found: dict[str, Any] = json.loads(row.body)
    return found


def verify_rows(rows: Callable[[], Iterable[Row]], anchors: Callable[[], Sequence[Reel]], keys: Keys) -> Verified:
    """Say whether records are as they were written, and else name the first that is not.

    The chain is checked whole and its last signature, which stands for all; only where something is wrong are all
    signatures checked, to name the first bad record.

    Args:
        rows: gives the records by number, each time anew.
        anchors: gives the copies of the anchors, each time anew.
        keys: that are believed.
    """
    quick = _walk(rows(), anchors(), keys, each=False)
    if quick.ok:
        return quick
    slow = _walk(rows(), anchors(), keys, each=True)
    return quick if slow.ok else replace(slow, num=quick.num)


def _walk(rows: Iterable[Row], reels: Sequence[Reel], keys: Keys, *, each: bool) -> Verified:
    num, seal, row = -1, NOTHING, None
    bad: Verified | None = None
    for row in rows:
        num += 1
        if bad is not None:
            continue  # only counted
        why = _fault(row, num, seal) or _unsigned(row, keys, each)
        bad = _bad(row, num, why) or _anchored(row, reels, keys)
        seal = seal_of(row)
    if bad is None and row is not None and not each:
        bad = _bad(row, num, _unsigned(row, keys, True))
    if bad is None:
        bad = _unread(num, reels, keys)
    anchored = min((reel.last for reel in reels), default=-1)
    return replace(bad or Verified(num=0, ok=True), num=max(num, 0), anchored=anchored)


def _bad(row: Row, num: int, why: str) -> Verified | None:
    return Verified(num=0, ok=False, first_bad=num, why=f"record {num} {why}") if why else None


def _fault(row: Row, num: int, seal: str) -> str:
    """What is wrong with a record at its place; "" for nothing."""
    if row.num != num:
        return f"is missing: record {row.num} stands in its place"
    if row.hash != digest_of(*row[:3]):
        return "does not match its hash: it was changed"
    if row.previous != seal:
        return "does not follow the record before it: one of the two was changed"
    return ""


def _unsigned(row: Row, keys: Keys, asked: bool) -> str:
    if not asked or keys.believe(row.num, row.hash, row.signature):
        return ""
    return "is signed by none of the keys that are believed: it was changed, or the key is the wrong one"


def _anchored(row: Row, reels: Sequence[Reel], keys: Keys) -> Verified | None:
    """Compare a record with its anchors."""
    line, mark = anchor_line(row.num, row.hash, row.signature), f'"num":{row.num},'
    for reel in reels:
        try:
            while reel.text == line or (mark in reel.text and reel.num() == row.num):
                if reel.text != line and reel.check(keys) != row.hash:
                    why = "is not the one that was anchored: it, or one since the anchor before, was changed"
                    return _bad(row, row.num, why)
                reel.step(row.num)
        except AnchorFault as fault:
            return Verified(num=0, ok=False, why=str(fault))
    return None


def _unread(num: int, reels: Sequence[Reel], keys: Keys) -> Verified | None:
    """Compare the end of the chain with the end of the anchors."""
    for reel in reels:
        try:
            if reel.last < 0 and reel.num() is None:
                raise AnchorFault(f"{reel.name} holds no anchor: a cut tail could not be found")
            if reel.num() is not None:
                reel.check(keys)
                why = f"record {num + 1} is missing: {reel.name} knows record {reel.num()}, and the store ends before"
                return Verified(num=0, ok=False, first_bad=num + 1, why=why)
        except AnchorFault as fault:
            return Verified(num=0, ok=False, why=str(fault))
    return None
