"""Smears of blood: boxes counted by kind, the set's faults found, and files that are not what they should be."""

import re
import shutil

import numpy as np
import pytest
from PIL import Image
from tests.data.medical.smears import SIDE, annotation, box, places, write_list, write_smear, write_smears

from mainstem.core.errors import InputError
from mainstem.data.medical.cells import NAMES, open_cells, read_boxes, reduced

CELLS = places(["WBC", "RBC", "RBC", "RBC", "Platelets", "Platelets"], np.random.default_rng(0))


def test_boxes_are_counted_by_kind_and_pictures_are_averaged_by_fours(tmp_path):
    write_smear(tmp_path, "a", CELLS)
    for cell, count in {"red": 3.0, "white": 1.0, "platelets": 2.0}.items():
        (sample,) = open_cells(str(tmp_path), cell).samples
        assert sample.target == count
        assert sample.source.facts == {"cell": cell, "size": f"{SIDE} x {SIDE}"}
        assert sample.streams["smear"].values.shape == (3, SIDE // 4, SIDE // 4)
    values = np.arange(3 * 9 * 10, dtype=np.float32).reshape(3, 9, 10)
    assert reduced(values).shape == (3, 2, 2)
    assert reduced(values)[1, 1, 0] == values[1, 4:8, :4].mean()


def test_a_box_of_no_width_is_a_slip(tmp_path):
    write_smear(tmp_path, "a", CELLS)
    path = tmp_path / "Annotations" / "a.xml"
    path.write_text(annotation(box("RBC", 10, 10, 20) + box("RBC", 50, 50, 0)))
    assert read_boxes(path).counts == {"RBC": 1}


def test_lists_part_the_pictures_and_twins_of_tested_ones_are_not_trained_on(tmp_path):
    rng = np.random.default_rng(1)
    for item in "abc":
        write_smear(tmp_path, item, places(["WBC", *["RBC"] * 4], rng))
    for part in ("JPEGImages/{}.jpg", "Annotations/{}.xml"):
        shutil.copy(tmp_path / part.format("c"), tmp_path / part.format("again"))
    write_list(tmp_path, "train", ["a", "again"])
    write_list(tmp_path, "val", ["c", "not here"])
    source = open_cells(str(tmp_path), "red")
    assert {one.source.item: one.source.part for one in source.samples} == {
        "a": "train", "again": "train", "b": "", "c": "test",
    }  # fmt: skip
    assert source.flagged == {"again": "the same picture is c"}
    assert {one.source.item for one in source.training()} == {"a", "b"}
    write_list(tmp_path, "test", ["a"])
    with pytest.raises(InputError, match=r"test.txt names 'a', as another list does"):
        open_cells(str(tmp_path), "red")


def test_a_smear_without_a_boxed_red_cell_is_a_fault_of_red_counts_alone(tmp_path):
    write_smear(tmp_path, "a", CELLS, boxed=[cell for cell in CELLS if cell[0] != "RBC"])
    assert list(open_cells(str(tmp_path), "red").flagged) == ["a"]
    assert not open_cells(str(tmp_path), "platelets").flagged


def test_pictures_without_boxes_are_for_prediction(tmp_path):
    write_smear(tmp_path, "a", CELLS)
    (alone,) = open_cells(str(tmp_path / "JPEGImages" / "a.jpg"), "red").samples
    (tmp_path / "Annotations" / "a.xml").unlink()
    (whole,) = open_cells(str(tmp_path), "red").samples
    assert alone.target is whole.target is None
    np.testing.assert_array_equal(alone.streams["smear"].values, whole.streams["smear"].values)


SIZE = f"<size><width>{SIDE}</width><height>{SIDE}</height></size>"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (f'<!DOCTYPE a [<!ENTITY b "RBC">]>{annotation("<object><name>&b;</name></object>")}', "declares entities"),
        (annotation("").encode("utf-16"), "not in UTF-8"),
        (annotation(box("Blast", 10, 10, 20)), "box of 'Blast', want RBC, WBC, Platelets"),
        (annotation(box("RBC", 310, 10, 20)), "box from 310, 10 to 330, 30 of 320 x 320"),
        (annotation(box("RBC", 10, 10, -5)), "box from 10, 10 to 5, 5"),
        (annotation("", width=640), "were drawn on 640 x 320"),
        (f"<annotation>{SIZE}<object><name>RBC</name></object></annotation>", "damaged"),
        ("<annotation><object></object></annotation>", "damaged"),
        (SIZE, "damaged"),
        ("<annotation>", "damaged"),
        ("", "damaged"),
        ("<a>" * 200_000, "damaged"),
        (" " * (1 << 20) + annotation(""), "larger than 1 MiB"),
    ],
)
def test_boxes_that_are_none_are_refused_by_name(tmp_path, content, told):
    write_smear(tmp_path, "a", CELLS)
    path = tmp_path / "Annotations" / "a.xml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=told) as error:
        open_cells(str(tmp_path), "red")
    assert str(error.value).startswith("a")
    assert "\n" not in str(error.value)


def test_what_is_no_smear_is_refused(tmp_path):
    with pytest.raises(InputError, match="want bccd, a picture, or a folder"):
        open_cells(str(tmp_path), "red")
    with pytest.raises(InputError, match="the cell 'blue', want red, white, platelets"):
        open_cells("bccd", "blue")
    (tmp_path / "JPEGImages").mkdir()
    with pytest.raises(InputError, match=r"holds no \.jpg"):
        open_cells(str(tmp_path), "red")
    for name, mode, size, told in (("grey", "L", 320, "is grey"), ("small", "RGB", 63, "want 64 a side")):
        Image.new(mode, (size, size)).save(tmp_path / f"{name}.png")
        with pytest.raises(InputError, match=told):
            open_cells(str(tmp_path / f"{name}.png"), "red")


@pytest.mark.long
@pytest.mark.mirror
def test_the_set_is_whole_and_its_faults_are_named(home):
    source = open_cells("bccd", "red")
    assert len(source.samples) == 292
    assert list(source.flagged.values()) == ["no red cell is boxed, of which every smear is full"] * 12
    for sample in source.samples[::20]:
        text = (home / "v1/medical/bccd/BCCD/Annotations" / f"{sample.source.item}.xml").read_text()
        slips = len(re.findall(r"<xmin>(\d+)</xmin>\s*<ymin>\d+</ymin>\s*<xmax>\1</xmax>", text))
        assert sample.target == text.count(f"<name>{NAMES['red']}</name>") - slips
    groups = {sample.source.group for sample in source.samples}
    assert all(sample.source.item.startswith(str(sample.source.group)) for sample in source.samples)
    assert len(groups) == 42
    assert {sample.source.part for sample in source.samples} == {""}
    assert "neighbours in number" in source.unsound_split
    assert source.licence == "MIT"


def test_every_smear_that_is_drawn_is_read(tmp_path):
    source = open_cells(str(write_smears(tmp_path, 12)), "platelets")
    assert [sample.source.item for sample in source.samples] == [f"Smear_{number:05d}" for number in range(12)]
    assert {sample.target for sample in source.samples} <= {0.0, 1.0, 2.0, 3.0, 4.0}
