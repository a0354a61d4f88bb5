"""The demonstration's studies: what they are made of, what their origin is called, and what becomes of own files."""

import numpy as np
import pytest

from mainstem.apps import clinic_demo
from mainstem.apps.clinic import clinic_folder, keep_files, known_studies
from mainstem.apps.clinic_demo import WRAPPED, ensure_studies, write_phantom, write_radiograph
from mainstem.apps.clinic_reading import open_study, over_square, studies_in
from mainstem.core.errors import InputError
from mainstem.data.catalogue import find_data_set, pull


@pytest.fixture
def unasked(monkeypatch):
    """No model is asked: what models say is tested with them."""
    monkeypatch.setattr("mainstem.apps.clinic_predictions.models", dict)


def test_a_phantom_stands_where_no_data_can_be_had_and_is_called_simulated(home, unasked, monkeypatch):
    monkeypatch.delenv("MAINSTEM_MIRROR", raising=False)

    def refuse(*_):
        raise InputError("no network")

    monkeypatch.setattr(clinic_demo, "pull", refuse)
    assert ensure_studies() == 1
    (study,) = known_studies(clinic_folder())
    assert study.simulated
    series = open_study(study).series
    assert (len(series), series.unit, series.spacing_mm) == (24, "HU", (1.0, 1.0))
    assert set(series.gaps_mm) == {5.0}
    assert series.frame(12)[64, 64] == 40
    assert ensure_studies() == 1  # made once


@pytest.mark.long
@pytest.mark.mirror
def test_radiographs_are_wrapped_bit_by_bit_and_called_what_they_are(home, unasked):
    assert ensure_studies() == 15
    studies = {study.title: study for study in known_studies(clinic_folder())}
    first = studies["Radiograph 01"]
    assert first.note == WRAPPED
    assert first.simulated is False
    assert "CC BY 4.0" in first.attribution
    series = open_study(first).series
    name = find_data_set("pneumoniamnist").files[0].name
    with np.load(pull("pneumoniamnist") / name) as arrays:
        assert np.array_equal(series.stored(0), arrays["test_images"][0])
    assert series.spacing_mm is None
    assert series.facts["age_years"] is None  # of no child is the very age known
    assert studies["Head CT"].attribution == find_data_set("ct-head-ge").attribution
    head = open_study(studies["Head CT"]).series
    assert len(head) == 28
    assert head.gantry_tilt_deg == pytest.approx(18.5, abs=0.1)
    assert open_study(studies["Hippocampus 1"]).volume.values.shape[0] == 1


def test_own_files_become_studies_by_series_and_what_is_none_is_told(tmp_path, unasked):
    made = tmp_path / "made"
    made.mkdir()
    write_phantom(made)
    write_radiograph(made / "one.dcm", np.arange(64, dtype=np.uint8).reshape(8, 8))
    contents = {path.name: path.read_bytes() for path in made.iterdir()} | {"notes.txt": b"DOE^JOHN " * 40}
    folder = tmp_path / "own"
    keep_files(folder, contents)
    found, refused = studies_in(folder)
    assert sorted((study.title, study.kind) for study in found) == [
        ("Own study 1", "CT, 24 images"), ("Own study 2", "DX, 1 image"),
    ]  # fmt: skip
    assert len(refused) == 1
    assert "DOE" not in str(found) + str(refused)
    assert [len(open_study(study).series) for study in found] == [24, 1]


def test_a_heatmap_lies_over_the_square_that_was_read():
    found = over_square(np.array([[1, 2], [3, 4]], np.uint8), 4, 8)
    assert found[:, :2].tolist() == [[0, 0]] * 4
    assert found[:, 2:6].tolist() == [[1, 1, 2, 2]] * 2 + [[3, 3, 4, 4]] * 2
    assert not found[:, 6:].any()
