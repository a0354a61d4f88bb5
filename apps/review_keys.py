"""Ed25519 keys of the review store: who signs, and whose signatures are believed.

A record's signature says that it stood at its place in the chain; verification needs the public keys alone.
"""

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from mainstem.core.errors import InputError
from mainstem.core.files import sync_folder

SIGNING, PUBLIC = "signing.pem", "*.pub.pem"
MADE_BY = "openssl genpkey -algorithm ed25519"


def statement(num: int, digest: str, when: str = "") -> bytes:
    """What is signed: that record `num` has this hash, seen at a time where the signer is not who wrote it."""
    return f"mainstem review 1\n{num}\n{digest}\n{when}".encode()


@dataclass(frozen=True)
class Signer:
    """A private key in use."""

    key: Ed25519PrivateKey

    def sign(self, num: int, digest: str, when: str = "") -> str:
        """Return the signature, 128 hexadecimal digits, that record `num` has this hash."""
        return self.key.sign(statement(num, digest, when)).hex()

    def keys(self) -> "Keys":
        """Return the public key alone."""
        return Keys((self.key.public_key(),))


@dataclass(frozen=True)
class Keys:
    """Public keys that are believed."""

    public: Sequence[Ed25519PublicKey]

    def believe(self, num: int, digest: str, signature: object, when: str = "") -> bool:
        """True where one of the keys signed that record `num` has this hash."""
        try:
            signed = bytes.fromhex(str(signature))
        except ValueError:
            return False
        if signed.hex() != signature:  # one writing only, so that no byte of it can be another unseen
            return False
        for key in self.public:
            try:
                key.verify(signed, statement(num, digest, when))
            except InvalidSignature:
                continue
            return True
        return False

    def fingerprints(self) -> tuple[str, ...]:
        """Return the sha256 of each key, to be compared with what was written down on paper."""
        return tuple(hashlib.sha256(key.public_bytes_raw()).hexdigest() for key in self.public)


def load_signer(path: Path) -> Signer:
    """Read a private key.

    Raises:
        InputError: if it is none of Ed25519, or needs a password.
    """
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise InputError(f"{path} is no private key in PEM without password; make one by {MADE_BY}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(f"{path} is no Ed25519 key; make one by {MADE_BY}")
    return Signer(key)


def load_keys(paths: Iterable[Path]) -> Keys:
    """Read public keys.

    Raises:
        InputError: if there is none, or one is none of Ed25519.
    """
    found = []
    for path in paths:
        try:
            key = serialization.load_pem_public_key(path.read_bytes())
        except ValueError as error:
            raise InputError(f"{path} is no public key in PEM; take one of the folder keys/ of the store") from error
        if not isinstance(key, Ed25519PublicKey):
            raise InputError(f"{path} is no Ed25519 key; take one of the folder keys/ of the store")
        found.append(key)
    if not found:
        raise InputError("no public key to verify with; name one, or the home that the store was begun with")
    return Keys(tuple(found))


def keys_of(folder: Path) -> tuple[Signer | None, Keys | None]:
    """Return the signing key of a folder, where it has one, and the public keys that it believes.

    A signing key that was put there (rotation) gets its public key beside it; older public keys stay.
    """
    path = folder / SIGNING
    signer = load_signer(path) if path.is_file() else None
    if signer is not None and os.access(folder, os.W_OK):
        _write_public(folder, signer)
    public = sorted(folder.glob(PUBLIC))
    if public:
        return signer, load_keys(public)
    return signer, signer.keys() if signer is not None else None


def new_signer(folder: Path) -> Signer:
    """Make a signing key that only this user can read, unless another process has just made one, and return it."""
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_once(folder / SIGNING, pem)
    signer = load_signer(folder / SIGNING)
    _write_public(folder, signer)
    return signer


def _write_public(folder: Path, signer: Signer) -> None:
    pem = signer.key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    write_once(folder / f"{signer.keys().fingerprints()[0][:16]}.pub.pem", pem)


def write_once(path: Path, data: bytes) -> None:
    """Write a file of this user's alone, whole; one that is there is left as it is.

    Raises:
        OSError: if it cannot be written.
    """
    if path.exists():
        return
    part = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(part, path)  # fails where another process was quicker: there is one key, never two
        except FileExistsError:
            return
    finally:
        part.unlink(missing_ok=True)
    sync_folder(path.parent)
