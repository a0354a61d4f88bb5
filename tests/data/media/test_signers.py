"""Certificates as people make them by openssl: those that sign, and what the others lack."""

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.data.media.signed_files import picture, put

from mainstem.core.errors import InputError
from mainstem.data.media.provenance import read_provenance
from mainstem.data.media.signers import COMMAND
from mainstem.data.media.signing import Credentials, sign_file
from mainstem.data.media.trust_lists import read_trust_list

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
EC = "-newkey ec -pkeyopt ec_paramgen_curve:P-256"
LEAF, SIGNS, MAIL = (
    f"-addext {text}"
    for text in ("basicConstraints=CA:FALSE", "keyUsage=digitalSignature", "extendedKeyUsage=emailProtection")
)


def credentials(folder: Path, command: str) -> Credentials:
    """Run a command of openssl that writes key.pem and certificate.pem."""
    subprocess.run(shlex.split(command), cwd=folder, check=True, capture_output=True)
    return Credentials(folder / "certificate.pem", folder / "key.pem")


def self_signed(folder: Path, options: str) -> Credentials:
    made = f"openssl req -x509 -nodes -days 9 -subj /CN=Ann -keyout key.pem -out certificate.pem {options}"
    return credentials(folder, made)


@pytest.mark.parametrize(
    "options",
    [
        None,
        f"-newkey rsa:2048 {LEAF} {SIGNS} {MAIL}",
        f"-newkey ed25519 {LEAF} {SIGNS} {MAIL}",
        f"{EC} {LEAF} {SIGNS} -addext extendedKeyUsage=1.3.6.1.5.5.7.3.36",  # documents'
        f"{EC} {LEAF} {SIGNS} -addext extendedKeyUsage=1.3.6.1.4.1.62558.2.1",  # C2PA's own
    ],
)
def test_those_that_sign_are_trusted_once_they_are_listed(tmp_path, options):
    held = credentials(tmp_path, COMMAND) if options is None else self_signed(tmp_path, options)
    sign_file(put(tmp_path, "harbour.jpg", picture()), held, tmp_path / "copy.jpg")
    found = read_provenance(tmp_path / "copy.jpg", read_trust_list(held.certificate))
    assert found.verdict == "trusted"
    assert found.signer == ("NAME (HOUSE)" if options is None else "Ann")


@pytest.mark.parametrize(
    ("options", "lacking"),
    [
        (EC, ["CA:TRUE", "keyUsage=digitalSignature", "extendedKeyUsage=emailProtection"]),  # as most pages say
        (f"{EC} {SIGNS} {MAIL}", ["CA:TRUE"]),
        (f"{EC} {LEAF} {MAIL}", ["keyUsage=digitalSignature"]),
        (f"{EC} {LEAF} {SIGNS}", ["extendedKeyUsage=emailProtection"]),
        (f"{EC} {LEAF} {SIGNS} -addext extendedKeyUsage=codeSigning", ["extendedKeyUsage=emailProtection"]),
        (f"{EC} {LEAF} {SIGNS} {MAIL},timeStamping", ["for too much"]),
        (f"{EC} {LEAF} {SIGNS} {MAIL} -addext authorityKeyIdentifier=none", ["authorityKeyIdentifier=keyid"]),
        (f"{EC} {LEAF} {SIGNS},keyCertSign {MAIL}", ["keyCertSign is to go"]),
        (f"-newkey rsa:1024 {LEAF} {SIGNS} {MAIL}", ["1024 bits"]),
    ],
)
def test_what_the_others_lack_is_named_and_nothing_else(tmp_path, options, lacking):
    held = self_signed(tmp_path, options)
    with pytest.raises(InputError, match="cannot sign for C2PA") as refused:
        sign_file(put(tmp_path, "harbour.jpg", picture()), held, tmp_path / "copy.jpg")
    said, advice = str(refused.value).split("; make one by: ")
    told = said.split("C2PA: ")[1].split("; it ")
    assert len(told) == len(lacking)
    assert all(words in part for words, part in zip(lacking, told, strict=True))
    assert advice == COMMAND
    assert not (tmp_path / "copy.jpg").exists()


def test_one_issued_without_extensions_says_so(tmp_path):
    """As `openssl x509 -req` does unless it is told otherwise."""
    credentials(tmp_path, f"openssl req -new {EC} -nodes -subj /CN=Ann -keyout key.pem -out ask.csr")
    held = credentials(tmp_path, "openssl x509 -req -in ask.csr -signkey key.pem -out certificate.pem")
    with pytest.raises(InputError, match=r"version 1, without extensions.*-extfile"):
        sign_file(put(tmp_path, "harbour.jpg", picture()), held, tmp_path / "copy.jpg")
