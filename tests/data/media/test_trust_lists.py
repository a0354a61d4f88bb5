"""Trust lists: what they say of themselves, whom they hold, and what is none."""

import base64
import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from tests.data.media import signed_files as made
from tests.data.media.signed_files import authority, picture, put, signed

from mainstem.core.errors import InputError
from mainstem.data.media.provenance import read_provenance
from mainstem.data.media.trust_lists import SHIPPED, is_overdue, read_trust_list


def listed(*services: tuple[made.Held, str], name: object = "Test Scheme", date: object = "2026-08-05T00:11Z") -> str:
    """A list in the shape of those that C2PA publishes (ETSI TS 119 602)."""
    about = {
        "SchemeName": [{"lang": "en", "value": name}],
        "ListIssueDateTime": date,
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


def test_what_a_list_says_of_itself_is_short_plain_text(tmp_path):
    long = "\x1b[31m" + "N" * 1_000_000
    for name, text in (("a.json", listed((authority(), "trusted"), name=long)), ("a.pem", f"# name: {long}\n")):
        found = read_trust_list(put(tmp_path, name, text if name == "a.json" else text + authority().pem))
        assert len(found.name) == 200
        assert found.name.isprintable()
    for given in ({"name": {"a": 1}}, {"date": None}, {"date": [1]}):
        with pytest.raises(InputError, match="no C2PA trust"):
            read_trust_list(put(tmp_path, "b.json", listed((authority(), "trusted"), **given)))


@pytest.mark.parametrize(
    "text", [f"# name: Marked\n{authority().pem}", listed((authority(), "trusted"), name="Marked")]
)
def test_a_byte_order_mark_is_no_letter(tmp_path, text):
    assert read_trust_list(put(tmp_path, "list.pem", b"\xef\xbb\xbf" + text.encode())).name == "Marked"


def test_a_key_inside_a_published_list_is_refused(tmp_path):
    shape = json.loads(listed((authority(), "trusted")))
    services = shape["LoTE"]["TrustedEntitiesList"][0]["TrustedEntityServices"]
    value = services[0]["ServiceInformation"]["ServiceDigitalIdentity"]["X509Certificates"][0]
    value["val"] += f"\n-----END CERTIFICATE-----\n{authority().key_pem}"
    with pytest.raises(InputError, match="private key"):
        read_trust_list(put(tmp_path, "list.json", json.dumps(shape)))


def test_a_list_longer_than_the_sdk_takes_accuses_no_file(tmp_path):
    """It refused such settings for every file, which read as a manifest that cannot be read: tampered."""
    path = put(tmp_path, "harbour.jpg", signed(picture())[0])
    often = read_trust_list(put(tmp_path, "often.pem", authority().pem * 5000))
    assert often.certificates == 1
    assert read_provenance(path, often).verdict == "trusted"
    large = made.issue("Large", comment=bytes(400_000)).pem
    with pytest.raises(InputError, match=r"large\.pem: holds more certificates than"):
        read_trust_list(put(tmp_path, "large.pem", large))
    for file in (path, put(tmp_path, "plain.jpg", picture())):
        with pytest.raises(InputError, match="trust list cannot be used"):
            read_provenance(file, replace(often, pem=authority().pem * 5000))


@pytest.mark.parametrize(
    "text",
    [made.issue("Bystander", authority()).pem, made.issue("Clock", authority(), use=made.STAMPING).pem,
     made.issue("Test Root", lasts=-timedelta(hours=1)).pem],
)  # fmt: skip
def test_a_list_without_who_issued_the_certificate_vouches_for_nobody(tmp_path, text):
    """Another signer, one who stamps times, and an authority of the same name that has expired."""
    found = read_provenance(
        put(tmp_path, "harbour.jpg", signed(picture())[0]), read_trust_list(put(tmp_path, "list.pem", text))
    )
    assert found.verdict == "valid"


def test_nothing_at_the_path(tmp_path):
    os.mkfifo(tmp_path / "pipe.pem")
    for name in ("gone.pem", "pipe.pem", "."):
        with pytest.raises(InputError, match="no file of at most 16 MiB"):
            read_trust_list(tmp_path / name)


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
