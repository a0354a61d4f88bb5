"""Cuts, dissolves and fades of made videos found again, beside PySceneDetect's detectors on the same files.

Shots are photographs under a moving, zooming, trembling camera, and real clips; flashes and noise are laid over them.
The limits of `data/media/shots.py` were set on videos of TRAINING, and so are the peers' here; figures are of videos of
SCORED, which show other pictures; smears are of two blocks with a gap. Videos are drawn with five seeds: the interval
is over videos, drawn again with replacement, and so wide as few pictures and clips make it at the least.

Not measured: wipes and other effects, eased dissolves, dissolves longer than 1.4 s, rates other than 25 a second.

A transition is found where a boundary is told within it, or TOLERANCE_S before or after; each counts once.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import av
import numpy as np
import sklearn.datasets
from PIL import Image

TOLERANCE_S = 0.2
RATE, SIZE = 25, (320, 180)
SEEDS, VIDEOS_A_SEED, TRAINING_VIDEOS, NUM_SHOTS = (2, 3, 5, 7, 77), 3, 4, 12
TARGET = 0.95
MEDIA = Path("media")
PHOTOS = Path(sklearn.datasets.__file__).parent / "images"
BLOOD = "medical/bccd/BCCD/JPEGImages"
TRAINING = ("china.jpg", "flower.jpg", "media/tmk_video/doorknob-hd-no-bar.mp4")
SCORED = (
    "media/pdq/bridge-mods/aaa-orig.jpg", "media/c2pa/A.jpg", "media/c2pa/P1000827.jpg",
    "media/c2pa/earth_apollo17.jpg",
    *(f"media/pdq/reg-test-input/labelme-subset/q{name}.jpg" for name in ("0122", "0291", "0746", "1050", "2821")),
    "media/tmk_video/pattern-sd-grey-bar.mp4", "media/c2pa/video1.mp4",
)  # fmt: skip


@dataclass(frozen=True)
class Truth:
    """A transition that was made."""

    start_s: float
    end_s: float
    kind: str


class Footage:
    """Shots of pictures and clips, at random."""

    random: np.random.Generator

    def __init__(self, mirror: Path, names: tuple[str, ...], blood: slice) -> None:
        paths = [PHOTOS / name if "/" not in name else mirror / name for name in names]
        paths += sorted((mirror / BLOOD).glob("*.jpg"))[blood]
        self.stills = [np.asarray(_wide(Image.open(path).convert("RGB"))) for path in paths if path.suffix == ".jpg"]
        self.clips = [_clip(path) for path in paths if path.suffix == ".mp4"]
        self.last = -1

    def shot(self, num: int) -> np.ndarray:
        """Frames uint8 (num, y, x, 3), of another picture than the last."""
        choices = len(self.stills) + 2 * len(self.clips)
        self.last = choice = (self.last + 1 + int(self.random.integers(0, choices - 1))) % choices
        if choice >= len(self.stills):
            clip = self.clips[(choice - len(self.stills)) // 2]
            begin = self.random.integers(0, max(1, len(clip) - num))
            frames = clip[begin : begin + num]
            return np.concatenate([frames, np.repeat(frames[-1:], num - len(frames), 0)])
        return self._moving(self.stills[choice], num)

    def _moving(self, still: np.ndarray, num: int) -> np.ndarray:
        height, width = still.shape[:2]
        zooms = (
            self.random.uniform(0.45, 0.95, 2) if self.random.random() < 0.5 else [self.random.uniform(0.4, 0.8)] * 2
        )
        places = self.random.uniform(0, 1, (2, 2))
        if self.random.random() < 0.3:
            places[1] = places[0]
        tremble = self.random.normal(0, self.random.choice([0, 0.002]), (num, 2)).cumsum(0)
        frames, image = [], Image.fromarray(still)
        for index, share in enumerate(np.linspace(0, 1, num)):
            zoom = zooms[0] + share * (zooms[1] - zooms[0])
            at = np.clip(places[0] + share * (places[1] - places[0]) + tremble[index], 0, 1)
            left, top = at * (1 - zoom) * (width, height)
            box = (left, top, left + zoom * width, top + zoom * height)
            frames.append(np.asarray(image.resize(SIZE, Image.Resampling.BILINEAR, box=box)))
        return np.stack(frames)


def make_video(footage: Footage, path: Path) -> list[Truth]:
    """Write a video of known transitions and return these."""
    random, frames, truth = footage.random, footage.shot(40), []
    for _ in range(NUM_SHOTS - 1):
        following = footage.shot(int(random.integers(30, 90)))
        kind = random.choice(["cut", "dissolve", "fade"], p=[0.5, 0.25, 0.25])
        num = 0 if kind == "cut" else int(random.integers(8, 36))
        end = len(frames)
        if kind == "dissolve":
            num = min(num, len(following) - 5, len(frames) - 5)
            weight = np.linspace(0, 1, num + 2)[1:-1, None, None, None]
            blend = (1 - weight) * frames[end - num :] + weight * following[:num]
            frames = np.concatenate([frames[: end - num], blend.astype(np.uint8), following[num:]])
            truth.append(Truth((end - num) / RATE, end / RATE, kind))
            continue
        if kind == "fade":
            half, colour = min(num, len(following) - 5, len(frames) - 5), 255.0 * (random.random() < 0.2)
            weight = np.linspace(1, 0, half)[:, None, None, None]
            frames = np.concatenate(
                [frames[:-half], (weight * frames[-half:] + (1 - weight) * colour).astype(np.uint8)]
            )
            lead = weight[::-1] * following[:half] + (1 - weight[::-1]) * colour
            following = np.concatenate([lead.astype(np.uint8), following[half:]])
            truth.append(Truth((end - half) / RATE, (end + half) / RATE, kind))
        else:
            truth.append(Truth(end / RATE, end / RATE, kind))
        frames = np.concatenate([frames, following])
    _write(_disturbed(frames, truth, random), path)
    return truth


def _disturbed(frames: np.ndarray, truth: list[Truth], random: np.random.Generator) -> Iterator[np.ndarray]:
    """Lay noise over frames, and flashes of one to two frames away from transitions."""
    flashes = np.zeros(len(frames))
    for at in random.integers(10, len(frames) - 10, 4):
        if all(abs(at / RATE - (each.start_s + each.end_s) / 2) > 1.0 for each in truth):
            flashes[at : at + random.integers(1, 3)] = random.uniform(60, 160)
    noise = (random.choice([0.0, 4.0, 8.0]) * random.normal(0, 1, (2 * SIZE[1], SIZE[0], 3))).astype(np.int16)
    for frame, flash in zip(frames, flashes, strict=True):
        at = random.integers(0, SIZE[1])  # of one sheet of noise, other rows for each frame
        yield np.clip(frame + (noise[at : at + SIZE[1]] + np.int16(flash)), 0, 255).astype(np.uint8)


def _write(frames: Iterator[np.ndarray], path: Path) -> None:
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=RATE, options={"crf": "26", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for frame in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        file.mux(stream.encode())


def _wide(image: Image.Image) -> Image.Image:
    height = min(image.height, round(image.width * SIZE[1] / SIZE[0]))
    top = (image.height - height) // 2
    return image.crop((0, top, image.width, top + height)).resize((800, 450))


def _clip(path: Path) -> np.ndarray:
    with av.open(str(path)) as file:
        return np.stack([np.asarray(_wide(frame.to_image()).resize(SIZE)) for frame in file.decode(video=0)])


def ours(path: Path) -> list[float]:
    """Seconds of boundaries by the product's own pass."""
    from mainstem.data.media.shots import find_shots

    return [shot.start_s for shot in find_shots(path)[1:]]


Detect = Callable[[Path], list[float]]


def peers() -> dict[str, list[Detect]]:
    """PySceneDetect's detectors, each as it comes and with other limits, to be chosen of on the training videos."""
    import scenedetect

    def run(name: str, limits: Mapping[str, float]) -> Detect:
        detector = getattr(scenedetect, name)

        @cache
        def told(path: Path) -> list[float]:
            return [scene[0].get_seconds() for scene in scenedetect.detect(str(path), detector(**limits))[1:]]

        return told

    adaptive = [
        run("AdaptiveDetector", {"adaptive_threshold": ratio, "min_content_val": least})
        for ratio, least in ((3.0, 15.0), (2.0, 15.0), (2.0, 10.0))
    ]
    fade = run("ThresholdDetector", {})
    return {
        "adaptive": adaptive,
        "adaptive+threshold": [partial(_both, one, fade) for one in adaptive],
        "content": [run("ContentDetector", {"threshold": limit}) for limit in (27.0, 20.0, 15.0)],
        "hash": [run("HashDetector", {"threshold": limit}) for limit in (0.395, 0.3)],
        "histogram": [run("HistogramDetector", {"threshold": limit}) for limit in (0.05, 0.2)],
    }


def _both(first: Detect, second: Detect, path: Path) -> list[float]:
    """Boundaries of either; one of the second's beside one of the first's is left out."""
    told = first(path)
    return sorted([*told, *(at for at in second(path) if all(abs(at - other) > 0.5 for other in told))])


def count(found: list[float], truth: list[Truth]) -> tuple[int, int, int]:
    """Transitions that were found, boundaries that were told, transitions that were made."""
    left, hits = list(found), 0
    for each in truth:
        near = [at for at in left if each.start_s - TOLERANCE_S <= at <= each.end_s + TOLERANCE_S]
        if near:
            hits += 1
            left.remove(min(near, key=lambda at: abs(at - (each.start_s + each.end_s) / 2)))
    return hits, len(found), len(truth)


def score(counts: list[tuple[int, int, int]]) -> float:
    """F1 of counts over videos."""
    hits, told, made = np.sum(counts, axis=0)
    return float(2 * hits / max(told + made, 1))


def interval(counts: list[tuple[int, int, int]]) -> tuple[float, float]:
    """F1 between which 95 % of draws of as many videos lie: the bootstrap's percentiles."""
    draws = np.random.default_rng(0).integers(0, len(counts), (2000, len(counts)))
    low, high = np.quantile([score([counts[video] for video in draw]) for draw in draws], (0.025, 0.975))
    return float(low), float(high)


def bench_shots() -> dict[str, float]:
    """F1 of ours and of each peer on the scored videos with its interval, and by kind the share found."""
    mirror = Path(os.environ["MAINSTEM_MIRROR"])
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        training = _made(Footage(mirror, TRAINING, slice(0, 80, 8)), (1,), TRAINING_VIDEOS, Path(folder, "training"))
        scored = _made(Footage(mirror, SCORED, slice(170, 250, 8)), SEEDS, VIDEOS_A_SEED, Path(folder, "scored"))
        figures["training_f1"] = score(counts_of(ours, training))
        told = {path: ours(path) for path, _ in scored}
        counts = counts_of(told.__getitem__, scored)
        figures["f1"], (figures["f1_low"], figures["f1_high"]) = score(counts), interval(counts)
        figures["target_met"] = float(figures["f1_low"] >= TARGET)
        for row, seed in enumerate(SEEDS):
            figures[f"f1_seed_{seed}"] = score(counts[row * VIDEOS_A_SEED : (row + 1) * VIDEOS_A_SEED])
        for kind in ("cut", "dissolve", "fade"):
            some = [(path, [each for each in truth if each.kind == kind]) for path, truth in scored]
            hits, _, made = np.sum(counts_of(told.__getitem__, some), axis=0)
            figures[f"{kind}_recall (of {made})"] = float(hits / made)
        for name, tries in peers().items():
            on_training = [score(counts_of(one, training)) for one in tries]
            best = int(np.argmax(on_training))
            counts = counts_of(tries[best], scored)
            figures[f"{name}_f1 (number {best} of {len(tries)})"] = score(counts)
            figures[f"{name}_f1_low"], figures[f"{name}_f1_high"] = interval(counts)
    return figures


Made = list[tuple[Path, list[Truth]]]


def _made(footage: Footage, seeds: tuple[int, ...], num: int, folder: Path) -> Made:
    """Videos of each seed, and what was made of them."""
    folder.mkdir()
    made = []
    for seed in seeds:
        footage.random = np.random.default_rng(seed)
        paths = [folder / f"{seed} {number}.mp4" for number in range(num)]
        made += [(path, make_video(footage, path)) for path in paths]
    return made


def counts_of(detect: Detect, made: Made) -> list[tuple[int, int, int]]:
    """Counts of each video."""
    return [count(detect(path), truth) for path, truth in made]
