"""Sidecars, folders, disks and indexes that are damaged or hostile: one file is refused, nothing is freed or lost."""

import contextlib
import ctypes
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.apps.media.archives import archive, indexed, said, states

from mainstem.apps.media_catalogue import Catalogue, Read, Stamp
from mainstem.apps.media_query import Query
from mainstem.apps.media_search import MediaSearch


@pytest.fixture
def root(tmp_path: Path, home: Path) -> Path:
    return archive(tmp_path / "archive")


def ask(root: Path, text: str = "", **given: object) -> dict:
    with contextlib.closing(MediaSearch(root)) as search:
        return search.search(Query(text=text, with_irrelevant=True, **given))


def paths(told: dict) -> set[str]:
    return {one["path"] for one in told["results"]}


@contextlib.contextmanager
def as_anybody() -> Iterator[None]:
    """Without root's right to read and list everything (capabilities 1 and 2 of Linux), in this thread."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, before = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, before) == 0
    fewer = (ctypes.c_uint32 * 6)(*before)
    fewer[0] &= ~0b110
    assert libc.capset(header, fewer) == 0
    try:
        yield
    finally:
        assert libc.capset(header, before) == 0


def test_letters_that_are_none_cost_nothing(root):
    raw = {
        "credit": "\ud800 Wire",
        "captured": "\udc80 2020",
        "embargo": "\ud800",
        "opt_out": "\udfff",
        "tdm_reservation": "\ud800",
    }
    said(root / "day1" / "photo3.jpg", **raw, keywords=["\ud800 dog"])
    told = indexed(root)
    assert told["kinds"] == {"image": 5, "sound": 1, "text": 1}
    assert paths(ask(root, "wire")) == {"day1/photo3.jpg"}
    json.dumps(ask(root, "wire"), ensure_ascii=False).encode()


def test_what_cannot_be_written_is_refused_by_name_and_its_batch_goes_on(root):
    from mainstem.apps.media_index import _commit
    from mainstem.apps.media_scan import Scan

    stamp = Stamp(size=1, mtime_ns=1, inode=1, device=1, beside="")
    held = [
        Read(path=name, sha256=name, kind="image", facts={"width": 1}, told={"rights": rights})
        for name, rights in (("a.jpg", "ours"), ("b.jpg", "\ud800"), ("c.jpg", "ours"))
    ]
    catalogue = Catalogue(root)
    _commit(catalogue, held, (Scan(new=dict.fromkeys(("a.jpg", "b.jpg", "c.jpg"), stamp)), {}), {})
    catalogue.close()
    assert states(root) == {"a.jpg": "present", "b.jpg": "refused", "c.jpg": "present"}
