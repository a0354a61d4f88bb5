"""A small archive for the media page: pictures of known colours with what is said of them, a text, a tone."""

import json
import wave
from pathlib import Path

import numpy as np
from PIL import Image

from mainstem.apps.media.index import IndexOptions, index_folder

MARKUP = "<img src=x onerror=alert(1)> **loud** :red[danger] [x](http://127.0.0.1:9) $x^2$"


def made_archive(folder: Path) -> Path:
    """Write an archive, and index it here."""
    folder.mkdir(parents=True)
    for number, name in enumerate(("harbour", "market", "bridge")):
        pixels = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        big = np.kron(pixels, np.ones((40, 40, 1), np.uint8))
        Image.fromarray(big).save(folder / f"{name}.png")
    Image.open(folder / "bridge.png").resize((200, 150)).convert("RGB").save(folder / "bridge-small.jpg", quality=85)
    say(folder / "harbour.png", title=MARKUP, caption="boats at dawn", credit="Agency", rights="CC BY 4.0")
    say(folder / "market.png", title="Market", opt_out="reserved", embargo="2099-01-01T00:00+00:00")
    (folder / "notes.txt").write_text("minutes of the harbour board", encoding="utf-8")
    with wave.open(str(folder / "tone.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes((np.sin(np.arange(8000) / 3) * 9000).astype("<i2").tobytes())
    (folder / "tone.wav.txt").write_text("a tone is heard", encoding="utf-8")
    index_folder(folder, IndexOptions(workers=0))
    return folder


def say(path: Path, **said: object) -> None:
    path.with_name(f"{path.name}.json").write_text(json.dumps(said), encoding="utf-8")
