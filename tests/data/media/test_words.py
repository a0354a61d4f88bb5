"""Words of queries and texts: folded as SQLite folds them, and how much of a query a text answers."""

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstem.data.media.relevance_pairs import CountedTexts
from mainstem.data.media.words import FEATURES, Term, answer, read_query, stems, with_forms, words_of

ENGLISH = """
relate relating relational relation conflate conflated happy happier happiness sky skies fly flies flying tie ties
tying hope hoping hop hopped hopping stable stability able ability organize organizer organization organizations
national nation nationalize generous generously generosity sensible sensibility sensitive sensitivity vile vilely
analogy analogous radical radically formal formality formalize agree agreed plaster plastered run running runner
die dies dying replace replacement adjust adjustment adopt adoption effective effectively control controlling
size sized sizing trouble troubled city cities cry cries crying probate rate electric electrical electricity
"""
HELD = """
bridge bridges bridging brick kur kurs hauser haus hau las la brucke brucken hope hoping hop hopped happy
"""
LETTERS = st.text(st.characters(categories=("L", "N", "P", "Z", "Mn"), max_codepoint=0x24F), max_size=40)


def test_a_query_is_read_as_terms():
    assert read_query('Café "the old Bridge" harb* -boat -"red sun"') == [
        Term(("cafe",)), Term(("the", "old", "bridge"), is_quoted=True), Term(("harb",), is_prefix=True),
        Term(("boat",), is_negated=True), Term(("red", "sun"), is_negated=True, is_quoted=True),
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


def forms(query: str) -> list[tuple[str, ...]]:
    return [
        term.forms
        for term in with_forms(read_query(query), lambda start: [w for w in HELD.split() if w.startswith(start)])
    ]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("bridges", [("bridge", "bridging")]),
        ("BRIDGE", [("bridges", "bridging")]),
        ("hoping hop", [("hope",), ("hopped",)]),
        ("happiness", [("happy",)]),
        ('"bridges"', [()]),  # what is quoted is taken as it is written
        ("bridg* -bridges", [(), ()]),
        ("bridge bridges", [("bridges", "bridging")]),  # one is the other
        ("Brücke Häuser la las", [(), (), (), ()]),  # German and Spanish stay as they are
        ("zeppelins", [()]),
    ],
)
def test_a_word_has_the_forms_that_the_archive_holds(query, found):
    assert forms(query) == found


def test_the_forms_of_a_word_are_those_of_its_stem_wherever_they_begin():
    """Beside all words of English speech: porter reduces none to the stem of one that begins otherwise."""
    every = sorted(stems(ENGLISH.split()))
    by_stem: dict[str, set[str]] = {}
    for word, stem in stems(every).items():
        by_stem.setdefault(stem, set()).add(word)
    for terms in (
        with_forms(read_query(word), lambda start: [w for w in every if w.startswith(start)]) for word in every
    ):
        (term,) = terms
        assert {term.words[0], *term.forms} == by_stem[stems(term.words)[term.words[0]]]


def test_a_text_in_another_form_answers_and_says_which():
    (term,) = with_forms(read_query("bridges"), lambda start: ["bridge", "bridges"])
    told = answer([term], {"title": "the old bridge", "text": "bridges, a bridge"}, lambda term: 1, 10)
    assert told.found == {"title": ("bridge",), "text": ("bridges",)}
    assert told.inflected == 0
    other = answer([term], {"title": "the old bridge"}, lambda term: 1, 10)
    assert (other.inflected, other.features[1]) == (1, 1)
    archive = CountedTexts({"a": {"text": "old bridges"}, "b": {"title": "bridge"}, "c": {"name": "brick"}})
    assert set(archive.answers("bridge")) == {"a", "b"}
    assert archive.count(term) == 2


def test_rare_words_weigh_more():
    query = read_query("the bridge")
    counts = {query[0]: 900, query[1]: 2}
    common = answer(query, {"text": "the"}, counts.__getitem__, 1000).features[0]
    rare = answer(query, {"text": "bridge"}, counts.__getitem__, 1000).features[0]
    assert common < 0.1 < 0.9 < rare


@pytest.mark.parametrize(("term", "count"), [("bridge", 2), ("bri*", 3), ('"old bridge"', 1), ("zeppelin", 0)])
def test_an_archive_counts_files_that_hold_a_term(term, count):
    archive = CountedTexts({"a": {"text": "old bridge"}, "b": {"title": "bridge"}, "c": {"name": "brick"}})
    assert archive.count(read_query(term)[0]) == count
    assert len(archive.answers(term)) == count
