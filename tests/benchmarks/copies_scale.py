"""100,000 pictures' fingerprints looked up among one another: time, memory, recall, false pairs.

The queries are real: crops, turns and other edits of held-out pictures, saved as JPEG, against their real originals,
which lie among made ones. A made picture has features of the real pictures of the training block drawn anew, each with
the noise that a real edit puts on it (NOISE), at places of its own, and a hash of as many ones as zeros: its features
are more crowded than real ones', since a few thousand are drawn again and again, and it is a copy of nothing. Times are
of the processor: cores are shared.
"""

import os
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from mainstem.data.media.prints import kept_print, packed
from mainstem.data.media.prints_parts import MOST_PARTS, Parts, fit_parts
from mainstem.data.media.prints_picture_index import PictureIndex
from mainstem.data.media.prints_pictures import SIDE, PicturePrint, print_picture
from tests.benchmarks.copies import blood, edits, photographs, printed

NUM = int(os.environ.get("COPIES_SCALE", "100000"))
LOOKED_UP = 100  # made pictures that are looked up among all the others
NOISE = 1 / 16  # share of a descriptor's signs that are turned; of a real edit `measured_noise`, 0.055


def real_prints() -> tuple[list[PicturePrint], list[tuple[int, str, PicturePrint]]]:
    """Fingerprints of originals, and of edits of each by its number and the edit's name."""
    from mainstem.data.media.pictures import read_picture

    paths, random = [*photographs("scored"), *blood("scored")[::8]], np.random.default_rng(5)
    originals = [print_picture(read_picture(path, SIDE).pixels) for path in paths]
    with tempfile.TemporaryDirectory() as folder:
        copies = [
            (number, name, printed(copy, Path(folder)))
            for number, path in enumerate(paths)
            for name, copy in edits(Image.open(path).convert("RGB"), random)
        ]
    return originals, copies


def measured_noise(originals: list[PicturePrint], copies: list[tuple[int, str, PicturePrint]]) -> float:
    """Share of signs in which features of an edit differ from those of the original that they lie upon, the median."""
    shares: list[float] = []
    for number, _, copy in copies:
        first, second = originals[number].parts, copy.parts
        fit = fit_parts(first, second, is_mirrored=False)
        if fit is None or fit.count < 8:
            continue
        moved = first.places[:, :2] @ fit.matrix[:, :2].T + fit.matrix[:, 2]
        apart = np.linalg.norm(moved[:, None] - second.places[None, :, :2], axis=2)
        near = apart.argmin(1)
        held = apart[np.arange(len(near)), near] < 1.0
        bits = np.bitwise_count(first.codes[held] ^ second.codes[near[held]]).sum(1)
        shares += (bits / 128).tolist()
    return float(np.median(shares))


class Maker:
    """Makes pictures' fingerprints of the features of real ones."""

    def __init__(self, real: list[PicturePrint]) -> None:
        self.random = np.random.default_rng(15)
        self.codes = np.concatenate([each.parts.codes for each in real])
        self.mirrored = np.concatenate([each.parts.mirrored for each in real])
        self.places = np.concatenate([each.parts.places for each in real])

    def make(self) -> PicturePrint:
        """One more, unlike all others."""
        chosen = self.random.integers(0, len(self.codes), MOST_PARTS)
        turned = np.bitwise_and.reduce(self.random.integers(0, 256, (4, 2, MOST_PARTS, 16), np.uint8))  # odds of 1 / 16
        places = self.places[chosen].copy()
        places[:, :2] = self.random.random((MOST_PARTS, 2), np.float32) * (512, 384)
        parts = Parts(
            places=places, size=(512, 384), codes=self.codes[chosen] ^ turned[0],
            mirrored=self.mirrored[chosen] ^ turned[1],
        )  # fmt: skip
        bits = self.random.permuted(np.tile([0, 1], (8, 128)).astype(np.uint8), axis=1)
        return PicturePrint(hashes=np.packbits(bits, axis=1), quality=100, parts=parts)


def bench_copies_scale() -> dict[str, float]:
    """Build the index as a later run does from what the catalogue keeps, then look up real edits and made pictures."""
    from mainstem.data.media.pictures import read_picture

    originals, copies = real_prints()
    others = [print_picture(read_picture(path, SIDE).pixels) for path in (*photographs("training"), *blood("training"))]
    maker, index = Maker(others), PictureIndex()
    figures = {"pictures": float(NUM), "noise_measured": measured_noise(originals, copies), "noise_made": NOISE}
    for each in originals:
        index.add(each)
    kept_bytes, adding_s = 0, 0.0
    for _ in range(NUM - len(originals)):
        made = maker.make()
        kept = packed(made.hashes[:1], np.array([100]), made.parts.places, np.array([512, 384]), made.parts.codes)
        kept_bytes += len(kept)
        start = time.process_time()
        index.add(kept_print("image", kept))
        adding_s += time.process_time() - start
    figures["kept_kB_a_picture"] = kept_bytes / NUM / 1000
    figures["adding_all_from_the_catalogue_s"] = adding_s
    figures["peak_memory_GB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    found: dict[str, list[bool]] = {}
    false, spent = 0, []
    for number, name, copy in copies:
        start = time.process_time()
        told = index.find(copy)
        spent.append(time.process_time() - start)
        found.setdefault(name, []).append(number in told)
        false += sum(other >= len(originals) for other in told)
    figures["looking_up_an_edit_ms (median)"] = float(np.median(spent)) * 1000
    figures[f"recall (of {len(copies)} edits)"] = float(np.mean([hit for hits in found.values() for hit in hits]))
    alone = PictureIndex()
    for each in originals:
        alone.add(each)
    small = [number in alone.find(copy) for number, _, copy in copies]
    figures[f"recall among the {len(originals)} originals alone"] = float(np.mean(small))
    for name, hits in found.items():
        figures[f"{name} (of {len(hits)})"] = float(np.mean(hits))
    figures[f"false (of {len(copies) * (NUM - len(originals))} pairs of an edit and a made picture)"] = float(false)
    start = time.process_time()
    false = sum(len(index.find(maker.make())) for _ in range(LOOKED_UP))
    figures["looking_up_a_made_picture_ms (mean)"] = (time.process_time() - start) / LOOKED_UP * 1000
    figures[f"false (of {LOOKED_UP * NUM} pairs of made pictures)"] = float(false)
    return figures
