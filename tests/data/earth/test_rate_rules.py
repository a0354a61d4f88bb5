"""Rules: read as they are written, and refused in one line where they leave anything open."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mainstem.core.errors import InputError
from mainstem.data.earth.rate_rules import read_rule, sign

GOOD = """# spring
product: urea 46 %
min: 50 kg/ha
max: 200 kg/ha
Zone 1: 120 kg/ha; zone  2: 140.5 kg/ha   # better soil
field "north 3" zone 2: 150 kg/ha
headland 24 m: 0
"""


def test_a_rule_says_each_rate_in_words():
    rule = read_rule(GOOD)
    assert (rule.product, rule.unit, rule.low, rule.high) == ("urea 46 %", "kg/ha", 50, 200)
    assert rule.zones == {1: 120, 2: 140.5}
    assert rule.rate("north 3", 2) == 150
    assert rule.rate("south", 2) == 140.5
    assert (rule.headland, rule.no_zone, rule.outside) == ((24.0, 0.0), None, 0.0)
    with pytest.raises(InputError, match="no rate for zone 3 of field 'south'"):
        rule.rate("south", 3)
    with pytest.raises(InputError, match="no rate for no zone"):
        rule.rate("south", 0)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("product: urea 46 %\n", "", "no line 'product'"),
        ("max: 200 kg/ha\n", "", "no line 'max'"),
        ("140.5 kg/ha", "140,5 kg/ha", "decimal point, not a comma"),
        ("140.5 kg/ha", "140.5", "140.5 of no unit"),
        ("140.5 kg/ha", "140.5 lb/ac", "want a number and a unit|one of kg/ha"),
        ("140.5 kg/ha", "140.5 l/ha", "come in kg/ha and l/ha"),
        ("140.5 kg/ha", "240 kg/ha", "zone 2 has 240, its min and max are 50 and 200"),
        ("140.5 kg/ha", "-5 kg/ha", "want a number and a unit"),
        ("140.5 kg/ha", "nan kg/ha", "want a number and a unit"),
        ("zone  2", "zone 1", "says 'zone 1' a second time"),
        ("zone  2", "zone 01", "two rates"),
        ("zone  2", "zone 0", "names zone 0, want 1 to 250"),
        ("zone  2", "wherever", "line 5 of the rule.*not understood"),
        ("zone  2: 140.5 kg/ha", "zone 2 140.5 kg/ha", "line 5 of the rule.*not understood"),
        ("headland 24 m", "headland 900 m", "900 m wide"),
        ("headland 24 m: 0", "headland 24 m: 0; headland 12 m: 60 kg/ha", "says 'headland' a second time"),
        ("min: 50 kg/ha", "min: 500 kg/ha", "turn them round"),
        ("urea 46 %", "u" * 40, "1 to 32 letters"),
        ("Zone 1: 120 kg/ha; zone  2: 140.5 kg/ha", "", "headland|no line for any zone|field"),
    ],
)
def test_what_a_rule_leaves_open_is_refused(old, new, told):
    text = GOOD.replace(old, new)
    if old.startswith("Zone 1"):
        text = text.replace('field "north 3" zone 2: 150 kg/ha\n', "")
    with pytest.raises(InputError, match=told):
        read_rule(text)


def test_a_name_in_quotes_holds_what_else_would_end_a_line():
    rule = read_rule(
        "product: urea\nmin: 0 kg/ha; max: 200 kg/ha\nzone 1: 80 kg/ha\n"
        'field "North #3" zone 1: 150 kg/ha; field "A; B" zone 1: 160 kg/ha  # exceptions'
    )
    assert rule.of_fields == {("North #3", 1): 150.0, ("A; B", 1): 160.0}


def test_the_file_keeps_the_words_and_who_signed_them_when():
    rule = read_rule(GOOD)
    signature = replace(sign(" A. \x1bFarmer "), time=datetime(2026, 3, 1, 9, tzinfo=UTC))
    kept = signature.lines(rule, "ab" * 32)
    assert kept.startswith(GOOD)
    assert "# signed: A.  Farmer\n# signed at: 2026-03-01T09:00:00+00:00\n" in kept
    assert rule.sha256 in kept
    assert read_rule(kept).zones == rule.zones  # what was signed is a rule again, which wants a new signature
    for odd in ("", "x", "12", "\n\n", "n" * 100):
        with pytest.raises(InputError, match="type the name"):
            sign(odd)
