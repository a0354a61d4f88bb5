"""Edit decision lists: frames counted at the list's rate, one rate a list, no file's name a line of its own."""

import re
from dataclasses import replace

import pytest

from mainstem.core.errors import InputError
from mainstem.data.media.edl import MOST_EVENTS, Cut, edl_text, time_code

CUT = Cut(name="a.mp4", path="news/a.mp4", start_s=2.0, end_s=3.5, frame_rate=25.0, has_sound=True)
EVENT = re.compile(r"^(\d{3})  AX       (AA/V|V   )  C        (\S+) (\S+) (\S+) (\S+)$", re.MULTILINE)


@pytest.mark.parametrize(
    ("frame", "nominal", "told"),
    [(0, 25, "00:00:00:00"), (24, 25, "00:00:00:24"), (25, 25, "00:00:01:00"), (90_000, 25, "01:00:00:00"),
     (107_892, 30, "00:59:56:12")],
)  # fmt: skip
def test_time_codes_count_frames_and_drop_none(frame, nominal, told):
    assert time_code(frame, nominal) == told


def test_events_follow_one_another_and_last_as_long_as_their_sources():
    text = edl_text("archive", [CUT, replace(CUT, start_s=0.0, end_s=0.4, has_sound=False)])
    assert text.startswith("TITLE: archive\nFCM: NON-DROP FRAME\n")
    assert "* FRAME RATE: 25\n" in text
    assert EVENT.findall(text) == [
        ("001", "AA/V", "00:00:02:00", "00:00:03:13", "01:00:00:00", "01:00:01:13"),  # 3.5 s are 87.5 frames: 88
        ("002", "V   ", "00:00:00:00", "00:00:00:10", "01:00:01:13", "01:00:01:23"),
    ]
    assert text.count("* SOURCE FILE: news/a.mp4") == 2


def test_frames_of_29_97_a_second_are_counted_by_thirties():
    (event,) = EVENT.findall(edl_text("x", [replace(CUT, start_s=3600.0, end_s=3601.0, frame_rate=30_000 / 1001)]))
    assert event[2:4] == ("00:59:56:12", "00:59:57:12")  # 107,892 frames, then 30 more


def test_a_list_of_several_rates_of_none_or_of_too_many_is_refused():
    with pytest.raises(InputError, match=r"several frame rates \(25, 30\)"):
        edl_text("x", [CUT, replace(CUT, frame_rate=30.0)])
    with pytest.raises(InputError, match="want 1 to 999"):
        edl_text("x", [])
    with pytest.raises(InputError, match="want 1 to 999"):
        edl_text("x", [CUT] * (MOST_EVENTS + 1))
    with pytest.raises(InputError, match="frame rate of 0"):
        edl_text("x", [replace(CUT, frame_rate=0.0)])


def test_no_name_adds_an_event():
    name = "a\n002  AX       V     C        00:00:00:00 00:00:09:00 00:00:00:00 00:00:09:00\u2028.mp4"
    text = edl_text(name, [replace(CUT, name=name, path=name)])
    assert len(EVENT.findall(text)) == 1
    assert len(text.splitlines()) == 7
