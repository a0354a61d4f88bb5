"""What the media page shows and writes, without a browser: reasons, nothing found, selections, sidecars and undo."""

import gc
import hashlib
import re
import signal
import sqlite3
import time
from pathlib import Path
from threading import Timer

import numpy as np
import pyarrow as pa
import pytest
import streamlit as st
from PIL import Image
from streamlit.testing.v1 import AppTest

from mainstem import dashboards
from mainstem.apps.media import demo as media_demo
from mainstem.apps.media import jobs as media_jobs
from mainstem.apps.media import previews as media_previews
from mainstem.apps.media import relevance as media_relevance
from mainstem.apps.media.archives import Keyframe, browse, known_archives, one_file, picture_of
from mainstem.apps.media.exports import results_table
from mainstem.apps.media.moments import clock
from mainstem.apps.media.query import Filters, Query
from mainstem.apps.media.search import MediaSearch
from mainstem.core.errors import InputError
from mainstem.dashboards.media import copies as media_copies
from mainstem.dashboards.media import detail as media_detail
from mainstem.dashboards.media import words_beside
from mainstem.dashboards.media.board import Shown as ShownResult
from mainstem.dashboards.media.board import (
    asked_words,
    doubts,
    judged_lines,
    nothing_words,
    status_line,
    tiles_of,
    warnings_of,
    why_lines,
)
from mainstem.dashboards.media.copies import (
    Group,
    copies_table,
    evidence_table,
    group_table,
    groups_of,
    link_lines,
    same_sound,
)
from mainstem.dashboards.media.origins import tree_lines
from mainstem.dashboards.media.reads import load_ahead
from mainstem.dashboards.media.selection import Selection
from mainstem.dashboards.media.words_beside import undo_last, write_all
from tests.dashboards.media_made import MARKUP, made_archive

PAGES = Path(dashboards.__file__).parent


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, Path]:
    """A MAINSTEM_HOME and an archive that is indexed in it."""
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("place") / "archive"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAINSTEM_HOME", str(home))
        made_archive(folder)
    return home, folder


@pytest.fixture
def archive(made, monkeypatch):
    """The archive, with nobody indexing it beside the tests."""
    monkeypatch.setenv("MAINSTEM_HOME", str(made[0]))
    monkeypatch.setattr(words_beside, "start_index", lambda folder: None)
    (found,) = known_archives()
    st.session_state.pop(words_beside.WRITTEN, None)
    return found


@pytest.fixture
def search(archive):
    found = MediaSearch(archive.root)
    yield found
    found.close()


def page(**address: str) -> AppTest:
    test = AppTest.from_file(str(PAGES / "media" / "page.py"), default_timeout=400)
    for name, value in address.items():
        test.query_params[name] = value
    return test.run()


def said(test: AppTest) -> str:
    parts = [*test.error, *test.warning, *test.info, *test.markdown, *test.caption, *test.subheader]
    return "\n".join(part.value for part in parts)


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"
    }  # fmt: skip


def test_an_archive_is_known_by_a_name_that_tells_no_path(archive, made):
    assert archive.root == made[1].resolve()
    assert archive.words() == "archive (6 files)"
    assert "archive" not in archive.name
    assert archive.origin == ""


def test_browsing_shows_every_file_once_with_its_picture_or_its_words(search):
    told = browse(search.catalogue, 60)
    assert [one["path"] for one in told["results"]] == [
        "bridge-small.jpg", "bridge.png", "harbour.png", "market.png", "notes.txt", "tone.wav",
    ]  # fmt: skip
    assert [picture_of(search.catalogue, one["path"]) is not None for one in told["results"]] == 4 * [True] + 2 * [
        False
    ]
    assert status_line(told, "").startswith("6 files, by path")
    assert len(browse(search.catalogue, 2)["results"]) == 2
    with pytest.raises(InputError, match="knows no file"):
        one_file(search.catalogue, "../archive/bridge.png")


@pytest.mark.long
def test_a_result_says_which_words_stand_in_which_field(search):
    told = search.search(Query(text="harbour", with_irrelevant=True))
    by_path = {one["path"]: list(why_lines(one)) for one in told["results"]}
    assert by_path["harbour.png"] == ["file name: harbour"]
    assert by_path["notes.txt"] == ["text: harbour"]
    assert status_line(told, asked_words("harbour", {}, (), ())).startswith("2 found for 'harbour'")
    alike = search.search(Query(like=[search.catalogue.root / "bridge.png"], with_irrelevant=True))
    first = alike["results"][0]
    assert first["path"] == "bridge.png"
    assert list(why_lines(first))[:2] == ["copy: same bytes", "like bridge.png, 1.00 of 1"]


def test_what_must_not_be_missed_stands_on_the_tile(search):
    market = one_file(search.catalogue, "market.png")
    assert list(warnings_of(market)) == ["embargo", "mining reserved"]
    (tile,) = tiles_of([ShownResult(result=market, picture=b"x")])
    assert (tile.id, tile.title, tile.warnings) == ("market.png", "Market", ("embargo", "mining reserved"))


def test_nothing_found_is_an_answer_that_says_what_to_do(search):
    told = search.search(Query(text="zeppelin", filters=Filters(kind="image")))
    assert told["nothing_found"]
    lines = nothing_words(told, "zeppelin", {"kind": "image"})
    assert lines[0].startswith("Nothing found in 6 files. That is an answer")
    assert any("beginning" in line for line in lines)
    assert any("not searched by words" in line for line in lines)
    assert any("kind" in line for line in lines)


def searching_while_its_session_ends(root: str) -> None:
    import streamlit as st

    from mainstem.apps.media.query import Query
    from mainstem.dashboards.media.reads import open_archive

    search = open_archive("archive", root)
    st.session_state["db"] = search.catalogue.db
    open_archive.clear()  # what is held for a session is released when it ends, whoever uses it
    st.session_state["found"] = search.search(Query(text="harbour", with_irrelevant=True))["num_found"]


def test_a_session_that_ends_while_its_page_searches_closes_nothing_under_it(archive):
    test = AppTest.from_function(searching_while_its_session_ends, args=(str(archive.root),), default_timeout=60).run()
    assert not test.exception
    assert test.session_state["found"] == 2
    gc.collect()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):  # once nobody holds it
        test.session_state["db"].execute("SELECT 1")


def test_a_share_is_told_only_where_it_is_claimed_and_once_why_not(search):
    told = search.search(Query(text="harbour", with_irrelevant=True))
    said = {"by": "words", "probability": 0.87, "classes": ["relevant"], "reason": "one word alone is too little"}
    for one in told["results"]:
        one["relevance"] = [{**said, "claim": "withdrawn"}]
    assert list(judged_lines(told["results"][0])) == []
    assert status_line(told, " for x").count("no share of relevance is claimed for them") == 1
    assert "Relevance by words: " in doubts(told)
    away = {"by": "likeness", "probability": 0.001, "classes": ["irrelevant"], "claim": "stated", "reason": ""}
    assert list(judged_lines({"relevance": [away]})) == ["irrelevant, 0% by likeness"]
    told["results"][0]["relevance"] = [away, {**said, "claim": "stated"}]  # the likelier is what it is shown for
    assert list(judged_lines(told["results"][0])) == ["relevant, 87% by words"]
    assert "no share of relevance is claimed for 1 of them" in status_line(told, " for x")


def test_tiles_say_caption_credit_and_date_whatever_found_them(search):
    found = {one["path"]: one for one in search.search(Query(filters=Filters(kind="image")))["results"]}
    harbour = {**found["harbour.png"], "captured": "2024-05-31T10:00:00"}
    (tile,) = tiles_of([ShownResult(result=harbour, picture=b"x")])
    assert tile.lines == ("boats at dawn", "2024-05-31, Agency")
    assert tiles_of([ShownResult(result=found["bridge.png"], picture=b"x")])[0].lines[:1] != ("",)
    (text,) = tiles_of([ShownResult(result=harbour, picture=None, excerpt="boats at dawn")])
    assert text.lines == ("2024-05-31, Agency",)  # what the tile shows in the place of a picture, it says once


def keyframe(number: int, time_s: float, start_s: float, end_s: float) -> Keyframe:
    return Keyframe(frame=number, time_s=time_s, start_s=start_s, end_s=end_s, picture=b"x")


def test_a_shot_is_one_tile_as_long_as_it_lasts(monkeypatch):
    frames = [keyframe(1, 1.0, 0.0, 2.0), keyframe(2, 4.0, 2.0, 12.0), keyframe(3, 9.0, 2.0, 12.0)]
    sheets = []
    monkeypatch.setattr(media_detail, "pictures", lambda sheet, *rest: sheets.append(sheet))
    media_detail.show_strip(frames, "clip.mp4", 9.0)
    (sheet,) = sheets
    assert [(tile.id, tile.title, tile.length) for tile in sheet.tiles] == [
        ("1.000", "0:00", 2.0),
        ("4.000", "0:02", 10.0),
    ]
    assert sheet.opened == "4.000"
    assert sheet.tiles[1].lines == ("to 0:12, 10.0 s",)


@pytest.mark.parametrize(("seconds", "told"), [(0.0, "0:00"), (6.94, "0:06.9"), (59.97, "1:00"), (3723.0, "1:02:03")])
def test_times_are_told_as_clocks_do(seconds, told):
    assert clock(seconds) == told


def test_a_selection_keeps_what_another_search_does_not_show(search):
    results = {one["path"]: one for one in browse(search.catalogue, 60)["results"]}
    chosen = Selection(found={})
    chosen.take(results, ["market.png", "harbour.png"])
    chosen.take({"harbour.png": results["harbour.png"]}, [])  # a search that shows one of them alone, unmarked
    assert list(chosen.found) == ["market.png"]
    chosen.take({"harbour.png": results["harbour.png"]}, ["bridge.png"])  # which is not shown
    assert list(chosen.found) == ["market.png"]
    assert chosen.revision == 0
    chosen.clear()
    assert (chosen.found, chosen.revision) == ({}, 1)


def test_a_selection_leaves_with_its_rights_on_every_row(search, archive):
    results = [one_file(search.catalogue, path) for path in ("harbour.png", "market.png")]
    table = results_table(results, archive)
    assert table["rights"].tolist() == ["CC BY 4.0", "not stated"]
    assert table["credit"].tolist() == ["Agency", "not stated"]
    assert table["opt_out"].tolist() == ["not stated", "reserved"]
    assert table["embargo"][0] == "none stated"
    assert table["embargo"][1].startswith("holds until 2099-01-01")


def test_words_are_written_beside_files_alone_and_undone_to_the_byte(archive):
    before = digests(archive.root)
    places = {archive.root / name: {"rights": "CC0", "keywords": ["a"]} for name in ("bridge.png", "harbour.png")}
    assert write_all(archive, "rights", places) == []
    after = digests(archive.root)
    assert {name for name in after if before.get(name) != after[name]} == {"bridge.png.json", "harbour.png.json"}
    assert media_previews.metadata_of(archive.root / "harbour.png")["rights"] == "CC0"
    assert media_previews.metadata_of(archive.root / "harbour.png")["caption"] == "boats at dawn"
    assert undo_last(archive) == []
    assert "bridge.png.json" not in digests(archive.root)
    assert media_previews.metadata_of(archive.root / "harbour.png")["rights"] == "CC BY 4.0"
    assert {
        name: digest for name, digest in digests(archive.root).items() if not name.endswith("harbour.png.json")
    } == {name: digest for name, digest in before.items() if not name.endswith("harbour.png.json")}
    assert undo_last(archive) == []  # nothing is left to undo


def test_what_cannot_be_written_is_said_and_the_rest_is_undone_together(archive):
    why = write_all(
        archive, "rights", {archive.root / "gone.png": {"rights": "x"}, archive.root / "bridge.png": {"rights": "x"}}
    )
    assert len(why) == 1
    assert "gone.png" in why[0]
    undo_last(archive)
    assert not (archive.root / "bridge.png.json").exists()


def test_copies_are_groups_with_evidence_and_decisions(archive, monkeypatch):
    media_jobs.find_copies(archive.root, lambda stage, share: None)
    told = media_jobs.copies_found(archive.root)
    (group,) = groups_of(told)
    assert group.paths == ("bridge-small.jpg", "bridge.png")
    (line,) = link_lines(group, "bridge.png")
    assert line == "bridge-small.jpg: much alike"
    assert not re.search(r"\bbits?\b", line)
    table = copies_table(archive, [group])
    assert table["decided"].tolist() == ["undecided", "undecided"]
    monkeypatch.setattr(media_copies, "kept_of", lambda _, one: ("a",) if one is group else ())
    rows = group_table(archive, [group, Group(name="x", paths=("bridge.png", "market.png"), evidence=())])
    assert rows["keep"].tolist() == ["1", ""]
    assert pa.Table.from_pandas(rows).num_rows == 2  # as the browser is sent it
    other = Group(name="x", paths=("bridge.png", "market.png"), evidence=())
    assert group.name != other.name
    assert same_sound(told).evidence == ()
    ends = {"first": str(archive.root / "a" / "one.mp4"), "second": str(archive.root / "two.wav")}
    link = {**told["evidence"][0][0], **ends}
    (heard,) = same_sound({**told, "same_sound": [link]}).evidence
    assert (heard["first"], heard["second"]) == ("a/one.mp4", "two.wav")
    assert len(evidence_table([same_sound({**told, "same_sound": [link]})])) == 1


def test_a_bad_file_ends_no_page_and_the_next_is_read(archive, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes((archive.root / "bridge.png").read_bytes()[:300])
    with pytest.raises(InputError, match=r"bad\.png"):
        media_previews.picture_preview(bad, 100)
    reader = media_previews._reader().process
    reader.send_signal(signal.SIGSTOP)  # it is at the file when it ends, not before
    Timer(0.5, reader.kill).start()
    with pytest.raises(InputError, match="damaged or hostile"):
        media_previews.picture_preview(archive.root / "bridge.png", 100)
    data, _ = media_previews.picture_preview(archive.root / "bridge.png", 100)
    assert data.startswith(b"\xff\xd8")
    with pytest.raises(InputError, match="browsers do not play"):
        media_previews.played(archive.root / "bridge.png", "video")


def test_a_tree_is_drawn_with_its_branches_and_no_line_of_its_own_making():
    leaf = {"title": "b\nfake", "relationship": "parentOf", "signer": None, "faults": ["x.y"], "generator": None,
            "actions": [], "ingredients": [], "left_out": 0}  # fmt: skip
    root = {
        **leaf, "title": "a", "relationship": None, "signer": "S", "faults": [], "generator": "P",
        "actions": [{"action": "c2pa.opened", "source": None}], "ingredients": [leaf, leaf], "left_out": 3,
    }  # fmt: skip
    assert list(tree_lines(root)) == [
        "a, signed by S", "│  by the program P", "│  done: c2pa.opened", "├─ b fake (parentOf), without a manifest",
        "│     FAULTY when it was used: x.y", "├─ b fake (parentOf), without a manifest",
        "│     FAULTY when it was used: x.y", "└─ and 3 more, which are left out",
    ]  # fmt: skip


def test_what_was_written_beside_a_file_is_undone_on_the_page_where_it_was_written(archive):
    write_all(archive, "rights", {archive.root / "bridge.png": {"rights": "CC0"}})
    test = AppTest.from_file(str(PAGES / "media" / "page.py"), default_timeout=400)
    test.session_state[words_beside.WRITTEN] = st.session_state[words_beside.WRITTEN]
    test.query_params["file"], test.query_params["look"] = "bridge.png", "Edit"
    test.run()
    assert not test.exception
    assert not test.error
    (undo,) = [button for button in test.button if button.key == "undo 1"]
    undo.click().run()
    assert not test.error
    assert not (archive.root / "bridge.png.json").exists()


def test_the_page_says_what_was_found_and_what_compares_pictures(archive):
    test = page(q="harbour", file="harbour.png")
    assert not test.exception
    assert not test.error
    text = said(test).replace("\\", "")
    assert "found for 'harbour'" in text
    assert "not searched by words" in text
    assert "edges and colours" in text
    assert "not for deciding whether a picture is true" in text
    assert "Why it was found." in text


@pytest.mark.long
def test_what_judges_relevance_is_loaded_before_anything_is_asked(archive):
    media_relevance._opened.cache_clear()
    load_ahead.clear()
    assert not page().exception
    load_ahead().join(60)
    assert media_relevance._opened.cache_info().currsize == 2
    begun_s = time.thread_time()
    media_relevance.judge("words", [np.ones(8)], "", "x", (media_relevance.Runs(), Query().level))
    assert time.thread_time() - begun_s < 0.7  # two seconds where the groups of its calibration are counted first


def test_words_of_files_and_addresses_never_become_markup(archive):
    test = page(q=MARKUP, file="harbour.png")
    assert not test.exception
    (title,) = [part.value for part in test.subheader]
    assert "\\<img" in title
    assert "red\\[danger" in title
    for part in [*test.markdown, *test.caption, *test.info, *test.warning]:
        assert "<img" not in part.value.replace("\\<", "")


ADDRESSES = (
    {"file": "../../etc/passwd"}, {"archive": "../../etc"}, {"kind": "<b>"}, {"look": "?"}, {"n": "-1"},
    {"n": "9" * 50}, {"t": "nan", "file": "tone.wav"}, {"group": "zz", "show": "Copies"},
)  # fmt: skip


@pytest.mark.parametrize("address", ADDRESSES)
def test_the_page_bears_any_address(archive, address):
    test = page(**address)
    assert not test.exception
    assert not test.error
    if "file" in address and "t" not in address:
        assert "There is no file" in said(test)


def test_a_filter_that_is_none_is_one_line(archive):
    test = page(since="yesterday")
    assert not test.exception
    assert "want a date" in said(test)


def test_an_empty_machine_says_what_to_do(home):
    test = page()
    assert not test.exception
    assert "No archive is indexed" in said(test)


@pytest.mark.long
def test_the_demonstration_is_made_in_code_where_nothing_can_be_had(home, tmp_path, monkeypatch):
    monkeypatch.setattr(media_demo, "IndexOptions", lambda: media_demo_options())
    folder = media_demo.ensure_archive(tmp_path)
    assert media_demo.ensure_archive(tmp_path) == folder
    (found,) = known_archives()
    assert (found.title, found.origin) == ("Simulated archive", "simulated")
    groups = groups_of(media_jobs.copies_found(folder))
    assert {path.split("-")[1][:2] for group in groups for path in group.paths} <= {"01", "02", "03", "04"}
    assert groups
    with Image.open(folder / "scene-01.jpg") as image:
        assert image.size == (480, 480)


def media_demo_options():
    from mainstem.apps.media.index import IndexOptions

    return IndexOptions(workers=0)
