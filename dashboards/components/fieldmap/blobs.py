"""Parts of a payload that the browser keeps under a key of their contents, so that each is sent once."""

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import streamlit as st
from numpy.typing import NDArray

SENT = "fieldmap_sent"  # session key: what the session's browser was given
MOST_SENT = 64  # that it keeps beside what it shows
Kind = Literal["shapes", "ground", "pixels"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Blob:
    """Bytes under a key of their contents, and what reads them."""

    key: str
    kind: Kind
    data: bytes


@dataclass(kw_only=True)
class Sent:
    """What a session's browser was given, and the last request of each canvas that was answered."""

    keys: dict[str, None] = field(default_factory=dict)  # in the order of sending
    requests: dict[str, str] = field(default_factory=dict)

    def missing(self, blobs: Sequence[Blob], canvas: str, request: str) -> list[Blob]:
        """Return what has to be sent, and note it as sent.

        A new request says that the browser lacks what it was given, as after the page was loaded again.
        """
        if request and request != self.requests.get(canvas):
            self.keys, self.requests[canvas] = {}, request
        found = {blob.key: blob for blob in blobs if blob.key not in self.keys}
        for blob in blobs:
            self.keys.pop(blob.key, None)
            self.keys[blob.key] = None
        while len(self.keys) > max(MOST_SENT, len(blobs)):
            del self.keys[next(iter(self.keys))]
        return list(found.values())


def sent_in_session() -> Sent:
    """Return what this session's browser was given."""
    found: Sent = st.session_state.setdefault(SENT, Sent())
    return found


def pack_arrays(header: Mapping[str, Any], arrays: Sequence[NDArray[Any]]) -> bytes:
    """Return a header's length (u32), the header as JSON, and arrays, each from a multiple of 8 bytes on."""
    text = json.dumps(header, allow_nan=False).encode()
    out = bytearray(struct.pack("<I", len(text)) + text)
    for array in arrays:
        out += b"\0" * (-len(out) % 8)
        out += array.tobytes()
    return bytes(out + b"\0" * (-len(out) % 8))
