"""A copy is signed, looked at, indexed and edited: pictures, sound and video, from one end to the other."""

import json
import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from tests.apps.media.archives import indexed
from tests.data.media import signed_files as made
from tests.data.media.made_media import film, save, tone
from tests.data.media.signed_files import authority, flipped, put
from tests.hostile.harness import run_cli

from mainstem.core.errors import InputError
from mainstem.data.media.kinds import kind_of
from mainstem.data.media.provenance import read_provenance
from mainstem.data.media.signing import Credentials, sign_file
from mainstem.data.media.trust_lists import read_trust_list

TIMES_S = [number / 5 for number in range(10)]
CODECS = {"mp3": "libmp3lame", "flac": "flac", "m4a": "aac"}


def encoded(path: Path) -> Path:
    """A second of noise."""
    with av.open(str(path), "w", format="ipod" if path.suffix == ".m4a" else None) as container:
        stream = container.add_stream(CODECS[path.suffix[1:]], rate=16_000, layout="mono")
        noise = np.random.default_rng(0).normal(0, 3000, (1, 16_000)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(noise, format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 16_000, 0, Fraction(1, 16_000)
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return path


@pytest.fixture
def credentials(tmp_path: Path) -> Credentials:
    return Credentials(
        put(tmp_path, "chain.pem", made.signer().pem + authority().pem), put(tmp_path, "key.pem", made.signer().key_pem)
    )


def files(folder: Path) -> list[Path]:
    folder.mkdir()
    return [
        *(save(folder / f"a.{kind}") for kind in ("jpg", "png", "webp", "gif", "tif", "avif")),
        tone(folder / "a.wav"), *(encoded(folder / f"a.{kind}") for kind in CODECS),
        *(film(folder / f"a.{kind}", TIMES_S, sound_s=0.0) for kind in ("mp4", "mov", "avi")),
    ]  # fmt: skip


def test_of_every_kind_a_copy_is_trusted_indexed_and_an_edit_of_it_tampered(tmp_path, home, credentials):
    trust = read_trust_list(put(tmp_path, "list.pem", authority().pem))
    (tmp_path / "archive").mkdir()
    kinds = {}
    for path in files(tmp_path / "own"):
        copy, edited = tmp_path / "archive" / path.name, tmp_path / f"edited{path.suffix}"
        sign_file(path, credentials, copy)
        assert read_provenance(copy, trust).verdict == "trusted", path.name
        data, own = copy.read_bytes(), path.read_bytes()
        place = data.find(own[len(own) // 2 : len(own) // 2 + 16])
        assert place > 0, "what it shows is carried over as it was"
        for changed in (flipped(data, place), data[:-20], data + b"more"):
            edited.write_bytes(changed)
            assert read_provenance(edited, trust).verdict == "tampered", path.name
        again = tmp_path / f"again{path.suffix}"
        sign_file(edited, credentials, again)
        assert read_provenance(again, trust).verdict == "ingredient-fault", path.name
        kinds[path.name] = kind_of(path)
    told = indexed(tmp_path / "archive")
    assert told["refused"] == {}
    assert told["kinds"] == {"image": 6, "sound": 4, "video": 3}
    assert kinds == {path.name: kind_of(path) for path in (tmp_path / "archive").iterdir()}


def test_the_commands_say_the_same_of_a_video(tmp_path, credentials):
    film(tmp_path / "news.mp4", TIMES_S)
    put(tmp_path, "list.pem", authority().pem)
    given = ["--certificate", "chain.pem", "--key", "key.pem", "--out", "signed.mp4", "--json"]
    told = json.loads(run_cli("media", "sign", "news.mp4", *given, cwd=tmp_path).out)
    assert (told["before"]["verdict"], told["after"]["verdict"]) == ("absent", "valid")
    data = (tmp_path / "signed.mp4").read_bytes()
    put(tmp_path, "edited.mp4", flipped(data, len(data) - 400))
    looked = run_cli("media", "provenance", "signed.mp4", "edited.mp4", "--trust", "list.pem", "--json", cwd=tmp_path)
    assert [one["verdict"] for one in json.loads(looked.out)["files"]] == ["trusted", "tampered"]


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: None], ids=["pipe", "folder", "nothing"])
def test_what_is_no_plain_file_is_refused_at_once(tmp_path, credentials, make):
    make(tmp_path / "a.jpg")
    with pytest.raises(InputError, match="no plain one"):
        sign_file(tmp_path / "a.jpg", credentials, tmp_path / "copy.jpg")


@pytest.mark.parametrize("name", ["minutes.txt", "talk.ogg", "news.mkv"])
def test_of_a_kind_that_is_not_signed_that_is_said_and_not_the_certificate(tmp_path, credentials, name):
    path = put(tmp_path, name, b"OggS" + bytes(100))
    with pytest.raises(InputError, match=r"cannot be signed, as C2PA has no place .*; give JPEG") as refused:
        sign_file(path, credentials, tmp_path / f"copy{path.suffix}")
    assert "certificate" not in str(refused.value)
