"""Files by how like their pictures are to pictures, or to words: in stills, and inside video by keyframes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mainstem.apps.media.database import intact
from mainstem.apps.media.store import VectorStore, frames_of
from mainstem.data.media.kinds import kind_of
from mainstem.data.media.relevance_pairs import BACKGROUND, likeness_of
from mainstem.data.media.small_pictures import shown_in

if TYPE_CHECKING:
    from mainstem.data.media.embedding import Embedder, Vectors

TIMES = ("time_s", "start_s", "end_s")


@dataclass(frozen=True, kw_only=True)
class Alike:
    """How like a content's nearest picture is to what is asked for.

    Attributes:
        features: LIKENESS (features,).
        place: of the file that it is like, among those asked with; -1 where it is like the words.
        time_s, shot_s: when it is shown in a video, and the ends of its shot; None in a still.
    """

    frame: int
    features: NDArray[np.float64]
    place: int
    time_s: float | None
    shot_s: tuple[float, float] | None

    def moment(self) -> dict[str, Any]:
        """When it is shown."""
        return {"frame": self.frame, "time_s": self.time_s, "shot_s": self.shot_s}


def asked_vectors(paths: Sequence[Path], embedder: "Embedder") -> "tuple[Vectors, NDArray[np.intp]]":
    """Vectors (pictures, dim) of the files that are asked with, and of which file each is; of a sound there are none.

    Raises:
        InputError: if one is neither picture, video nor sound.
    """
    shown = [[] if kind_of(path) == "sound" else shown_in(path) for path in paths]
    each = [embedder.pictures([one.pixels() for one in pictures]) for pictures in shown if pictures]
    places = np.repeat(np.arange(len(shown)), [len(pictures) for pictures in shown])
    return np.concatenate([np.empty((0, embedder.dim), np.float32), *each]), places


@dataclass(frozen=True, kw_only=True, eq=False)
class Sought:
    """Vectors of what is wanted (pictures, dim), of which file each is, and of what is not wanted (pictures, dim)."""

    like: "Vectors"
    places: NDArray[np.intp]
    unlike: "Vectors"


def find_alike(store: VectorStore, sought: Sought, num: int, contents: Mapping[int, int] | None) -> dict[int, Alike]:
    """Return by content how like its nearest picture is; what is nearer to something unwanted is left out.

    Args:
        store: of the catalogue.
        sought: what is wanted, and what is not.
        num: pictures that are looked at closely, of each that is asked with.
        contents: those that may be found; None: all.
    """
    allowed = None if contents is None else frames_of(store.catalogue, list(contents))
    hits = [store.nearest(vector, num, allowed)[0] for vector in sought.like]
    frames = np.unique(np.concatenate(hits)) if hits else np.empty(0, np.int64)
    if not len(frames):
        return {}
    vectors, background = store.vectors(frames), store.sample(BACKGROUND)
    near, usual = vectors @ sought.like.T, background @ sought.like.T
    best = near.argmax(1)
    cosines = near[np.arange(len(frames)), best]
    if len(sought.unlike):
        kept = cosines > (vectors @ sought.unlike.T).max(1)
        frames, best, cosines = frames[kept], best[kept], cosines[kept]
    found: dict[int, Alike] = {}
    for row in np.argsort(-cosines, kind="stable").tolist():
        told = store.catalogue.frame(int(frames[row]))
        if told is not None and told["content"] not in found:
            with intact(store.catalogue.home):
                time_s, start_s, end_s = (None if (at := told[name]) is None else float(at) for name in TIMES)
            found[told["content"]] = Alike(
                frame=int(frames[row]), place=int(sought.places[best[row]]), time_s=time_s,
                features=likeness_of(float(cosines[row]), usual[:, best[row]]),
                shot_s=None if start_s is None or end_s is None else (start_s, end_s),
            )  # fmt: skip
    return found


def why_alike(alike: Alike, like: Sequence[Path], model: str) -> Iterator[dict[str, Any]]:
    """Say what a content is like, and how much."""
    asked = "the words" if alike.place < 0 else str(like[alike.place])
    yield {"field": "picture", "like": asked, "cosine": float(alike.features[0]), "compared_by": model}
