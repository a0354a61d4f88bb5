"""docs/archivist.md: what it says of sidecars is what is read."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

from tests.apps.media.archives import picture

from mainstem.data.media import sidecar_json
from mainstem.data.media.embargoes import read_embargo
from mainstem.data.media.metadata import read_metadata
from mainstem.data.media.said import WORDS, day_of
from mainstem.data.media.sidecar_writing import FIELDS

PAGE = Path(__file__).parents[3] / "docs" / "archivist.md"


def rows() -> dict[str, list[list[str]]]:
    """What the page has in code in each row of its table of fields: by field the other names, and the forms."""
    table = PAGE.read_text("utf-8").split("| field | also read as | form |")[1].split("\n\n")[0]
    lines = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in table.splitlines()[2:]]
    return {cells[0].strip("`"): [re.findall(r"`([^`]*)`", cell) for cell in cells[1:]] for cells in lines}


def test_its_sidecar_is_read_whole(tmp_path):
    """Every field that there is but the transcript, and nothing that is not understood."""
    told = re.search(r"```json\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)[1]
    path = picture(tmp_path / "photo.jpg", 0)
    (tmp_path / "photo.jpg.json").write_text(told, encoding="utf-8")
    found, wanted = read_metadata(path), json.loads(told)
    assert set(wanted) == set(FIELDS) - {"transcript"}
    assert found.unknown == {}
    for name in set(WORDS) & wanted.keys():
        assert getattr(found, name) == wanted[name]
    assert list(found.keywords) == wanted["keywords"]
    assert found.embargo.until == datetime(2026, 11, 30, 17, tzinfo=UTC)
    assert found.opt_out.state == "reserved"


def test_every_name_that_is_read_stands_in_it_and_no_other():
    named = {name for field, cells in rows().items() for name in (field, *cells[0])}
    assert named == sidecar_json.KNOWN | {"timestamp"}


def test_its_forms_of_times_are_read():
    told = rows()
    assert all(day_of(form) for form in told["captured"][1])
    *forms, no, blank = told["embargo"][1]
    assert [read_embargo(form).until is not None for form in forms] == [True] * len(forms)
    assert (no, blank) == ("false", '""')
