"""Where a file says that it comes from (C2PA), and whether it is still what was signed; nothing is fetched.

A verdict speaks of bytes and names, never of whether a picture is true:
- absent: no manifest is in the file, and none beside it that fits it; that is no sign of alteration.
- valid: the signature and every hash fit; who signed is a name in a certificate that no trust list vouches for, or
  whose certificate had expired or was revoked; or parts of the file are left out of what is signed.
- trusted: valid, and the certificate was issued under one of a trust list's, in force and not revoked.
- tampered: the bytes, the manifest in them or its signature do not fit one another; of a manifest beside the file,
  that it names the file's very bytes and is not as it was signed. One that names other bytes is of no weight: whether
  the file was altered or the manifest is another file's cannot be told, and anybody can lay one there.
- ingredient-fault: all of that fits, but something that the file was made from does not fit its own signature, or did
  not when the file was signed.

Source: C2PA Technical Specification 2.2, chapter "Validation", whose codes stand in the reasons.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from mainstem.core.errors import InputError
from mainstem.data.media.provenance_process import worker
from mainstem.data.media.trust_lists import TrustList

Verdict = Literal["absent", "valid", "trusted", "tampered", "ingredient-fault"]
SIDECAR = ".c2pa"


@dataclass(frozen=True)
class Origin:
    """What a file says of where it comes from, and what of it holds.

    reasons: each a code of the specification and what it means. signer: the name in the signer's certificate.
    signed_at: UTC, by a time stamp that fits the signature; None where there is none. manifest: where it lies,
    "embedded" or a sidecar's name. elsewhere: an address that the file names for its manifest. tree: what the file was
    made from (title, signer, faults, ingredients ...), as text of the file that a screen must escape.
    """

    file: str
    sha256: str
    verdict: Verdict
    words: str
    reasons: tuple[str, ...]
    signer: str | None
    issuer: str | None
    signed_at: str | None
    manifest: str | None
    elsewhere: str | None
    tree: Mapping[str, Any] | None
    trust: TrustList | None

    def told(self) -> dict[str, Any]:
        """As JSON."""
        found = {name: value for name, value in asdict(self).items() if name != "trust"}
        return found | {"trust_list": None if self.trust is None else self.trust.told()}


def read_provenance(path: Path, trust: TrustList | None = None) -> Origin:
    """What a file, or the sidecar beside it, says of where it comes from; the file is opened for reading alone.

    Raises:
        InputError: if it is no plain file, empty, a sidecar itself, or damaged beyond reading.
        MissingExtraError: if c2pa-python is not installed.
    """
    if not path.exists():
        raise InputError(f"{path}: not found; check the path")
    if not path.is_file():
        raise InputError(f"{path} is no plain file; name a picture, sound, video or document")
    if path.suffix.lower() == SIDECAR:
        raise InputError(f"{path} is a sidecar; name the file that it speaks for, beside it")
    if not path.stat().st_size:
        raise InputError(f"{path} is empty; get the file again")
    anchors = None if trust is None else {"pem": trust.pem, "stamps": trust.stamps}
    beside = {"name": trust.name, "date": trust.date} if trust is not None else None
    found = worker().examine(
        path, {"sidecars": [str(each) for each in sidecars(path)], "trust": anchors, "list": beside}
    )
    reasons = tuple(found.pop("reasons"))
    return Origin(file=str(path), reasons=reasons, trust=trust, **found)


def sidecars(path: Path) -> list[Path]:
    """The sidecars beside a file: NAME.SUFFIX.c2pa, which is its own, and NAME.c2pa, as the SDK's own tools say."""
    names = (path.with_name(path.name + SIDECAR), path.with_suffix(SIDECAR))
    return [each for each in dict.fromkeys(names) if each.is_file() and not each.is_symlink()]
