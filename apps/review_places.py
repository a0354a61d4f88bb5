"""Where the store of reviews is, and its keys and anchors, unless it is named; part of `apps.review`."""

from pathlib import Path

from mainstem.core.files import home as mainstem_home


def review_home(home: Path | None = None) -> Path:
    """Where the store's keys and anchors are, unless another folder is named."""
    from mainstem.data.catalogue import LAYOUT

    return home or mainstem_home() / LAYOUT / "review"


def review_url(url: str | None, home: Path | None = None) -> str:
    """Address of the store, unless another is named."""
    return url or f"sqlite:///{review_home(home) / 'reviews.db'}"
