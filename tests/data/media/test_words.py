"""Words of queries and texts: folded as SQLite folds them, and how much of a query a text answers."""

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstem.data.media.relevance_pairs import Archive
from mainstem.data.media.words import FEATURES, Term, answer, read_query, words_of

LETTERS = st.text(st.characters(categories=("L", "N", "P", "Z", "Mn"), max_codepoint=0x24F), max_size=40)


def test_a_query_is_read_as_terms():
    assert read_query('Café "the old Bridge" harb* -boat -"red sun"') == [
        Term(("cafe",)), Term(("the", "old", "bridge")), Term(("harb",), is_prefix=True),
        Term(("boat",), is_negated=True), Term(("red", "sun"), is_negated=True),
    ]  # fmt: skip
    assert read_query("- * \" ' ") == []
    assert len(read_query("word " * 5000)) == 1


@given(LETTERS)
@settings(max_examples=60, deadline=None)
def test_what_sqlite_finds_is_found_here_too(text):
    """Every word of a text finds the text, as the index holds it, in SQLite; folding twice changes nothing."""
    assert words_of(" ".join(words_of(text))) == words_of(text)
    db = sqlite3.connect(":memory:")
    db.execute("CREATE VIRTUAL TABLE held USING fts5(text, tokenize='unicode61 remove_diacritics 2')")
    db.execute("INSERT INTO held VALUES (?)", (" ".join(words_of(text)),))
    for word in words_of(text):
        asked = f'"{word}"'
        assert db.execute("SELECT count(*) FROM held WHERE held MATCH ?", (asked,)).fetchone()[0] == 1, word
    db.close()


def features(query: str, **fields: str) -> dict[str, float]:
    told = answer(read_query(query), fields, lambda term: 1, 10)
    return dict(zip(FEATURES, told.features.tolist(), strict=True))


def test_features_have_known_answers():
    whole = features("old bridge", title="the old bridge")
    assert whole["share"] == whole["weighed_share"] == whole["run"] == whole["strength"] == 1
    assert whole["spread"] == 0
    half = features("old bridge", title="the old house")
    assert half["share"] == half["weighed_share"] == half["run"] == 0.5
    apart = features("old bridge", text="old " + "word " * 80 + "bridge")
    assert apart["spread"] == 1
    assert features("old bridge", text="old bridge")["strength"] < whole["strength"]
    assert features("br*", text="bridge")["share"] == 1
    assert features("br", text="bridge")["share"] == 0


def test_rare_words_weigh_more():
    query = read_query("the bridge")
    counts = {query[0]: 900, query[1]: 2}
    common = answer(query, {"text": "the"}, counts.__getitem__, 1000).features[0]
    rare = answer(query, {"text": "bridge"}, counts.__getitem__, 1000).features[0]
    assert common < 0.1 < 0.9 < rare


@pytest.mark.parametrize(("term", "count"), [("bridge", 2), ("bri*", 3), ('"old bridge"', 1), ("zeppelin", 0)])
def test_an_archive_counts_files_that_hold_a_term(term, count):
    archive = Archive({"a": {"text": "old bridge"}, "b": {"title": "bridge"}, "c": {"name": "brick"}})
    assert archive.count(read_query(term)[0]) == count
    assert len(archive.answers(term)) == count
