"""Copies of pictures, video and sound found again, with PDQ alone and Chromaprint beside them on the same files.

Two blocks with a gap: thresholds stand on the TRAINING one, pictures of scikit-learn, the first blood smears and every
second speaker; figures are of the SCORED one unless they say `training`. Unrelated are pairs of different originals.
Many pairs share a picture or a voice: beside each count of pairs stands the number of originals, and these are few.
What the product says of matches by chance (RATE of `prints_*.py`) is counted here; `rates_hold` is 1 where it agrees.
"""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import sklearn.datasets
from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps
from scipy.io import wavfile

from mainstem.data.media.prints_parts import fit_parts
from mainstem.data.media.prints_picture_index import PictureIndex
from mainstem.data.media.prints_pictures import (
    LEAST_SPREAD,
    RATE_PARTS,
    RATE_WHOLE,
    SIDE,
    PicturePrint,
    bits_apart,
    compare_parts,
    compare_pictures,
    is_share_enough,
    print_picture,
)
from mainstem.data.media.prints_sound_index import RATE as RATE_SOUND
from mainstem.data.media.prints_sound_index import SoundIndex
from mainstem.data.media.prints_sounds import sound_pieces
from mainstem.data.media.prints_videos import VideoIndex, print_video
from tests.data.media.scenes import chart
from tests.data.media.scenes import printed as printed_whole

PHOTOS = Path(sklearn.datasets.__file__).parent / "images"
PEER_NEAR = 31  # bits of 256: PDQ's own threshold
SOUND_EDITS = {
    "mp3": (".mp3", "-b:a", "32k"),
    "opus": (".opus", "-c:a", "libopus", "-b:a", "16k"),
    "cut": (".cut.flac", "-ss", "1.137", "-t", "3"),
    "speed": (".speed.flac", "-af", "asetrate=16800,aresample=16000"),
    "tempo": (".tempo.flac", "-af", "atempo=1.05"),
}
SNR_DB = 10.0
SMEARS = {"training": slice(0, 120, 2), "scored": slice(171, None, 2)}  # of 292; limits saw even ones
SAME_FIELD = (("00384", "00393"),)  # of smears: the same cells, shifted; one sees it
NEIGHBOURS = 3  # by number: these may show one field of a slide
PHOTOGRAPHS = (
    "bridge-mods/aaa-orig",
    *(f"reg-test-input/labelme-subset/q{n}" for n in ("0122", "0291", "0746", "1050")),
)


def media() -> Path:
    """The mirror's folder of media."""
    return Path(os.environ["MAINSTEM_MIRROR"]) / "media"


def blood(part: str) -> list[Path]:
    """Blood smears of a block."""
    return sorted((media().parent / "medical/bccd/BCCD/JPEGImages").glob("*.jpg"))[SMEARS[part]]


def photographs(part: str) -> list[Path]:
    """Pictures of a block that are no smears."""
    if part == "training":
        return sorted(PHOTOS.glob("*.jpg"))
    return [
        *(media() / f"pdq/{name}.jpg" for name in PHOTOGRAPHS),
        media() / "c2pa/A.jpg",
        media() / "c2pa/P1000827.jpg",
    ]


def letterhead(seed: int) -> Image.Image:
    """A letter of words from a seed; the head is the same in all."""
    random, font = np.random.default_rng(seed), ImageFont.load_default(16)
    page = Image.new("RGB", (560, 760), "white")
    draw = ImageDraw.Draw(page)
    draw.ellipse((30, 20, 110, 100), fill=(30, 60, 120))
    draw.text((130, 30), "COUNTY RECORD OFFICE", fill="black", font=ImageFont.load_default(26))
    draw.line((30, 120, 530, 120), fill="black", width=2)
    for row in range(18):
        letters = random.integers(97, 123, int(random.integers(30, 50)))
        words = "".join(" " if random.random() < 0.2 else chr(letter) for letter in letters)
        draw.text((40, 150 + 30 * row), words, fill="black", font=font)
    return page


def edits(image: Image.Image, random: np.random.Generator) -> Iterator[tuple[str, Image.Image]]:
    """Yield crops and other edits of a picture, by name."""
    width, height = image.size

    def crop(share: float) -> Image.Image:
        wide, high = int(width * share), int(height * share)
        left, top = random.integers(0, width - wide + 1), random.integers(0, height - high + 1)
        return image.crop((left, top, left + wide, top + high))

    for share in (0.8, 0.6, 0.5, 0.4):
        yield f"crop to {share:.0%} of each side", crop(share)
    yield "crop to 60%, mirrored", ImageOps.mirror(crop(0.6))
    yield "crop to 60%, turned", crop(0.6).rotate(90, expand=True)
    yield "crop to 60%, contrast", ImageEnhance.Contrast(crop(0.6)).enhance(1.6)
    yield "turned by 20 degrees", image.rotate(20, Image.Resampling.BICUBIC)
    page = Image.new("RGB", (2 * width, 2 * height), (240, 240, 240))
    page.paste(image, (width // 3, height // 2))
    yield "inset", page
    under = image.copy()
    ImageDraw.Draw(under).rectangle((0, height * 0.75, width, height), fill=(20, 20, 120))
    yield "banner", under


def printed(image: Image.Image, folder: Path) -> PicturePrint:
    """Fingerprint of an image as JPEG of quality 70."""
    from mainstem.data.media.pictures import read_picture

    path = folder / "copy.jpg"
    image.save(path, "JPEG", quality=70)
    return print_picture(read_picture(path, SIDE).pixels)


def bench_given_pictures(figures: dict[str, float]) -> None:
    """The edits and turns of one photograph, and what is unrelated, of ThreatExchange."""
    from mainstem.data.media.pictures import read_picture

    def prints(folder: str) -> dict[str, PicturePrint]:
        paths = sorted((media() / "pdq" / folder).glob("*.jpg"))
        return {path.stem: print_picture(read_picture(path, SIDE).pixels) for path in paths}

    mods, turns, others = prints("bridge-mods"), prints("reg-test-input/dih"), prints("reg-test-input/labelme-subset")
    original = mods.pop("aaa-orig")
    turns.pop("bridge-1-original")
    for name, copies in {"edits_of_11": mods, "turns_of_7": turns, "unrelated_of_7": others}.items():
        found = sum(compare_pictures(original, copy) is not None for copy in copies.values())
        figures[f"{name}_found"] = float(found)
        alone = [bits_apart(original.hashes[0], copy.hashes[0]) <= PEER_NEAR for copy in copies.values()]
        figures[f"{name}_found_by_pdq_alone"] = float(sum(alone))


def bench_made_pictures(figures: dict[str, float]) -> None:
    """Crops and other edits of pictures of the scored block, looked up among their originals."""
    from mainstem.data.media.pictures import read_picture

    originals = [*photographs("scored"), *blood("scored")[::8]]
    index, random, found, alone = PictureIndex(), np.random.default_rng(5), {}, {}
    prints, false = [print_picture(read_picture(path, SIDE).pixels) for path in originals], set()
    for number, each in enumerate(prints):
        false |= {(other, number) for other in index.look_up(each)}
    with tempfile.TemporaryDirectory() as folder:
        for number, path in enumerate(originals):
            for name, copy in edits(Image.open(path).convert("RGB"), random):
                seen = printed(copy, Path(folder))
                told = index.find(seen)
                found.setdefault(name, []).append(number in told)
                false |= {(min(number, other), max(number, other)) for other in told if other != number}
                alone.setdefault(name, []).append(bits_apart(prints[number].hashes[0], seen.hashes[0]) <= PEER_NEAR)
    for name, hits in found.items():
        figures[f"{name} (of {len(hits)})"] = float(np.mean(hits))
        figures[f"{name}, pdq alone"] = float(np.mean(alone[name]))
    num = len(originals)
    figures[f"made_false (of {num * (num - 1) // 2} pairs of {num} originals, edits among them)"] = float(len(false))


def bench_unrelated_pictures(figures: dict[str, float]) -> None:
    """Pairs of pictures that show different things, alike in kind: smears of other fields, and photographs."""
    from mainstem.data.media.pictures import read_picture

    for part in ("training", "scored"):
        paths = [*photographs(part), *blood(part)]
        prints = [print_picture(read_picture(path, SIDE).pixels) for path in paths]
        first = len(photographs(part))
        pairs = [
            (prints[a], prints[b])
            for a, b in combinations(range(len(paths)), 2)
            if a < first or (2 * (b - a) > NEIGHBOURS and (paths[a].stem[-5:], paths[b].stem[-5:]) not in SAME_FIELD)
        ]
        nearest = min(int(bits_apart(a.hashes[0], b.hashes).min()) for a, b in pairs)
        parts = sum(compare_parts(a.parts, b.parts) is not None for a, b in pairs)
        of = f"(of {len(pairs)} pairs of {len(paths)} pictures)"
        figures[f"unrelated_matched_by_parts, {part} {of}"] = float(parts)
        figures[f"unrelated_nearest_bits, {part}"] = float(nearest)
        if part == "training":
            figures["most_features_that_agree, training"] = float(max(_agreeing(a, b) for a, b in pairs))
        else:
            counted = f"none of {len(pairs):,} pairs of {len(paths)} held-out pictures"
            is_told = counted in RATE_PARTS and f"{counted}, the nearest {nearest} bits apart" in RATE_WHOLE
            figures["rates_hold, pictures"] = float(is_told and not parts and nearest > PEER_NEAR)


def _agreeing(first: PicturePrint, second: PicturePrint) -> int:
    """Features that agree in a map that all but their number would let pass."""
    fits = [fit_parts(first.parts, second.parts, is_mirrored) for is_mirrored in (False, True)]
    return max((fit.count for fit in fits if fit and fit.spread >= LEAST_SPREAD and is_share_enough(fit)), default=0)


def bench_templates(figures: dict[str, float]) -> None:
    """Pages of other data on one template: no copies, but they share what is printed on all."""
    for name, make in (("charts", chart), ("letters", letterhead)):
        prints = [printed_whole(make(seed)) for seed in range(12)]
        pairs = list(combinations(prints, 2))
        matched = sum(compare_pictures(*pair) is not None for pair in pairs)
        figures[f"{name}_of_one_template_matched (of {len(pairs)} pairs)"] = float(matched)


def bench_videos(figures: dict[str, float]) -> None:
    """The two re-encoded clips with other logos, and two others."""
    index, false = VideoIndex(), 0
    paths = [media() / f"tmk_video/{name}.mp4" for name in ("pattern-sd-grey-bar", "doorknob-hd-no-bar")]
    for path in [*paths, media() / "c2pa/video1.mp4"]:
        false += len(index.look_up(print_video(path)))
    told = index.look_up(print_video(media() / "tmk_video/pattern-sd-with-small-logo-bar.mp4"))
    figures["logo_copy_found (of 1)"] = float(0 in told)
    figures["videos_false (of 5 pairs of 4 videos)"] = float(false + len(set(told) - {0}))


def sound_copies(path: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield copies of an utterance: re-encoded, cut, faster and under white noise."""
    for name, (suffix, *options) in SOUND_EDITS.items():
        out = folder / f"{path.stem}{suffix}"
        subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", str(path), *options, str(out)], check=True)
        yield name, out
    raw = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(path), "-ac", "1", "-f", "f32le", "-"], check=True, capture_output=True
    ).stdout
    samples = np.frombuffer(raw, np.float32)
    noise = np.random.default_rng(len(samples)).normal(
        0, np.sqrt((samples**2).mean() / 10 ** (SNR_DB / 10)), len(samples)
    )
    out = folder / f"{path.stem}.noise.wav"
    wavfile.write(out, 16_000, (samples + noise).astype(np.float32))
    yield "noise", out


def chromaprint(path: Path) -> np.ndarray:
    """Words of Debian's fpcalc."""
    done = subprocess.run(["fpcalc", "-raw", "-plain", str(path)], capture_output=True, text=True, check=False)
    return np.array([int(word) for word in done.stdout.strip().split(",") if word], np.uint32)


def chromaprint_apart(first: np.ndarray, second: np.ndarray) -> float:
    """Least share of bits that differ, over every place that the shorter has within the longer."""
    short, long = sorted((first, second), key=len)
    if not len(short):
        return 1.0
    beside = np.lib.stride_tricks.sliding_window_view(long, len(short))
    return float((np.bitwise_count(beside ^ short).mean(1) / 32).min())


def length_class(words: np.ndarray) -> int:
    """Queries of like many words, each class up to twice as long as the one before."""
    return len(words).bit_length()


class Sounds:
    """Originals of one block, and copies of each by the name of the edit."""

    def __init__(self, paths: list[Path], folder: Path) -> None:
        self.paths, self.words = paths, [chromaprint(path) for path in paths]
        self.copies = [(number, *copy) for number, path in enumerate(paths) for copy in sound_copies(path, folder)]

    def ours(self) -> tuple[set[tuple[int, int]], list[set[int]]]:
        """Pairs of originals that match, and the originals that each copy matches."""
        index, false = SoundIndex(), set()
        for number, path in enumerate(self.paths):
            false |= {(other, number) for other in index.look_up(sound_pieces(path))}
        return false, [set(index.find(sound_pieces(path))) for _, _, path in self.copies]

    def peer(self) -> tuple[list[np.ndarray], np.ndarray]:
        """Words of each copy, and how far it is from each original (copy, original)."""
        asked = [chromaprint(path) for _, _, path in self.copies]
        return asked, np.array([[chromaprint_apart(held, words) for held in self.words] for words in asked])


def bench_sounds(figures: dict[str, float]) -> None:
    """Copies of utterances; Chromaprint at the threshold, by length, that lets no copy of training through."""
    every = sorted((media() / "librispeech_mini/flac").glob("*.flac"))
    speakers = sorted({path.stem.split("-")[0] for path in every})
    with tempfile.TemporaryDirectory() as folder:
        training, scored = (
            Sounds([path for path in every if path.stem.split("-")[0] in speakers[half::2]], Path(folder))
            for half in (0, 1)
        )
        near: dict[int, float] = {}
        for (number, _, _), words, row in zip(training.copies, *training.peer(), strict=True):
            least = min(near.get(length_class(words), 1.0), np.delete(row, number).min())
            near[length_class(words)] = float(least)
        asked, apart = scored.peer()
        false, told = scored.ours()
        beside = [
            set(np.flatnonzero(row < near.get(length_class(words), 0.0)))
            for words, row in zip(asked, apart, strict=True)
        ]
    num, voices = len(scored.paths), len(speakers[1::2])
    for name in dict.fromkeys(name for _, name, _ in scored.copies):
        rows = [row for row, copy in enumerate(scored.copies) if copy[1] == name]
        for who, sets in (("", told), ("_by_chromaprint", beside)):
            hits = [scored.copies[row][0] in sets[row] for row in rows]
            others = sum(len(sets[row] - {scored.copies[row][0]}) for row in rows)
            figures[f"{name}_found{who} (of {len(hits)})"] = float(sum(hits))
            figures[f"{name}_false{who} (of {len(hits) * (num - 1)})"] = float(others)
    false |= {
        tuple(sorted((copy[0], o))) for copy, s in zip(scored.copies, told, strict=True) for o in s if o != copy[0]
    }
    figures[f"sounds_false (of {num * (num - 1) // 2} pairs of {num} recordings of {voices} voices)"] = float(
        len(false)
    )
    counted = f"none of {num * (num - 1) // 2} pairs of {num} held-out recordings of {voices} voices"
    figures["rates_hold, sounds"] = float(counted in RATE_SOUND and not false)


def bench_copies() -> dict[str, float]:
    """All of them."""
    figures: dict[str, float] = {}
    pictures = (bench_given_pictures, bench_made_pictures, bench_unrelated_pictures, bench_templates)
    for bench in (*pictures, bench_videos, bench_sounds):
        bench(figures)
    return figures
