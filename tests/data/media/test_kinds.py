import zipfile

import pytest
from tests.data.media.made_media import film, save, tone

from mainstem.core.errors import InputError
from mainstem.data.media.kinds import kind_of
from mainstem.data.media.signatures import demuxer, picture_format


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "bmp", "tif", "webp", "avif", "jp2"])
def test_a_picture_is_one_whatever_its_name_says(tmp_path, suffix):
    path = save(tmp_path / f"a.{suffix}")
    assert kind_of(path.rename(tmp_path / "film.mp4")) == "image"


def test_sound_and_video_are_told_by_their_streams(tmp_path):
    assert kind_of(tone(tmp_path / "a.wav").rename(tmp_path / "a.jpg")) == "sound"
    assert kind_of(film(tmp_path / "b.mp4", [0, 0.04])) == "video"
    assert kind_of(film(tmp_path / "c.mkv", [0, 0.04])) == "video"


def test_text_is_what_holds_no_control_characters(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_text("Ein Text - mit Zeichen.")
    assert kind_of(path) == "text"
    path.write_bytes("Text".encode("utf-16"))
    assert kind_of(path) == "text"
    path.write_bytes(b"\x00\x01\x02 binary")
    assert kind_of(path) is None


def test_an_archive_is_nothing_that_is_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.jpg", "w") as archive:
        archive.writestr("../../outside.jpg", "x")
    assert kind_of(tmp_path / "a.jpg") is None


@pytest.mark.parametrize(
    "text", ["#EXTM3U\n#EXTINF:1,\nhttp://example.org/a.ts\n", "ffconcat version 1.0\nfile /etc/passwd\n"]
)
def test_a_playlist_is_text_and_opens_nothing(tmp_path, text):
    (tmp_path / "a.mp4").write_text(text)
    assert kind_of(tmp_path / "a.mp4") == "text"


def test_what_is_no_file_is_refused(tmp_path):
    (tmp_path / "empty.jpg").touch()
    for path, words in (
        (tmp_path, "no file"),
        (tmp_path / "absent", "no such file"),
        (tmp_path / "empty.jpg", "empty"),
    ):
        with pytest.raises(InputError, match=words):
            kind_of(path)


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\xff\xfb\x90\x64" + b"\0" * 8, "mp3"), (b"\xff\xf1\x50\x80" + b"\0" * 8, "aac"),
        ((b"\x47" + b"\0" * 187) * 8, "mpegts"), (b"\0\0\0\x20ftypM4A ", "mov,mp4,m4a,3gp,3g2,mj2"),
    ],
)  # fmt: skip
def test_demuxers_are_told_by_first_bytes(head, name):
    assert demuxer(head) == name
    assert picture_format(head) is None


def test_a_jpeg_is_no_stream_of_mpeg_audio():
    assert picture_format(b"\xff\xd8\xff\xe0") == "JPEG"
    assert demuxer(b"\xff\xd8\xff\xe0") is None
    assert demuxer(b"\xff\xfe\0a") is None  # a text in UTF-16
