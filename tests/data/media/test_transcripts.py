import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mainstem.core.errors import InputError
from mainstem.data.media.bounds import Bounds
from mainstem.data.media.texts import decoded, read_text
from mainstem.data.media.transcripts import Cue, read_transcript

SRT = """\ufeff1
00:00:01,500 --> 00:00:02,000
<i>Hi</i>
you

2
01:00:00,000 --> 01:00:01,000 X1:0
bye
"""
VTT = """WEBVTT - title

NOTE a note

STYLE
::cue { color: red }

intro
00:01.000 --> 00:02.500 align:start
<v Ann>Hello &lt;there&gt;

00:02.500 --> 00:03.000
Hello <there>
"""


def test_srt(tmp_path):
    (tmp_path / "a.srt").write_text(SRT, encoding="utf-8", newline="\r\n")
    found = read_transcript(tmp_path / "a.srt")
    assert found.cues == (Cue(1.5, 2.0, "Hi\nyou"), Cue(3600.0, 3601.0, "bye"))
    assert found.text == "Hi\nyou\nbye"
    assert found.notes == ()


def test_vtt(tmp_path):
    (tmp_path / "a.vtt").write_text(VTT)
    found = read_transcript(tmp_path / "a.vtt")
    assert found.cues[0] == Cue(1.0, 2.5, "Hello <there>")
    assert found.notes == ()


def test_rolling_captions_are_said_once(tmp_path):
    (tmp_path / "a.srt").write_text("1\n00:00:01,0 --> 00:00:02,0\none\n\n2\n00:00:02,0 --> 00:00:03,0\none\ntwo\n")
    assert read_transcript(tmp_path / "a.srt").text == "one\ntwo"


def test_blocks_without_times_are_skipped_and_counted(tmp_path):
    (tmp_path / "a.srt").write_text("what\n\n1\n00:00:01,0 --> 00:00:02,0\none\n\n2\nxx --> yy\ntwo\n")
    found = read_transcript(tmp_path / "a.srt")
    assert found.text == "one"
    assert found.notes == ("2 of its blocks have no times and were skipped",)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300) | st.text(alphabet="0123456789:,.->\n <i>{\\}&;", max_size=200).map(str.encode))
def test_no_bytes_break_it(tmp_path, data):
    for suffix in ("srt", "vtt", "txt"):
        (tmp_path / f"a.{suffix}").write_bytes(data or b"\n")
        assert isinstance(read_transcript(tmp_path / f"a.{suffix}").text, str)


@pytest.mark.parametrize(
    ("data", "text", "encoding"),
    [
        ("Zürich\r\n".encode(), "Zürich\n", "utf-8"), ("\ufeffZürich".encode(), "Zürich", "utf-8"),
        ("Zürich".encode("utf-16"), "Zürich", "utf-16"), ("Zürich".encode("latin-1"), "Zürich", "latin-1"),
        ("\ufeffZ\rü".encode("utf-16-be"), "Z\nü", "utf-16"),
    ],
)  # fmt: skip
def test_texts_of_any_age(data, text, encoding):
    found = decoded(data)
    assert (found.text, found.encoding) == (text, encoding)


def test_latin_1_is_said(tmp_path):
    (tmp_path / "a.txt").write_bytes("Zürich".encode("latin-1"))
    assert "Latin-1" in read_transcript(tmp_path / "a.txt").notes[0]


def test_a_text_without_end_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("x" * 100)
    with pytest.raises(InputError, match="want at most 99"):
        read_text(tmp_path / "a.txt", Bounds(text_bytes=99))
