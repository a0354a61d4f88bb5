"""Where a file says that it comes from: the verdict in words, what it does not mean, what the file was made from."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import streamlit as st

from mainstem.core.files import file_stat
from mainstem.core.plain import plain as one_line
from mainstem.dashboards.shell import plain
from mainstem.data.media.provenance import Origin, read_provenance, sidecars
from mainstem.data.media.provenance_tree import name_of
from mainstem.data.media.trust_lists import SHIPPED, TrustList, is_overdue, read_trust_list

MEANING = {
    "absent": (
        "help", "No manifest that fits it",
        "This is no sign that it was altered, and none that it was not: most files carry none, and any program that "
        "saves a file anew may drop it.",
    ),
    "valid": (
        "check", "What was signed of it is unaltered",
        "The bytes that were signed are as they were. Who signed is a name that nobody on the list vouches for: "
        "anybody can make a certificate in any name. Nothing here says that what it shows is true.",
    ),
    "trusted": (
        "verified", "Unaltered since it was signed, by somebody on the trust list",
        "The bytes are those that were signed, and the list vouches for the name. It does not say that what it shows "
        "is true, nor that it was not staged before it was signed.",
    ),
    "tampered": (
        "warning", "Not what was signed",
        "The bytes, the manifest or the signature do not fit one another. That may be an attack, or a program that "
        "saved the file without knowing of its manifest.",
    ),
    "ingredient-fault": (
        "rule", "Unaltered itself, but made from something that was",
        "The file is as it was signed. Something that it was made from does not fit its own signature.",
    ),
}  # fmt: skip


@st.cache_data(show_spinner="Checking where it comes from; nothing is fetched", max_entries=32)
def _provenance(path: str, stats: tuple[tuple[int, ...], ...]) -> Origin:
    assert stats
    return read_provenance(Path(path), trust_list())


@st.cache_resource(show_spinner=False)
def trust_list() -> TrustList:
    """The list of who may sign that comes with the package."""
    return read_trust_list(SHIPPED)


def provenance_of(path: Path) -> Origin:
    """What a file, or the sidecar beside it, says of where it comes from.

    Raises:
        InputError: if it is damaged.
    """
    return _provenance(str(path), tuple(file_stat(each) for each in (path, *sidecars(path))))


def show_origin(path: Path) -> None:
    """Show a file's verdict, its reasons, and the tree of what it was made from."""
    found = provenance_of(path)
    icon, title, limits = MEANING[found.verdict]
    st.markdown(f"**:material/{plain(icon)}: {plain(title)}** ({plain(found.verdict)})")
    st.markdown(f"{plain(found.words, 600)}.")
    st.caption(plain(limits))
    if found.signed_at:
        st.caption(f"Signed at {plain(found.signed_at)}, by a time stamp")
    if found.tree is not None:
        st.code("\n".join(tree_lines(found.tree)), language=None, wrap_lines=True)
        st.caption("Names, programs and actions are the signer's own words.")
    if found.reasons:
        with st.expander("Reasons, by the codes of the specification (C2PA 2.2)"):
            st.code("\n".join(one_line(reason) for reason in found.reasons), language=None, wrap_lines=True)
    listed = trust_list()
    late = "; it is more than a year old" if is_overdue(listed) else ""
    st.caption(
        f"Trust list: {plain(listed.name)} ({plain(listed.date or 'undated')}), {listed.certificates:d} certificates"
        f"{plain(late)}. SHA-256 {plain(found.sha256)}"
    )


def tree_lines(node: Mapping[str, Any], before: str = "", branch: str = "") -> Iterator[str]:
    """Yield a file and what it was made from, a line a file and one for what was done."""
    signer = f"signed by {node['signer']}" if node["signer"] else "without a manifest"
    part = f" ({node['relationship']})" if node["relationship"] else ""
    yield one_line(f"{before}{branch}{name_of(node)}{part}, {signer}")
    below = before + {"": "", "├─ ": "│  ", "└─ ": "   "}[branch]
    ingredients, left_out = list(node["ingredients"]), node["left_out"]
    stem = "│  " if ingredients else "   "
    for line in _about(node):
        yield one_line(f"{below}{stem}{line}")
    for number, one in enumerate(ingredients):
        is_last = number + 1 == len(ingredients) and not left_out
        yield from tree_lines(one, below, "└─ " if is_last else "├─ ")
    if left_out:
        yield f"{below}└─ and {left_out} more, which are left out"


def _about(node: Mapping[str, Any]) -> Iterator[str]:
    if node["generator"]:
        yield f"by the program {node['generator']}"
    done = [act["action"] + (f" ({act['source']})" if act["source"] else "") for act in node["actions"]]
    if done:
        yield f"done: {', '.join(done)}"
    if node["faults"]:
        yield f"FAULTY when it was used: {', '.join(node['faults'])}"
