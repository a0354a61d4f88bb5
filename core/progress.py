"""How long work says how far it is."""

from collections.abc import Callable

Progress = Callable[[str, float], None]  # what is being done, share done


def silent(stage: str, share: float) -> None:
    """Say nothing: what is called where nobody asked for progress."""


def part_of(progress: Progress, begin: float, end: float) -> Progress:
    """Progress of a part of the work, which lies between two shares of the whole."""
    return lambda stage, share: progress(stage, begin + (end - begin) * share)
