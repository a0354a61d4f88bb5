"""Pseudonyms of studies, by keyed hashes whose keys can be destroyed.

A pseudonym is HMAC-SHA256 (RFC 2104), cut to 128 bits, of a UID under a key of its patient, which is itself the HMAC of
random bytes kept in a file of the patient's and of the site's own secret. Delete the file, and nobody can say any more
which records are this patient's; delete the site's secret, and nobody can for any. The records, and with them the
chain, stay as they are.
"""

import hmac
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mainstem.apps.review_keys import write_once
from mainstem.core.errors import InputError
from mainstem.core.files import sync_folder

Kind = Literal["patient", "study", "series", "instance", "user"]
SITE = "site.key"
KEY_BYTES = 32


@dataclass(frozen=True)
class Pseudonyms:
    """The keys of a site, in a folder that is kept apart from the records' backups."""

    folder: Path

    def of(self, patient: str, kind: Kind, identifier: str) -> str:
        """Return the pseudonym of an identifier; the same one each time, until the patient's key is destroyed.

        Args:
            patient: whose it is, as the site knows them; or the study's UID where the file names nobody.
            kind: of identifier: equal ones of two kinds have two pseudonyms.
            identifier: a UID, or whatever the site calls it.

        Raises:
            InputError: if one is empty, or a key is damaged.
        """
        if not patient or not identifier:
            raise InputError(f"no {kind} to make a pseudonym of; name the patient and the {kind}")
        site = self._key(self.folder / SITE)
        path = self._path(site, patient)
        key = hmac.digest(site, self._key(path), "sha256")
        return f"p-{hmac.digest(key, f'{kind}|{identifier}'.encode(), 'sha256').hex()[:32]}"

    def forget(self, patient: str) -> bool:
        """Destroy a patient's key; False where there is none. Copies in backups of the folder must be deleted too."""
        if not (self.folder / SITE).is_file():
            return False
        return _destroy(self._path(self._key(self.folder / SITE), patient))

    def forget_all(self) -> bool:
        """Destroy the site's secret, and with it what leads from any identifier to its pseudonym."""
        return _destroy(self.folder / SITE)

    def _path(self, site: bytes, patient: str) -> Path:
        name = hmac.digest(site, f"file|{patient}".encode(), "sha256").hex()
        return self.folder / name[:2] / f"{name[2:]}.key"  # at most 256 folders, however many patients

    def _key(self, path: Path) -> bytes:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_once(path, secrets.token_bytes(KEY_BYTES))
        key = path.read_bytes()
        if len(key) != KEY_BYTES or not any(key):
            raise InputError(
                f"{path} is damaged: {len(key)} bytes, want {KEY_BYTES} drawn ones; restore it from a copy"
            )
        return key


def _destroy(path: Path) -> bool:
    """Take a key's name away, overwrite and delete it; what the disk keeps beneath is for whoever encrypts it.

    Nobody reads a key that is half destroyed: it lost its name before. What a kill left is destroyed by the next call.
    """
    gone = path.with_name(f"{path.name}.gone")
    if path.is_file():
        path.replace(gone)
        sync_folder(path.parent)
    if not gone.is_file():
        return False
    with gone.open("r+b", buffering=0) as file:
        file.write(bytes(KEY_BYTES))
        os.fsync(file.fileno())
    gone.unlink()
    sync_folder(path.parent)
    return True
