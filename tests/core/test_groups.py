"""Names of groups in what a run leaves behind: hashed, unless they are numbers that name no person."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mainstem.apps.finetune import finetune
from mainstem.core.finetuning import FitSpec
from mainstem.core.fitted import load_run
from mainstem.core.groups import Keys
from mainstem.core.predict import predict
from mainstem.core.samples import SampleSet
from mainstem.core.stream import Channel, Provenance, Sample, Stream
from mainstem.core.targets import Quantity
from mainstem.core.task import FitConfig, Grouping, Task
from mainstem.core.training import TrainingConfig

NUM, GROUPS = 60, 10
CONFIG = FitConfig(training=TrainingConfig(epochs=1, batch_size=32), num_folds=2)
NUMBERS = tuple(str(71_234_567 + row) for row in range(GROUPS))  # as hospitals number persons; in order, if read so
NAMES = tuple(f"Jane Doe {chr(65 + row)}" for row in range(GROUPS))


def task(are_persons: bool = False) -> Task:
    return Task(
        name="test", task="made", version="1", target=Quantity(units="1"), config=CONFIG,
        read=lambda request: pytest.fail("nothing is read"),
        grouping=Grouping(are_persons=are_persons),
    )  # fmt: skip


def samples(groups: tuple[str | None, ...], seed: int = 0) -> SampleSet:
    rng, found = np.random.default_rng(seed), []
    for row in range(NUM):
        value = rng.normal(size=1)
        source = Provenance(data="made", item=f"case {row}", group=groups[row % len(groups)], licence="CC0-1.0")
        stream = Stream(kind="scalar", values=value, channels=(Channel(name="x", unit="1"),))
        found.append(Sample(streams={"x": stream}, target=float(value[0]), source=source))
    return SampleSet(name="made", samples=tuple(found), flagged={}, attribution="made", licence="CC0-1.0")


def trained(folder: Path, groups: tuple[str | None, ...], are_persons: bool = False) -> tuple[Task, bytes]:
    """The task, and all bytes of the run's files."""
    made = task(are_persons)
    finetune(made, samples(groups), FitSpec(config=CONFIG), folder)
    return made, b"\n".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_one_name_has_one_key_another_salt_another_and_numbers_stay():
    keys, other = Keys(salt="5a17"), Keys(salt="0000")
    assert keys("site-7") == keys("site-7") != keys("site-8")
    assert keys("site-7") != other("site-7")
    assert "site" not in keys("site-7")
    assert (keys("2011"), keys("2011.0"), other("02011")) == ("2011", "2011", "2011")
    private = Keys(salt="5a17", is_private=True)
    assert private("2011") == private("2011.0") != "2011"
    assert keys(None) == ""
    assert keys.each(["a", None, "a"]) == (keys("a"), "", keys("a"))


def test_the_salt_is_drawn_from_what_was_trained_on():
    prints = np.arange(5, dtype=np.int64)
    first, again, other = (Keys.drawn_from(found, is_private=False) for found in (prints, prints, prints + 1))
    assert first.salt == again.salt != other.salt


@pytest.mark.parametrize(("groups", "is_private"), [(NAMES, False), (NUMBERS, True)], ids=["names", "numbers"])
def test_no_file_of_a_run_holds_a_name(groups, is_private, tmp_path):
    made, content = trained(tmp_path / "run", groups, is_private)
    assert b"case 3" not in content
    assert not [group for group in groups if group.encode() in content]
    assert b"whose names are kept as salted hashes" in content
    fitted = load_run(tmp_path / "run", made)
    (told,) = predict(fitted, samples(groups).samples[:1], made.view_of)  # it is known again all the same
    assert told.claim.state == "none"
    assert "trained or calibrated on" in told.claim.reason


def test_the_search_finds_names_that_are_there(tmp_path):
    _, content = trained(tmp_path / "run", NUMBERS)
    assert all(group.encode() in content for group in NUMBERS)  # years and the like stand as they are


def test_persons_have_no_order(tmp_path):
    """A later year is beyond those trained on; a person of a larger number is a person as any other."""
    later = tuple(
        replace(sample, source=replace(sample.source, group="99999999")) for sample in samples(NUMBERS).samples
    )
    for is_private in (False, True):
        made, _ = trained(tmp_path / str(is_private), NUMBERS, is_private)
        told = predict(load_run(tmp_path / str(is_private), made), later[:3], made.view_of)
        assert ("later" in told[0].claim.reason + told[0].claim.population) != is_private


def test_nothing_is_claimed_of_groups_that_data_without_any_never_showed(tmp_path):
    made, content = trained(tmp_path / "run", (None,))
    assert b"which name no groups" in content
    fitted = load_run(tmp_path / "run", made)
    assert not fitted.calibration["whole"].has_groups
    told = predict(fitted, samples(("site-1",), seed=1).samples, made.view_of)
    assert all("nothing is claimed of a new one" in found.claim.population for found in told)
    seen = predict(fitted, samples((None,)).samples, made.view_of)
    assert all(found.claim.state == "none" and "trained" in found.claim.reason for found in seen)
