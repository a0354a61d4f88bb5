"""What C2PA wants of a signer's certificate, and what one that a person made lacks of it.

The SDK refuses most of these with one sentence for all ("the certificate is invalid"), and an authority's as
"self-signed", which is no fault by itself.

Source: C2PA Technical Specification 2.2, "X.509 Certificates", and RFC 5280, 4.2.1, as c2pa-python 0.38 holds to them.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from cryptography.x509 import Certificate, ExtensionType

    Kind = TypeVar("Kind", bound=ExtensionType)

LEAST_RSA = 2048  # bits
USES = {  # of C2PA's own, extended key usages that let a certificate sign content
    "1.3.6.1.5.5.7.3.4": "emailProtection",
    "1.3.6.1.5.5.7.3.36": "documentSigning",  # RFC 9336
    "1.3.6.1.4.1.62558.2.1": "c2pa-kp-claimSigning",
}
OF_SERVICES = ("1.3.6.1.5.5.7.3.8", "1.3.6.1.5.5.7.3.9")  # time stamps and OCSP, never beside another use
ANY = "2.5.29.37.0"
COMMAND = (  # makes a key and a certificate that sign
    'openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 -subj "/CN=NAME/O=HOUSE" '
    "-keyout key.pem -out certificate.pem -addext basicConstraints=critical,CA:FALSE "
    "-addext keyUsage=critical,digitalSignature -addext extendedKeyUsage=emailProtection"
)


def lacks(certificate: "Certificate") -> list[str]:
    """Return what keeps a certificate from signing, in the words of openssl's configuration; nothing where none does.

    Raises:
        ValueError: if its extensions are none.
    """
    return list(_lacks(certificate))


def _lacks(certificate: "Certificate") -> Iterator[str]:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    key, basic = certificate.public_key(), _extension(certificate, x509.BasicConstraints)
    if certificate.version is not x509.Version.v3:
        yield "it is of version 1, without extensions; want version 3 (openssl x509 -req wants -extfile)"
        return
    if isinstance(key, RSAPublicKey) and key.key_size < LEAST_RSA:
        yield f"its key has {key.key_size} bits; want {LEAST_RSA} or more"
    if basic is not None and basic.ca:
        yield "it is an authority's, which is not to sign files (basicConstraints=CA:TRUE; want CA:FALSE)"
    usage = _extension(certificate, x509.KeyUsage)
    if usage is None or not usage.digital_signature:
        yield "it may not sign (want keyUsage=digitalSignature)"
    elif usage.key_cert_sign and not (basic is not None and basic.ca):
        yield "it may sign certificates without being an authority's (keyUsage=keyCertSign is to go)"
    uses = {use.dotted_string for use in _extension(certificate, x509.ExtendedKeyUsage) or ()}
    if not uses & USES.keys():
        yield f"it is not for signing of content (want extendedKeyUsage={next(iter(USES.values()))})"
    elif uses & {ANY, *OF_SERVICES}:
        yield "it is for too much (extendedKeyUsage is not to hold any, timeStamping or OCSPSigning beside that)"
    if _extension(certificate, x509.AuthorityKeyIdentifier) is None:
        yield "it does not name the key that it was issued under (want authorityKeyIdentifier=keyid)"


def _extension(certificate: "Certificate", kind: "type[Kind]") -> "Kind | None":
    from cryptography.x509 import ExtensionNotFound

    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except ExtensionNotFound:
        return None
