"""From what the C2PA SDK reports of a manifest store to a verdict, its reasons and the words for it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mainstem.core.errors import InputError
from mainstem.core.plain import plain
from mainstem.data.media.provenance_codes import BINDING, MEANING, is_left_out, is_of_who
from mainstem.data.media.provenance_tree import faults_at_signing, read_tree, shown

MOST_REASONS = 50
NO_SIGN = "says nothing of where it comes from, which is no sign that it was altered"
MISFIT = (
    "the manifest beside it does not fit this file: either the file was altered since, or the manifest speaks of "
    "another file, and which of the two cannot be told"
)
EMBEDDED = "embedded"


@dataclass(frozen=True)
class Report:
    """What the SDK read: its JSON of the store, its own verdict (Invalid, Valid, Trusted), and where the store lies.

    leaves_out: whether parts may be left out of what is signed that hold something.
    """

    store: Mapping[str, Any]
    state: str
    where: str
    leaves_out: bool


@dataclass(frozen=True)
class Unread:
    """A file in which the SDK read no manifest.

    why: what the SDK said, as one line that begins with the kind of error. elsewhere: the address that the file names
    for its manifest. holds_store: whether one begins where such files keep theirs. has_mark: whether one may begin
    anywhere in its bytes. beside: reasons why the sidecars do not count. misfits: whether its own sidecar, of its full
    name, is of other bytes.
    """

    why: str
    elsewhere: str | None
    holds_store: bool
    has_mark: bool
    beside: Sequence[str]
    misfits: bool


def judge(report: Report, trust_list: Mapping[str, str | None] | None) -> dict[str, Any]:
    """Everything of an `Origin` but the file's name and hash.

    Args:
        report: of a manifest that could be parsed.
        trust_list: name and date of the list that the SDK was given.
    """
    results = report.store.get("validation_results") or {}
    active = results.get("activeManifest") or {}
    codes = {kind: [item["code"] for item in active.get(kind) or ()] for kind in ("success", "failure")}
    tree = read_tree(report.store)
    of_ingredients = [
        *(item for delta in results.get("ingredientDeltas") or () for item in delta["validationDeltas"]["failure"]),
        *faults_at_signing(report.store),
    ]
    faults = _faults(active.get("failure") or ()) or _unbound(report, codes["success"])
    ingredient_faults = _faults(of_ingredients)
    who = [item for item in active.get("failure") or () if is_of_who(item["code"])]
    left_out = [item for item in active.get("informational") or () if is_left_out(item["code"]) and report.leaves_out]
    is_vouched = report.state == "Trusted" and trust_list is not None and not who
    if faults:
        verdict = "tampered"
    elif ingredient_faults:
        verdict = "ingredient-fault"
    elif is_vouched and not left_out:
        verdict = "trusted"
    else:
        verdict = "valid"
    when = [item for item in active.get("informational") or () if item["code"].startswith("timeStamp.")]
    reasons = _reasons([*faults, *left_out, *who, *when]) + _reasons(ingredient_faults, "of an ingredient: ")
    signer, stamped = tree["signer"], "timeStamp.validated" in codes["success"]
    return {
        "verdict": verdict,
        "words": _left_out_words(signer) + ("" if is_vouched else _nobody(trust_list))
        if left_out and verdict == "valid"
        else _words(verdict, signer, trust_list, report.where),
        "reasons": [*reasons, *_beside(report.where)][:MOST_REASONS],
        "signer": signer,
        "issuer": tree["issuer"],
        "signed_at": tree["signed_at"] if stamped else None,
        "manifest": report.where,
        "elsewhere": None,
        "tree": tree,
    }


def fits(report: Report) -> bool:
    """True where a manifest names the very bytes of the file that it was read with, and no others besides."""
    active = (report.store.get("validation_results") or {}).get("activeManifest") or {}
    matched, failed = (
        [item for item in active.get(kind) or () if str(item["code"]).startswith(BINDING)]
        for kind in ("success", "failure")
    )
    return bool(matched) and not failed


def unread(found: Unread) -> dict[str, Any]:
    """The same of a file in which no manifest could be read.

    Raises:
        InputError: if the file is damaged, and never held a manifest as far as can be told.
    """
    kind = found.why.split(":")[0]
    verdict, words = "absent", MISFIT if found.misfits else NO_SIGN
    if found.elsewhere is not None:
        reasons = [f"manifest.inaccessible: names a manifest elsewhere ({found.elsewhere}); not fetched"]
        here = MISFIT if found.misfits else "nothing in the file itself says where it comes from"
        words = f"names a manifest elsewhere, which was not fetched; {here}"
    elif kind == "NotSupported":
        reasons = ["format.unsupported: is of a kind in which no manifest is looked for"]
    elif found.holds_store:
        verdict, words = (
            "tampered",
            "its manifest cannot be read: it was altered or cut off, or is of a kind not known here",
        )
        reasons = [f"manifest.unreadable: {found.why}"]
    elif kind == "ManifestNotFound":
        reasons = ["claim.missing: holds no manifest" + ("" if found.beside else ", and none lies beside it")]
    else:
        raise InputError(f"cannot be read ({found.why}); it is damaged, get the file again")
    if found.has_mark and verdict == "absent":
        reasons.append(
            "manifest.unread: what looks like a manifest lies inside, unread, where none of the file's own is kept"
        )
    nothing = dict.fromkeys(("signer", "issuer", "signed_at", "manifest", "tree"))
    told = {"verdict": verdict, "words": words, "reasons": [*reasons, *found.beside], "elsewhere": found.elsewhere}
    return nothing | told


def _faults(items: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [item for item in items if not is_of_who(item["code"])]


def _unbound(report: Report, success: Sequence[str]) -> list[Mapping[str, Any]]:
    """What a manifest without a failure may lack all the same: a signature that holds, and what ties it to the file."""
    found: list[Mapping[str, Any]] = []
    if "claimSignature.validated" not in success:
        found.append({"code": "claimSignature.mismatch"})
    if not fits(report):
        found.append({"code": "claim.hardBindings.missing", "explanation": "nothing ties the manifest to the file"})
    return found


def _reasons(items: Iterable[Mapping[str, Any]], before: str = "") -> list[str]:
    told = (
        f"{before}{_code(item)}: {MEANING.get(_code(item)) or shown(item.get('explanation', ''))}" for item in items
    )
    return list(dict.fromkeys(told))


def _code(item: Mapping[str, Any]) -> str:
    return plain(item["code"])[:100]


def _beside(where: str) -> list[str]:
    return [] if where == EMBEDDED else [f"manifest.sidecar: was read from {plain(where)}, beside the file"]


def _left_out_words(signer: str | None) -> str:
    return (
        f"unaltered since signed by {signer or 'someone without a name'}, but for parts of the file that are left out "
        "of what is signed, which anybody may have altered"
    )


def _listed(trust_list: Mapping[str, str | None] | None) -> str:
    return "" if trust_list is None else f"the trust list {trust_list['name']} ({trust_list['date'] or 'undated'})"


def _nobody(trust_list: Mapping[str, str | None] | None) -> str:
    listed = f" on {_listed(trust_list)}" if trust_list else ", as no trust list was given"
    return f"; that this is who signed, nobody vouches for{listed}"


def _words(verdict: str, signer: str | None, trust_list: Mapping[str, str | None] | None, where: str) -> str:
    name = signer or "someone without a name"
    return {
        "trusted": f"unaltered since signed by {name}, whose certificate {_listed(trust_list)} vouches for",
        "valid": f"unaltered since signed by {name}{_nobody(trust_list)}",
        "ingredient-fault": f"unaltered since signed by {name}, but something it was made from was altered",
        "tampered": f"altered since signed in the name of {name}, or never signed by them"
        if where == EMBEDDED
        else f"its bytes are those that the manifest beside it names, but that was altered since signed in the name of "
        f"{name}, or never signed by them",
    }[verdict]
