"""Whether a manifest leaves more of a file out of what is signed than the file needs to hold the manifest."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any

from mainstem.data.media.manifest_slots import BMFF_UUID

FIELD = 8  # bytes: a TIFF says in its directory how long the store is (TIFF 4, BigTIFF 8), before that is known
# of ISO base media files: the kind of file, an index for seeking, and room; nothing of what is seen or heard
EMPTY_BOXES = ("/ftyp", "/mfra", "/free", "/skip")


def leaves_out(store: Mapping[str, Any]) -> bool:
    """True unless what the active manifest's hashes leave out is known to hold nothing.

    Args:
        store: the SDK's detailed JSON of a manifest store.
    """
    manifest = (store.get("manifests") or {}).get(store.get("active_manifest")) or {}
    hashed = [
        (label, found.get("exclusions") or ())
        for label, found in (manifest.get("assertion_store") or {}).items()
        if label.startswith("c2pa.hash.")
    ]
    return not hashed or any(_matters(label, spans) for label, spans in hashed)


def _matters(label: str, spans: Sequence[Mapping[str, Any]]) -> bool:
    if label.startswith("c2pa.hash.data"):
        sizes = [int(span["length"]) for span in spans]
        return sum(sizes) - max(sizes, default=0) > FIELD  # the longest is the manifest's own place, or matters
    if label.startswith("c2pa.hash.bmff"):
        return any(span["xpath"] not in EMPTY_BOXES and not _is_manifest(span) for span in spans)
    return True


def _is_manifest(span: Mapping[str, Any]) -> bool:
    values = [each.get("value") for each in span.get("data") or ()]
    return span["xpath"] == "/uuid" and values == [b64encode(BMFF_UUID).decode()]
