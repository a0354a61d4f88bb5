"""The secret of a project, and the pseudonyms made of it: the same for the same key, of no use without it.

Every pseudonym carries a seal that the key alone can make, so that what was made before is known again: files that
went through once are left as they are the second time. HMAC-SHA256: RFC 2104.
"""

import base64
import hmac
import os
import secrets
import stat
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from mainstem.core.errors import InputError

BYTES = 32  # as long as the hash (RFC 2104, section 3)
MAX_FILE_BYTES = 4096
DISTINCT = 12  # bytes of a random key that differ: 32 random ones never have fewer
ROOT = "2.25."  # UIDs made of UUIDs: PS3.5 B.2
UUID_HEAD, SEAL = 12, 4  # bytes
MOST = 10**9 - 1  # an IS has at most 2^31 - 1: PS3.5 table 6.2-1
FIRST_DAY, LAST_DAY = 366, 3652  # dates are moved by 1 to 10 years, into the past: nothing lies in the future


@dataclass(frozen=True)
class Key:
    """Makes pseudonyms; its secret is shown nowhere."""

    secret: bytes = field(repr=False)

    def uid(self, old: str) -> str:
        """The UID that stands for another; one that this key made stays."""
        if self._is_own_uid(old):
            return old
        head = uuid.UUID(bytes=self._digest("uid", old)[:UUID_HEAD] + bytes(SEAL), version=4).bytes[:UUID_HEAD]
        return ROOT + str(int.from_bytes(head + self._digest("uid seal", head.hex())[:SEAL]))

    def patient(self, old: str) -> str:
        """The pseudonym of a patient."""
        return self._name("P", old, 20)

    def label(self, old: str) -> str:
        """What stands for a name or text: the same for the same text, 15 letters, which fits all VRs of text."""
        return self._name("X", old, 14)

    def number(self, old: str) -> str:
        """The number, of nine digits at most, that stands for another."""
        return str(1 + int.from_bytes(self._digest("number", old)) % MOST)

    def days(self, patient: str) -> int:
        """By how many days the dates of a patient are moved; none where the patient is a pseudonym already."""
        if self.patient(patient) == patient:
            return 0
        return -FIRST_DAY - int.from_bytes(self._digest("days", patient)) % (LAST_DAY - FIRST_DAY + 1)

    def file_name(self, path: str) -> str:
        """What stands for a file's name in reports."""
        return self._digest("file", path).hex()[:16]

    def _digest(self, use: str, text: str) -> bytes:
        return hmac.digest(self.secret, f"{use}\0{text}".encode("utf-8", "surrogateescape"), "sha256")

    def _letters(self, use: str, text: str, length: int) -> str:
        return base64.b32encode(self._digest(use, text)).decode()[:length]

    def _name(self, prefix: str, old: str, length: int) -> str:
        """A prefix and letters, of which the last quarter is the seal of the others."""
        sealed = length // 4
        head = old[1 : 1 + length - sealed]
        if old == prefix + head + self._letters(f"{prefix} seal", head, sealed):
            return old
        head = self._letters(prefix, old, length - sealed)
        return prefix + head + self._letters(f"{prefix} seal", head, sealed)

    def _is_own_uid(self, old: str) -> bool:
        digits = old.removeprefix(ROOT)
        if digits == old or not (digits.isascii() and digits.isdigit()) or int(digits) >> 128:
            return False
        number = int(digits).to_bytes(UUID_HEAD + SEAL)
        return hmac.compare_digest(self._digest("uid seal", number[:UUID_HEAD].hex())[:SEAL], number[UUID_HEAD:])


def make_key(path: Path) -> Key:
    """Make a key file of 64 hexadecimal digits that its owner alone may read.

    Raises:
        InputError: if it exists already or cannot be written.
    """
    secret = secrets.token_bytes(BYTES)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secret.hex() + "\n")
            os.fsync(file.fileno())
    except FileExistsError as error:
        raise InputError(f"{path} exists already; use it without --new-key, or name another") from error
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}; name another file") from error
    return Key(secret)


def read_key(path: Path) -> Key:
    """Read a key file, of hexadecimal digits or of random bytes as they are.

    Raises:
        InputError: if it is absent, readable by others, too short, or not made at random; its content is never shown.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(MAX_FILE_BYTES) if stat.S_ISREG(mode) else b""
    except OSError as error:
        raise InputError(f"no key file {path} ({error.strerror}); make one with --new-key") from error
    if mode & 0o077:
        raise InputError(f"{path} can be read by others (mode {mode & 0o777:04o}); run chmod 600 on it")
    try:
        secret = bytes.fromhex(text.decode("ascii"))
    except ValueError:
        secret = text.strip()  # random bytes as they are
    if len(secret) < BYTES or len(set(secret)) < DISTINCT:
        raise InputError(f"{path} is too short or not random: want {BYTES} random bytes; make one with --new-key")
    return Key(secret)
