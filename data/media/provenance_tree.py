"""What a file was made from, as its manifests tell: a bounded tree of text that nobody has vouched for."""

from collections.abc import Iterator, Mapping
from typing import Any

from mainstem.core.plain import plain
from mainstem.data.media.provenance_codes import is_of_who

MOST_NODES, MOST_DEEP = 500, 30
MOST_LETTERS, MOST_LISTED = 300, 50
Store = Mapping[str, Any]
Node = dict[str, Any]


def shown(value: object) -> str:
    """A text of a file as one line without control characters, not too long; markup in it is for screens to escape."""
    text = plain(value)
    return text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 4]} ..."


def name_of(node: Mapping[str, Any]) -> str:
    """A node's title; where nobody gave one, what else is known that tells it from others."""
    if node["title"]:
        return str(node["title"])
    known = [node[key] for key in ("format", "hash", "identifier") if node[key]]
    return ", ".join(["untitled", *known[:2]])


def read_tree(store: Store) -> Node:
    """The active manifest with all that it was made from, to so many nodes and so deep; what is left out is counted.

    Args:
        store: the SDK's JSON of a manifest store.
    """
    budget = [MOST_NODES]
    label = str(store.get("active_manifest"))
    root = _manifest(store, label, (label,), budget)
    return {**_known(_of(store, label)), "relationship": None, "faults": [], **root}


def faults_at_signing(store: Store) -> Iterator[Mapping[str, Any]]:
    """Faults of ingredients that were there, and written down, when what was made from them was signed."""
    for manifest in (store.get("manifests") or {}).values():
        for ingredient in manifest.get("ingredients") or ():
            yield from _recorded(ingredient)


def _recorded(ingredient: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Failures that an ingredient's assertion records, of version 1 and 2 (a list) and 3 (by manifest)."""
    results = ingredient.get("validation_results") or {}
    yield from (results.get("activeManifest") or {}).get("failure") or ()
    for delta in results.get("ingredientDeltas") or ():
        yield from delta["validationDeltas"].get("failure") or ()
    if not results:
        yield from ingredient.get("validation_status") or ()


def _of(store: Store, label: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (store.get("manifests") or {}).get(label) or {}
    return found


def _manifest(store: Store, label: str, above: tuple[str, ...], budget: list[int]) -> Node:
    manifest = _of(store, label)
    signature = manifest.get("signature_info") or {}
    ingredients: list[Node] = []
    left_out = 0
    for ingredient in manifest.get("ingredients") or ():
        if budget[0] <= 0 or len(above) >= MOST_DEEP:
            left_out += 1
            continue
        budget[0] -= 1
        ingredients.append(_ingredient(store, ingredient, above, budget))
    return {
        "signer": _name(signature),
        "issuer": _text(signature, "issuer"),
        "signed_at": _text(signature, "time"),
        "generator": _generator(manifest),
        "actions": _actions(manifest),
        "assertions": [shown(each.get("label")) for each in (manifest.get("assertions") or ())[:MOST_LISTED]],
        "ingredients": ingredients,
        "left_out": left_out,
    }


def _ingredient(store: Store, ingredient: Mapping[str, Any], above: tuple[str, ...], budget: list[int]) -> Node:
    label = str(ingredient.get("active_manifest"))
    codes = (shown(item["code"]) for item in _recorded(ingredient) if not is_of_who(item["code"]))
    node: Node = {
        **_known(ingredient, _of(store, label)),
        "relationship": _text(ingredient, "relationship"),
        "faults": list(dict.fromkeys(codes))[:MOST_LISTED],
    }
    if label in above or not _of(store, label):  # a manifest that names itself goes round for ever
        nothing = dict.fromkeys(("signer", "issuer", "signed_at", "generator"))
        return node | nothing | {"actions": [], "assertions": [], "ingredients": [], "left_out": 0}
    return node | _manifest(store, label, (*above, label), budget)


def _known(*tellers: Mapping[str, Any]) -> Node:
    """Title, format, hash and identifier by the first that tells of each: of an ingredient who used it, then itself."""
    keys = {"title": ("title",), "format": ("format",), "hash": ("hash",), "identifier": ("instance_id", "document_id")}
    return {
        name: next((text for teller in tellers for key in known if (text := _text(teller, key))), None)
        for name, known in keys.items()
    }


def _text(found: Mapping[str, Any], key: str) -> str | None:
    value = found.get(key)
    return shown(value) if value else None


def _name(signature: Mapping[str, Any]) -> str | None:
    """Of the certificate's holder: the common name, and the organisation where both stand."""
    name, organisation = _text(signature, "common_name"), _text(signature, "issuer")
    return f"{name} ({organisation})" if name and organisation and name != organisation else name or organisation


def _generator(manifest: Mapping[str, Any]) -> str | None:
    """The program that wrote the manifest, by its own word."""
    for info in manifest.get("claim_generator_info") or ():
        return shown(f"{info.get('name', '')} {info.get('version', '')}".strip()) or None
    return _text(manifest, "claim_generator")


def _actions(manifest: Mapping[str, Any]) -> list[Node]:
    """What was done to the file, by the signer's word: the action, and the kind of source where one is named."""
    found: list[Node] = []
    for assertion in manifest.get("assertions") or ():
        if str(assertion.get("label", "")).startswith("c2pa.actions"):
            for action in (assertion.get("data") or {}).get("actions") or ():
                source = str(action.get("digitalSourceType") or "").rsplit("/", 1)[-1]
                found.append({"action": shown(action.get("action")), "source": shown(source) or None})
    return found[:MOST_LISTED]
