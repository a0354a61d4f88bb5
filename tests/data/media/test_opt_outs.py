import pytest

from mainstem.data.media.opt_outs import directives_in, opt_out, plain_words, plus_mining, tdm_reservation

VOCABULARY = "http://ns.useplus.org/ldf/vocab/DMI-"


@pytest.mark.parametrize(
    ("value", "state"),
    [
        ("PROHIBITED", "reserved"), ("PROHIBITED-AIMLTRAINING", "reserved"), ("PROHIBITED-SEECONSTRAINT", "reserved"),
        ("PROHIBITED-GENAIMLTRAINING", "reserved"), ("PROHIBITED-EXCEPTSEARCHENGINEINDEXING", "reserved"),
        ("ALLOWED", "allowed"), ("SOMETHING-NEW", "unclear"),
    ],
)  # fmt: skip
def test_plus_values(value, state):
    assert plus_mining(VOCABULARY + value) == (state, f"plus:DataMining: {VOCABULARY}{value}")
    assert plus_mining(f"DMI-{value}")[0] == state


@pytest.mark.parametrize("value", [f"{VOCABULARY}UNSPECIFIED", "Unspecified - no prohibition defined"])
def test_what_is_unspecified_says_nothing(value):
    assert plus_mining(value) is None


def test_plus_values_in_words():
    assert plus_mining("Prohibited for Generative AI/ML training")[0] == "reserved"
    assert plus_mining("Allowed")[0] == "allowed"
    assert plus_mining("")[0] == "unclear"


@pytest.mark.parametrize(
    ("value", "state"),
    [("1", "reserved"), (1, "reserved"), (True, "reserved"), ("0", "allowed"), ("yes", "unclear"), (None, "unclear")],
)
def test_reservations(value, state):
    assert tdm_reservation(value)[0] == state


def test_directives_stand_as_words_of_their_own():
    assert directives_in(["cat, NoAI", "dog"], "keyword") == [("reserved", "keyword: noai")]
    assert directives_in(["noaisle", "no ai"], "keyword") == []


@pytest.mark.parametrize(
    "text", ["No AI training.", "Rights reserved under Art. 4 of 2019/790", "Text and data mining: ask us"]
)
def test_plain_words_are_unclear(text):
    assert plain_words(text, "rights") == [("unclear", f"rights: {text}")]


def test_plain_words_of_other_things_say_nothing():
    assert plain_words("(c) Said Aidoo, Train Pictures", "rights") == []


def test_the_strictest_counts_and_all_is_kept():
    assert opt_out([]) is None
    said = opt_out([("allowed", "a"), ("unclear", "b"), ("allowed", "a")])
    assert (said.state, said.words) == ("unclear", ("a", "b"))
    assert opt_out([("allowed", "a"), ("reserved", "c"), ("unclear", "b")]).state == "reserved"
