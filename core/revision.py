"""Which code this is: for records that say what wrote them."""

import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path


def code_revision() -> str:
    """Return the commit of the source folder, "-dirty" added where files changed, or the installed version."""
    folder = Path(__file__).resolve().parent
    if shutil.which("git") is None:
        return version("mainstem")
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed command
    return found.stdout.strip() or version("mainstem")
