"""Open encoders in one trunk: `load_open_model` gives tokenizer, trunk and `embed`, whatever the family."""

from pathlib import Path

from mainstem.core.errors import ArtifactError, InputError
from mainstem.core.openmodels import own
from mainstem.core.openmodels.base import OpenModel, Weights, assemble
from mainstem.core.openmodels.families import FAMILIES
from mainstem.core.openmodels.fetching import listings
from mainstem.core.openmodels.files import read_weights
from mainstem.core.openmodels.restore import restore_tokenizer
from mainstem.core.trunk_config import SIZES


def load_open_model(name_or_path: str | Path, family: str | None = None, *, seed: int = 0) -> OpenModel:
    """Load an open encoder with every weight accounted for.

    Args:
        name_or_path: a file or folder of weights, a name of `mainstem models list`, a hub repository `owner/name`, or
            one of the project's own sizes (xs, ti, s, b), whose weights are drawn, not trained.
        family: one of `FAMILIES`; None reads it off config and keys. The text tower of a pair needs its name.
        seed: of drawn weights.

    Raises:
        InputError: if name or family are unknown.
        ArtifactError: if files are damaged, unsafe, of another family, or a key is missing, left over or misshapen.
    """
    name = str(name_or_path)
    if name in SIZES:
        return own.untrained(name, seed)
    if family is not None and family not in FAMILIES:
        raise InputError(f"got family {family!r}, want one of {', '.join(FAMILIES)}")
    listing = listings().get(name)
    weights = read_weights(name)
    if family is None and listing is not None:
        family = listing.family
    if family is not None:
        return _as_family(family, weights)
    found = [candidate for candidate in FAMILIES.values() if candidate.matches(weights.config, weights.shapes)]
    if not found:
        raise ArtifactError(
            f"{name} is of no family that is read ({', '.join(FAMILIES)}): neither its config nor its keys are known"
        )
    return assemble(weights, found[0])


def _as_family(family: str, weights: Weights) -> OpenModel:
    return assemble(weights, FAMILIES[family])


__all__ = ["FAMILIES", "OpenModel", "load_open_model", "restore_tokenizer"]
