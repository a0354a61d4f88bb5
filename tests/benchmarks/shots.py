"""Cuts, dissolves and fades of made videos found again, beside PySceneDetect's detectors on the same files.

Shots are photographs under a moving, zooming, trembling camera, and real clips; flashes and noise are laid over them.
The limits of `data/media/shots.py` were set on videos of TRAINING, of other seeds too, and so are the peers' here on
TRAINING_SEED; figures are of videos of SCORED, which show other pictures; smears are of two blocks with a gap. Videos
of SEEDS were not looked at before; those of an earlier figure, of the same pictures, were of 2, 3, 5, 7 and 77. The
interval is over videos, drawn again with replacement, and so wide as few pictures and clips make it at the least. A
transition begins after the last one has ended, as with editors; the earlier figure's overlapped at times. Dissolves and
fades last 0.3 to 1.4 s.

Rows of their own, one video a seed: dissolves eased by a cosine, wipes, 12 and 50 frames a second.

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
SEEDS, VIDEOS_A_SEED, NUM_SHOTS = (101, 103, 107, 109, 113), 3, 12
TRAINING_SEED, TRAINING_VIDEOS = 1, 4
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


@dataclass(frozen=True)
class Mix:
    """How often shots follow by which transition, at how many frames a second."""

    kinds: Mapping[str, float]
    rate: int = RATE


USUAL = {"cut": 0.5, "dissolve": 0.25, "fade": 0.25}
MIXES = {
    "": Mix(USUAL),
    "eased ": Mix({"cut": 0.5, "eased": 0.5}),
    "wipes ": Mix({"cut": 0.5, "wipe": 0.5}),
    "12 a second ": Mix(USUAL, 12),
    "50 a second ": Mix(USUAL, 50),
}  # the first is what the target is of


def make_video(footage: Footage, mix: Mix, path: Path) -> list[Truth]:
    """Write a video of known transitions and return these."""
    random, rate, truth = footage.random, mix.rate, []
    frames = footage.shot(round(1.6 * rate))
    own = len(frames)  # of the last shot, that no transition shows
    for _ in range(NUM_SHOTS - 1):
        num = min(round(random.uniform(0.32, 1.44) * rate), own - 5)
        following = footage.shot(round(random.uniform(1.2, 3.6) * rate) + num)
        kind = str(random.choice(list(mix.kinds), p=list(mix.kinds.values())))
        end, own = len(frames), len(following) - (0 if kind == "cut" else num)
        if kind == "cut":
            frames = np.concatenate([frames, following])
            truth.append(Truth(end / rate, end / rate, kind))
        elif kind == "fade":
            colour = 255.0 * (random.random() < 0.2)
            weight = np.linspace(1, 0, num)[:, None, None, None]
            out = weight * frames[-num:] + (1 - weight) * colour
            into = weight[::-1] * following[:num] + (1 - weight[::-1]) * colour
            parts = [frames[:-num], out.astype(np.uint8), into.astype(np.uint8), following[num:]]
            frames = np.concatenate(parts)
            truth.append(Truth((end - num) / rate, (end + num) / rate, kind))
        else:
            blend = _laid_over(frames[end - num :], following[:num], kind)
            frames = np.concatenate([frames[: end - num], blend, following[num:]])
            truth.append(Truth((end - num) / rate, end / rate, kind))
    _write(_disturbed(frames, truth, footage.random, rate), path, rate)
    return truth


def _laid_over(last: np.ndarray, first: np.ndarray, kind: str) -> np.ndarray:
    """Frames (num, y, x, 3) of the way from a shot's last ones to another's first: dissolved, eased or wiped."""
    share = np.linspace(0, 1, len(last) + 2)[1:-1, None, None, None]
    if kind == "wipe":  # from left to right, by an edge
        return np.where(np.arange(SIZE[0])[None, None, :, None] < share * SIZE[0], first, last)
    weight = (1 - np.cos(np.pi * share)) / 2 if kind == "eased" else share
    return ((1 - weight) * last + weight * first).astype(np.uint8)


def _disturbed(frames: np.ndarray, truth: list[Truth], random: np.random.Generator, rate: int) -> Iterator[np.ndarray]:
    """Lay noise over frames, and flashes of one to two frames away from transitions."""
    flashes = np.zeros(len(frames))
    for at in random.integers(10, len(frames) - 10, 4):
        if all(abs(at / rate - (each.start_s + each.end_s) / 2) > 1.0 for each in truth):
            flashes[at : at + random.integers(1, 3)] = random.uniform(60, 160)
    noise = (random.choice([0.0, 4.0, 8.0]) * random.normal(0, 1, (2 * SIZE[1], SIZE[0], 3))).astype(np.int16)
    for frame, flash in zip(frames, flashes, strict=True):
        at = random.integers(0, SIZE[1])  # of one sheet of noise, other rows for each frame
        yield np.clip(frame + (noise[at : at + SIZE[1]] + np.int16(flash)), 0, 255).astype(np.uint8)


def _write(frames: Iterator[np.ndarray], path: Path, rate: int) -> None:
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=rate, options={"crf": "26", "preset": "ultrafast"})
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
    """F1 of ours and of each peer on the scored videos with its interval, of each mix, and by kind the share found."""
    mirror = Path(os.environ["MAINSTEM_MIRROR"])
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        footage = Footage(mirror, TRAINING, slice(0, 80, 8))
        training = _made(footage, MIXES[""], {TRAINING_SEED: TRAINING_VIDEOS}, Path(folder, "training"))
        figures["training_f1"] = score(counts_of(ours, training))
        tries = peers()
        best = {name: int(np.argmax([score(counts_of(one, training)) for one in own])) for name, own in tries.items()}
        chosen = {f"{name} {best[name]} of {len(own)} ": own[best[name]] for name, own in tries.items()}
        footage = Footage(mirror, SCORED, slice(170, 250, 8))
        for row, (what, mix) in enumerate(MIXES.items()):
            seeds = {seed + 1000 * row: 1 if row else VIDEOS_A_SEED for seed in SEEDS}
            scored = _made(footage, mix, seeds, Path(folder, f"scored {row}"))
            figures |= {f"{what}{name}": value for name, value in _figures(scored, chosen).items()}
        figures["target_met"] = float(figures["f1_low"] >= TARGET)
    return figures


def _figures(scored: "Made", chosen: Mapping[str, Detect]) -> dict[str, float]:
    """What is told of ours and of the peers on videos."""
    told = {path: ours(path) for path, _ in scored}
    figures: dict[str, float] = {}
    for name, detect in {"": told.__getitem__, **chosen}.items():
        counts = counts_of(detect, scored)
        figures[f"{name}f1"], (figures[f"{name}f1_low"], figures[f"{name}f1_high"]) = score(counts), interval(counts)
    for kind in dict.fromkeys(each.kind for _, truth in scored for each in truth):
        some = [(path, [each for each in truth if each.kind == kind]) for path, truth in scored]
        hits, _, made = np.sum(counts_of(told.__getitem__, some), axis=0)
        figures[f"{kind}_recall (of {made})"] = float(hits / made)
    return figures


Made = list[tuple[Path, list[Truth]]]


def _made(footage: Footage, mix: Mix, seeds: Mapping[int, int], folder: Path) -> Made:
    """Videos, so many of each seed, and what was made of them."""
    folder.mkdir()
    made = []
    for seed, num in seeds.items():
        footage.random = np.random.default_rng(seed)
        paths = [folder / f"{seed} {number}.mp4" for number in range(num)]
        made += [(path, make_video(footage, mix, path)) for path in paths]
    return made


def counts_of(detect: Detect, made: Made) -> list[tuple[int, int, int]]:
    """Counts of each video."""
    return [count(detect(path), truth) for path, truth in made]
