"""Who may sign: files of certificates with a name and a date; C2PA's own list comes with the package."""

import hashlib
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mainstem.core.errors import InputError, MissingExtraError
from mainstem.core.plain import plain
from mainstem.data.json_text import read_json

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

SHIPPED = Path(__file__).with_name("c2pa_trust_list.pem")
MOST_BYTES = 16 << 20
MOST_GIVEN = 1_000_000  # letters of PEM; the SDK refuses settings of more than a MiB, as c2pa-python 0.38 does
MOST_SAID = 200  # letters of what a list says of itself
TRUSTED = "/trusted"  # how the status of a service that still counts ends (C2PA's lists, ETSI TS 119 602)
STAMPING = "1.3.6.1.5.5.7.3.8"  # id-kp-timeStamping, RFC 3161
HEADER = re.compile(r"^#\s*(name|date|source|licence):\s*(\S.*?)\s*$", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True)
class TrustList:
    """Certificates of those who may sign (`pem`) and of those who may stamp times (`stamps`), as PEM.

    date: when the list was issued, by its own word; else None. sha256: of the file.
    """

    name: str
    date: str | None
    source: str | None
    licence: str | None
    sha256: str
    certificates: int
    pem: str
    stamps: str

    def told(self) -> dict[str, Any]:
        """As JSON, without the certificates themselves."""
        return {name: value for name, value in asdict(self).items() if name not in ("pem", "stamps")}


def read_trust_list(path: Path) -> TrustList:
    """A list in a file: PEM, with `# name:` and `# date:` lines where it has them, or a C2PA trust list in JSON.

    Raises:
        InputError: if it holds no certificate, a private key, or what is no certificate.
    """
    if not path.is_file() or path.stat().st_size > MOST_BYTES:
        raise InputError(f"{path}: no file of at most {MOST_BYTES >> 20} MiB; give a trust list in PEM or JSON")
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: no text; give a trust list in PEM or JSON") from error
    facts, pem = _from_json(path, text) if text.lstrip().startswith("{") else _from_pem(text)
    if "PRIVATE KEY" in pem:
        raise InputError(f"{path}: holds a private key; a trust list is of certificates alone, take the key out")
    certificates = _certificates(path, pem)
    stamps = [each for each in certificates if _may_stamp(each)]
    signers = [each for each in certificates if each not in stamps]
    pem, stamping = _pem(signers), _pem(stamps)
    if 2 * len(pem) + len(stamping) > MOST_GIVEN:  # signers are given twice, see `settings`
        raise InputError(f"{path}: holds more certificates than can be looked at; give a list of those that you need")
    return TrustList(
        name=facts.get("name") or plain(path.name),
        date=facts.get("date"),
        source=facts.get("source"),
        licence=facts.get("licence"),
        sha256=hashlib.sha256(data).hexdigest(),
        certificates=len(certificates),
        pem=pem,
        stamps=stamping,
    )


def _from_pem(text: str) -> tuple[dict[str, str], str]:
    return {key.lower(): _said(value) for key, value in HEADER.findall(text)}, text


def _from_json(path: Path, text: str) -> tuple[dict[str, str], str]:
    """Of the lists that C2PA publishes: the certificates of services whose status still counts."""
    try:
        scheme = read_json(text)["LoTE"]
        about = scheme["ListAndSchemeInformation"]
        services = [
            service["ServiceInformation"]
            for entity in scheme["TrustedEntitiesList"]
            for service in entity["TrustedEntityServices"]
        ]
        blocks = [
            f"-----BEGIN CERTIFICATE-----\n{certificate['val']}\n-----END CERTIFICATE-----\n"
            for service in services
            if str(service.get("ServiceStatus", TRUSTED)).endswith(TRUSTED)
            for certificate in service["ServiceDigitalIdentity"]["X509Certificates"]
        ]
        facts = {
            "name": _said(about["SchemeName"][0]["value"]),
            "date": _said(about["ListIssueDateTime"])[:10],
            "source": _said(about["SchemeInformationURI"][0]["uriValue"]),
        }
    except (ValueError, KeyError, IndexError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: JSON, but no C2PA trust list; give one, or PEM") from error
    return facts, "".join(blocks)


def _said(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return plain(value[:MOST_SAID])


def _certificates(path: Path, pem: str) -> "list[Certificate]":
    try:
        from cryptography.x509 import load_pem_x509_certificates
    except ImportError as error:
        raise MissingExtraError("cryptography", "media") from error
    try:
        return list(dict.fromkeys(load_pem_x509_certificates(pem.encode())))
    except ValueError as error:
        raise InputError(f"{path}: holds no certificates, or damaged ones; give a trust list in PEM or JSON") from error


def _may_stamp(certificate: "Certificate") -> bool:
    """True where a certificate names stamping, and nothing else, as its use."""
    from cryptography.x509 import ExtendedKeyUsage, ExtensionNotFound

    try:
        uses = certificate.extensions.get_extension_for_class(ExtendedKeyUsage).value
    except (ExtensionNotFound, ValueError):
        return False
    return {use.dotted_string for use in uses} == {STAMPING}


def _pem(certificates: "list[Certificate]") -> str:
    from cryptography.hazmat.primitives.serialization import Encoding

    return "".join(certificate.public_bytes(Encoding.PEM).decode() for certificate in certificates)


def is_overdue(trust: TrustList, now: datetime | None = None) -> bool:
    """True where a list says when it was issued, and that is more than a year ago: signers come and go."""
    if trust.date is None:
        return False
    try:
        issued = datetime.fromisoformat(trust.date).replace(tzinfo=UTC)
    except ValueError:
        return False
    return ((now or datetime.now(UTC)) - issued).days > 366
