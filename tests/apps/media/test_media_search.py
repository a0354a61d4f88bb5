"""Search of an archive: by words, pictures and filters, with the reasons; nothing found is an answer."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter
from tests.apps.media.archives import archive, indexed, picture, said
from tests.hostile.harness import run_cli

from mainstem.adapters import find_task
from mainstem.apps.media import store as media_store
from mainstem.apps.media.query import Filters, Query
from mainstem.apps.media.results import lines_of
from mainstem.apps.media.search import MediaSearch
from mainstem.core.errors import InputError
from mainstem.core.task import DataRequest
from mainstem.data.media.words import read_query


@pytest.fixture
def root(tmp_path: Path, home: Path) -> Path:
    found = archive(tmp_path / "archive")
    indexed(found)
    return found


def ask(root: Path, text: str = "", **given: object) -> dict:
    search = MediaSearch(root)
    told = search.search(Query(text=text, with_irrelevant=True, **given))
    search.close()
    return told


def paths(told: dict) -> list[str]:
    return [one["path"] for one in told["results"]]


@pytest.mark.parametrize(
    ("text", "path", "field", "words"),
    [
        ("cafe harbour", "day0/photo0.jpg", "title", ["cafe", "harbour"]),
        ("CAFÉ", "day0/photo0.jpg", "title", ["cafe"]),
        ('"mayor opens"', "day1/photo1.jpg", "caption", ["mayor opens"]),
        ("dredg*", "minutes.txt", "text", ["dredg*"]),
        ("taxes", "talk.wav", "transcript", ["taxes"]),
        ("photo3", "day1/photo3.jpg", "name", ["photo3"]),
        ("ruiz", "day0/photo0.jpg", "credit", ["ruiz"]),
    ],
)
def test_words_are_found_where_they_stand_and_that_is_said(root, text, path, field, words):
    told = ask(root, text)
    assert paths(told)[0] == path
    assert {"field": field, "words": words} in told["results"][0]["why"]


def test_words_are_found_in_their_other_forms_and_the_very_word_first(tmp_path, monkeypatch):
    monkeypatch.setenv("MAINSTEM_HOME", str(tmp_path / "home"))
    root = tmp_path / "archive"
    root.mkdir()
    texts = {"a": "the old bridges of the town", "b": "a bridge", "c": "Kurs an der Börse", "d": "zur Kur nach Baden",
             "e": "Brücke bei Köln", "f": "Brücken und Häuser"}  # fmt: skip
    for name, text in texts.items():
        (root / f"{name}.txt").write_text(text, encoding="utf-8")
    indexed(root)
    assert paths(ask(root, "bridge")) == ["b.txt", "a.txt"]
    assert paths(ask(root, "bridges")) == ["a.txt", "b.txt"]
    assert ask(root, "bridges")["results"][1]["why"] == [{"field": "text", "words": ["bridge"]}]
    assert paths(ask(root, '"bridges"')) == paths(ask(root, 'bridges -"a bridge"')) == ["a.txt"]
    assert paths(ask(root, "Kur"))[0] == "d.txt"  # English inflection takes Kurs for its plural: after it
    assert [paths(ask(root, word)) for word in ("Brücke", "brucken", "KÖLN", "häuser", "Hause")] == [
        ["e.txt"], ["f.txt"], ["e.txt"], ["f.txt"], [],
    ]  # fmt: skip
    assert ask(root, "bridges")["num_found"] == 2
    assert paths(ask(root, "towns bridge")) == ["a.txt", "b.txt"]


def test_order_phrases_and_words_that_may_not_be_there(root):
    assert paths(ask(root, '"opens mayor"')) == []
    assert set(paths(ask(root, "fishing"))) == {"day0/photo0.jpg", "talk.wav"}
    assert paths(ask(root, "fishing -taxes")) == ["day0/photo0.jpg"]
    nothing = ask(root, "zeppelin")
    assert nothing["nothing_found"]
    assert next(lines_of(nothing)) == "nothing found"


@pytest.mark.parametrize("text", ["AND OR NOT", 'title:"x" OR 1', "harbour) UNION", "NEAR(a b)", "日本語*", '"harbour'])
def test_a_query_is_words_and_no_language(root, text):
    assert set(paths(ask(root, text))) <= ({"day0/photo0.jpg", "minutes.txt"} if "harbour" in text else set())


@pytest.mark.parametrize("text", ['"', "*", "--", "()"])
def test_a_query_without_words_is_refused(root, text):
    with pytest.raises(InputError, match="holds no word"):
        ask(root, text)


def test_captions_with_markup_stay_data(root):
    caption = "<script>alert(1)</script> \x1b[31mred\x1b[0m harbour"
    said(root / "day1" / "photo3.jpg", caption=caption)
    indexed(root)
    told = ask(root, "alert")
    assert "<script>alert(1)</script>" in told["results"][0]["caption"]
    assert not any("\x1b" in line for line in lines_of(told))


def test_a_picture_finds_its_edited_copies_before_others(root, tmp_path):
    asked = tmp_path / "asked.png"
    with Image.open(root / "day0" / "photo2.jpg") as image:
        image.filter(ImageFilter.GaussianBlur(1)).resize((70, 70)).save(asked)
    told = ask(root, like=(asked,))
    assert paths(told)[0] == "day0/photo2.jpg"
    assert told["results"][0]["why"][0]["cosine"] > 0.9
    assert paths(ask(root, like=(asked,), unlike=(root / "day0" / "photo2.jpg",))) != paths(told)
    assert "day0/photo2.jpg" not in paths(ask(root, like=(asked,), unlike=(root / "day0" / "photo2.jpg",)))
    assert set(paths(ask(root, like=(asked, root / "day1" / "photo1.jpg")))[:2]) == {
        "day0/photo2.jpg",
        "day1/photo1.jpg",
    }
    with pytest.raises(InputError):
        ask(root, like=(root / "minutes.txt",))


def test_filters(root):
    soon = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    said(root / "day1" / "photo3.jpg", embargo=soon, captured="2024-05-31T10:00:00", credit="Wire", opt_out="reserved")
    indexed(root)
    assert set(paths(ask(root, filters=Filters(kind="sound")))) == {"talk.wav"}
    assert paths(ask(root, filters=Filters(since="2024-05-31", until="2024-05-31"))) == ["day1/photo3.jpg"]
    assert paths(ask(root, filters=Filters(since="2024-06-01"))) == []
    assert paths(ask(root, filters=Filters(credit="wire"))) == ["day1/photo3.jpg"]
    assert paths(ask(root, filters=Filters(embargo="held"))) == ["day1/photo3.jpg"]
    assert "day1/photo3.jpg" not in paths(ask(root, filters=Filters(embargo="free")))
    assert set(paths(ask(root, filters=Filters(below="day1")))) == {"day1/photo1.jpg", "day1/photo3.jpg"}
    marked = ask(root, "photo3")["results"][0]
    assert marked["embargo"]["holds"] is True
    assert "EMBARGOED" in "".join(lines_of(ask(root, "photo3")))
    assert set(paths(ask(root, "photo", filters=Filters(kind="sound")))) == set()
    for wrong in (Filters(kind="film"), Filters(since="yesterday"), Filters(embargo="x")):
        with pytest.raises(InputError):
            ask(root, filters=wrong)
    with pytest.raises(InputError, match="no query"):
        ask(root)


def test_what_is_offline_is_found_and_marked_and_what_is_gone_is_not(root):
    (root / "day0" / "photo0.jpg").unlink()
    indexed(root)
    assert paths(ask(root, "cafe")) == []
    root.rename(root.with_name("away"))
    indexed(root)
    told = ask(root, "mayor")["results"][0]
    assert (told["path"], told["state"]) == ("day1/photo1.jpg", "offline")


def test_a_video_is_found_by_a_frame_with_its_moment(root, tmp_path):
    av = pytest.importorskip("av")
    shown = [np.asarray(Image.open(picture(tmp_path / f"{seed}.jpg", seed))) for seed in (21, 22)]
    with av.open(str(root / "clip.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=20)
        stream.width = stream.height = 96
        for number in range(240):
            frame = av.VideoFrame.from_ndarray(shown[number // 120], format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    indexed(root)
    told = ask(root, like=(tmp_path / "22.jpg",))["results"][0]
    assert told["path"] == "clip.mp4"
    assert 6 <= told["time_s"] <= 12
    assert told["shot_s"] == pytest.approx([6, 12], abs=0.3)


def vectors(num: int, dim: int = 384) -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(num // 20, dim))
    found = centres[rng.integers(len(centres), size=num)] + 0.5 * rng.normal(size=(num, dim))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def filled(root: Path, values: np.ndarray) -> MediaSearch:
    """An index with these vectors in the place of pictures'; their numbers follow those that were there."""
    from mainstem.apps.media.catalogue import Catalogue

    catalogue = Catalogue(root)
    with catalogue.writing() as db:
        content = db.execute("SELECT id FROM contents LIMIT 1").fetchone()[0]
        first = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'frames'").fetchone()[0] + 1
        rows = [(first + row, one.tobytes()) for row, one in enumerate(values.astype(np.float16))]
        db.executemany("INSERT INTO frames (id, content) VALUES (?, ?)", [(frame, content) for frame, _ in rows])
        db.executemany("INSERT INTO vectors VALUES (?, ?)", rows)
    if media_store.is_due(catalogue):
        media_store.build_codes(catalogue)
    catalogue.close()
    return MediaSearch(root)


@pytest.mark.long
def test_codes_find_what_is_nearest_and_nothing_that_is_gone_or_missed(root, monkeypatch):
    """Beside an exact search; what was added since is searched too, what was removed is not found."""
    from mainstem.apps.media.catalogue import Catalogue

    values = vectors(2000)
    exact = filled(root, values).store
    asked = values[:100] + 0.02
    asked /= np.linalg.norm(asked, axis=1, keepdims=True)
    wanted = [exact.nearest(one, 10)[0] for one in asked]
    monkeypatch.setattr(media_store, "EXACT", 100)
    catalogue = Catalogue(root)
    assert media_store.is_due(catalogue)
    media_store.build_codes(catalogue)
    assert not media_store.is_due(catalogue)
    search = MediaSearch(root)
    found = [search.store.nearest(one, 10)[0] for one in asked]
    assert search.store.index is not None
    assert np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, wanted, strict=True)]) > 0.95
    gone = int(wanted[0][0])
    with catalogue.writing() as db:
        db.execute("DELETE FROM frames WHERE id = ?", (gone,))
    assert gone not in search.store.nearest(asked[0], 10)[0]
    fresh = filled(root, asked[:1])
    assert fresh.store.nearest(asked[0], 1)[1][0] > 0.999
    few = wanted[1][:3]
    assert set(fresh.store.nearest(asked[1], 10, few)[0]) == set(few)
    catalogue.close()


@pytest.mark.long
def test_neighbours_are_found_where_vectors_lie_scattered_and_whatever_a_filter_keeps(root):
    """More vectors than are compared exactly, drawn evenly over all directions."""
    rng = np.random.default_rng(1)
    values = rng.standard_normal((media_store.EXACT + 500, 384), np.float32)
    values = (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float16)
    search, asked = filled(root, values), rng.standard_normal((12, 384)).astype(np.float32)
    asked /= np.linalg.norm(asked, axis=1, keepdims=True)
    ids = np.array([row[0] for row in search.catalogue.db.execute("SELECT frame FROM vectors ORDER BY frame")])
    ids, cosines = ids[-len(values) :], asked @ values.astype(np.float32).T
    kept = {
        "all": lambda order: order, "none of the nearest": lambda order: order[100:],
        "a tenth": lambda order: order[::10], "a thousandth": lambda order: order[::1000],
    }  # fmt: skip
    for name, keep in kept.items():
        hits = []
        for query, own in zip(asked, cosines, strict=True):
            order = keep(np.argsort(-own, kind="stable"))
            allowed = None if name == "all" else np.sort(ids[order])
            found = search.store.nearest(query, 10, allowed)[0]
            hits.append(len({*found} & {*ids[order[:10]]}) / 10)
        assert np.mean(hits) >= (1.0 if name == "a thousandth" else 0.95), name
    assert search.store.index is not None


@pytest.mark.long
def test_commands(root, tmp_path):
    env = {"MAINSTEM_HOME": str(tmp_path / "home")}
    told = run_cli("media", "search", str(root), "mayor", "--json", "--all", env=env)
    assert told.code == 0, told.text
    assert json.loads(told.out)["results"][0]["path"] == "day1/photo1.jpg"
    words = run_cli("media", "search", str(root), "mayor", "opens", "--kind", "image", env=env)
    assert words.out.startswith("1 found"), words.text
    assert words.out.count("not searched by words") == 1
    assert max(len(line) for line in words.out.splitlines() if "models pull" in line) < 160
    browsed = run_cli("media", "search", str(root), "--kind", "image", env=env)
    assert "not searched by words" not in browsed.out  # nothing was asked that it could have found
    again = run_cli("media", "index", str(root), "--json", env=env)
    assert json.loads(again.out)["read"] == 0
    run_cli("media", "search", str(tmp_path / "nowhere"), "x", env=env).refused("has no index", "media index")


def test_a_filter_judges_the_file_and_an_embargo_its_bytes_wherever_they_lie(tmp_path, monkeypatch):
    monkeypatch.setenv("MAINSTEM_HOME", str(tmp_path / "home"))
    root = tmp_path / "archive"
    held = picture(root / "a" / "flood.jpg", 1)
    (root / "b").mkdir()
    (root / "b" / "x.jpg").write_bytes(held.read_bytes())
    said(held, caption="Flood in the old town", embargo="2999-01-15T06:00:00+01:00")
    indexed(root)
    searching = MediaSearch(root)

    def found(text: str, **filters: str) -> list[str]:
        return [one["path"] for one in searching.search(Query(text=text, filters=Filters(**filters)))["results"]]

    assert found("flood") == ["a/flood.jpg"]
    assert found("flood", embargo="free") == found("", embargo="free") == []
    assert found("flood", below="b") == found("flood -town") == []
    searching.close()


def test_a_share_is_shown_only_where_it_is_claimed(root):
    told = ask(root, "fishing")
    for claim, shown in (("stated", " 87% "), ("withdrawn", "  ?  ")):
        told["results"][0]["relevance"] = [
            {"by": "words", "probability": 0.87, "classes": ["relevant"], "claim": claim, "reason": ""}
        ]
        assert any(line.startswith(shown) for line in lines_of(told)), claim


def test_what_is_judged_irrelevant_is_said_to_be_hidden_only_where_it_is(root):
    told = ask(root, "fishing") | {"num_irrelevant": 1}
    assert "1 judged irrelevant are hidden" in next(lines_of(told))
    told["results"][0]["is_shown"] = False
    assert "1 judged irrelevant are among them" in next(lines_of(told))


def test_pairs_of_ones_own_are_taught_on_what_search_asks_with(tmp_path, monkeypatch):
    monkeypatch.setenv("MAINSTEM_HOME", str(tmp_path / "home"))
    root = tmp_path / "archive"
    (root / "harbour").mkdir(parents=True)
    for number in range(12):
        words = "the budget of the harbour" if number < 3 else f"a report, {number}, on schools"
        (root / f"t{number}.txt").write_text(words, encoding="utf-8")
    picture(root / "harbour" / "p0.png", 1)
    for seed in range(2, 5):
        picture(root / f"p{seed}.png", seed)
    indexed(root)
    searching = MediaSearch(root)
    asked = searching._by_words(read_query("budget harbour"), None)
    paths = {row["path"]: row["id"] for row in searching.catalogue.db.execute("SELECT id, path FROM files")}
    wanted = {one.file: one.words.features for one in asked.values()}
    lines = ["query,path,relevant", "budget harbour,t0.txt,yes", "budget harbour,harbour/p0.png,no"]
    (root / "PAIRS.csv").write_text("\n".join(lines), encoding="utf-8")
    taught = find_task("media", "relevance").read(DataRequest(data=str(root / "PAIRS.csv")))
    assert taught.refused == {}
    for sample in taught.samples:
        path = sample.source.item.split(" | ")[1]
        assert np.allclose(sample.streams["words"].values, wanted[paths[path]]), path
    searching.close()
