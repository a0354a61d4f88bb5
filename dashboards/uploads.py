"""Files that a user gives to a page."""

from typing import Any

from mainstem.core.errors import InputError


def contents_of(files: Any) -> dict[str, bytes]:  # noqa: ANN401 - Streamlit's uploads
    """Names and contents of uploaded files.

    Raises:
        InputError: if two have one name.
    """
    contents = {file.name: file.getvalue() for file in files}
    if len(contents) != len(files):
        raise InputError("two of the files have the same name; rename one")
    return contents
