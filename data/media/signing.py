"""Signing a copy of a file with its owner's certificate (C2PA); the original is read and never written to."""

import json
import os
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urlsplit

from mainstem.core.errors import InputError, MissingExtraError
from mainstem.core.files import scratch, sync_file, sync_folder
from mainstem.core.plain import one_line, plain
from mainstem.data.media.provenance_worker import settings
from mainstem.data.media.signers import COMMAND, lacks

if TYPE_CHECKING:
    from c2pa import C2paSigningAlg
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
    from cryptography.x509 import Certificate

MOST_KEY = 1 << 20  # bytes of a file of certificates or of a key
KINDS = "give JPEG, PNG, WebP, GIF, TIFF, AVIF, HEIC, WAV, MP3, FLAC, M4A, MP4, MOV or AVI"  # signed in tests
OF_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}  # RFC 9053, 2.1


@dataclass(frozen=True)
class Credentials:
    """A signer's certificate with those that it was issued under, and its private key, as PEM files.

    timestamp: address of a service that stamps the time (RFC 3161); None, where nothing is to be sent.
    """

    certificate: Path
    key: Path
    timestamp: str | None = None


def sign_file(path: Path, credentials: Credentials, out: Path) -> None:
    """Write a signed copy; its manifest names the original, with its own manifest, as what it was made from.

    Raises:
        InputError: if the copy would be written over a file, or the certificate, the key or the file cannot be used.
        MissingExtraError: if c2pa-python is not installed.
    """
    if not path.is_file():  # a pipe would be waited for
        raise InputError(f"{path}: no such file, or no plain one; name a picture, sound, video or document")
    if out.exists() or out.is_symlink():
        raise InputError(f"{out} exists; name a new file, nothing is written over")
    if out.suffix.lower() != path.suffix.lower():
        raise InputError(f"{out.name} is to be of another kind than {path.name}; give it the same suffix")
    try:
        from c2pa import C2paError
    except ImportError as error:
        raise MissingExtraError("c2pa-python", "media") from error
    try:
        with scratch(out) as folder:
            with path.open("rb") as original, (folder / "copy").open("w+b") as copy:
                _sign(original, (path.name, out.name), credentials, copy)
            _put(folder / "copy", out)
    except C2paError.NotSupported as error:
        raise InputError(
            f"{path}: cannot be signed, as C2PA has no place for it in files of this kind; {KINDS}"
        ) from error
    except C2paError as error:
        raise InputError(f"{path}: cannot be signed ({plain(one_line(error))}); check file and certificate") from error


def _sign(original: BinaryIO, names: tuple[str, str], credentials: Credentials, copy: BinaryIO) -> None:
    """Write the copy; the names are the original's and the copy's."""
    from c2pa import Builder, C2paBuilderIntent, C2paSignerInfo, Context, Signer
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    certificates = _certificates(credentials.certificate)
    private = _private(credentials.key)
    algorithm = _algorithm(credentials, certificates[0], private)
    _check(credentials.certificate, certificates[0])
    # the SDK writes whatever lies beside the certificates into the copy, a private key as well
    chain = b"".join(each.public_bytes(Encoding.PEM) for each in certificates)
    key = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    stamping = credentials.timestamp.encode() if credentials.timestamp else None
    alone: dict[str, Any] = settings(None)
    if credentials.timestamp:
        alone["core"]["allowed_network_hosts"] = [_host(credentials.timestamp)]
    manifest = {"title": names[1], "claim_generator_info": [{"name": "mainstem", "version": version("mainstem")}]}
    with (
        Context.from_dict(alone) as context,
        Signer.from_info(C2paSignerInfo(algorithm, chain, key, stamping)) as signer,
        Builder(json.dumps(manifest), context=context) as builder,
    ):
        kind = Path(names[1]).suffix.lower().removeprefix(".")
        builder.set_intent(C2paBuilderIntent.EDIT)
        builder.add_ingredient(json.dumps({"title": names[0], "relationship": "parentOf"}), kind, original)
        original.seek(0)
        builder.sign(signer, kind, original, copy)


def _host(address: str) -> str:
    """Whom alone a time stamp is asked of."""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(f"got {address!r} for a time stamp; give an address as https://HOST/PATH")
    return parts.hostname


def _put(part: Path, out: Path) -> None:
    """Give a whole file its name; unlike a renaming, that fails where the name is taken."""
    sync_file(part)
    try:
        os.link(part, out)
    except FileExistsError as error:
        raise InputError(f"{out} exists; name a new file, nothing is written over") from error
    sync_folder(out.parent)


def _read(path: Path) -> bytes:
    if not path.is_file() or path.stat().st_size > MOST_KEY:
        raise InputError(f"{path}: no file of at most {MOST_KEY >> 20} MiB; give a PEM file")
    return path.read_bytes()


def _check(path: Path, certificate: "Certificate") -> None:
    try:
        lacking = "; ".join(lacks(certificate))
    except ValueError as error:
        raise InputError(
            f"{path}: its first certificate is damaged ({plain(one_line(error))}); make another"
        ) from error
    if lacking:
        raise InputError(f"{path}: its first certificate cannot sign for C2PA: {lacking}; make one by: {COMMAND}")


def _algorithm(credentials: Credentials, certificate: "Certificate", private: "PrivateKeyTypes") -> "C2paSigningAlg":
    """The algorithm that a key signs by, once it is known to be the certificate's."""
    from c2pa import C2paSigningAlg
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = private.public_key(), certificate.public_key()
    ours, theirs = (each.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) for each in public)
    if ours != theirs:
        raise InputError(
            f"{credentials.key} is not the key of the first certificate of {credentials.certificate}; "
            "give the two that belong together, the signer's own certificate first"
        )
    if isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name in OF_CURVES:
        return C2paSigningAlg[OF_CURVES[private.curve.name]]
    if isinstance(private, rsa.RSAPrivateKey):
        return C2paSigningAlg.PS256
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return C2paSigningAlg.ED25519
    raise InputError(f"{credentials.key}: C2PA knows no such key; give one of NIST P-256, P-384, P-521, RSA or Ed25519")


def _certificates(path: Path) -> "list[Certificate]":
    from cryptography.x509 import load_pem_x509_certificates

    try:
        return load_pem_x509_certificates(_read(path))
    except ValueError as error:
        raise InputError(f"{path}: holds no certificate; give a PEM file, the signer's own first") from error


def _private(path: Path) -> "PrivateKeyTypes":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        return load_pem_private_key(_read(path), None)
    except TypeError as error:  # what the library raises for one with a passphrase
        raise InputError(
            f"{path}: is locked by a passphrase; give an unlocked copy, and remove it afterwards"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputError(f"{path}: holds no private key; give a PEM file") from error
