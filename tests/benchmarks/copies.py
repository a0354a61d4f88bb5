"""Copies of pictures, video and sound found again, with PDQ alone and Chromaprint beside them on the same files.

Thresholds were set on TRAINING halves: pictures of scikit-learn and every second blood smear, and every second
speaker. Figures are of the other halves unless they say `all`. Unrelated are pairs of different originals; of blood
smears, whose neighbours by number may show one field of a slide, only pairs apart by more than three.
"""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import sklearn.datasets
from PIL import Image, ImageDraw, ImageEnhance, ImageOps
from scipy.io import wavfile

from mainstem.data.media.prints_picture_index import PictureIndex
from mainstem.data.media.prints_pictures import SIDE, PicturePrint, bits_apart, compare_pictures, print_picture
from mainstem.data.media.prints_sound_index import SoundIndex
from mainstem.data.media.prints_sounds import sound_pieces
from mainstem.data.media.prints_videos import VideoIndex, print_video

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
PEER_FEWEST = 8  # words that overlap


def media() -> Path:
    """The mirror's folder of media."""
    return Path(os.environ["MAINSTEM_MIRROR"]) / "media"


def blood(half: int) -> list[Path]:
    """Blood smears of one half."""
    return sorted((media().parent / "medical/bccd/BCCD/JPEGImages").glob("*.jpg"))[half::2]


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
        figures[f"{name}_found"] = sum(compare_pictures(original, copy) is not None for copy in copies.values())
        alone = [bits_apart(original.hashes[0], copy.hashes[0]) <= PEER_NEAR for copy in copies.values()]
        figures[f"{name}_found_by_pdq_alone"] = float(sum(alone))


def bench_made_pictures(figures: dict[str, float]) -> None:
    """Crops and other edits of pictures that no threshold was set on; and unrelated pairs of them."""
    from mainstem.data.media.pictures import read_picture

    names = ("bridge-mods/aaa-orig", *(f"reg-test-input/labelme-subset/q{n}" for n in ("0122", "0291", "0746", "1050")))
    originals = [media() / f"pdq/{name}.jpg" for name in names]
    originals += [media() / "c2pa/A.jpg", media() / "c2pa/P1000827.jpg", *blood(1)[:60:8]]
    index, random, found, alone = PictureIndex(), np.random.default_rng(5), {}, {}
    prints = [print_picture(read_picture(path, SIDE).pixels) for path in originals]
    for each in prints:
        figures["made_false"] = figures.get("made_false", 0) + len(index.look_up(each))
    add, index._add = index._add, lambda picture: None
    with tempfile.TemporaryDirectory() as folder:
        for number, path in enumerate(originals):
            for name, copy in edits(Image.open(path).convert("RGB"), random):
                seen = printed(copy, Path(folder))
                told = index.look_up(seen)
                found.setdefault(name, []).append(number in told)
                figures["made_false"] += len(set(told) - {number})
                alone.setdefault(name, []).append(bits_apart(prints[number].hashes[0], seen.hashes[0]) <= PEER_NEAR)
    for name, hits in found.items():
        figures[f"{name} (of {len(hits)})"] = float(np.mean(hits))
        figures[f"{name}, pdq alone"] = float(np.mean(alone[name]))
    index._add = add


def bench_unrelated_pictures(figures: dict[str, float], num: int = 60) -> None:
    """Pairs of blood smears that no threshold was set on: alike in kind, of other fields."""
    from mainstem.data.media.pictures import read_picture

    prints = [print_picture(read_picture(path, SIDE).pixels) for path in blood(1)[:num]]
    pairs = [(a, b) for a, b in combinations(range(num), 2) if b - a > 1]
    figures["unrelated_smears_matched"] = float(
        sum(compare_pictures(prints[a], prints[b]) is not None for a, b in pairs)
    )
    figures["unrelated_smear_pairs"] = float(len(pairs))


def bench_videos(figures: dict[str, float]) -> None:
    """The two re-encoded clips with other logos, and two others."""
    index = VideoIndex()
    paths = [media() / f"tmk_video/{name}.mp4" for name in ("pattern-sd-grey-bar", "doorknob-hd-no-bar")]
    for path in [*paths, media() / "c2pa/video1.mp4"]:
        figures["videos_false"] = figures.get("videos_false", 0) + len(index.look_up(print_video(path)))
    told = index.look_up(print_video(media() / "tmk_video/pattern-sd-with-small-logo-bar.mp4"))
    figures["logo_copy_found"] = float(0 in told)
    figures["videos_false"] += len(set(told) - {0})


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
    """Least share of bits that differ, over every way to lay one along the other."""
    best = 1.0
    for offset in range(PEER_FEWEST - len(second), len(first) - PEER_FEWEST + 1):
        begin, end = max(0, -offset), min(len(second), len(first) - offset)
        if end - begin >= PEER_FEWEST:
            best = min(best, np.bitwise_count(first[begin + offset : end + offset] ^ second[begin:end]).mean() / 32)
    return float(best)


def bench_sounds(figures: dict[str, float]) -> None:
    """Copies of utterances; Chromaprint at the threshold that lets no training pair through."""
    paths = sorted((media() / "librispeech_mini/flac").glob("*.flac"))
    speakers = sorted({path.stem.split("-")[0] for path in paths})
    training = [path.stem.split("-")[0] in speakers[::2] for path in paths]
    index, words = SoundIndex(), [chromaprint(path) for path in paths]
    figures["sounds_false"] = float(sum(len(index.look_up(sound_pieces(path))) for path in paths))
    pairs = [(a, b) for a, b in combinations(range(len(paths)), 2) if training[a] and training[b]]
    near = min(chromaprint_apart(words[a], words[b]) for a, b in pairs)
    figures["chromaprint_threshold"] = near
    found: dict[str, list[bool]] = {}
    beside: dict[str, list[bool]] = {}
    add, index._add = index._add, lambda words: None
    with tempfile.TemporaryDirectory() as folder:
        for number, path in enumerate(paths):
            for name, copy in sound_copies(path, Path(folder)):
                told = index.look_up(sound_pieces(copy))
                found.setdefault(name, []).append(number in told)
                figures["sounds_false"] += len(set(told) - {number})
                figures["sound_pairs"] = figures.get("sound_pairs", 0.0) + len(paths) - 1
                beside.setdefault(name, []).append(chromaprint_apart(words[number], chromaprint(copy)) < near)
    index._add = add
    scored = ~np.array(training)
    for name, hits in found.items():
        figures[f"{name}_found (of {scored.sum()})"] = float(np.mean(np.array(hits)[scored]))
        figures[f"{name}_found_all (of {len(hits)})"] = float(np.mean(hits))
        figures[f"{name}_found_by_chromaprint_all"] = float(np.mean(beside[name]))


def bench_copies() -> dict[str, float]:
    """All of them."""
    figures: dict[str, float] = {}
    for bench in (bench_given_pictures, bench_made_pictures, bench_unrelated_pictures, bench_videos, bench_sounds):
        bench(figures)
    return figures
