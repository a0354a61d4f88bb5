"""Vectors of what pictures show: by an open encoder whose weights are here, or by the project's own description."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.core.openmodels import OpenModel, load_open_model
from mainstem.core.openmodels.fetching import is_whole, models_home, staged_folder
from mainstem.core.openmodels.files import read_config
from mainstem.core.openmodels.images import PatchTokenizer
from mainstem.core.samples import read_now
from mainstem.core.stream import Channel, Provenance, Sample, Stream
from mainstem.core.tokens import Inputs, OpenTokenizer, Patches, TokenBatch, place
from mainstem.data.media.description import BUILT_IN, DIM, describe, own_sha256

PREFERRED = ("siglip2-large", "siglip2-base", "siglip2-base-naflex", "dinov2-large", "dinov2-base", "dinov2-small")
RGB = tuple(Channel(name=name, unit="1") for name in ("red", "green", "blue"))
SIDE = 224  # of pictures whose encoder names none
Vectors = NDArray[np.float32]
Pixels = NDArray[np.uint8]


def best_pulled() -> str:
    """The first of PREFERRED whose weights are staged here; BUILT_IN where none is. Nothing is fetched."""
    return next((name for name in PREFERRED if is_whole(staged_folder(name, models_home()))), BUILT_IN)


class Described(OpenTokenizer):
    """Describes pictures in the loader's workers; it has no weights, so that nothing is left to project."""

    def cut_inputs(self, inputs: Inputs) -> Patches:
        """Refuse: it reads samples alone.

        Raises:
            InputError: always.
        """
        raise InputError("the built-in description reads samples alone; give them")

    def cut(self, samples: Sequence[Sample]) -> Patches:
        """Return descriptions (samples, DIM)."""
        values = [next(iter(read_now(sample).streams.values())).values for sample in samples]
        told = [describe(np.round(np.moveaxis(one, 0, -1) * 255).astype(np.uint8)) for one in values]
        return Patches(parts={"description": torch.from_numpy(np.stack(told))})

    def project(self, patches: Patches) -> TokenBatch:
        """Return one token a picture."""
        values = patches["description"].unsqueeze(1)
        return place(values, torch.ones(values.shape[:2], dtype=torch.bool))


class Embedder:
    """A model, loaded: vectors of length 1 of pictures, and of words where it has been trained with them.

    Attributes:
        name: of `models list`, a path, or BUILT_IN.
        sha256: of its weights; of the built-in description's version.
        is_aligned: words are embedded into the space of pictures.
        side: pixels a side of the squares that pictures are made; None: they are taken as they are.
    """

    def __init__(self, name: str) -> None:
        """Load it; weights that are not here are never fetched.

        Raises:
            InputError: if its weights are not here, or it embeds no pictures.
        """
        self.name = name
        self.opened = None if name == BUILT_IN else _load(name)
        self.text: OpenModel | None = None
        self.tokenizer: OpenTokenizer = Described() if self.opened is None else self.opened.tokenizer
        self.sha256 = own_sha256() if self.opened is None else self.opened.sha256()
        self.dim = DIM if self.opened is None else self.opened.trunk.config.dim
        self.is_aligned = self.opened is not None and _has_words(self.opened)
        self.side = None if self.opened is None else _side(self.opened)

    def pictures(self, pictures: Sequence[Pixels]) -> Vectors:
        """Return the vectors (pictures, dim) of pictures (y, x, 3)."""
        return self.embedded(self.tokenizer.cut([sample_of(pixels, self.side, "asked") for pixels in pictures]))

    def words(self, text: str) -> Vectors:
        """Return the vector (dim,) of words, in lower case, as SigLIP 2 was trained on them.

        Raises:
            InputError: if the model knows none.
        """
        if self.opened is None or not self.is_aligned:
            raise InputError(f"{self.name} embeds no words; pull siglip2-base and index again")
        if self.text is None:
            self.text = load_open_model(self.opened.name, family="siglip2_text")
        found: Vectors = unit(self.text.embed({"text": [text.lower()]}))[0]
        return found

    def embedded(self, patches: Patches) -> Vectors:
        """Return the vectors (pictures, dim) of what the tokenizer cut."""
        if self.opened is None:
            found: Vectors = patches["description"].numpy()
            return found
        with torch.no_grad():
            pooled = self.opened.trunk(self.tokenizer.project(patches)).pooled
        return unit(pooled.float().numpy())


def _load(name: str) -> OpenModel:
    is_path = Path(name).exists()
    if not is_path and not is_whole(staged_folder(name, models_home())):
        raise InputError(f"got the model {name!r:.100}, whose weights are not here; mainstem models pull {name:.100}")
    model = load_open_model(name if is_path else str(staged_folder(name, models_home())))
    if "image" not in model.tokenizers:
        raise InputError(f"{name:.100} embeds no pictures; name one of the families siglip2, dinov2 or dinov3")
    return model


def _has_words(model: OpenModel) -> bool:
    """True where the weights hold both towers, of one width."""
    place = Path(model.name)
    text = read_config(place if place.is_dir() else place.parent).get("text_config")
    if not isinstance(text, dict):
        return False
    return int(text.get("projection_size") or text.get("hidden_size", 768)) == model.trunk.config.dim


def _side(model: OpenModel) -> int | None:
    """The square that the positions were learned on where they are SigLIP's, else SIDE; None for those of any aspect.

    The whole of a picture is squeezed into it, as SigLIP's own processor does; DINOv2's would cut its edges off.
    """
    tokenizer = model.tokenizer
    if not isinstance(tokenizer, PatchTokenizer):
        return SIDE  # NaFlex takes any aspect; a square keeps batches of one shape
    patch = tokenizer.config.patch_size
    wanted = tokenizer.config.side * patch if model.family == "siglip2" else SIDE
    return max(wanted // patch, 1) * patch


def unit(vectors: Vectors) -> Vectors:
    """Vectors (n, dim) at length 1."""
    found: Vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return found


def sample_of(pixels: Pixels, side: int | None, item: str) -> Sample:
    """A picture (y, x, 3) as a sample with one image stream, a square of `side` pixels where one is wanted."""
    if side is not None:
        from PIL import Image

        pixels = np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR))
    values = np.moveaxis(pixels, -1, 0).astype(np.float32) / 255
    return Sample(
        streams={"picture": Stream(kind="image", values=values, channels=RGB)}, target=None,
        source=Provenance(data="archive", item=item),
    )  # fmt: skip
