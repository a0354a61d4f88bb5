import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from tests.data.media.made_media import IIM_UTF8, film, fine_or_one_line, iim, packet, save, tone, with_segment

from mainstem.data.media.bounds import Bounds
from mainstem.data.media.metadata import Metadata, read_metadata

APP13 = 0xED
WORDS = [
    (2, 5, "Überschwemmung"), (2, 120, "Zürich, überflutet"), (2, 80, "Ann Ó"), (2, 80, "Bo"), (2, 110, "dpa"),
    (2, 116, "© Ann"), (2, 25, "flood"), (2, 25, "Zürich"), (2, 55, "20240601"), (2, 60, "143000+0200"),
]  # fmt: skip
XMP = """<dc:title><rdf:Alt><rdf:li xml:lang="de">Hund</rdf:li>
<rdf:li xml:lang="x-default">Dog</rdf:li></rdf:Alt></dc:title>
<dc:description><rdf:Alt><rdf:li xml:lang="x-default">A dog &lt;b&gt; &amp; a cat</rdf:li></rdf:Alt></dc:description>
<dc:creator><rdf:Seq><rdf:li>Ann</rdf:li><rdf:li>Bo</rdf:li></rdf:Seq></dc:creator>
<dc:subject><rdf:Bag><rdf:li>dog</rdf:li><rdf:li> dog </rdf:li><rdf:li>cat</rdf:li></rdf:Bag></dc:subject>
<dc:rights><rdf:Alt><rdf:li xml:lang="x-default">(c) Ann</rdf:li></rdf:Alt></dc:rights>"""


def test_a_file_that_says_nothing(tmp_path):
    assert read_metadata(save(tmp_path / "a.jpg")) == Metadata()


@pytest.mark.parametrize("charset", [[(1, 90, IIM_UTF8)], []])
def test_iptc_in_utf8_whether_it_says_so_or_not(tmp_path, charset):
    records = charset + [(record, number, text.encode()) for record, number, text in WORDS]
    found = read_metadata(with_segment(save(tmp_path / "a.jpg"), APP13, iim(records)))
    assert (found.title, found.caption, found.creator) == ("Überschwemmung", "Zürich, überflutet", "Ann Ó; Bo")
    assert (found.credit, found.rights, found.keywords) == ("dpa", "© Ann", ("flood", "Zürich"))
    assert found.captured == "2024-06-01T14:30:00+02:00"
    assert set(found.origin.values()) == {"iptc"}
    assert found.notes == ()


def test_iptc_in_latin_1_is_read_and_said(tmp_path):
    records = [(record, number, text.encode("latin-1")) for record, number, text in WORDS]
    found = read_metadata(with_segment(save(tmp_path / "a.jpg"), APP13, iim(records)))
    assert found.caption == "Zürich, überflutet"
    assert "Latin-1" in found.notes[0]


def test_iptc_s_release_and_instructions_are_embargoes(tmp_path):
    path = with_segment(save(tmp_path / "a.jpg"), APP13, iim([(2, 30, b"20250320"), (2, 35, b"120000+0000")]))
    assert read_metadata(path).embargo.until.isoformat() == "2025-03-20T12:00:00+00:00"
    path = with_segment(save(tmp_path / "b.jpg"), APP13, iim([(2, 40, b"EMBARGO until the verdict")]))
    found = read_metadata(path)
    assert found.embargo.until is None
    assert found.embargo.words == "EMBARGO until the verdict"
    assert "until the verdict" in found.notes[0]
    assert found.origin == {"embargo": "iptc"}


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_xmp_in_pictures(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    if suffix == "png":
        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", packet(XMP).decode())
        save(path, pnginfo=info)
    elif suffix == "tif":
        save(path, tiffinfo={700: packet(XMP)})
    else:
        save(path, xmp=packet(XMP))
    found = read_metadata(path)
    assert (found.title, found.caption, found.creator) == ("Dog", "A dog <b> & a cat", "Ann; Bo")
    assert (found.rights, found.keywords) == ("(c) Ann", ("dog", "cat"))
    assert set(found.origin.values()) == {"xmp"}


def test_xmp_as_attributes_and_addresses(tmp_path):
    attributes = 'photoshop:Credit="AP" photoshop:DateCreated="2024-06-01" prism:embargoDate="2025-03-20T12:00Z"'
    inner = '<plus:DataMining rdf:resource="http://ns.useplus.org/ldf/vocab/DMI-PROHIBITED-AIMLTRAINING"/>'
    found = read_metadata(save(tmp_path / "a.jpg", xmp=packet(inner, attributes)))
    assert (found.credit, found.captured) == ("AP", "2024-06-01")
    assert found.embargo.until.isoformat() == "2025-03-20T12:00:00+00:00"
    assert found.opt_out.state == "reserved"
    assert "DMI-PROHIBITED-AIMLTRAINING" in found.opt_out.words[0]
    assert found.origin["opt_out"] == "xmp"


@pytest.mark.parametrize(
    ("attributes", "state"),
    [
        ('tdm:reservation="1"', "reserved"), ('tdm:reservation="0"', "allowed"),
        ('tdm:policy="https://a.example"', "unclear"),
        ('tdm:reservation="1" tdm:policy="https://a.example"', "reserved"),
    ],
)  # fmt: skip
def test_tdm_reservations_in_xmp(tmp_path, attributes, state):
    assert read_metadata(save(tmp_path / "a.jpg", xmp=packet("", attributes))).opt_out.state == state


BOMB = b'<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>' + packet("<dc:title>&b;</dc:title>")
OUTSIDE = b'<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + packet("<dc:title>&a;</dc:title>")


@pytest.mark.parametrize("data", [BOMB, OUTSIDE, b"<x", b"no xml", packet("<dc:title>") + b"<", b"\xff\xfe<"])
def test_xmp_that_is_damaged_or_has_entities_is_said_and_not_read(tmp_path, data):
    found = read_metadata(save(tmp_path / "a.jpg", xmp=data))
    assert found.title is None
    assert found.notes[0].startswith("its XMP cannot be read")
    assert "root:" not in repr(found)


def test_xmp_without_end_is_said_and_not_read(tmp_path):
    found = read_metadata(save(tmp_path / "a.jpg", xmp=packet(XMP)), Bounds(text_bytes=500))
    assert "want at most 500" in found.notes[0]


def test_exif(tmp_path):
    exif = Image.Exif()
    exif[0x010E], exif[0x013B], exif[0x8298] = "A dog", "Ann", "(c) Ann, no AI training"
    exif[0x9C9E] = "dog;cat\0".encode("utf-16-le")
    exif.get_ifd(0x8769)[0x9003], exif.get_ifd(0x8769)[0x9011] = "2024:06:01 14:30:00", "+02:00"
    found = read_metadata(save(tmp_path / "a.jpg", exif=exif))
    assert (found.caption, found.creator, found.rights) == ("A dog", "Ann", "(c) Ann, no AI training")
    assert (found.captured, found.keywords) == ("2024-06-01T14:30:00+02:00", ("dog", "cat"))
    assert found.opt_out.state == "unclear"


def test_xmp_is_taken_before_iptc_and_what_differs_is_said(tmp_path):
    path = save(tmp_path / "a.jpg", xmp=packet(XMP))
    found = read_metadata(with_segment(path, APP13, iim([(2, 120, b"A fox"), (2, 110, b"dpa"), (2, 116, b"(c)  Ann")])))
    assert (found.caption, found.credit, found.rights) == ("A dog <b> & a cat", "dpa", "(c) Ann")
    assert (found.origin["caption"], found.origin["credit"]) == ("xmp", "iptc")
    assert found.notes == ("caption: xmp is shown; it is otherwise in iptc",)


def test_the_latest_embargo_and_the_strictest_opt_out_of_all_sources_count(tmp_path):
    path = save(tmp_path / "a.jpg", xmp=packet("", 'prism:embargoDate="2025-01-01" tdm:reservation="0"'))
    path = with_segment(path, APP13, iim([(2, 30, b"20260101"), (2, 25, b"noai")]))
    found = read_metadata(path)
    assert found.embargo.until.year == 2026
    assert found.opt_out.state == "reserved"
    assert (found.origin["embargo"], found.origin["opt_out"]) == ("iptc", "iptc")


def test_containers_tags(tmp_path):
    found = read_metadata(
        film(tmp_path / "a.mp4", [0, 0.04], title="Flood", artist="Ann", copyright="(c) Ann", comment="Water")
    )
    assert (found.title, found.creator, found.rights, found.caption) == ("Flood", "Ann", "(c) Ann", "Water")
    assert read_metadata(tone(tmp_path / "b.wav")) == Metadata()


def test_xmp_of_a_film(tmp_path):
    path = film(tmp_path / "a.mp4", [0, 0.04], title="Flood")
    data = bytes.fromhex("be7acfcb97a942e89c71999491e3afac") + packet(XMP)
    path.write_bytes(path.read_bytes() + (len(data) + 8).to_bytes(4, "big") + b"uuid" + data)
    found = read_metadata(path)
    assert (found.title, found.origin["title"]) == ("Dog", "xmp")
    path.write_bytes(path.read_bytes()[: -len(data)] + data[:40])  # cut off
    assert "its XMP cannot be read" in read_metadata(path).notes[0]


def test_markup_and_control_characters_of_a_caption_stay_text(tmp_path):
    text = "<script>alert(1)</script>\x1b]0;x\x07 \x00[31m"
    path = with_segment(save(tmp_path / "a.jpg"), APP13, iim([(2, 120, text.encode())]))
    assert read_metadata(path).caption == "<script>alert(1)</script>]0;x [31m"


def test_damaged_blocks_are_said_or_left_out_and_never_break(tmp_path):
    random = np.random.default_rng(0)
    exif = Image.Exif()
    exif[0x010E] = "A dog"
    path = save(tmp_path / "a.jpg", xmp=packet(XMP), exif=exif)
    clean = np.frombuffer(with_segment(path, APP13, iim([(2, 120, b"A fox")])).read_bytes(), np.uint8)
    for _ in range(100):
        data = clean.copy()
        data[random.integers(20, 1800, 8)] = random.integers(0, 256, 8)
        path.write_bytes(data.tobytes())
        with fine_or_one_line():
            assert isinstance(read_metadata(path), Metadata)
