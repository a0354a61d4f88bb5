"""A signer may leave parts of a file out of what is signed: of those nothing is said."""

import ctypes
import hashlib
import io
import json
from collections.abc import Sequence

import c2pa
import pytest
from tests.data.media import signed_files as made
from tests.data.media.signed_files import Ask, authority, flipped, picture, put, signed

from mainstem.data.media.left_out import leaves_out
from mainstem.data.media.provenance import read_provenance
from mainstem.data.media.trust_lists import read_trust_list

OURS = "2P7D1hsOSDySl1goh37EgQ=="  # of C2PA's own box
AT = 20  # where a manifest goes in: after the JPEG's first segment
Span = tuple[int, int]


def sign(data: bytes, left_out: Sequence[Span]) -> bytes:
    """A signed copy whose signature leaves spans (start, length) of the original out; only the SDK's C has that."""
    length = 0
    for _ in range(3):  # the manifest names its own length
        spans = [(AT, length), *((start + length, size) for start, size in left_out)]
        manifest = _manifest(spans, _hash(data[:AT] + bytes(length) + data[AT:], spans))
        length = len(manifest)
    return data[:AT] + manifest + data[AT:]


def _hash(data: bytes, spans: Sequence[Span]) -> bytes:
    digest, at = hashlib.sha256(), 0
    for start, size in spans:
        digest.update(data[at:start])
        at = start + size
    digest.update(data[at:])
    return digest.digest()


def _manifest(spans: Sequence[Span], digest: bytes) -> bytes:
    library, who = c2pa.c2pa._lib, made.signer()
    chain = (who.pem + authority().pem).encode()
    information = c2pa.C2paSignerInfo(c2pa.C2paSigningAlg.ES256, chain, who.key_pem.encode(), None)
    ranges = [{"start": start, "length": size} for start, size in spans]
    binding = {"exclusions": ranges, "name": "jumbf manifest", "alg": "sha256", "hash": list(digest), "pad": [0]}
    came = ctypes.POINTER(ctypes.c_ubyte)()
    with (
        c2pa.Context.from_dict(made.OFFLINE) as context,
        c2pa.Signer.from_info(information) as signer,
        c2pa.Builder(json.dumps({"claim_generator_info": [{"name": "tests"}]}), context=context) as builder,
    ):
        builder.add_ingredient('{"relationship": "parentOf"}', "image/jpeg", io.BytesIO(picture()))
        builder.set_intent(c2pa.C2paBuilderIntent.EDIT)
        handles = [ctypes.cast(each._handle, ctypes.c_void_p) for each in (builder, signer)]
        for name in ("data_hashed_placeholder", "sign_data_hashed_embeddable"):
            getattr(library, f"c2pa_builder_{name}").restype = ctypes.c_int64
        kind, out = ctypes.c_char_p(b"image/jpeg"), ctypes.byref(came)
        assert library.c2pa_builder_data_hashed_placeholder(handles[0], ctypes.c_size_t(20_000), kind, out) > 0
        told = ctypes.c_char_p(json.dumps(binding).encode())
        size = library.c2pa_builder_sign_data_hashed_embeddable(*handles, told, kind, None, out)
        assert size > 0, c2pa.c2pa._lib.c2pa_error()
        return bytes(came[:size])


@pytest.mark.parametrize("left_out", [[], [(700, 1000)]])
def test_what_a_signature_leaves_out_is_not_called_unaltered(tmp_path, left_out):
    trust = read_trust_list(put(tmp_path, "list.pem", authority().pem))
    data = sign(picture(), left_out)
    whole = read_provenance(put(tmp_path, "a.jpg", data), trust)
    altered = read_provenance(put(tmp_path, "a.jpg", flipped(data, len(data) - len(picture()) + 1200)), trust)
    if not left_out:
        assert (whole.verdict, altered.verdict) == ("trusted", "tampered")
        return
    for found in (whole, altered):
        assert found.verdict == "valid"
        assert found.words == (
            "unaltered since signed by Ada Photographer (Test Newsroom), but for parts of the file that are left out "
            "of what is signed, which anybody may have altered"
        )
        assert found.reasons == (
            "assertion.dataHash.additionalExclusionsPresent: parts of the file are left out of what is signed",
        )
    unlisted = read_provenance(tmp_path / "a.jpg")
    assert unlisted.words == f"{whole.words}; that this is who signed, nobody vouches for, as no trust list was given"
    assert read_provenance(put(tmp_path, "a.jpg", flipped(data, len(data) - 10)), trust).verdict == "tampered"


@pytest.mark.parametrize(
    ("kind", "binding", "found"),
    [("data", [{"start": 9, "length": 3000}, {"start": 2, "length": 8}], False),
     ("data", [{"start": 9, "length": 3000}, {"start": 2, "length": 9}], True),
     ("data", [{"start": 9, "length": 3000}, {"start": 3009, "length": 90_000}], True),
     ("bmff.v3", [{"xpath": "/ftyp"}, {"xpath": "/free"}, {"xpath": "/uuid", "data": [{"value": OURS}]}], False),
     ("bmff.v3", [{"xpath": "/ftyp"}, {"xpath": "/uuid", "data": [{"value": "AAAA"}]}], True),
     ("bmff.v3", [{"xpath": "/uuid"}], True), ("bmff.v2", [{"xpath": "/mdat"}], True), ("boxes", [], True)],
)  # fmt: skip
def test_what_holds_nothing_is_not_missed(kind, binding, found):
    manifest = {"assertion_store": {f"c2pa.hash.{kind}": {"exclusions": binding}}}
    assert leaves_out({"active_manifest": "a", "manifests": {"a": manifest}}) is found
    assert leaves_out({})


def test_a_file_of_boxes_may_be_trusted(tmp_path):
    """The SDK leaves free space out of every one."""
    trust = read_trust_list(put(tmp_path, "list.pem", authority().pem))
    found = read_provenance(put(tmp_path, "a.avif", signed(picture("avif"), Ask(kind="avif"))[0]), trust)
    assert (found.verdict, found.reasons) == ("trusted", ())


def test_a_sidecar_that_binds_itself_to_other_bytes_besides_does_not_fit(tmp_path):
    """Of two hashes, one fits whatever is planted beside it: that is no reason to accuse the file."""
    data, start = picture(), 700
    binding = {
        "exclusions": [{"start": start, "length": 1000}],
        "name": "ours",
        "alg": "sha256",
        "hash": list(_hash(data, [(start, 1000)])),
        "pad": [],
    }
    ask = Ask(assertions=[{"label": "c2pa.hash.data", "data": binding}], is_embedded=False)
    put(tmp_path, "a.jpg.c2pa", signed(picture(seed=1), ask)[1])
    assert read_provenance(put(tmp_path, "a.jpg", data)).verdict == "absent"
