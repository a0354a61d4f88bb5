"""Every kind of stream that is read, an entry each: a new one is its tokenizer's file, and a line here."""

import math
from collections.abc import Mapping, Sequence

from mainstem.core.brief import Form
from mainstem.core.errors import InputError
from mainstem.core.tokenizers.grid import GridTokenizer
from mainstem.core.tokenizers.scalar import ScalarTokenizer
from mainstem.core.tokenizers.series import SeriesTokenizer
from mainstem.core.tokenizers.space import SpaceTokenizer
from mainstem.core.tokenizers.specs import Settings, StreamKind, StreamSpec

LARGEST_CELL, LARGEST_SQUARE, LARGEST_CUBE = 4, 16, 8  # pixels a side of patches; smaller windows are one patch
LONG_SERIES, MOST_TOKENS = 512, 256  # steps beyond which a token holds several, and tokens that the longest then gives


def _steps(name: str, forms: Sequence[Form]) -> Settings:
    longest = max(form.shape[0] for form in forms)
    return {"steps_per_token": math.ceil(longest / MOST_TOKENS) if longest > LONG_SERIES else 1}


def _cells(name: str, forms: Sequence[Form]) -> Settings:
    return {"patch_size": _side(LARGEST_CELL, forms, (-2, -1))}


def _squares(name: str, forms: Sequence[Form]) -> Settings:
    return {"patch_size": _side(LARGEST_SQUARE, forms, (-2, -1)), "is_metric": _is_metric(name, forms)}


def _cubes(name: str, forms: Sequence[Form]) -> Settings:
    return {
        "patch_size": _side(LARGEST_CUBE, forms, (-2, -1)),
        "patch_depth": _side(LARGEST_CUBE, forms, (-3,)),
        "is_metric": _is_metric(name, forms),
    }


def _side(largest: int, forms: Sequence[Form], axes: Sequence[int]) -> int:
    """Pixels of a patch along axes: the kind's, or the smallest side that streams have there."""
    sides: list[int] = [form.shape[axis] for form in forms for axis in axes]
    return max(min([largest, *sides]), 1)


def _is_metric(name: str, forms: Sequence[Form]) -> bool:
    known = {form.has_unit for form in forms}
    if len(known) > 1:
        raise InputError(
            f"some samples say the size of the pixels of {name!r} and some do not; give all of them a Geometry in m or "
            "mm, or none"
        )
    return known == {True}


def _space(spec: StreamSpec, dim: int) -> SpaceTokenizer:
    return SpaceTokenizer(dim, spec.channels, spec.statistics, spec.patch, spec.is_metric)


def _pixels(spec: StreamSpec) -> int:
    return max(math.prod(spec.patch), 2)


KINDS: Mapping[str, StreamKind] = {
    "scalar": StreamKind(tokenizer=lambda spec, dim: ScalarTokenizer(dim, spec.channels, spec.statistics)),
    "series": StreamKind(
        tokenizer=lambda spec, dim: SeriesTokenizer(dim, spec.channels, spec.statistics, spec.steps_per_token),
        settings=_steps,
        weights=lambda spec: 2 * spec.steps_per_token,
    ),
    "image": StreamKind(tokenizer=_space, settings=_squares, weights=_pixels),
    "grid": StreamKind(
        tokenizer=lambda spec, dim: GridTokenizer(dim, spec.channels, spec.statistics, spec.patch_size), settings=_cells
    ),
    "volume": StreamKind(tokenizer=_space, settings=_cubes, weights=_pixels),
}


def kind_of(kind: str, name: str) -> StreamKind:
    """Return how streams of a kind are read.

    Raises:
        InputError: naming the stream, if they are not.
    """
    if kind not in KINDS:
        raise InputError(
            f"stream {name!r} is {kind}, which no tokenizer reads yet; use {', '.join(KINDS)}, or leave it out"
        )
    return KINDS[kind]
