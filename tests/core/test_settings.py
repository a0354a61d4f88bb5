"""Settings by name: what is set is what the spec holds, and what cannot be is refused in one line."""

import dataclasses

import pytest

from mainstem.core.errors import InputError
from mainstem.core.finetuning import FitSpec
from mainstem.core.plain_yaml import LARGEST_BYTES
from mainstem.core.settings import names, read_settings, with_settings
from mainstem.core.task import FitConfig
from mainstem.core.training import TrainingConfig
from mainstem.core.watch import CheckpointConfig

SPEC = FitSpec(config=FitConfig(training=TrainingConfig(epochs=3)))


def read(tmp_path, text):
    path = tmp_path / "spec.yaml"
    path.write_text(text)
    return read_settings(path, ())


def test_every_field_can_be_set_and_no_other_changes():
    given = {
        "training.epochs": "5", "training.lr_per_step": "1e-4", "training.trunk": "lora", "training.dropout": "0.25",
        "training.device": "cpu", "training.precision": "bfloat16", "trunk_size": "ti", "num_folds": "4",
        "order": "any", "trunk": "presto",
    }  # fmt: skip
    found = with_settings(SPEC, read_settings(None, [f"{name}={text}" for name, text in given.items()]))
    training = TrainingConfig(
        epochs=5, lr_per_step=1e-4, trunk="lora", dropout=0.25, device="cpu", precision="bfloat16"
    )
    wanted = FitSpec(config=FitConfig(training=training, trunk_size="ti", num_folds=4), order="any", trunk="presto")
    assert found == wanted
    assert with_settings(SPEC, {}) == SPEC


def test_the_names_are_those_of_all_fields():
    training = {f"training.{field.name}" for field in dataclasses.fields(TrainingConfig)}
    config = {field.name for field in dataclasses.fields(FitConfig)} - {"training"}
    checkpoint = {f"checkpoint.{field.name}" for field in dataclasses.fields(CheckpointConfig)}
    assert set(names()) == training | config | checkpoint | {"order", "trunk"}


def test_a_file_says_the_same_and_set_goes_before_it(tmp_path):
    path = tmp_path / "spec.yaml"
    path.write_text("training: {epochs: 7, seed: 3}\nnum_folds: 2\ntraining.lora_rank: 4\ntrunk: null\n")
    found = read_settings(path, ["training.epochs=9"])
    assert found == {
        "training.epochs": 9, "training.seed": 3, "num_folds": 2, "training.lora_rank": 4, "trunk": None,
    }  # fmt: skip
    assert read(tmp_path, "") == read(tmp_path, "# nothing\n") == {}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("training.epoch=5", "no setting training.epoch; did you mean training.epochs?"),
        ("epochs=5", "did you mean training.epochs?"),
        ("config.training.epochs=5", "did you mean training.epochs?"),
        ("zzz=5", "want one of checkpoint.every_s"),
        ("training=5", "no setting training;"),
        ("training.epochs.x=5", "did you mean training.epochs?"),
        ("__class__=5", "no setting"),
        ("training.epochs", "want NAME=VALUE"),
        ("training.epochs=", "valid integer"),
        ("training.epochs=five", "got training.epochs=five: input should be a valid integer"),
        ("training.epochs=2.5", "valid integer"),
        ("training.epochs=true", "valid integer"),
        ("training.epochs=[1, 2]", "valid integer"),
        ("training.epochs=0", "greater than or equal to 1"),
        ("training.epochs=null", "valid integer"),
        ("training.epochs=99999999999", "less than or equal"),
        ("training.lr_per_step=nan", "finite number"),
        ("training.lr_per_step=inf", "finite number"),
        ("training.lr_per_step=-1", "greater than 0"),
        ("training.dropout=1", "less than 1"),
        ("training.trunk=half", "'full', 'lora' or 'frozen'"),
        ("training.precision=16", "'float32' or 'bfloat16'"),
        ("trunk_size=xxl", "'xs', 'ti', 's' or 'b'"),
        ("num_folds=0", "greater than or equal to 1"),
        ("training.epochs=5\x1b[31m\n", "valid integer"),
    ],
)
def test_what_cannot_be_set_is_refused_in_one_line(given, told):
    with pytest.raises(InputError) as error:
        read_settings(None, [given])
    assert told in str(error.value)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 700


def test_what_is_set_twice_is_refused(tmp_path):
    with pytest.raises(InputError, match="twice"):
        read_settings(None, ["num_folds=2", "num_folds=3"])
    for text in (
        "num_folds: 2\nnum_folds: 3",
        "training: {epochs: 2}\ntraining.epochs: 3",
        "training: {seed: 1, seed: 1}",
    ):
        with pytest.raises(InputError, match="twice"):
            read(tmp_path, text)


BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nnum_folds: *b\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("num_folds: [2, 3]", "num_folds is a list, want one value"),
        ("- num_folds", "want names with values"),
        ("five", "want names with values"),
        ("num_folds: yes", "valid integer"),
        ("num_folds: '2", "cannot be read as YAML"),
        ("num_folds: 2\n---\nnum_folds: 3", "cannot be read as YAML"),
        ("? [a, b]\n: 2", "has no name"),
        (BOMB, "line 1: got an anchor"),
        ("num_folds: &two 2\ntraining: {epochs: *two}", "got an anchor"),
        ("num_folds: *two", "got an anchor, an alias"),
        ("num_folds: !!python/object/apply:os.system ['touch /tmp/x']", "a tag"),
        ("num_folds: !!int '2'", "a tag"),
        ("<<: {num_folds: 2}", "no setting <<.num_folds"),
        ("[" * 60_000, "more than 8 levels"),
        ("a: {" * 15_000, "more than 8 levels"),
        (" " * (LARGEST_BYTES + 1), "KiB"),
        ("num_folds: 2\0", "cannot be read as YAML"),
    ],
)
def test_a_file_that_is_no_plain_list_of_settings_is_refused_in_one_line(tmp_path, text, told):
    with pytest.raises(InputError) as error:
        read(tmp_path, text)
    assert told in str(error.value)
    assert str(error.value).isprintable()


def test_a_file_that_is_none_is_refused(tmp_path):
    (tmp_path / "odd").write_bytes(b"num_folds: \xff\xfe")
    for path in (tmp_path, tmp_path / "none.yaml", tmp_path / "odd"):
        with pytest.raises(InputError, match=r"no file|cannot be read"):
            read_settings(path, ())
