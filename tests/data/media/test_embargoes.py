from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstem.data.media.embargoes import embargo_in, read_embargo, strictest

NOON = datetime(2025, 3, 20, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("words", "until"),
    [
        ("2025-03-20T13:00:00+01:00", NOON), ("2025-03-20T12:00Z", NOON), ("2025-03-20 12:00:00.000 UTC", NOON),
        ("20250320T130000+0100", NOON), ("2025-03-20T07:00-05:00", NOON), ("20 March 2025, 12:00 GMT", NOON),
        ("EMBARGO: not before 12pm GMT on March 20th, 2025", NOON), ("Embargoed until 20.3.2025 13:00 CET", NOON),
        ("20/03/2025 12.00 UTC", NOON), ("2025:03:20 12:00:00Z", NOON),
        # without an offset: where that moment comes last, 12 hours behind UTC
        ("2025-03-20", NOON), ("20250320", NOON), ("20 Mar 2025", NOON), ("2025-03-20T00:00", NOON),
        ("2025-03-20T06:30", NOON + timedelta(hours=6.5)),
    ],
)  # fmt: skip
def test_dates_that_are_certain_are_read(words, until):
    embargo = read_embargo(words)
    assert embargo.until == until
    assert not embargo.holds(until)
    assert embargo.holds(until - timedelta(seconds=1))


@pytest.mark.parametrize(
    "words",
    [
        "tomorrow", "", "03/04/2025", "2025-13-45", "31 February 2025", "20 March", "until 2025", "true",
        "2025-03-20 or 2025-03-21", "20 March 2025, desk 4711", "2025-03-20 12:00 UTC CET", "1742428800",
        "12.00 on 3.4.25", "2025-03-20 25:00", "99999999", "x" * 10_000,
    ],
)  # fmt: skip
def test_what_is_not_certain_holds_and_keeps_its_words(words):
    embargo = read_embargo(words)
    assert embargo.until is None
    assert embargo.words == words
    assert embargo.holds(datetime.max.replace(tzinfo=UTC))


@settings(deadline=None)
@given(st.datetimes(datetime(1950, 1, 1), datetime(2099, 1, 1)), st.integers(-11, 14))
def test_every_instant_in_iso_8601_is_itself(moment, hours):
    moment = moment.replace(microsecond=0, tzinfo=timezone(timedelta(hours=hours)))
    assert read_embargo(moment.isoformat()).until == moment
    assert read_embargo(moment.strftime("%Y%m%dT%H%M%S%z")).until == moment
    assert read_embargo(f"embargoed until {moment:%d %B %Y at %H:%M:%S} {moment:%z}").until == moment


@settings(deadline=None)
@given(st.text(max_size=60))
def test_no_words_break_it(words):
    embargo = read_embargo(words)
    assert embargo.until is None or embargo.until.tzinfo is UTC


def test_instructions_speak_of_an_embargo_or_not():
    assert embargo_in("Credit is mandatory") is None
    assert embargo_in("No embargo") is None
    assert embargo_in("Embargo lifted") is None
    assert embargo_in("EMBARGO until the minister has spoken").until is None
    assert embargo_in("Under embargo until 2025-03-20").until == NOON


def test_of_several_the_one_that_holds_longest_counts():
    early, late, unknown = map(read_embargo, ("2025-03-20", "2026-01-01", "soon"))
    assert strictest((early, late)) == late
    assert strictest((early, unknown, late)) == unknown
    assert strictest(()) is None
