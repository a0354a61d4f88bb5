"""Trust lists: what they say of themselves, whom they hold, and what is none."""

import base64
import json
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from tests.data.media import signed_files as made
from tests.data.media.signed_files import authority, put

from mainstem.core.errors import InputError
from mainstem.data.media.trust_lists import SHIPPED, is_overdue, read_trust_list


def listed(*services: tuple[made.Held, str]) -> str:
    """A list in the shape of those that C2PA publishes (ETSI TS 119 602)."""
    about = {
        "SchemeName": [{"lang": "en", "value": "Test Scheme"}],
        "ListIssueDateTime": "2026-08-05T00:11:39Z",
        "SchemeInformationURI": [{"lang": "en", "uriValue": "https://example.org/list"}],
    }
    entities = []
    for who, status in services:
        value = base64.b64encode(who.certificate.public_bytes(serialization.Encoding.DER)).decode()
        service = {
            "ServiceDigitalIdentity": {"X509Certificates": [{"val": value}]},
            "ServiceStatus": f"http://c2pa.org/conformance/trust-list/{status}",
        }
        entities.append({"TrustedEntityServices": [{"ServiceInformation": service}]})
    return json.dumps({"LoTE": {"ListAndSchemeInformation": about, "TrustedEntitiesList": entities}})


def test_a_pem_list_says_its_name_and_date(tmp_path):
    head = "# Name: House list\n# DATE: 2026-10-01\n# source: intranet\n"
    found = read_trust_list(put(tmp_path, "a.pem", head + authority().pem))
    assert (found.name, found.date, found.source, found.certificates) == ("House list", "2026-10-01", "intranet", 1)
    assert found.pem.strip() == authority().pem.strip()


def test_a_list_without_a_word_of_itself_goes_by_its_file(tmp_path):
    found = read_trust_list(put(tmp_path, "house.pem", authority().pem))
    assert (found.name, found.date) == ("house.pem", None)
    assert not is_overdue(found)


def test_a_published_list_leaves_out_whom_it_has_withdrawn(tmp_path):
    gone = made.issue("Gone")
    found = read_trust_list(put(tmp_path, "a.json", listed((authority(), "trusted"), (gone, "withdrawn"))))
    assert (found.name, found.date, found.certificates) == ("Test Scheme", "2026-08-05", 1)
    assert found.source == "https://example.org/list"
    assert gone.pem not in found.pem
    assert is_overdue(found, datetime(2027, 9, 1, tzinfo=UTC))
    assert not is_overdue(found, datetime(2027, 7, 1, tzinfo=UTC))


def test_who_stamps_times_does_not_sign(tmp_path):
    stamper = made.issue("Clock", authority(), use=made.STAMPING)
    found = read_trust_list(put(tmp_path, "a.pem", authority().pem + stamper.pem))
    assert found.pem.strip() == authority().pem.strip()
    assert found.stamps.strip() == stamper.pem.strip()


@pytest.mark.parametrize(
    ("text", "why"),
    [("", "no certificates"), ("hello", "no certificates"), ("{}", "no C2PA trust"), ('{"LoTE": [', "no C2PA trust"),
     ("{" * 100_000, "no C2PA trust"), ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "damaged"),
     (made.signer().pem + made.signer().key_pem, "private key"), (b"\xff\xfe", "no text")],
)  # fmt: skip
def test_what_is_no_list_is_refused(tmp_path, text, why):
    with pytest.raises(InputError, match=why) as refused:
        read_trust_list(put(tmp_path, "list.pem", text))
    assert "BEGIN PRIVATE" not in str(refused.value)


def test_nothing_at_the_path(tmp_path):
    with pytest.raises(InputError, match=r"gone\.pem"):
        read_trust_list(tmp_path / "gone.pem")


def test_the_list_that_ships_is_named_dated_and_licensed():
    found = read_trust_list(SHIPPED)
    assert (found.name, found.date, found.licence, found.certificates) == (
        "C2PA Trust List",
        "2026-08-05",
        "O-UDA-1.0",
        29,
    )
    assert "Google C2PA Root CA G3" in SHIPPED.read_text()


def test_every_certificate_of_the_list_that_ships_was_issued_by_one_of_it():
    """But one, whose authority is not on C2PA's list: a letter that is wrong in any other would show."""
    certificates = x509.load_pem_x509_certificates(SHIPPED.read_bytes())
    by_name = {each.subject: each for each in certificates}
    alone = [each for each in certificates if each.issuer not in by_name]
    assert [each.subject.get_attributes_for_oid(x509.NameOID.ORGANIZATION_NAME)[0].value for each in alone] == [
        "Adobe Inc"
    ]
    for each in certificates:
        if each not in alone:
            each.verify_directly_issued_by(by_name[each.issuer])
            assert each.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
