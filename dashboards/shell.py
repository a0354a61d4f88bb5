"""What every page has in common: its header, and errors as one line that says what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from mainstem.core.errors import MainstemError


def header(title: str, *, simulated: bool, adapter: str, not_for: str, attribution: str) -> None:
    """Say what the page shows, whether it is real, which adapter made it, and for what it must not be used."""
    kind = ":orange-badge[:material/science: simulated]" if simulated else ":green-badge[:material/public: real data]"
    st.markdown(f"## {title} &nbsp; {kind} :gray-badge[{adapter}] :red-badge[:material/block: not for {not_for}]")
    if attribution:
        st.caption(attribution)


@contextmanager
def mistakes_as_lines() -> Iterator[None]:
    """Show a user's mistake as one line and stop the page."""
    try:
        yield
    except MainstemError as error:
        st.error(str(error), icon=":material/error:")
        st.stop()
