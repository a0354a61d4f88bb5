"""docs/archivist.md: its commands run as they are written, and what it says of sidecars is what is read."""

import json
import re
import shlex
import shutil
import stat
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.apps.media.archives import archive, indexed, picture, tree
from tests.data.media.made_media import film
from tests.data.media.signed_files import authority
from typer.testing import CliRunner

from mainstem.adapters import find_task
from mainstem.apps.cli import app
from mainstem.apps.media.catalogue import index_home
from mainstem.apps.models import describe
from mainstem.data.catalogue import find_data_set
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


NOT_RUN = ("pip install", "mainstem demo", "mainstem dashboard")  # they install, fetch and serve


def commands() -> list[str]:
    """What stands in the page's blocks of commands, in order, without remarks."""
    lines = [line[4:].split("  #")[0].strip() for line in PAGE.read_text("utf-8").splitlines() if line[:4] == "    "]
    return [line for line in lines if line]


@pytest.mark.long
@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_every_command_runs_as_it_is_written(tmp_path, home, monkeypatch):
    """All of them, one after the other, beside two photographs, over an archive that lies elsewhere than /srv."""
    monkeypatch.chdir(tmp_path)
    folder = archive(tmp_path / "srv" / "archive")
    film(folder / "bridge.mp4", [number / 5 for number in range(20)])
    photo = picture(tmp_path / "photo.jpg", 0)
    picture(tmp_path / "other.jpg", 1)
    (tmp_path / "our-agencies.pem").write_text(authority().pem)
    before, told = tree(folder), {}
    for line in commands():
        assert line.startswith(("mainstem ", "openssl ", "pip install")), line
        words = shlex.split(line.replace("/srv/archive", str(folder)))
        if line.startswith("openssl"):
            subprocess.run(words, check=True, capture_output=True)
        elif line.startswith("mainstem"):
            asked = [*words[1:], *(["--help"] if line.startswith(NOT_RUN) else [])]
            outcome = CliRunner().invoke(app, asked)
            assert outcome.exit_code == 0, (line, outcome.output, outcome.exception)
            told[line] = outcome.stdout
    assert tree(folder) == before
    search = json.loads(next(text for line, text in told.items() if "--opt-out" in line))
    assert search["filters"]["opt_out"] == "reserved"
    copies = json.loads(next(text for line, text in told.items() if "duplicates" in line and "--json" in line))
    assert len(copies["groups"]) == len(copies["evidence"])
    signed = next(text for line, text in told.items() if line.startswith("mainstem media provenance signed.jpg"))
    assert signed.startswith("trusted: signed.jpg: unaltered since signed by NAME (HOUSE)")
    assert "not stated" in (tmp_path / "found.csv").read_text("utf-8")
    assert "bridge.mp4" in (tmp_path / "found.edl").read_text("utf-8")
    assert photo.read_bytes() == picture(tmp_path / "again.jpg", 0).read_bytes()


def test_what_the_commands_in_its_sentences_name_exists():
    sentences = re.findall(r"`mainstem ([^`]*)`", " ".join(PAGE.read_text("utf-8").split()))
    assert sentences == [
        "media duplicates", "finetune media --task relevance", "models pull siglip2-base",
        "evaluate media --data spoken-digits"
    ]  # fmt: skip
    assert find_task("media", "relevance").task == "relevance"
    assert "siglip2-base" in {model["name"] for model in describe()}
    assert find_data_set("spoken-digits").name == "spoken-digits"


def test_its_index_is_readable_by_its_owner_alone_and_lies_elsewhere(tmp_path, home):
    folder = archive(tmp_path / "archive")
    before = tree(folder)
    indexed(folder)
    assert stat.S_IMODE(index_home(folder).stat().st_mode) == 0o700
    assert index_home(folder).is_relative_to(home)
    assert tree(folder) == before
