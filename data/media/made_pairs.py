"""Pairs of queries and files made of what can be had, where nobody has labelled any: `archive-pairs`.

Documents are transcripts of read speech (librispeech-mini). A document is dealt to fields as archives have them: some
of its words are a title, keywords or a caption, the rest a transcript. Queries are words of one document, a word of
another's at times among two or three of its own, as who half remembers asks: relevant are the document, and any other
that holds all of the query. Or they are words of documents that the archive lacks, with common words or one word of a
document among them: nothing is relevant. Pictures are the photographs of pdq and c2pa-samples, frames of tmk-video and
scikit-learn's two, each asked with by edited copies of it.

What this is not: queries that people asked, or what they took for an answer. Synonyms, other languages and what a
picture shows are nowhere in it.
"""

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mainstem.core.samples import SampleSet
from mainstem.core.stream import Provenance
from mainstem.data.catalogue import find_data_set, pull
from mainstem.data.media.pictures import read_picture
from mainstem.data.media.relevance_pairs import (
    CLASSES,
    CountedTexts,
    Evidence,
    Pair,
    Vectors,
    likeness_of,
    samples_of,
    stream_of,
)
from mainstem.data.media.small_pictures import SIDE
from mainstem.data.media.videos import read_frames
from mainstem.data.media.words import words_of

if TYPE_CHECKING:
    from PIL.Image import Image

NAME = "archive-pairs"
SETS: Mapping[Evidence, tuple[str, ...]] = {
    "words": ("librispeech-mini",), "likeness": ("pdq", "c2pa-samples", "tmk-video"),
}  # fmt: skip
PHOTOGRAPHS = (
    "labelme-subset/*.jpg", "bridge-mods/aaa-orig.jpg", "A.jpg", "C.jpg", "earth_apollo17.jpg", "P1000827.jpg",
)  # fmt: skip
CLIPS = ("doorknob-hd-no-bar.mp4", "pattern-sd-grey-bar.mp4")
SAMPLE_IMAGES = (
    "china.jpg by danielbuechele, flower.jpg by vultilion, on Flickr, as scikit-learn ships them, CC BY 2.0",
    "CC BY 2.0",
)  # fmt: skip
ARCHIVES, SMALLEST, QUERIES = 24, 10, 8  # drawn of the documents, least documents in one, queries of each sort
COMMON = 0.2  # share of documents that a common word is in
EDITS = 12  # of each photograph
Pixels = NDArray[np.uint8]
Embed = Callable[[Sequence[Pixels]], Vectors]


def open_made_pairs(evidence: Evidence, mirror: Path | None, embed: Embed, model: str) -> SampleSet:
    """Return the made pairs of words, or of pictures, compared by what `embed` makes of them."""
    folders = [pull(name, mirror) for name in SETS[evidence]]
    found = _spoken(folders[0]) if evidence == "words" else _pictured(photographs(folders), embed)
    sets = [find_data_set(name) for name in SETS[evidence]]
    more = {"words": [], "likeness": [SAMPLE_IMAGES]}[evidence]
    told = "; ".join([*(one.attribution for one in sets), *(attribution for attribution, _ in more)])
    licence = " and ".join(dict.fromkeys([*(one.licence for one in sets), *(licence for _, licence in more)]))
    source = Provenance(data=NAME, item="pairs", licence=licence, attribution=told)
    return SampleSet(
        name=NAME, samples=samples_of(found, model, source), flagged={}, attribution=told, licence=licence,
        classes=CLASSES,
    )  # fmt: skip


def _spoken(folder: Path) -> Iterator[Pair]:
    """Pairs of words and documents, over many archives drawn of the documents."""
    with (folder / "transcripts.csv").open(encoding="utf-8", newline="") as file:
        documents = {Path(row["file"]).stem: row["text"] for row in csv.DictReader(file)}
    rng, names = np.random.default_rng(0), sorted(documents)
    for number in range(ARCHIVES):
        size = int(rng.integers(SMALLEST, len(names) - SMALLEST))
        held = [names[row] for row in rng.permutation(len(names))]
        archive = CountedTexts({name: _in_fields(documents[name], rng) for name in held[:size]})
        away = [words_of(documents[name]) for name in held[size:]]
        words = {name: words_of("\n".join(fields.values())) for name, fields in archive.texts.items()}
        for query, wanted in _queries(words, away, rng):
            for name, told in archive.answers(query).items():
                is_relevant = float(name == wanted or (told.features[1] == 1 and bool(wanted)))
                streams, group = stream_of("words", told.features), f"{query} in archive {number}"
                yield Pair(query=query, path=name, streams=streams, is_relevant=is_relevant, group=group)


def _in_fields(text: str, rng: np.random.Generator) -> dict[str, str]:
    """A document's words dealt to fields as an archive's are: told by its caption, its keywords or its transcript."""
    words = text.lower().split()
    few = " ".join(words[: int(rng.integers(3, 8))])
    sort = int(rng.integers(5))
    some = " ".join(words[row] for row in sorted(rng.permutation(len(words))[:6].tolist()))
    every = " ".join(words)
    return (
        {"transcript": every}, {"title": few, "transcript": every}, {"caption": every},
        {"keywords": some, "text": every}, {"title": few, "caption": every},
    )[sort]  # fmt: skip


def _queries(
    words: Mapping[str, list[str]], away: Sequence[list[str]], rng: np.random.Generator
) -> Iterator[tuple[str, str]]:
    """Yield queries, each with the document that it is made of; "" where it is of none."""
    counts = Counter(word for held in words.values() for word in set(held))
    common = sorted(word for word, count in counts.items() if count > COMMON * len(words))
    absent = sorted({word for held in away for word in held if word not in counts and len(word) > 3})
    names = sorted(words)
    for _ in range(QUERIES):
        name = names[int(rng.integers(len(names)))]
        held = words[name]
        own = sorted({word for word in held if word not in common and len(word) > 3}) or held
        begin, few = int(rng.integers(max(len(held) - 4, 1))), int(rng.integers(1, 3))
        yield " ".join(_drawn(own, int(rng.integers(1, 4)), rng)), name
        yield " ".join(held[begin : begin + int(rng.integers(2, 5))]), name
        yield _drawn(own, 1, rng)[0][:5] + "*", name
        yield " ".join([*_drawn(own, 1 + few, rng), *_drawn(absent, 1, rng)]), name
        yield " ".join([*_drawn(absent, few, rng), *_drawn(common, few, rng)]), ""
        yield " ".join([*_drawn(absent, few, rng), *_drawn(own, 1, rng)]), ""


def _drawn(words: Sequence[str], num: int, rng: np.random.Generator) -> list[str]:
    return [words[row] for row in rng.permutation(len(words))[:num].tolist()]


def photographs(folders: Sequence[Path]) -> dict[str, Pixels]:
    """Photographs and frames, none of which is of another, by name."""
    from sklearn.datasets import load_sample_images

    paths = [path for folder in folders for pattern in PHOTOGRAPHS for path in sorted(folder.rglob(pattern))]
    found = {path.stem: read_picture(path, 4 * SIDE).pixels for path in paths}
    clips = [path for folder in folders for name in CLIPS for path in folder.rglob(name)]
    found |= {path.stem: next(iter(read_frames(path, longest_side=4 * SIDE))).pixels for path in clips}
    own = load_sample_images()
    return found | {Path(name).stem: pixels for name, pixels in zip(own.filenames, own.images, strict=True)}


def _pictured(shown: Mapping[str, Pixels], embed: Embed) -> Iterator[Pair]:
    """Pairs of edited copies and photographs, of which at times another edit lies in the archive, not itself."""
    rng, names = np.random.default_rng(1), sorted(shown)
    vectors = {name: embed([shown[name], *(_edited(shown[name], rng) for _ in range(EDITS))]) for name in names}
    for name in names:
        for edit in range(1, EDITS + 1):
            versions = {own: int(rng.integers(EDITS + 1)) for own in names}
            versions[name] *= versions[name] != edit
            every = {own: float(vectors[own][versions[own]] @ vectors[name][edit]) for own in names}
            few = rng.permutation(names)[: int(rng.integers(len(names) // 2, len(names) + 1))]
            usual = np.array([every[other] for other in few], np.float32)
            for own in names:
                streams = stream_of("likeness", likeness_of(every[own], usual))
                query, group = f"{name} edit {edit}", f"photograph {name}"
                yield Pair(query=query, path=own, streams=streams, is_relevant=float(own == name), group=group)


def _edited(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """A copy that went through one to three edits of newsrooms: scaled, cropped, re-encoded, brightened, labelled."""
    from PIL import Image

    image = Image.fromarray(pixels)
    edits = (_scaled, _cropped, _encoded, _toned, _blurred, _greyed, _barred)
    for row in rng.permutation(len(edits))[: int(rng.integers(1, 4))].tolist():
        image = edits[row](image, rng)
    return np.asarray(image.convert("RGB"))


def _scaled(image: "Image", rng: np.random.Generator) -> "Image":
    scale = float(rng.uniform(0.2, 0.8))
    return image.resize((max(int(image.width * scale), 32), max(int(image.height * scale), 32)))


def _cropped(image: "Image", rng: np.random.Generator) -> "Image":
    sides = np.array([image.width, image.height, image.width, image.height])
    left, top, right, bottom = (rng.uniform(0, 0.07, 4) * sides).tolist()
    return image.crop((int(left), int(top), max(int(image.width - right), 1), max(int(image.height - bottom), 1)))


def _encoded(image: "Image", rng: np.random.Generator) -> "Image":
    from PIL import Image

    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=int(rng.integers(15, 60)))
    return Image.open(buffer)


def _toned(image: "Image", rng: np.random.Generator) -> "Image":
    from PIL import ImageEnhance

    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = enhance(image).enhance(float(rng.uniform(0.7, 1.35)))
    return image


def _blurred(image: "Image", rng: np.random.Generator) -> "Image":
    from PIL import ImageFilter

    most = max(0.5, 0.008 * max(image.size))  # of pixels; small pictures bear the least alone
    return image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.5, most))))


def _greyed(image: "Image", rng: np.random.Generator) -> "Image":
    return image.convert("L").convert("RGB")


def _barred(image: "Image", rng: np.random.Generator) -> "Image":
    """With a bar of one colour, as a channel's logo or a caption covers a picture."""
    from PIL import Image

    covered, height = image.copy(), max(int(image.height * float(rng.uniform(0.05, 0.15))), 1)
    covered.paste(
        Image.new("RGB", (image.width, height), tuple(rng.integers(0, 256, 3).tolist())), (0, image.height - height)
    )
    return covered
