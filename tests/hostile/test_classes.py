"""Options and streams that nothing would use: each refused in one line, and what is used still taken."""

from pathlib import Path

import numpy as np
import pytest

from mainstem.core.baselines import feature_matrix
from mainstem.core.errors import InputError
from mainstem.core.stream import Channel, Provenance, Sample, Stream
from mainstem.core.tokenizers.streams import read_specs
from tests.hostile.harness import run_cli

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = str(ROOT / "adapters" / "template.py")
ONE = (Channel(name="x", unit="1"),)


def table(folder: Path, count: int = 12) -> Path:
    path = folder / "t.csv"
    rows = [f"s{row},{row % 5},g{row % 4},CC0-1.0,{row * 1.7 % 3:.2f}" for row in range(count)]
    path.write_text("\n".join(["sample,target,group,licence,rain [mm]", *rows, ""]))
    return path


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--crop", "wheat", "--country", "NL"], ["--crop and --country", "leave"]),
        (["--crop", "wheat"], ["--crop", "leave"]),
        (["--country", "NL"], ["--country", "leave"]),
    ],
    ids=["both", "crop", "country"],
)
@pytest.mark.parametrize("command", ["finetune", "evaluate"])
def test_a_table_of_one_s_own_has_no_crop_to_choose(tmp_path, command, options, words):
    out = ["--out", "run"] if command == "finetune" else []
    run_cli(command, TEMPLATE, "--data", table(tmp_path), *out, *options, cwd=tmp_path).refused(*words)
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


@pytest.mark.parametrize(
    ("task", "data"),
    [("fuel-moisture", "t.csv"), ("land-cover", "."), ("pixel", ".")],
)
def test_no_other_data_has_a_crop_to_choose_either(tmp_path, task, data):
    table(tmp_path)
    arguments = ("finetune", "crop-yield", "--task", task, "--data", data, "--crop", "wheat", "--out", "run")
    run_cli(*arguments, cwd=tmp_path).refused("--crop", "leave")


@pytest.mark.parametrize(("option", "value", "held"), [("--crop", "wheat", "maize"), ("--country", "NL", "SIM")])
def test_a_set_is_not_taken_for_one_of_another_crop_or_country(tmp_path, option, value, held):
    arguments = ("finetune", "crop-yield", "--data", "simulated-maize", option, value, "--out", "run")
    run_cli(*arguments, cwd=tmp_path).refused(option, value, held)


def sample(number: int, **streams: Stream) -> Sample:
    source = Provenance(data="made", item=f"s{number}", group=f"g{number % 3}", licence="CC0-1.0")
    return Sample(streams=streams, target=float(number), source=source)


def text(number: int) -> Stream:
    return Stream(kind="text", values=np.array([f"word {number}"]))


def test_a_text_stream_is_refused_before_it_is_read():
    with pytest.raises(InputError, match=r"'note' is text, which no tokenizer reads"):
        read_specs([sample(number, note=text(number)) for number in range(4)])


@pytest.mark.parametrize(
    ("stream", "width"),
    [
        (text(1), 1),
        (Stream(kind="points", values=np.array([[2.0], [4.0]]), channels=ONE), 2),
        (Stream(kind="volume", values=np.full((1, 2, 2, 2), 3.0), channels=ONE), 2),
        (Stream(kind="grid", values=np.full((2, 1, 2, 2), 3.0), channels=ONE, times=np.arange(2.0)), 2),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_baselines_take_what_they_can_of_any_stream(stream, width):
    season = Stream(kind="scalar", values=np.array([7.0]), channels=(Channel(name="rain", unit="mm"),))
    found = feature_matrix([sample(number, season=season, more=stream) for number in range(3)])
    assert found.shape == (3, width)
    assert np.isfinite(found).all()


def test_files_that_one_group_alone_names_are_taken(tmp_path):
    rows = ["sample,target,group,licence,rain [mm],image"]
    for row in range(16):
        name = f"image-{row}.csv" if row % 4 == 1 else ""
        if name:
            (tmp_path / name).write_text(f"time,red [1],nir [1]\n0,0.1,0.{1 + row % 5}\n864000,0.2,0.4\n")
        rows.append(f"s{row},{row % 5},site-{row % 4},CC0-1.0,{row * 1.7 % 3:.2f},{name}")
    (tmp_path / "t.csv").write_text("\n".join([*rows, ""]))
    run_cli("finetune", TEMPLATE, "--data", "t.csv", "--out", "run", cwd=tmp_path).taken()
    arguments = ("predict", TEMPLATE, "t.csv", "--run", "run", "--out", "p.csv")
    run_cli(*arguments, cwd=tmp_path).taken()
    assert len((tmp_path / "p.csv").read_text().splitlines()) > 16


@pytest.mark.long
def test_rows_in_any_order_are_told_the_same(tmp_path):
    """A later year of more rows than the others': what is claimed of it is the same, however its rows are dealt."""
    rng = np.random.default_rng(3)
    head = "sample,target,group,licence,rain [mm],heat [degC]"

    def rows(year: int, count: int, shift: float) -> list[str]:
        rain, heat = rng.normal(5 + shift, 1, count), rng.normal(20, 2, count)
        return [
            f"{year}-{row},{rain[row] / 2:.3f},{year},CC0-1.0,{rain[row]:.4f},{heat[row]:.4f}" for row in range(count)
        ]

    known = [line for year in range(2000, 2010) for line in rows(year, 8 + year % 3, 0.0)]
    (tmp_path / "t.csv").write_text("\n".join([head, *known, ""]))
    run_cli("finetune", TEMPLATE, "--data", "t.csv", "--out", "run", cwd=tmp_path).taken()
    asked, states = rows(2012, 200, 0.25), set()
    for seed in range(4):
        turned = np.random.default_rng(seed).permutation(asked).tolist()
        (tmp_path / "new.csv").write_text("\n".join([head, *turned, ""]))
        told = run_cli("predict", TEMPLATE, "new.csv", "--run", "run", "--out", "p.csv", cwd=tmp_path).taken().out
        states.add(told.partition("claims: ")[2])
    assert len(states) == 1
