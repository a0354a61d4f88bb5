"""The worklist without a browser: what is said in which words, in which order, and what a blind read hides."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstem.apps.export import prediction_row
from mainstem.apps.review import ReviewStore
from mainstem.apps.review_roles import User
from mainstem.core.errors import InputError
from mainstem.core.prediction import Claim, Prediction
from mainstem.core.stream import Provenance
from mainstem.core.targets import ClassSet, FindingSet, Interval, Masks
from mainstem.dashboards.clinic.board import (
    Answer,
    Item,
    download,
    matching,
    next_id,
    panel_of,
    review_of,
    standing_of,
    summary,
    triage,
    worklist,
)
from mainstem.dashboards.clinic.reasons import plainly
from mainstem.dashboards.clinic.words import words_of
from mainstem.dashboards.components.reader import Act
from tests.dashboards import clinic_made as made
from tests.dashboards.clinic_made import MODEL, said

SURE, BOTH, NORMAL, ABSTAINED = (words_of(one) for one in (made.SURE, made.BOTH, made.NORMAL, made.REFUSED))
VOLUME = said(Interval(low=2.8123, high=3.5), 3.1, units="mL")


def item(name, *says, standing="unread"):
    return Item(id=name, title=f"Study {name}", kind="DX, 1 image", origin="real data", says=says, standing=standing)


def test_every_kind_of_region_has_its_words_and_its_state():
    assert (SURE.state, SURE.headline) == ("finding", "pneumonia, all else ruled out at 90%")
    assert said(ClassSet(classes=("a",)), "a", probabilities={"a": 0.999, "b": 0.001}).lines == (
        "Calibrated probability: a over 99%, b under 1%",
    )
    assert SURE.lines == ("Calibrated probability: pneumonia 96%, normal 4%",)
    assert SURE.claim == "Claim stated at 90%: children of one hospital"
    assert (BOTH.state, BOTH.headline) == ("unsure", "unsure: normal or pneumonia at 90%")
    assert NORMAL.state == "nothing found"
    assert (ABSTAINED.state, ABSTAINED.headline) == (
        "not predicted",
        "not predicted: modality is CT, the adapter was trained on radiograph alone",
    )
    assert (VOLUME.state, VOLUME.headline) == ("measured", "3.1 mL, 90% between 2.81 and 3.5 mL")
    suspected = FindingSet(present=("Nodule",), absent=("Hernia",), open=(), shown={"Nodule": (5, 58)})
    found = said(suspected, "x")
    assert (found.state, found.headline) == (
        "unsure",  # it is wrong more often than not: it outranks nothing that is unsure
        "suspected: Nodule (of held-out cases told so, 5 of 58 show it)",
    )
    likely = replace(suspected, present=("Nodule", "Edema"), open=("Mass",), shown={"Nodule": (5, 58), "Edema": (3, 6)})
    assert (said(likely, "x").state, said(likely, "x").headline) == (
        "finding",
        "suspected: Nodule (of held-out cases told so, 5 of 58 show it), Edema (of held-out cases told so, 3 of 6 show "
        "it); cannot be ruled out: Mass",
    )
    unknown = said(FindingSet(present=("Effusion",), absent=(), open=()), "x")
    assert (unknown.state, unknown.headline) == ("unsure", "suspected: Effusion (no held-out case was told so)")
    none = said(FindingSet(present=(), absent=("Hernia", "Mass"), open=()), "x")
    assert (none.state, none.headline) == (
        "nothing found",
        "nothing found; ruled out at 90%, each by itself: Hernia, Mass",
    )
    assert said(ClassSet(classes=())).state == "unsure"
    open_ = said(ClassSet(classes=("normal", "pneumonia")), None, abstained=True, reasons=("it fits neither class",))
    assert (open_.state, open_.headline, open_.is_told) == ("unsure", "unsure: it fits neither class", True)
    still, ends = np.zeros((1, 4, 4, 4), bool), Interval(low=1.4, high=1.7)
    still[0, :2, :3, :] = True
    mask = Masks(labels=np.zeros((4, 4, 4), np.int8), open=still, volumes={"head": 1.5}, intervals={"head": ends})
    masks = said(mask, "head 1.50 mL", units="mL")
    assert masks.headline == "head 1.5 mL, 90% between 1.4 and 1.7 mL, 24 voxels unsure"
    assert masks.state == "measured"
    assert said(None, 3.0, units="mL").headline.startswith("3 mL: never calibrated")


def test_a_table_tells_no_likeliest_finding_as_a_value():
    def row(value: str) -> dict:
        found = FindingSet(present=("Mass",), absent=(), open=("Effusion",))
        source = Provenance(data="d", item="i")
        return prediction_row(
            Prediction(
                value=value, region=found, level=0.9, units="x", claim=made.STATED, model=made.MODEL, source=source
            )
        )

    assert (row("Mass")["value"], row("Effusion")["value"]) == ("Mass", None)


def test_what_an_earlier_version_told_is_unsure_until_it_is_asked_again():
    before = {name: value for name, value in made.NORMAL.items() if name != "words"}
    assert words_of(before).state == "unsure"
    assert "earlier version" in words_of(before).headline


def test_nothing_found_without_a_claim_is_unsure_and_a_finding_stays_one():
    gone = Claim(state="withdrawn", reason="the inputs of i are unlike calibration")
    normal = said(ClassSet(classes=("normal",)), claim=gone)
    assert normal.state == "unsure"
    assert normal.claim == "Claim withdrawn: the inputs of i are unlike calibration"
    assert normal.headline == "no claim: the model suspects nothing, and nothing is ruled out"
    found = said(ClassSet(classes=("pneumonia",)), claim=gone, probabilities=made.shares(0.9))
    assert found.state == "finding"
    assert found.headline == "no claim: the model suspects pneumonia, and nothing is ruled out"
    assert found.lines == ("Probability, not calibrated for studies like this: pneumonia 90%, normal 10%",)
    both = said(ClassSet(classes=("normal", "pneumonia")), claim=gone)
    assert both.headline == "no claim: the model is unsure, and nothing is ruled out"
    assert said(Interval(low=1.0, high=3.0), 2.0, claim=gone, units="mL").headline.startswith("without a claim, so")


def test_why_there_is_no_claim_is_said_to_a_clinician():
    whose = plainly("regions were calibrated on groups of pneumoniamnist alone")
    assert whose.startswith("how often the model errs was measured on pneumoniamnist alone, and on no study of this")
    assert "100 labelled studies a class, `mainstem calibrate`" in whose
    for reason in (
        "the sample names no group, so that nobody knows whether it was trained on", "never calibrated",
        "it is unlike all that was trained on: strangeness 1.82, want 1 at most",
        "the inputs of p7 are unlike those of the 159 groups of calibration",
        "the inputs of i depart from what is normal in calibration further than 99% of its cases do",
        "nothing of i can be compared with the cases of calibration",
        "p7 was trained or calibrated on: nothing new to claim",
    ):  # fmt: skip
        told = plainly(reason)
        for word in ("group", "159", "sample", "strangeness", "inputs"):
            assert word not in told
    assert plainly("modality is CT") == "modality is CT"


def test_the_urgent_come_first_and_what_is_settled_last():
    items = [
        item("a", NORMAL), item("b", ABSTAINED), item("c", BOTH), item("d", SURE), item("e"), item("f", VOLUME),
        item("g", SURE, standing="accepted"), item("h", NORMAL, standing="deferred"),
    ]  # fmt: skip
    assert "".join(one.id for one in triage(items)) == "dcbefahg"


def test_of_one_state_the_likelier_comes_first_and_the_most_urgent_model_leads():
    less = replace(BOTH, chance=0.2)
    assert [one.id for one in triage([item("a", less), item("b", BOTH)])] == ["b", "a"]
    assert item("a", ABSTAINED, NORMAL, BOTH).state == "unsure"
    assert item("a", ABSTAINED, NORMAL).state == "nothing found"  # a model that does not answer outdoes none that does


@given(st.permutations([SURE, BOTH, NORMAL, ABSTAINED]))
def test_a_blind_list_gives_nothing_away(says):
    items = [item(str(number), words) for number, words in enumerate(says)]
    shown = triage(items, blind=True)
    assert [one.id for one in shown] == ["0", "1", "2", "3"]
    told = worklist(shown, blind=True).to_csv() + download(shown, blind=True).to_csv() + summary(shown, blind=True)
    panels = str([panel_of(one, blind=True) for one in shown if one.can_be_judged])
    for word in ("ruled out", "unsure", "96%", "nothing found", "finding"):
        assert word not in told
        assert word not in panels
    assert not matching(shown, "finding", blind=True)


def test_an_opinion_lifts_the_veil_and_no_model_needs_none():
    assert "pneumonia" in str(panel_of(item("a", SURE, standing="opinion recorded"), blind=True))
    assert "modality is CT" in str(panel_of(item("a", ABSTAINED), blind=True))


def test_what_no_model_says_can_be_deferred_but_not_accepted():
    assert [name for name, _, _ in panel_of(item("a"), blind=False).acts] == ["read", "defer"]
    assert [name for name, _, _ in panel_of(item("a", ABSTAINED), blind=False).acts] == ["override", "defer"]
    assert [name for name, _, _ in panel_of(item("a", SURE), blind=False).acts] == ["accept", "override", "defer"]
    assert "no adapter predicts this" in str(panel_of(item("a"), blind=False))
    panel = panel_of(item("a", ABSTAINED, NORMAL, ABSTAINED), blind=False)
    assert panel.lines[0] == ("good", "Normal, all else ruled out at 90%")
    assert panel.folded == (f"diagnostics pneumonia 1 {ABSTAINED.headline}",) * 2  # behind one line
    assert "modality is CT" not in str(panel.lines)


def test_every_panel_says_for_what_it_must_not_be_used():
    for one in (item("a"), item("a", SURE), item("a", ABSTAINED)):
        for blind in (True, False):
            assert "Research use only, not a medical device" in str(panel_of(one, blind=blind))
    assert set(download([item("a", SURE)], blind=False)["use"]) == {"Research use only, not a medical device"}


def test_a_search_takes_all_words_and_finds_what_is_seen():
    items = [item("a", SURE), item("b", NORMAL)]
    assert [one.id for one in matching(items, "PNEUMONIA study", blind=False)] == ["a"]
    assert matching(items, "zebra", blind=False) == []


def test_next_goes_round():
    found = [next_id("abc", one, by) for one, by in (("c", 1), ("a", -1), ("a", 5), ("x", 1))]
    assert found == ["a", "c", "c", "a"]
    assert next_id([], "", 1) == ""


def test_a_list_says_how_many_are_left():
    assert summary([item("a", SURE), item("b", SURE, standing="accepted")], blind=False) == "1 of 2 to read: 1 finding."
    assert summary([item("b", SURE, standing="overridden")], blind=False) == "All 1 studies are read."


ACT = Act(name="accept", key="k", mask=True, heatmap=False, window=(40.0, 80.0), seconds=12.5)
NAMES = ("p-" + "0" * 32, "c" * 64)
READER = User("reader 1", "clinician")


def decided(store, words, **answer):
    return store.record(review_of(words, ACT, Answer(**answer), NAMES))


@pytest.fixture
def store(tmp_path):
    return ReviewStore.open(f"sqlite:///{tmp_path / 'r.sqlite'}", tmp_path).as_user(READER)


def test_decisions_are_kept_with_what_was_told_and_shown(store):
    assert standing_of(None) == "unread"
    kept = decided(store, SURE, decision="accept")
    assert standing_of(kept) == "accepted"
    (found,) = store.history(NAMES[0])
    assert found.review.prediction.probabilities == pytest.approx({"normal": 0.04, "pneumonia": 0.96})
    assert found.review.prediction.region == {"classes": ["pneumonia"]}
    assert (found.review.shown.mask, found.review.shown.window, found.review.seconds) == (True, (40.0, 80.0), 12.5)
    assert found.review.model.adapter_sha256 == MODEL.adapter_sha256
    assert (
        standing_of(decided(store, SURE, decision="override", code="wrong_finding", finding="normal")) == "overridden"
    )
    assert standing_of(decided(store, ABSTAINED, decision="defer")) == "deferred"
    assert store.verify().ok


def test_a_study_that_no_model_was_asked_about_is_read_without_one(store):
    with pytest.raises(InputError, match="needs a finding"):
        decided(store, None, decision="read", finding=" ")
    with pytest.raises(InputError, match="no model was asked"):
        decided(store, None, decision="accept")
    with pytest.raises(InputError, match="a model was asked"):
        decided(store, SURE, decision="read", finding="normal")
    waiting = decided(store, None, decision="defer")
    assert standing_of(waiting) == "deferred"
    kept = decided(store, None, decision="read", finding="old fracture")
    assert standing_of(kept) == "read without a model"
    found = store.history(NAMES[0])[-1].review
    assert (found.model, found.prediction, found.finding) == (None, None, "old fracture")
    assert (found.shown.prediction, found.shown.mask, found.shown.heatmap) == (False, False, False)
    assert store.verify().ok
    settled = item("a", standing=standing_of(kept))
    assert triage([settled, item("b", NORMAL)])[-1] is settled
    assert "✓ read without a model" in str(worklist([settled], blind=False))


def test_a_first_read_is_kept_before_the_model_is_shown(store):
    kept = decided(store, SURE, decision="opinion", finding="normal", first_read="normal")
    assert standing_of(kept) == "opinion recorded"
    shown = kept.review.shown
    assert (shown.prediction, shown.mask, shown.blind_first_read, shown.first_read) == (False, False, True, "normal")


def test_no_override_goes_without_a_reason(store):
    for code, text in (("", "words"), ("other", "  ")):
        with pytest.raises(InputError):
            decided(store, SURE, decision="override", code=code, text=text)
    assert store.history(NAMES[0]) == ()
