"""The demonstration's archive: public pictures, videos and speech where they can be had, else pictures made in code."""

import csv
import json
import shutil
import wave
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.apps.media.archives import known_archives, note_archive
from mainstem.apps.media.index import IndexOptions, index_folder
from mainstem.apps.media.jobs import find_copies
from mainstem.core.errors import InputError
from mainstem.core.files import new_folder
from mainstem.core.progress import Progress, part_of, silent
from mainstem.data.catalogue import data_home, find_data_set, pull

SETS = {"pdq": "photographs", "tmk-video": "clips", "c2pa-samples": "signed", "librispeech-mini": "speech"}
MEDIA = (".jpg", ".mp4", ".flac")
SPEECH = "librispeech-mini"
INDEXED = 0.8  # share of the work after which copies are looked for
SIMULATED_ATTRIBUTION = "Simulated by Mainstem"
SIDE, NUM_SCENES, RATE = 480, 12, 16_000  # pixels, pictures, samples a second of tones
EDITED = 4  # scenes that edited copies are made of
Pixels = NDArray[np.uint8]


def ensure_archive(mirror: Path | None = None, progress: Progress = silent) -> Path:
    """Return the folder of the demonstration's archive; make and index it where there is none.

    Raises:
        InputError: if it cannot be written.
    """
    made = next((one.root for one in known_archives() if one.title and one.root.is_relative_to(_folder())), None)
    if made is not None:
        index_folder(made, IndexOptions(), progress)  # a moment where nothing changed; an older version's is made again
        return made
    found = dict(_pulled(mirror))
    if found:
        folder = _filled("demonstration", lambda place: _copy(found, place))
        told = ("Demonstration", "real data", "; ".join(find_data_set(name).attribution for name in found))
    else:
        folder = _filled("simulated", _simulate)
        told = ("Simulated archive", "simulated", SIMULATED_ATTRIBUTION)
    index_folder(folder, IndexOptions(), part_of(progress, 0.0, INDEXED))
    note_archive(folder, *told)
    find_copies(folder, part_of(progress, INDEXED, 1.0))
    return folder


def _folder() -> Path:
    return data_home() / "archives"


def _pulled(mirror: Path | None) -> Iterator[tuple[str, Path]]:
    """The sets that can be had here, and where they lie."""
    for name in SETS:
        try:
            yield name, pull(name, mirror)
        except InputError:
            continue  # the page shows what there is


def _filled(name: str, fill: Any) -> Path:  # noqa: ANN401 - one of the functions below
    folder = _folder() / name
    if not folder.is_dir():
        with new_folder(folder) as place:
            fill(place)
    return folder


def _copy(found: Mapping[str, Path], place: Path) -> None:
    """Copy files of the sets, each with a sidecar that says what the set says of it."""
    for name, folder in found.items():
        data = find_data_set(name)
        target = place / SETS[name]
        target.mkdir()
        spoken = _transcripts(folder) if name == SPEECH else {}
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() in MEDIA:
                copy = target / path.name
                shutil.copyfile(path, copy)
                _tell(copy, title=_title(name, path), credit=data.attribution, rights=data.licence, keywords=[name])
                if words := spoken.get(path.name):
                    copy.with_name(f"{path.name}.txt").write_text(words.capitalize() + ".\n", encoding="utf-8")


def _transcripts(folder: Path) -> dict[str, str]:
    with (folder / "transcripts.csv").open(encoding="utf-8", newline="") as file:
        return {Path(row["file"]).name: row["text"].lower() for row in csv.DictReader(file)}


def _title(name: str, path: Path) -> str:
    """What a file is, in words of its own name."""
    words = path.stem.replace("_", " ").replace("-", " ")
    if name == SPEECH:
        return f"Read speech {path.stem}"
    if path.parent.name == "labelme-subset":
        return f"LabelMe {words}"
    return f"Bridge, {words.removeprefix('bridge ').removeprefix('aaa ')}" if name == "pdq" else words


def _tell(path: Path, **said: object) -> None:
    path.with_name(f"{path.name}.json").write_text(json.dumps(said, ensure_ascii=False), encoding="utf-8")


def _simulate(place: Path) -> None:
    """Make pictures of shapes, edited copies of some, and tones; each says that it is simulated."""
    from PIL import Image

    told = {"credit": SIMULATED_ATTRIBUTION, "rights": "CC0"}
    for number in range(NUM_SCENES):
        scene, words = _scene(number)
        versions = {"": scene, **(_edits(scene) if number < EDITED else {})}
        for edit, pixels in versions.items():
            path = place / f"scene-{number + 1:02}{'-' if edit else ''}{edit}.jpg"
            Image.fromarray(pixels).save(path, quality=90)
            _tell(path, title=f"Simulated scene {number + 1}{', ' if edit else ''}{edit}", caption=words,
                  keywords=["simulated", *words.split()], **told)  # fmt: skip
    for hertz in (220, 440, 880):
        path = place / f"tone-{hertz}.wav"
        _write_tone(path, hertz)
        _tell(path, title=f"Simulated tone of {hertz} Hz", transcript="a tone rises and falls", **told)


def _scene(number: int) -> tuple[Pixels, str]:
    """A picture (y, x, 3) of shapes, and words for it."""
    rng = np.random.default_rng(number)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    ground, ink = rng.integers(30, 226, (2, 3))
    angle, waves = rng.uniform(0, np.pi), int(rng.integers(3, 9))
    along = np.cos(angle) * x + np.sin(angle) * y
    centres = rng.uniform(0.15, 0.85, (3, 2))
    discs = np.min([np.hypot(y - a, x - b) for a, b in centres], axis=0) < rng.uniform(0.1, 0.2)
    shapes = {"stripes": np.sin(2 * np.pi * waves * along) > 0, "discs": discs, "slope": along > along.mean()}
    name = list(shapes)[number % len(shapes)]
    share = (0.75 * shapes[name] + 0.25 * y)[..., None]
    noise = rng.normal(0, 6, (SIDE, SIDE, 3))
    return np.clip(ground + (ink - ground) * share + noise, 0, 255).astype(np.uint8), f"{name} on a plain ground"


def _edits(pixels: Pixels) -> dict[str, Pixels]:
    part = SIDE // 10
    return {
        "cropped": pixels[part:-part, part:-part],
        "turned": np.rot90(pixels).copy(),
        "brighter": np.clip(pixels * 1.2 + 12, 0, 255).astype(np.uint8),
    }


def _write_tone(path: Path, hertz: int) -> None:
    """Write two seconds of a tone that rises and falls."""
    times = np.arange(2 * RATE) / RATE
    samples = 0.4 * np.sin(2 * np.pi * hertz * times) * np.sin(np.pi * times / 2)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
