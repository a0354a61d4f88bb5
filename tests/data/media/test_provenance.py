"""Verdicts on files that were signed here and then treated as files are, and on the public samples."""

import io
import json
import os
import signal
import time
import zipfile
from datetime import timedelta
from pathlib import Path

import pytest
from tests.data.media import signed_files as made
from tests.data.media.signed_files import Ask, authority, flipped, picture, put, signed

from mainstem.core.errors import InputError
from mainstem.data.media.manifest_slots import MANIFEST_STORE
from mainstem.data.media.provenance import Origin, read_provenance
from mainstem.data.media.provenance_process import worker
from mainstem.data.media.provenance_tree import name_of
from mainstem.data.media.trust_lists import TrustList, read_trust_list

SAMPLES = {
    "A.jpg": "absent",
    "C.jpg": "valid",
    "CA.jpg": "valid",
    "C_with_CAWG_data.jpg": "valid",
    "E-sig-CA.jpg": "tampered",
    "P1000827.jpg": "absent",
    "earth_apollo17.jpg": "absent",
    "video1.mp4": "valid",
}
ADA = "Ada Photographer (Test Newsroom)"


@pytest.fixture(scope="module")
def trust(tmp_path_factory) -> TrustList:
    """A list of the one authority under which the tests' signers are."""
    folder = tmp_path_factory.mktemp("trust")
    return read_trust_list(put(folder, "list.pem", f"# name: Test List\n# date: 2026-11-01\n{authority().pem}"))


def samples() -> Path:
    return Path(os.environ["MAINSTEM_MIRROR"], "media/c2pa")


def codes(found: Origin) -> set[str]:
    return {reason.removeprefix("of an ingredient: ").split(":")[0] for reason in found.reasons}


def look(folder: Path, data: bytes, trust: TrustList | None = None, name: str = "harbour.jpg") -> Origin:
    path = put(folder, name, data)
    found = read_provenance(path, trust)
    assert path.read_bytes() == data
    assert not {"true", "authentic", "genuine", "real"} & set(found.words.lower().replace(",", " ").split())
    return found


def test_a_signed_file_is_valid_and_trusted_with_a_list_alone(tmp_path, trust):
    data, _ = signed(picture())
    plain, listed = look(tmp_path, data), look(tmp_path, data, trust)
    assert (plain.verdict, listed.verdict) == ("valid", "trusted")
    assert plain.signer == listed.signer == ADA
    assert plain.words.startswith(f"unaltered since signed by {ADA}; ")
    assert listed.words.startswith(f"unaltered since signed by {ADA}, ")
    assert "Test List (2026-11-01)" in listed.words
    assert codes(plain) == {"signingCredential.untrusted"}
    assert listed.reasons == ()
    assert plain.signed_at is None
    assert listed.told()["trust_list"]["name"] == "Test List"
    assert listed.told()["trust_list"]["date"] == "2026-11-01"
    assert "PRIVATE" not in json.dumps(listed.told())


def test_a_list_of_others_does_not_vouch(tmp_path):
    other = read_trust_list(put(tmp_path, "other.pem", made.issue("Another Root").pem))
    found = look(tmp_path, signed(picture())[0], other)
    assert found.verdict == "valid"
    assert codes(found) == {"signingCredential.untrusted"}
    assert "nobody vouches for on the trust list other.pem (undated)" in found.words


def test_a_list_may_name_the_signer_alone(tmp_path):
    listed = read_trust_list(put(tmp_path, "ada.pem", made.signer().pem))
    assert look(tmp_path, signed(picture())[0], listed).verdict == "trusted"


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff", "gif"])
def test_a_flipped_byte_of_the_pixels_is_tampering(tmp_path, trust, kind):
    whole = signed(picture(kind), Ask(kind=kind))[0]
    at = whole.find(picture(kind)[-400:-200]) + 100
    assert at > 100, "the pixels are carried over as they were"
    assert look(tmp_path, whole, trust, f"a.{kind}").verdict == "trusted"
    found = look(tmp_path, flipped(whole, at), trust, f"a.{kind}")
    assert found.verdict == "tampered"
    assert codes(found) & {"assertion.dataHash.mismatch", "assertion.boxesHash.mismatch"}
    assert found.words.startswith(f"altered since signed in the name of {ADA}")


@pytest.mark.parametrize(
    "mark", [b"c2pa.opened", b"harbour.jpg", b"sha256", b"dc:title", b"instanceID", b"parentOf", b"Ada Photographer"]
)
def test_a_flipped_byte_of_the_manifest_is_tampering(tmp_path, trust, mark):
    data = signed(picture())[0]
    places = [at for at in range(len(data)) if data.startswith(mark, at)]
    assert places
    for at in places:
        assert look(tmp_path, flipped(data, at), trust).verdict == "tampered", data[at - 10 : at + 30]


def test_a_flipped_byte_that_goes_unseen_changes_nothing_that_is_told(tmp_path, trust):
    """Every 31st byte: framing and padding are not signed (C2PA 2.2, "Claim signature"), all that is told is."""
    data = signed(picture())[0]
    whole = look(tmp_path, data, trust).told() | {"sha256": None}
    seen = 0
    for at in range(0, len(data), 31):
        try:
            found = look(tmp_path, flipped(data, at), trust)
        except InputError:
            continue  # it is no JPEG any more
        if found.verdict in ("valid", "trusted"):
            assert found.told() | {"sha256": None} == whole, at
        else:
            seen += 1
    assert seen > len(data) / 31 * 0.75


def test_a_signature_by_another_key_is_tampering(tmp_path, trust):
    """The manifest of one file moved into another of the same size."""
    first, second = (signed(picture(seed=seed))[0] for seed in (1, 2))
    start, end = first.find(b"\xff\xeb"), first.find(b"\xff\xdb")
    other = second.find(b"\xff\xeb"), second.find(b"\xff\xdb")
    assert look(tmp_path, second[: other[0]] + first[start:end] + second[other[1] :], trust).verdict == "tampered"


def test_a_certificate_that_has_expired_vouches_for_nobody(tmp_path, trust):
    brief = made.issue("Ada Photographer", authority(), lasts=timedelta(seconds=2))
    data = signed(picture(), Ask(by=brief))[0]
    time.sleep(max(0.0, brief.certificate.not_valid_after_utc.timestamp() + 1.1 - time.time()))
    found = look(tmp_path, data, trust)
    assert found.verdict == "valid"
    assert "signingCredential.expired" in codes(found)
    assert look(tmp_path, flipped(data, len(data) - 400), trust).verdict == "tampered"


@pytest.mark.parametrize(("is_revoked", "verdict"), [(True, "valid"), (False, "trusted")])
def test_a_revoked_certificate_vouches_for_nobody(tmp_path, trust, is_revoked, verdict):
    ask = Ask(assertions=[made.status(made.signer(), is_revoked=is_revoked)])
    found = look(tmp_path, signed(picture(), ask)[0], trust)
    assert found.verdict == verdict
    assert ("signingCredential.ocsp.revoked" in codes(found)) == is_revoked


def test_a_fault_of_an_ingredient_that_came_afterwards(tmp_path, trust):
    first = signed(picture(), Ask(title="first.jpg"))[0]
    data = signed(first)[0]
    at = data.find(b"first.jpg")
    found = look(tmp_path, flipped(data, at), trust)
    assert found.verdict == "ingredient-fault"
    assert "ingredient.manifest.mismatch" in codes(found)
    assert found.words == f"unaltered since signed by {ADA}, but something it was made from was altered"


def test_a_fault_of_an_ingredient_that_was_there_when_it_was_signed(tmp_path, trust):
    """Signing what was tampered with does not launder it, however often."""
    first = signed(picture())[0]
    for name in ("second.jpg", "third.jpg"):
        first = signed(flipped(first, len(first) - 400) if name == "second.jpg" else first, Ask(title=name))[0]
        found = look(tmp_path, first, trust)
        assert found.verdict == "ingredient-fault"
        assert "assertion.dataHash.mismatch" in codes(found)
    assert found.tree["ingredients"][0]["ingredients"][0]["faults"] == ["assertion.dataHash.mismatch"]


def test_faults_of_the_file_itself_come_before_those_of_what_it_was_made_from(tmp_path, trust):
    first = signed(picture())[0]
    data = signed(flipped(first, len(first) - 400))[0]
    assert look(tmp_path, flipped(data, len(data) - 400), trust).verdict == "tampered"


def test_the_tree_of_what_a_file_was_made_from(tmp_path, trust):
    parts = [("left.jpg", signed(picture(seed=1))[0]), ("right.jpg", picture(seed=2))]
    ask = Ask(title="both.jpg", ingredients=parts)
    found = look(tmp_path, signed(picture(), ask)[0], trust)
    assert found.verdict == "trusted"
    assert found.tree["title"] == "both.jpg"
    assert found.tree["generator"] == "tests 1"
    named = {node["title"]: node for node in found.tree["ingredients"]}
    assert named["left.jpg"]["signer"] == ADA
    assert named["right.jpg"]["signer"] is None
    assert named["left.jpg"]["relationship"] == "componentOf"
    assert all(node["faults"] == [] for node in found.tree["ingredients"])


def test_of_what_has_no_title_is_told_what_else_is_known(tmp_path):
    """The parent that the SDK adds by itself has none: its own manifest may, else its format and identifier tell."""
    data = signed(picture(), Ask(title="first.jpg"))[0]
    (parent,) = look(tmp_path, signed(data, Ask(title="second.jpg"))[0]).tree["ingredients"]
    assert (parent["title"], name_of(parent)) == ("first.jpg", "first.jpg")
    (parent,) = parent["ingredients"]
    assert parent["title"] is None
    assert parent["identifier"].startswith("xmp")
    assert name_of(parent) == f"untitled, image/jpeg, {parent['identifier']}"
    assert name_of({"title": None, "format": None, "hash": None, "identifier": None}) == "untitled"


def test_a_stripped_manifest_is_absent_and_no_accusation(tmp_path, trust):
    data = signed(picture())[0]
    start, end = data.find(b"\xff\xeb"), data.find(b"\xff\xdb")
    found = look(tmp_path, data[:start] + data[end:], trust)
    assert found.verdict == "absent"
    assert "no sign that it was altered" in found.words
    assert found.tree is None
    assert found.signer is None


def test_a_truncated_file_never_passes(tmp_path, trust):
    data = signed(picture())[0]
    store = data.find(b"c2pa\x00\x11\x00\x10")
    for length in (*range(store + 16, len(data), 997), len(data) - 1):
        assert look(tmp_path, data[:length], trust).verdict == "tampered", length
    with pytest.raises(InputError, match="damaged"):
        look(tmp_path, picture()[:60])


def test_a_manifest_elsewhere_is_named_and_not_fetched(tmp_path, trust):
    address = "http://127.0.0.1:9/manifest.c2pa"
    data, store = signed(picture(), Ask(elsewhere=address, is_embedded=False))
    found = look(tmp_path, data, trust)
    assert (found.verdict, found.elsewhere) == ("absent", address)
    assert found.reasons == (f"manifest.inaccessible: names a manifest elsewhere ({address}); not fetched",)
    put(tmp_path, "harbour.c2pa", store)
    assert look(tmp_path, data, trust).verdict == "trusted"


@pytest.mark.parametrize("name", ["harbour.c2pa", "harbour.jpg.c2pa"])
def test_a_sidecar_is_read(tmp_path, trust, name):
    data, store = signed(picture(), Ask(is_embedded=False))
    assert data == picture()
    put(tmp_path, name, store)
    found = look(tmp_path, data, trust)
    assert (found.verdict, found.manifest) == ("trusted", name)
    assert any(name in reason for reason in found.reasons)
    embedded = look(tmp_path, signed(picture(seed=5))[0], trust)
    assert (embedded.verdict, embedded.manifest) == ("trusted", "embedded")
    put(tmp_path, name, flipped(store, store.rfind(b"harbour.jpg")))
    altered = look(tmp_path, data, trust)
    assert altered.verdict == "tampered"
    assert altered.words == (
        "its bytes are those that the manifest beside it names, but that was altered since signed in the name of "
        f"{ADA}, or never signed by them"
    )


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_a_sidecar_of_another_file_is_no_accusation(tmp_path, trust, kind):
    """never.jpg and never.png share the name never.c2pa."""
    put(tmp_path, "never.c2pa", signed(picture(seed=1), Ask(is_embedded=False))[1])
    found = look(tmp_path, picture(kind), trust, f"never.{kind}")
    assert (found.verdict, found.signer, found.manifest, found.tree) == ("absent", None, None, None)
    assert found.reasons == (
        "claim.missing: holds no manifest",
        "manifest.sidecar: never.c2pa: the sidecar speaks of another file",
    )
    assert "no sign that it was altered" in found.words
    put(tmp_path, f"never.{kind}.c2pa", signed(picture(kind), Ask(kind=kind, is_embedded=False))[1])
    found = look(tmp_path, picture(kind), trust, f"never.{kind}")
    assert (found.verdict, found.manifest) == ("trusted", f"never.{kind}.c2pa")


def test_a_file_s_own_sidecar_that_does_not_fit_says_what_is_known(tmp_path, trust):
    """Altered, or another's: the name tells which file is meant, and its bytes cannot tell which of the two it is."""
    data, store = signed(picture(), Ask(is_embedded=False))
    put(tmp_path, "harbour.jpg.c2pa", store)
    found = look(tmp_path, flipped(data, len(data) - 400), trust)
    assert (found.verdict, found.signer, found.tree) == ("absent", None, None)
    assert found.words == (
        "the manifest beside it does not fit this file: either the file was altered since, or the manifest speaks of "
        "another file, and which of the two cannot be told"
    )
    put(tmp_path, "harbour.c2pa", signed(flipped(data, len(data) - 400), Ask(is_embedded=False))[1])
    found = look(tmp_path, flipped(data, len(data) - 400), trust)
    assert (found.verdict, found.manifest) == ("trusted", "harbour.c2pa")


@pytest.mark.parametrize("name", ["harbour.c2pa", "harbour.jpg.c2pa"])
def test_a_sidecar_that_cannot_be_read_says_nothing_of_the_file(tmp_path, name):
    data, store = signed(picture(), Ask(is_embedded=False))
    for bad in (b"", b"no manifest at all", store[:1000]):
        put(tmp_path, name, bad)
        found = look(tmp_path, data)
        assert found.verdict == "absent"
        assert found.reasons[1].startswith(f"manifest.sidecar: {name} beside it cannot be read (")
    with (tmp_path / name).open("wb") as stream:
        stream.truncate((64 << 20) + 1)
    assert "it is larger than 64 MiB" in look(tmp_path, data).reasons[1]


def test_the_mark_of_a_manifest_elsewhere_than_in_its_place_is_no_accusation(tmp_path, trust):
    whole = signed(picture())[0]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("harbour.jpg", whole)
    letter = b"Subject: pictures\r\n\r\n" + whole
    planted = picture() + MANIFEST_STORE
    for name, data in (("a.zip", packed.getvalue()), ("a.eml", letter), ("a.bin", letter), ("a.jpg", planted)):
        found = look(tmp_path, data, trust, name)
        assert found.verdict == "absent", name
        assert "manifest.unread" in codes(found), name
        assert "no sign that it was altered" in found.words
    with pytest.raises(InputError, match="damaged"):
        look(tmp_path, picture()[:100] + MANIFEST_STORE)


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff", "gif"])
def test_a_manifest_in_its_place_that_cannot_be_read_is_tampering(tmp_path, trust, kind):
    whole = signed(picture(kind), Ask(kind=kind))[0]
    second = whole.find(b"jumd", whole.find(MANIFEST_STORE))
    found = look(tmp_path, flipped(whole, second), trust, f"a.{kind}")
    assert found.verdict == "tampered"
    assert found.words == "its manifest cannot be read: it was altered or cut off, or is of a kind not known here"
    assert codes(found) == {"manifest.unreadable"}


def test_a_link_is_no_sidecar(tmp_path):
    (tmp_path / "other").mkdir()
    data, store = signed(picture(), Ask(is_embedded=False))
    (tmp_path / "harbour.c2pa").symlink_to(put(tmp_path / "other", "store.c2pa", store))
    assert look(tmp_path, data).verdict == "absent"


def test_what_is_no_medium_carries_none(tmp_path):
    found = look(tmp_path, b"minutes of a meeting", name="minutes.txt")
    assert found.verdict == "absent"
    assert codes(found) == {"format.unsupported"}


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [("a.jpg", b"", "empty"), ("a.jpg", b"hello", "is no jpg"), ("a.png", b"\x89PNG\r\n\x1a\n" + bytes(99), "damaged"),
     ("a.c2pa", b"x", "sidecar")],
)  # fmt: skip
def test_bad_files_are_refused_by_name(tmp_path, name, data, why):
    with pytest.raises(InputError, match=why) as refused:
        read_provenance(put(tmp_path, name, data))
    assert name in str(refused.value)


def test_a_lying_suffix_is_seen_through(tmp_path, trust):
    assert look(tmp_path, signed(picture())[0], trust, "a.png").verdict == "trusted"


def test_hostile_text_stays_one_line(tmp_path):
    title = "<script>alert(1)</script>\r\n\x1b[31m‮gpj.exe" + "x" * 5000
    data = signed(picture(), Ask(title=title, ingredients=[(title, picture(seed=1))]))[0]
    found = look(tmp_path, data)
    titles = [found.tree["title"], *(node["title"] for node in found.tree["ingredients"] if node["title"])]
    assert len(titles) == 2
    for shown in titles:
        assert shown.startswith("<script>alert(1)</script>")
        assert shown.isprintable()
        assert len(shown) <= 300


def test_many_ingredients_are_cut_and_counted(tmp_path):
    parts = [(f"part {number}", picture(seed=1)) for number in range(600)]
    tree = look(tmp_path, signed(picture(), Ask(ingredients=parts))[0]).tree
    assert len(tree["ingredients"]) + tree["left_out"] == 601
    assert tree["left_out"] == 101


def test_a_deep_manifest_is_refused_or_read_and_ends_nothing(tmp_path):
    nested: dict[str, object] = {}
    for _ in range(120):
        nested = {"a": nested}
    data = signed(picture(), Ask(assertions=[{"label": "org.test.deep", "data": nested}]))[0]
    assert look(tmp_path, data).verdict == "valid"
    # a thousand deeper by hand: maps of one pair, in CBOR
    at = data.find(b"\xa1\x61a\xa1\x61a")
    deep = data[:at] + (b"\xa1\x61a" * 2000)[: len(data) - at]
    assert look(tmp_path, deep).verdict == "tampered"
    assert look(tmp_path, picture()).verdict == "absent"


def test_a_parser_that_breaks_is_an_error_of_the_file(tmp_path, monkeypatch):
    path = put(tmp_path, "harbour.jpg", signed(picture())[0])
    assert read_provenance(path).verdict == "valid"
    process = worker().process
    process.kill()
    process.wait()
    assert read_provenance(path).verdict == "valid"
    worker().process.send_signal(signal.SIGSTOP)  # so that it cannot have answered by then
    monkeypatch.setattr("mainstem.data.media.provenance_process.IDLE", 0.0)
    with pytest.raises(InputError, match="more time or memory than it may"):
        read_provenance(path)
    monkeypatch.undo()
    assert read_provenance(path).verdict == "valid"


@pytest.mark.mirror
@pytest.mark.parametrize("name", SAMPLES)
def test_the_public_samples(name):
    path = samples() / name
    found = read_provenance(path)
    assert found.verdict == SAMPLES[name]
    if found.verdict == "valid":
        assert found.signer == "C2PA Signer (C2PA Test Signing Cert)"
        assert found.signed_at is not None
    if name == "E-sig-CA.jpg":
        assert "claimSignature.mismatch" in codes(found)
        assert found.signed_at is None
    if name == "CA.jpg":
        assert [node["title"] for node in found.tree["ingredients"]] == ["A.jpg"]


@pytest.mark.mirror
def test_a_flipped_byte_of_a_sample(tmp_path):
    """XCA of the public samples: CA with a byte of its pixels changed."""
    data = (samples() / "CA.jpg").read_bytes()
    found = look(tmp_path, flipped(data, len(data) - 1000))
    assert found.verdict == "tampered"
    assert codes(found) == {"assertion.dataHash.mismatch", "signingCredential.untrusted"}
