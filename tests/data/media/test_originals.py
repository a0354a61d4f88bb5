"""Whatever is read of an archive, its files stay byte for byte as they were, and nothing appears beside them."""

import builtins
import hashlib
import io
import os
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.data.media.made_media import film, fine_or_one_line, iim, packet, save, tone, with_segment

from mainstem.data.media.kinds import kind_of
from mainstem.data.media.metadata import read_metadata
from mainstem.data.media.pictures import read_picture
from mainstem.data.media.sidecar_writing import write_sidecar
from mainstem.data.media.sidecars import is_sidecar
from mainstem.data.media.sounds import read_blocks, read_sound
from mainstem.data.media.transcripts import read_transcript
from mainstem.data.media.videos import read_frames, video_facts

READERS: dict[str, Callable[[Path], object]] = {
    "kind": kind_of, "picture": read_picture, "small": lambda path: read_picture(path, 16), "metadata": read_metadata,
    "sound": lambda path: read_sound(path, 8000), "blocks": lambda path: list(read_blocks(path, 8000)),
    "frames": lambda path: list(read_frames(path)),
    "keys": lambda path: list(read_frames(path, 1.0, 16, keys_only=True)),
    "facts": video_facts, "transcript": read_transcript, "sidecar": is_sidecar,
}  # fmt: skip


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    folder = tmp_path / "archive"
    folder.mkdir()
    for suffix in ("jpg", "png", "gif", "tif", "webp", "avif"):
        save(folder / f"a.{suffix}")
    with_segment(save(folder / "b.jpg", xmp=packet("<dc:title>x</dc:title>")), 0xED, iim([(2, 120, b"A fox")]))
    film(folder / "c.mp4", np.arange(10) / 25, sound_s=0.0, title="Flood")
    film(folder / "d.mkv", np.arange(10) / 25)
    tone(folder / "e.wav")
    (folder / "e.srt").write_text("1\n00:00:01,0 --> 00:00:02,0\none\n")
    (folder / "f.txt").write_text("text")
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        (folder / f"cut {path.name}").write_bytes(data[: len(data) * 2 // 3])
    return folder


def state(folder: Path) -> dict[str, tuple[object, ...]]:
    found = {}
    for path in sorted(folder.rglob("*")):
        stat = path.stat()
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        found[path.name] = (stat.st_mtime_ns, stat.st_ctime_ns, stat.st_mode, stat.st_ino, stat.st_size, sha256)
    return found


@pytest.mark.parametrize("name", READERS)
def test_every_reader_leaves_every_file_as_it_was(archive, name):
    before = state(archive)
    for path in sorted(archive.iterdir()):
        with fine_or_one_line():
            READERS[name](path)
    assert state(archive) == before


def test_no_reader_opens_a_file_for_writing_or_asks_the_network(archive, monkeypatch):
    opened: list[tuple[str, str]] = []
    real_open, real_os_open = io.open, os.open

    def watched(file, mode="r", *rest, **options):
        opened.append((str(file), mode))
        return real_open(file, mode, *rest, **options)

    def watched_os(path, flags, *rest, **options):
        opened.append((str(path), "w" if flags & (os.O_WRONLY | os.O_RDWR) else "r"))
        return real_os_open(path, flags, *rest, **options)

    monkeypatch.setattr(io, "open", watched)
    monkeypatch.setattr(builtins, "open", watched)
    monkeypatch.setattr(os, "open", watched_os)
    monkeypatch.setattr(socket, "socket", None)
    for path in sorted(archive.iterdir()):
        for reader in READERS.values():
            with fine_or_one_line():
                reader(path)
    inside = [(file, mode) for file, mode in opened if file.startswith(str(archive))]
    assert len(inside) > 100
    assert {mode for _, mode in inside} <= {"r", "rb"}


def test_files_of_a_read_only_archive_are_read(archive):
    for path in archive.iterdir():
        path.chmod(0o444)
    archive.chmod(0o555)
    try:
        assert read_picture(archive / "a.jpg").size == (80, 60)
        assert read_metadata(archive / "b.jpg").caption == "A fox"
        assert len(list(read_frames(archive / "c.mp4"))) == 10
    finally:
        archive.chmod(0o755)


def test_writing_a_sidecar_touches_no_other_file(archive):
    before = state(archive)
    for path in sorted(archive.iterdir()):
        write_sidecar(path, {"title": "x", "embargo": "2026-01-01"})
    after = state(archive)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {f"{name}.json" for name in before}
