"""What a launched command will read, and what it would refuse before reading it, command by command."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mainstem.core.errors import InputError
from mainstem.core.schema import printable

if TYPE_CHECKING:
    from mainstem.apps.pretrain_spec import PretrainSpec
    from mainstem.apps.run_spec import RunSpec


@dataclass(frozen=True, kw_only=True)
class Named:
    """What a spec names: data to learn from, other data, what of the first is the user's own, models, files."""

    learned: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    waived: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


def named_by_fit(spec: "RunSpec") -> Named:
    """Return what a fine-tuning or an evaluation names; an open model is the task's own unless the spec says which."""
    from mainstem.adapters import find_task

    assert spec.adapter is not None
    assert spec.data is not None
    learned, told = (spec.data,), spec.i_have_the_rights
    waived = learned if told is True else tuple(told or ())
    trunk = spec.trunk or (None if spec.run else find_task(spec.adapter, spec.task, spec.data).open_model)
    return Named(
        learned=learned, waived=waived, models=(trunk,) if trunk else (), files=(spec.run,) if spec.run else ()
    )


def named_by_pretraining(spec: "RunSpec") -> Named:
    """Return what a pretraining's own SPEC names, of all members of an array; nothing more where it is not here."""
    assert spec.corpora is not None
    told = list(_pretrainings(spec))
    return Named(
        learned=tuple(dict.fromkeys(one.data for each in told for one in each.corpora.values())),
        beside=tuple(dict.fromkeys(one.data for each in told for one in each.evaluations.values())),
        waived=tuple(dict.fromkeys(name for each in told for name in each.i_have_the_rights)),
        models=tuple(dict.fromkeys(each.trunk for each in told)),
        files=(spec.corpora,),
    )


def named_by_map(spec: "RunSpec") -> Named:
    """Return what a map names."""
    return Named(files=(*spec.scenes, *((spec.run,) if spec.run else ())))


def check_fit(spec: "RunSpec") -> None:
    """Refuse a task, its options and its settings as a fine-tuning or an evaluation would."""
    from mainstem.adapters import find_task
    from mainstem.apps.sources import check_request
    from mainstem.core.finetuning import spec_of
    from mainstem.core.settings import TRUNK, read_settings, with_settings
    from mainstem.core.task import DataRequest

    assert spec.adapter is not None
    assert spec.data is not None
    task = find_task(spec.adapter, spec.task, spec.data)
    given = {  # others are the command's, whose parser knows them
        option.name: option.told(spec.options[option.name]) for option in task.options if option.name in spec.options
    }
    check_request(task, DataRequest(data=spec.data, options=given))
    plain = spec_of(task, spec.trunk, spec.frozen)
    for settings in spec.settings_of_members():
        try:
            values = read_settings(None, settings)
            trunk = values.pop(TRUNK, spec.trunk)
            with_settings(plain if trunk == spec.trunk else spec_of(task, trunk, spec.frozen), values)
        except InputError as error:
            raise InputError(f"{spec.where(str(error))}: {error}") from error


def check_pretraining(spec: "RunSpec") -> None:
    """Refuse a trunk, and the tasks and options of corpora and evaluations, as a pretraining would."""
    from mainstem.apps.corpora import asked_of
    from mainstem.apps.sources import check_request
    from mainstem.core.openmodels.own import check_own

    for found in _pretrainings(spec):
        check_own(found.trunk)
        for part, sets in (("corpora", found.corpora), ("evaluations", found.evaluations)):
            for name, one in sets.items():
                try:
                    check_request(*asked_of(one))
                except InputError as error:
                    raise InputError(f"{part}.{name}: {error}") from error


def check_map(spec: "RunSpec") -> None:
    """Refuse more shards than a collection has tiles."""
    from mainstem.data.earth.stac_collections import is_collection, open_collection

    if len(spec.scenes) == 1 and is_collection(path := Path(spec.scenes[0])):
        tiles = len(open_collection(path).tiles)
        if spec.shards > tiles:
            raise InputError(f"got {spec.shards} shards, {path.name} has {tiles} tiles; give {tiles} at most")


def _pretrainings(spec: "RunSpec") -> "Iterator[PretrainSpec]":
    """The specs of all members; none where the file is not on this machine."""
    assert spec.corpora is not None
    if (path := Path(spec.corpora)).exists():
        yield from (_pretraining(spec, path, settings) for settings in spec.settings_of_members())


def _pretraining(spec: "RunSpec", path: Path, settings: list[str]) -> "PretrainSpec":
    """Read a SPEC with a member's settings; of a mistake that it does not have by itself, they are told."""
    from mainstem.apps.pretrain_spec import read_spec

    try:
        return read_spec(path, settings)
    except InputError as error:
        with suppress(InputError):
            read_spec(path)
            said = str(error).removeprefix(f"{printable(path, 200)}: ")
            error = InputError(f"{spec.where(said)}: {said}")
        raise error
