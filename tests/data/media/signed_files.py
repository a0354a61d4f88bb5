"""Files signed in the test, by an authority of its own: what the public samples lack."""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import c2pa
import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from PIL import Image

DAY = timedelta(days=1)
OFFLINE = {
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_after_sign": False},
    "builder": {"thumbnail": {"enabled": False}},
}
COMMENT = x509.ObjectIdentifier("2.16.840.1.113730.1.13")  # Netscape's
EMAIL, STAMPING, RESPONDING = (
    ExtendedKeyUsageOID.EMAIL_PROTECTION,
    ExtendedKeyUsageOID.TIME_STAMPING,
    ExtendedKeyUsageOID.OCSP_SIGNING,
)


@dataclass(frozen=True)
class Held:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        shape = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        return self.key.private_bytes(*shape).decode()


def _named(name: str) -> x509.Name:
    parts = (NameOID.ORGANIZATION_NAME, "Test Newsroom"), (NameOID.COMMON_NAME, name)
    return x509.Name([x509.NameAttribute(*part) for part in parts])


def issue(
    name: str,
    issuer: Held | None = None,
    use: x509.ObjectIdentifier = EMAIL,
    lasts: timedelta = 400 * DAY,
    curve: ec.EllipticCurve | None = None,
    comment: bytes = b"",
) -> Held:
    """A certificate from yesterday on, of an authority where nobody issues it; a comment makes it long."""
    key, now = ec.generate_private_key(curve or ec.SECP256R1()), datetime.now(UTC)
    signing_key = key if issuer is None else issuer.key
    uses = [issuer is not None, *[False] * 4, issuer is None, issuer is None, False, False]
    builder = (
        x509.CertificateBuilder(subject_name=_named(name), public_key=key.public_key())
        .issuer_name(_named(name) if issuer is None else issuer.certificate.subject)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + lasts)
        .add_extension(x509.BasicConstraints(issuer is None, None), critical=True)
        .add_extension(x509.KeyUsage(*uses), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), critical=False)
    )
    if issuer is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([use]), critical=use == STAMPING)
    if comment:
        builder = builder.add_extension(x509.UnrecognizedExtension(COMMENT, comment), critical=False)
    return Held(builder.sign(signing_key, hashes.SHA256()), key)


@cache
def authority() -> Held:
    """Under whom the tests' signers are."""
    return issue("Test Root")


@cache
def signer() -> Held:
    """Who signs, unless a test says otherwise."""
    return issue("Ada Photographer", authority())


@cache
def picture(kind: str = "jpeg", seed: int = 0) -> bytes:
    """A picture without a manifest."""
    stream = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (48, 64, 3), np.uint8)
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


@dataclass(frozen=True)
class Ask:
    """How a file is to be signed."""

    by: Held | None = None
    kind: str = "jpeg"
    title: str = "harbour.jpg"
    assertions: Sequence[dict[str, Any]] = ()
    ingredients: Sequence[tuple[str, bytes]] = ()
    elsewhere: str | None = None
    is_embedded: bool = True


def signed(data: bytes, ask: Ask = Ask()) -> tuple[bytes, bytes]:
    """A signed copy, and its manifest store."""
    by = ask.by or signer()
    manifest = {
        "title": ask.title,
        "claim_generator_info": [{"name": "tests", "version": "1"}],
        "assertions": list(ask.assertions),
    }
    information = c2pa.C2paSignerInfo(
        c2pa.C2paSigningAlg.ES256, (by.pem + authority().pem).encode(), by.key_pem.encode(), None
    )
    copy = io.BytesIO()
    with (
        c2pa.Context.from_dict(OFFLINE) as context,
        c2pa.Signer.from_info(information) as credentials,
        c2pa.Builder(json.dumps(manifest), context=context) as builder,
    ):
        builder.set_intent(c2pa.C2paBuilderIntent.EDIT)
        for title, ingredient in ask.ingredients:
            told = {"title": title, "relationship": "componentOf"}
            builder.add_ingredient(json.dumps(told), f"image/{ask.kind}", io.BytesIO(ingredient))
        if ask.elsewhere is not None:
            builder.set_remote_url(ask.elsewhere)
        if not ask.is_embedded:
            builder.set_no_embed()
        store = builder.sign(credentials, f"image/{ask.kind}", io.BytesIO(data), copy)
    return copy.getvalue(), store


def flipped(data: bytes, at: int) -> bytes:
    """The bytes with one bit of one turned over."""
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


def put(folder: Path, name: str, data: bytes | str) -> Path:
    """Write a file, and return its path."""
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def status(of: Held, *, is_revoked: bool) -> dict[str, Any]:
    """What the authority says of a certificate, as C2PA's assertion of a certificate's status."""
    responder, now = issue("Test Responder", authority(), RESPONDING), datetime.now(UTC)
    when = now - DAY if is_revoked else None
    answer = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            of.certificate,
            authority().certificate,
            hashes.SHA1(),
            ocsp.OCSPCertStatus.REVOKED if is_revoked else ocsp.OCSPCertStatus.GOOD,
            now - DAY,
            now + 10 * DAY,
            when,
            x509.ReasonFlags.key_compromise if is_revoked else None,
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, responder.certificate)
        .certificates([responder.certificate, authority().certificate])
        .sign(responder.key, hashes.SHA256())
    )
    data = {"ocspVals": [list(answer.public_bytes(serialization.Encoding.DER))]}
    return {"label": "c2pa.certificate-status", "data": data}


def identity(host: str) -> dict[str, Any]:
    """An assertion of who is behind a file, by an issuer whose keys lie on a host (CAWG identity 1.1, did:web)."""
    credential = {
        "@context": ["https://www.w3.org/ns/credentials/v2", "https://cawg.io/identity/1.1/ica/context/"],
        "type": ["VerifiableCredential", "IdentityClaimsAggregationCredential"],
        "issuer": f"did:web:{host}",
        "validFrom": "2026-01-01T00:00:00Z",
        "credentialSubject": {
            "verifiedIdentities": [
                {
                    "type": "cawg.social_media",
                    "username": "ada",
                    "uri": "https://example.org",
                    "verifiedAt": "2026-01-01T00:00:00Z",
                    "provider": {"id": "https://example.org", "name": "example"},
                }
            ],
            "c2paAsset": {"referenced_assertions": [], "sig_type": "cawg.identity_claims_aggregation"},
        },
    }
    kind = b"application/vc"
    protected = bytes([0xA2, 1, 0x27, 3]) + _cbor(3, kind)  # {alg: EdDSA, content type}
    payload = _cbor(2, json.dumps(credential).encode())
    signature = bytes([0xD2, 0x84]) + _cbor(2, protected) + b"\xa0" + payload + _cbor(2, bytes(64))  # COSE_Sign1
    binding = {"url": "self#jumbf=c2pa.assertions/c2pa.hash.data", "hash": list(bytes(32))}
    about = {"referenced_assertions": [binding], "sig_type": "cawg.identity_claims_aggregation"}
    return {"label": "cawg.identity", "data": {"signer_payload": about, "signature": list(signature), "pad1": [0] * 4}}


def _cbor(major: int, data: bytes) -> bytes:
    """A string of bytes (2) or letters (3) as RFC 8949 encodes it."""
    size = len(data)
    head = [size] if size < 24 else [24, size] if size < 256 else [25, *size.to_bytes(2, "big")]
    return bytes([major << 5 | head[0], *head[1:]]) + data
