"""Files that a user gives to a page."""

from typing import Any

import streamlit as st

from mainstem.core.errors import InputError
from mainstem.dashboards.shell import plain


def contents_of(files: Any) -> dict[str, bytes]:  # noqa: ANN401 - Streamlit's uploads
    """Names and contents of uploaded files.

    Raises:
        InputError: if two have one name.
    """
    contents = {file.name: file.getvalue() for file in files}
    if len(contents) != len(files):
        raise InputError("two of the files have the same name; rename one")
    return contents


def say_missing(*, name: str, files: bool) -> None:
    """Say what an upload lacks, under its button's greyness."""
    missing = [text for text, is_there in (("a name", name), ("files", files)) if not is_there]
    if missing:
        st.caption(f"Still to give: {plain(' and '.join(missing))}. Press Enter after the name.")
