"""Records and cards call what was held out so, those of before too, and shipped cards are as they are written."""

import json
from pathlib import Path

import pytest

from mainstem.adapters import SHIPPED
from mainstem.core.fitted_file import read_manifest
from mainstem.core.records import read_card, read_record, write_card

RUNS = sorted(path.parent for path in SHIPPED.glob("*/*/record.json"))


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_a_shipped_card_is_what_its_manifest_and_record_say(run, tmp_path):
    manifest, _ = read_manifest(run)
    write_card(tmp_path, manifest, read_record(run)["held_out"])
    card = read_card(run)
    assert sorted(read_card(tmp_path).splitlines()) == sorted(card.splitlines())  # a record has lost figures' order
    assert f"| held out | {manifest.training['judged_on']} |" in card
    assert "out_of_fold" not in card + (run / "record.json").read_text() + (run / "metrics.jsonl").read_text()


def test_a_record_of_before_is_read_in_today_s_words(tmp_path):
    record = read_record(RUNS[0])
    figures = {name.replace("held_out", "out_of_fold"): value for name, value in record.pop("held_out").items()}
    (tmp_path / "record.json").write_text(json.dumps({**record, "out_of_fold": figures}))
    assert read_record(Path(tmp_path)) == read_record(RUNS[0])
