"""Tokenizers from what an adapter's manifest says of them."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from mainstem.core.errors import ArtifactError
from mainstem.core.openmodels.families import FAMILIES
from mainstem.core.schema import first_mistake, printable
from mainstem.core.tokens import OpenTokenizer
from mainstem.core.weights import check_room


def restore_tokenizer(facts: Mapping[str, Any], dim: int, held: int | None = None) -> OpenTokenizer:
    """Build the tokenizer that `OpenTokenizer.facts` describes, its weights, `held` in number, yet to be loaded.

    Raises:
        ArtifactError: if there is none of its kind, or its facts are damaged or ask for more weights than are held.
    """
    known_kinds = {kind: plain for family in FAMILIES.values() for kind, plain in family.tokenizers.items()}
    plain = known_kinds.get(str(facts.get("kind")))
    if plain is None:
        raise ArtifactError(
            f"the adapter was fitted on a tokenizer {printable(facts.get('kind'))!r}, which is not read; "
            "update mainstem"
        )
    try:
        known = plain.model_validate_json(json.dumps(facts), strict=True)
    except ValidationError as error:
        raise ArtifactError(f"the tokenizer's facts are damaged: {first_mistake(error)}; train it again") from error
    if held is not None:
        check_room(known.num_weights(dim), held, "the tokenizer")
    return known.tokenizer(dim)
