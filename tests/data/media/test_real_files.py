"""The readers on the mirror's real files."""

import csv
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mainstem.data.media.kinds import kind_of
from mainstem.data.media.metadata import read_metadata
from mainstem.data.media.pictures import read_picture
from mainstem.data.media.sounds import read_blocks, read_sound
from mainstem.data.media.videos import read_frames, video_facts

pytestmark = pytest.mark.mirror
FOLDER = Path(os.environ.get("MAINSTEM_MIRROR", "")) / "media"


def test_every_picture_is_read_and_left_as_it_was():
    paths = sorted([*FOLDER.glob("pdq/**/*.jpg"), *FOLDER.glob("c2pa/*.jpg")])
    assert len(paths) == 34
    for path in paths:
        before = path.stat(), hashlib.sha256(path.read_bytes()).digest()
        assert kind_of(path) == "image"
        picture, metadata = read_picture(path, 128), read_metadata(path)
        assert max(picture.pixels.shape) == 128
        assert not any("cannot be read" in note for note in metadata.notes)
        after = path.stat()
        assert (after.st_mtime_ns, after.st_ctime_ns) == (before[0].st_mtime_ns, before[0].st_ctime_ns)
        assert hashlib.sha256(path.read_bytes()).digest() == before[1]


def test_a_scaled_jpeg_is_nearly_the_whole_one_made_smaller():
    path = FOLDER / "pdq/bridge-mods/aaa-orig.jpg"
    whole, small = read_picture(path).pixels, read_picture(path, 200).pixels
    wanted = np.asarray(Image.fromarray(whole).resize((200, len(small)), Image.Resampling.BICUBIC))
    assert np.abs(small.astype(int) - wanted).mean() < 1.5


def test_utterances_last_as_long_as_their_list_says():
    with (FOLDER / "librispeech_mini/transcripts.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if (FOLDER / "librispeech_mini" / row["file"]).is_file()]
    assert len(rows) == 56
    for row in rows[::8]:
        path = FOLDER / "librispeech_mini" / row["file"]
        sound = read_sound(path, 16_000)
        assert sound.seconds == pytest.approx(float(row["seconds"]), abs=0.006)
        assert (sound.channels, sound.notes) == (1, ())
        assert np.array_equal(np.concatenate(list(read_blocks(path, 16_000, 1.0))), sound.samples)


def test_videos():
    facts = video_facts(FOLDER / "tmk_video/pattern-sd-grey-bar.mp4")
    assert (facts.size, facts.has_sound, round(facts.seconds, 2)) == ((480, 720), True, 6.87)
    frames = list(read_frames(FOLDER / "tmk_video/pattern-sd-grey-bar.mp4", 1.0, 64))
    assert [round(frame.time_s, 2) for frame in frames] == [0, 1, 2, 3, 4, 5, 6]
    assert frames[0].pixels.shape == (64, 43, 3)
    assert read_metadata(FOLDER / "c2pa/video1.mp4").origin == {"captured": "xmp"}
