"""By which right data are used: the licence that a catalogue entry or a record beside the files states, or none."""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mainstem.core.errors import InputError
from mainstem.core.samples import SampleSet
from mainstem.core.schema import printable, read_object
from mainstem.core.stream import NO_LICENCE
from mainstem.data.catalogue import find_made_set, find_simulation, read_catalogue
from mainstem.data.hearing import note

CROISSANT, SHARDS = "croissant.json", "shards.json"  # a folder's records: of its native files, of baked shards
NOT_STATED = "licence not stated"
NO_LICENCES = {
    "",
    NO_LICENCE,
    "unknown",
    "unstated",
    "none",
    "n/a",
    "noassertion",
    "the user's own",
    "the user's own data",
    NOT_STATED,
}
SOURCES = ("isBasedOn", "url", "citeAs")  # where a Croissant record says its data come from, the nearest first


@dataclass(frozen=True)
class Rights:
    """A licence, the record or place that data come from, and whether both are stated."""

    licence: str
    source: str
    is_stated: bool


UNSTATED = Rights(NOT_STATED, "", is_stated=False)


def rights_of(name_or_path: str | Path) -> Rights:
    """Return by which right a set of the catalogue, one made of such, a simulated one, or a path may be used.

    Of a path the record says so: `shards.json` or `croissant.json` in the folder; of a file `FILE.croissant.json`
    beside it, or the folder's `croissant.json` where it lists the file.

    Raises:
        InputError: if there is neither a set nor a path of this name, or a record cannot be read.
    """
    name, path = str(name_or_path), Path(name_or_path)
    if (found := read_catalogue().get(name)) is not None:
        return Rights(found.licence, f"https://github.com/{found.repository}/tree/{found.commit}", is_stated=True)
    if (made := find_simulation(name)) is not None:
        return Rights(made.licence, made.source, is_stated=True)
    if (joined := find_made_set(name)) is not None:
        return _joined([*map(rights_of, joined.parts), *(Rights(*other, is_stated=True) for other in joined.others)])
    if not path.exists():
        raise InputError(f"got {printable(name, 200)!r}, which is neither a data set's name nor a path; see data list")
    told = (_told_by(record, path) for record in _records(path) if record.is_file())
    return next((rights for rights in told if rights.is_stated), UNSTATED)


def _joined(parts: Sequence[Rights]) -> Rights:
    """By which rights what is made of all parts may be used: by every one of them."""
    licences, sources = (part.licence for part in parts), (part.source for part in parts)
    return Rights(" and ".join(dict.fromkeys(licences)), "; ".join(dict.fromkeys(sources)), is_stated=True)


def check_rights(names: Iterable[str], waived: Container[str] = ()) -> None:
    """Refuse data without licence and record, but for those `waived`: their user says that the rights are theirs.

    Raises:
        InputError: naming them all.
    """
    without = [name for name in names if name not in waived and not rights_of(name).is_stated]
    if without:
        named, first = ", ".join(printable(name, 200) for name in without), printable(without[0], 200)
        raise InputError(
            f"got {named} without licence and record; write them down by mainstem data card {first} --licence LICENCE "
            "--source ADDRESS, or list what is yours to use under i_have_the_rights, which the record keeps"
        )


def with_rights(source: SampleSet, name_or_path: str) -> SampleSet:
    """Return the set with the licence that is known of it; that none is stated is said, and written in its place."""
    if is_licence(source.licence):
        return source
    return replace(source, licence=stated_rights(name_or_path, source.name).licence)


def stated_rights(name_or_path: str | Path, called: str) -> Rights:
    """Return by which right data may be used that were read; that no licence is stated is said, as of data so called.

    Raises:
        InputError: if a record beside them cannot be read.
    """
    try:
        rights = rights_of(name_or_path)
    except InputError:
        if Path(name_or_path).exists():
            raise
        rights = UNSTATED  # a name that only the task knows, which it has read
    if not rights.is_stated:
        note(f"{called}: {NOT_STATED}; mainstem data card writes it down")
    return rights


def is_licence(text: str) -> bool:
    """True where a text says anything of a licence."""
    return text.strip().lower() not in NO_LICENCES


def _records(path: Path) -> list[Path]:
    if path.is_dir():
        return [path / SHARDS, path / CROISSANT]
    return [path.with_name(f"{path.name}.{CROISSANT}"), path.with_name(CROISSANT)]


def _told_by(record: Path, path: Path) -> Rights:
    """What a record says of a path; of a file that its folder's record does not list, nothing."""
    facts = read_object(record, InputError)
    is_folders = path.is_file() and record.name == CROISSANT
    if is_folders and path.name not in _files(facts):
        return UNSTATED
    if record.name == SHARDS:
        return _rights(_text(facts.get("licence")), _text(facts.get("source")))
    return rights_in(facts)


def rights_in(facts: Mapping[str, Any]) -> Rights:
    """Return by which right data may be used as their Croissant record says."""
    source = next((text for key in SOURCES if (text := _text(_entry(facts, key)))), "")
    return _rights(_text(_entry(facts, "license")), source)


def _rights(licence: str, source: str) -> Rights:
    return Rights(licence, source, is_stated=True) if is_licence(licence) and source.strip() else UNSTATED


def _files(facts: Mapping[str, Any]) -> set[str]:
    found = _entry(facts, "distribution")
    files = found if isinstance(found, list) else [found]
    return {_text(_entry(file, "contentUrl")).removeprefix("./") for file in files if isinstance(file, dict)}


def _entry(facts: Mapping[str, Any], key: str) -> object:
    """An entry of schema.org, under any of the names that JSON-LD gives it."""
    names = (key, f"sc:{key}", f"https://schema.org/{key}", f"http://schema.org/{key}")
    return next((facts[name] for name in names if name in facts), None)


def _text(value: object, depth: int = 4) -> str:
    """An entry as text: a text, what a list holds, or the name or address of an object; what lies deeper is none."""
    if isinstance(value, list) and depth:
        return ", ".join(text for each in value if (text := _text(each, depth - 1)))
    if isinstance(value, dict) and depth:
        texts = (_text(_entry(value, key), depth - 1) for key in ("url", "@id", "@value", "name"))
        return next(filter(None, texts), "")
    return printable(value, 1000) if isinstance(value, str) else ""
