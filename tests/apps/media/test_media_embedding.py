"""Pictures embedded by SigLIP on small drawn weights as the hub lays them out: words find pictures, models change."""

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from tests.apps.media.archives import archive, indexed

from mainstem.apps.media.catalogue import Catalogue
from mainstem.apps.media.index import IndexOptions
from mainstem.apps.media.query import Query
from mainstem.apps.media.search import MediaSearch
from mainstem.apps.media.store import read_vectors
from mainstem.core.errors import InputError
from mainstem.core.openmodels.fetching import COMPLETE
from mainstem.data.media.small_pictures import shown_in

TOWER = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}


def staged(folder: Path, seed: int = 0) -> transformers.SiglipModel:
    """Stage a pair of towers, with a text tokenizer of a few words, as `models pull` leaves them."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {word: row for row, word in enumerate(["<pad>", "<unk>", "harbour", "bridge", "night"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    text = {**TOWER, "vocab_size": 8, "max_position_embeddings": 12, "projection_size": 32}
    config = transformers.SiglipConfig(
        vision_config={**TOWER, "patch_size": 16, "image_size": 64},
        text_config={**text, "bos_token_id": 0, "eos_token_id": 0},
    )
    torch.manual_seed(seed)
    model = transformers.SiglipModel(config).eval()
    model.save_pretrained(folder)
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>")
    fast.save_pretrained(folder)
    (folder / COMPLETE).parent.mkdir(parents=True, exist_ok=True)
    (folder / COMPLETE).write_text("every file is here\n")
    return model


@pytest.fixture
def root(tmp_path: Path, home: Path) -> Path:
    return archive(tmp_path / "archive")


def vectors(root: Path) -> np.ndarray:
    catalogue = Catalogue(root, is_read_only=True)
    found = read_vectors(catalogue)[1]
    catalogue.close()
    return found


def test_the_best_model_that_is_pulled_embeds_and_its_words_find_pictures(root, home):
    plain = indexed(root)["model"]
    assert plain["name"] == "built-in"
    assert "not searched by words" in plain["words"]
    theirs = staged(home / "models" / "siglip2-base")
    told = indexed(root)
    assert (told["read"], told["embedded"], told["model"]["name"]) == (0, 5, "siglip2-base")
    assert indexed(root)["embedded"] == 0
    shown = shown_in(root / "day0" / "photo0.jpg")[0].pixels()
    square = np.asarray(Image.fromarray(shown).resize((64, 64), Image.Resampling.BILINEAR))
    values = torch.from_numpy(square).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.no_grad():
        wanted = theirs.vision_model(pixel_values=values).pooler_output[0].numpy()
        words = theirs.text_model(input_ids=torch.tensor([[2, 3, *[0] * 10]])).pooler_output[0].numpy()
    held = vectors(root)
    cosines = held @ (wanted / np.linalg.norm(wanted))
    assert cosines.max() > 0.9999
    search = MediaSearch(root)
    found = search.search(Query(text="Harbour bridge", limit=50))
    search.close()
    assert found["picture_content"]["is_searched_by_words"]
    assert found["picture_content"]["weights_sha256"] == told["model"]["sha256"] != plain["sha256"]
    likest = max(why["cosine"] for one in found["results"] for why in one["why"] if why["field"] == "picture")
    assert likest == pytest.approx(float((held @ (words / np.linalg.norm(words))).max()), abs=2e-3)
    judged = [said for one in found["results"] for said in one["relevance"] if said["by"] == "likeness"]
    assert all(said["probability"] is None for said in judged)  # never calibrated for these weights


def test_other_weights_of_the_same_name_embed_again(root, home):
    staged(home / "models" / "siglip2-base")
    first = indexed(root)
    before = vectors(root)
    staged(home / "models" / "siglip2-base", seed=1)
    second = indexed(root)
    assert second["embedded"] == 5
    assert first["model"]["sha256"] != second["model"]["sha256"]
    assert np.abs(vectors(root) - before).max() > 0.01
    assert indexed(root, IndexOptions(workers=0, model="built-in"))["embedded"] == 5
    assert indexed(root)["embedded"] == 0  # what was asked for stays
    with pytest.raises(InputError, match="models pull"):
        indexed(root, IndexOptions(workers=0, model="dinov2-base"))
