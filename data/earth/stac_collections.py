"""STAC collections and catalogs on disk: their items by relative links, as tiles, each of the dates of one grid."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

from mainstem.core.errors import InputError
from mainstem.core.plain import one_line
from mainstem.core.schema import printable
from mainstem.data.earth.stac import read_item
from mainstem.data.json_text import read_json

KINDS = ("Collection", "Catalog")
LARGEST_CATALOG = 64 << 20
LARGEST, LONGEST_SIDE = 1e15, 1 << 31  # of a grid's numbers, metres or degrees, and of its pixels
MGRS = re.compile(r"(?:MGRS-)?0?(\d{1,2}[C-HJ-NP-X][A-HJ-NP-Z]{2})")
CODE = re.compile(r"[A-Za-z]{1,20}:\d{1,10}")
MGRS_PARTS = ("mgrs:utm_zone", "mgrs:latitude_band", "mgrs:grid_square")


@dataclass(frozen=True, kw_only=True)
class Collection:
    """A collection's name and terms, and its items' files by tile; of a tile in order of time."""

    id: str
    licence: str
    providers: tuple[str, ...]
    tiles: Mapping[str, tuple[Path, ...]]


def is_collection(path: Path) -> bool:
    """True where a file says that it is a STAC collection or catalog."""
    if path.suffix != ".json" or not path.is_file():
        return False
    try:
        return _read(path).get("type") in KINDS
    except InputError:
        return False  # whoever reads it as an item says what is wrong with it


def open_collection(path: Path) -> Collection:
    """Read a collection or catalog, the catalogs in it, and which tile each item is of.

    A tile is what an item names as its MGRS tile (`grid:code`, `s2:mgrs_tile` or `mgrs:*`), else the grid of its finest
    asset (`proj:code`, `proj:shape`, `proj:transform`).

    Raises:
        InputError: if a file is damaged, a link leads out of the collection's folder or to the network, an item names
            neither tile nor grid, or there is none.
    """
    plain, dated = _read(path), defaultdict(list)
    for item_path in _items(path):
        item = read_item(item_path)
        dated[_tile_of(item, item_path.name)].append((str(item.datetime), item.id, item_path))
    if not dated:
        raise InputError(f"{path} links to no item (rel item or child); give a collection that holds its items")
    told, licence, providers = plain.get("id"), plain.get("license"), plain.get("providers")
    return Collection(
        id=told if isinstance(told, str) and told.isprintable() and told else path.parent.resolve().name,
        licence=licence if isinstance(licence, str) else "",
        providers=tuple(name for name in map(_name, providers) if name) if isinstance(providers, list) else (),
        tiles={name: tuple(map(itemgetter(2), sorted(dated[name]))) for name in sorted(dated)},
    )


def _name(provider: object) -> str:
    name = provider.get("name") if isinstance(provider, Mapping) else None
    return name if isinstance(name, str) and name.isprintable() else ""


def _items(root: Path) -> Iterator[Path]:
    """Files of all items, each once, wherever in the tree of catalogs it is linked from."""
    inside, seen, waiting = root.parent.resolve(), {root.resolve()}, [root.resolve()]
    while waiting:
        catalog = waiting.pop()
        links = _read(catalog).get("links")
        for link in links if isinstance(links, list) else ():
            if not isinstance(link, Mapping) or link.get("rel") not in ("item", "child"):
                continue
            path = _linked(str(link.get("href")), catalog, inside)
            if path in seen:
                continue
            seen.add(path)
            if link["rel"] == "item":
                yield path
            else:
                waiting.append(path)


def _linked(href: str, catalog: Path, inside: Path) -> Path:
    """Return the file that a link leads to.

    Raises:
        InputError: if it is not there, or not in the collection's folder.
    """
    told = f"link {href[:100]!r} of {catalog.name}"
    if "://" in href:
        raise InputError(f"{told} leads to the network; fetch the items, and link to them by relative paths")
    try:
        path = (catalog.parent / href).resolve()
        is_file = path.is_file()
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"{told} is no file name ({one_line(error)}); mend the collection") from error
    if not path.is_relative_to(inside):
        raise InputError(f"{told} leads out of the collection's folder; move the item into it")
    if not is_file:
        raise InputError(f"{told} is not there; fetch the item, or drop the link")
    return path


def _read(path: Path) -> dict[str, Any]:
    """Read a collection's or catalog's file.

    Raises:
        InputError: if it is none.
    """
    try:
        if path.stat().st_size > LARGEST_CATALOG:
            raise InputError(f"{path.name} is larger than {LARGEST_CATALOG >> 20} MiB, which no catalog is")
        found = read_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path.name} is no STAC collection ({one_line(error)}); give a collection's .json") from error
    if not isinstance(found, dict) or found.get("type") not in KINDS:
        raise InputError(f"{path.name} is no STAC collection or catalog (type); give a collection's .json")
    return found


def _tile_of(item: Any, name: str) -> str:  # noqa: ANN401 - pystac's
    """Name of the tile of an item, which the file of this `name` holds, fit for a folder."""
    said = item.properties
    together = "".join(str(said.get(part, "")) for part in MGRS_PARTS)
    for told in (said.get("grid:code"), said.get("s2:mgrs_tile"), together):
        if isinstance(told, str) and (match := MGRS.fullmatch(told.removeprefix("T"))):
            return match[1]
    grids = [_grid({**said, **asset.extra_fields}, name) for asset in item.assets.values()]
    found = sorted(((abs(grid[1][0]), grid) for grid in grids if grid is not None), key=itemgetter(0))
    if not found:
        raise InputError(
            f"{name} names neither its tile (grid:code) nor its grid (proj:code, proj:shape, proj:transform); add one"
        )
    code, (size, _, left, _, _, top), (height, width) = found[0][1]
    return "_".join([code.replace(":", ""), *(f"{number:.15g}" for number in (left, top, size)), f"{width}x{height}"])


def _grid(said: Mapping[str, Any], name: str) -> tuple[str, tuple[float, ...], tuple[int, ...]] | None:
    """CRS, transform and rows and columns that an item says of an asset; None where it does not say all of them."""
    code, epsg = said.get("proj:code"), said.get("proj:epsg")
    named = code if isinstance(code, str) else f"EPSG:{epsg}" if isinstance(epsg, int) else ""
    transform, shape = said.get("proj:transform"), said.get("proj:shape")
    if not CODE.fullmatch(named) or not isinstance(transform, list) or not isinstance(shape, list):
        return None
    numbers = [float(each) for each in transform[:6] if _is_number(each)]
    sides = [each for each in shape if isinstance(each, int) and 0 < each <= LONGEST_SIDE and _is_number(each)]
    if len(numbers) != 6 or len(sides) != 2 or len(shape) != 2:
        raise InputError(f"{name} says the grid {printable(transform)} of {printable(shape)}; mend proj:transform")
    return named, tuple(numbers), tuple(sides)


def _is_number(value: object) -> bool:
    """True for a finite number that a float holds; JSON's true is none, and its whole numbers have no end."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -LARGEST < value < LARGEST
