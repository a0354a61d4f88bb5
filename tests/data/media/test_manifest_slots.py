"""A manifest store counts where a kind of file keeps it, and nowhere else."""

import io

import pytest
from tests.data.media.signed_files import Ask, picture, signed

from mainstem.data.media.manifest_slots import BMFF_UUID, MANIFEST_STORE, WALKS, holds_store

KINDS = ["jpeg", "png", "webp", "tiff", "gif"]
STORE = b"\0\0\0\x40jumb\0\0\0\x1ejumd" + MANIFEST_STORE + bytes(20)


def holds(data: bytes) -> bool:
    return holds_store(io.BytesIO(data))


def box(kind: bytes, data: bytes, is_wide: bool = False) -> bytes:
    if is_wide:
        return (1).to_bytes(4) + kind + (16 + len(data)).to_bytes(8) + data
    return (8 + len(data)).to_bytes(4) + kind + data


def tag(version: int, *frames: tuple[bytes, bytes]) -> bytes:
    def packed(size: int, bits: int) -> bytes:
        return bytes(size >> bits * place & (1 << bits) - 1 for place in (3, 2, 1, 0))

    bits = 7 if version == 4 else 8
    body = b"".join(kind + packed(len(data), bits) + b"\0\0" + data for kind, data in frames)
    return b"ID3" + bytes([version, 0, 0]) + packed(len(body), 7) + body


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_keeps_it_in_its_own_place_alone(kind):
    whole, plain = signed(picture(kind), Ask(kind=kind))[0], picture(kind)
    assert holds(whole)
    assert not holds(plain)
    assert not holds(plain + MANIFEST_STORE)
    assert not holds(plain + whole), "of an attachment"
    end = whole.find(MANIFEST_STORE) + len(MANIFEST_STORE)
    assert holds(whole[:end])
    assert not holds(whole[: end - 1])


def test_video_and_sound_keep_it_in_their_own_place_alone():
    head, store = box(b"ftyp", b"isom"), BMFF_UUID + bytes(4) + b"manifest\0" + bytes(8) + STORE
    for wide in (False, True):
        assert holds(head + box(b"free", bytes(300)) + box(b"uuid", store, wide))
    assert not holds(head + box(b"uuid", bytes(16) + STORE))
    assert not holds(head + box(b"mdat", store))
    assert not holds(head + box(b"moov", box(b"uuid", store)))
    for version in (3, 4):
        assert holds(tag(version, (b"TIT2", bytes(300)), (b"GEOB", b"\x03application/c2pa\0c2pa\0c2pa\0" + STORE)))
        assert not holds(tag(version, (b"APIC", STORE)))
    assert not holds(tag(4) + b"GEOB" + STORE)


def test_the_mark_where_text_and_thumbnails_lie_is_none():
    segment = (len(STORE) + 2).to_bytes(2) + STORE
    for mark in (0xFE, 0xE1, 0xEB):  # a comment, Exif, JUMBF
        data = b"\xff\xd8\xff" + bytes([mark]) + segment + picture()[2:]
        assert holds(data) == (mark == 0xEB)
    scan = picture().find(b"\xff\xda")
    assert not holds(picture()[:scan] + b"\xff\xda\0\2" + b"\xff\xeb" + segment)


def test_what_is_hostile_ends():
    for magic in [*WALKS, b"\0\0\0\x10ftyp", b"\0\0\0\x01ftyp", b"%PDF"]:
        for byte in (0, 1, 0x21, 0x7F, 0xFF):
            for length in (0, 1, 9, 40, 300_000):
                assert not holds(magic + bytes([byte]) * length)
    assert not holds(b"")
