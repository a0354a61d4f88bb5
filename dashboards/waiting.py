"""Where a page has nothing to show yet, because `mainstem demo` is still making it: how far it is."""

from collections.abc import Callable

import streamlit as st

from mainstem.apps.demo import find_making
from mainstem.dashboards.shell import plain

EVERY_S = 2.0


def is_being_made(is_ready: Callable[[], bool]) -> bool:
    """Show how far the demonstration is until `is_ready`, then the page; False where nobody makes it."""
    if find_making() is None:
        return False
    _watch(is_ready)
    return True


@st.fragment(run_every=EVERY_S)
def _watch(is_ready: Callable[[], bool]) -> None:
    making = find_making()
    if making is None or is_ready():
        st.rerun()
    st.info(
        "`mainstem demo` is making maps and a model to look at; each page shows its own as soon as it is ready.",
        icon=":material/hourglass_top:",
    )
    st.progress(min(max(making.share, 0.0), 1.0), plain(making.describe()))
