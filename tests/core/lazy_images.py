"""Images that are drawn anew from their number whenever they are read, and the index of a set of them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mainstem.core.samples import Index, LazySamples
from mainstem.core.stream import Channel, Stream

RGB = tuple(Channel(name=name, unit="1") for name in ("red", "green", "blue"))


@dataclass(frozen=True)
class DrawnImages:
    """Reads an image (3, side, side), uint8, as a file would be read; `broken` are those that no model takes."""

    side: int
    broken: frozenset[int] = frozenset()

    def __call__(self, row: int) -> Mapping[str, Stream]:
        values = np.frombuffer(np.random.default_rng(row).bytes(3 * self.side**2), np.uint8)
        channels = RGB[:1] if row in self.broken else RGB
        return {
            "image": Stream(
                kind="image", values=values.reshape(3, self.side, self.side)[: len(channels)], channels=channels
            )
        }


def images(num: int, side: int, load=None) -> LazySamples:
    """A set of so many images in ten groups, one in eight of them for testing and one in seven without a target."""
    rows = np.arange(num)
    return LazySamples(
        index=Index(
            data="drawn",
            items=np.array([f"image {row}" for row in rows]),
            groups=np.array([f"site {row % 10}" for row in rows]),
            targets=np.where(rows % 7 == 6, np.nan, np.sin(rows)),
            facts={"year": 2000 + rows % 3, "sensor": np.where(rows % 2, "a", "")},
            parts=np.where(rows % 8 == 7, "test", "train"),
            licence="CC0-1.0",
        ),
        load=load or DrawnImages(side),
    )
