"""Copies are signed, originals stay as they are, and what cannot be used is named."""

import hashlib
import threading
import wave
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from tests.data.media import signed_files as made
from tests.data.media.signed_files import authority, flipped, picture, put, signed

from mainstem.core.errors import InputError
from mainstem.data.media.provenance import read_provenance
from mainstem.data.media.signing import Credentials, sign_file
from mainstem.data.media.trust_lists import read_trust_list


def held(folder: Path, who: made.Held, timestamp: str | None = None) -> Credentials:
    put(folder, "chain.pem", who.pem + authority().pem)
    put(folder, "key.pem", who.key_pem)
    return Credentials(folder / "chain.pem", folder / "key.pem", timestamp)


def sound(folder: Path) -> Path:
    with wave.open(str(folder / "tone.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes((np.sin(np.arange(8000) / 5) * 9000).astype("<i2").tobytes())
    return folder / "tone.wav"


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
def test_a_copy_is_signed_and_the_original_stays(tmp_path, curve):
    who = made.issue("Ada Photographer", authority(), curve=curve)
    trust = read_trust_list(put(tmp_path, "list.pem", authority().pem))
    for path in (
        put(tmp_path, "harbour.jpg", picture()),
        put(tmp_path, "harbour.png", picture("png")),
        sound(tmp_path),
    ):
        before = hashlib.sha256(path.read_bytes()).hexdigest()
        stat = path.stat()
        out = tmp_path / f"signed{path.suffix}"
        sign_file(path, held(tmp_path, who), out)
        assert hashlib.sha256(path.read_bytes()).hexdigest() == before
        assert path.stat().st_mtime_ns == stat.st_mtime_ns
        found = read_provenance(out, trust)
        assert found.verdict == "trusted"
        assert found.tree["title"] == out.name
        assert [each["title"] for each in found.tree["ingredients"]] == [path.name]
        assert found.signed_at is None
        assert not list(tmp_path.glob(".*"))


def test_a_signed_original_becomes_the_parent(tmp_path):
    path = put(tmp_path, "harbour.jpg", signed(picture())[0])
    sign_file(path, held(tmp_path, made.signer()), tmp_path / "copy.jpg")
    parent = read_provenance(tmp_path / "copy.jpg").tree["ingredients"][0]
    assert (parent["title"], parent["relationship"]) == ("harbour.jpg", "parentOf")
    assert parent["signer"] == "Ada Photographer (Test Newsroom)"


def test_signing_what_was_altered_says_so(tmp_path):
    data = signed(picture())[0]
    path = put(tmp_path, "harbour.jpg", flipped(data, len(data) - 400))
    sign_file(path, held(tmp_path, made.signer()), tmp_path / "copy.jpg")
    assert read_provenance(tmp_path / "copy.jpg").verdict == "ingredient-fault"


@pytest.mark.parametrize("place", [1, 2])
def test_a_key_kept_with_the_certificates_does_not_leave_with_the_copy(tmp_path, place):
    """One file for both is usual; the SDK would write all of it into the copy."""
    who, secret = made.signer(), made.signer().key.private_numbers().private_value.to_bytes(32)
    parts = [who.pem, authority().pem]
    parts.insert(place, who.key_pem)
    both = put(tmp_path, "both.pem", "".join(parts))
    path = put(tmp_path, "harbour.jpg", picture())
    sign_file(path, Credentials(both, both), tmp_path / "copy.jpg")
    data = (tmp_path / "copy.jpg").read_bytes()
    assert who.certificate.public_bytes(serialization.Encoding.DER) in data
    assert authority().certificate.public_bytes(serialization.Encoding.DER) in data
    assert secret not in data


def test_nothing_is_written_over(tmp_path):
    path, credentials = put(tmp_path, "harbour.jpg", picture()), held(tmp_path, made.signer())
    (tmp_path / "dangling.jpg").symlink_to(tmp_path / "nowhere.jpg")
    for out in (path, put(tmp_path, "other.jpg", b"kept"), tmp_path / "dangling.jpg"):
        with pytest.raises(InputError, match="nothing is written over"):
            sign_file(path, credentials, out)
    assert path.read_bytes() == picture()
    assert (tmp_path / "other.jpg").read_bytes() == b"kept"
    assert not (tmp_path / "nowhere.jpg").exists()


def test_what_cannot_be_used_is_named_and_leaves_no_file(tmp_path):
    path, good = put(tmp_path, "harbour.jpg", picture()), held(tmp_path, made.signer())
    locked = made.signer().key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    other = ec.generate_private_key(ec.SECP256K1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    expired = made.issue("Ada", authority(), lasts=-timedelta(hours=1))
    server = made.issue("Ada", authority(), use=ExtendedKeyUsageOID.SERVER_AUTH)
    cases = [
        (Credentials(put(tmp_path, "a.pem", authority().pem), good.key), "is not the key"),
        (Credentials(put(tmp_path, "b.pem", b"hello"), good.key), "b.pem: holds no certificate"),
        (Credentials(good.certificate, put(tmp_path, "c.pem", b"hello")), "c.pem: holds no private key"),
        (Credentials(good.certificate, put(tmp_path, "d.pem", locked)), "d.pem: is locked by a passphrase"),
        (Credentials(good.certificate, put(tmp_path, "e.pem", other)), "is not the key"),
        (Credentials(good.certificate, tmp_path / "gone.pem"), "gone.pem: no file"),
        (Credentials(good.certificate, good.key, "ftp://stamps"), "ftp://stamps"),
        (Credentials(put(tmp_path, "f.pem", server.pem), put(tmp_path, "f.key", server.key_pem)), "not for signing of"),
        (Credentials(put(tmp_path, "g.pem", expired.pem), put(tmp_path, "g.key", expired.key_pem)), "not valid at"),
        (Credentials(put(tmp_path, "h.pem", authority().pem), put(tmp_path, "h.key", authority().key_pem)), "CA:TRUE"),
        (Credentials(good.certificate, put(tmp_path, "i.key", expired.key_pem)), "is not the key"),
        (Credentials(tmp_path, good.key), "no file of at most"),
        (Credentials(good.certificate, put(tmp_path, "j.key", bytes(2 << 20))), "no file of at most"),
    ]
    for credentials, why in cases:
        with pytest.raises(InputError, match=why) as refused:
            sign_file(path, credentials, tmp_path / "out.jpg")
        assert "secret" not in str(refused.value)
        assert not (tmp_path / "out.jpg").exists()
        assert not list(tmp_path.glob(".*"))
    for name, data in (("a.txt", b"minutes"), ("b.jpg", b"hello"), ("c.jpg", picture()[:80])):
        with pytest.raises(InputError, match="cannot be signed"):
            sign_file(put(tmp_path, name, data), good, tmp_path / f"out{Path(name).suffix}")
    with pytest.raises(InputError, match="same suffix"):
        sign_file(path, good, tmp_path / "out.png")


def test_of_two_at_once_one_writes_and_the_other_says_so(tmp_path):
    path, credentials, start = put(tmp_path, "harbour.jpg", picture()), held(tmp_path, made.signer()), Barrier(4)

    def sign(_: int) -> str:
        start.wait()
        try:
            sign_file(path, credentials, tmp_path / "out.jpg")
        except InputError as error:
            return str(error)
        return "signed"

    with ThreadPoolExecutor(4) as pool:
        came = sorted(pool.map(sign, range(4)))
    assert came[-1] == "signed"
    assert all("out.jpg exists" in each for each in came[:-1])
    assert read_provenance(tmp_path / "out.jpg").verdict == "valid"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["chain.pem", "harbour.jpg", "key.pem", "out.jpg"]


def test_a_time_stamp_is_asked_for_of_that_service_alone(tmp_path):
    """The service here gives no stamp; that it was asked, and that nothing was written, is what is tested."""
    asked: list[str] = []

    class Service(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.headers["Content-Type"])
            self.send_error(500)

        def log_message(self, *_: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Service) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/stamp"
        path = put(tmp_path, "harbour.jpg", picture())
        with pytest.raises(InputError, match="cannot be signed"):
            sign_file(path, held(tmp_path, made.signer(), address), tmp_path / "out.jpg")
        server.shutdown()
    assert asked == ["application/timestamp-query"]
    assert not (tmp_path / "out.jpg").exists()
