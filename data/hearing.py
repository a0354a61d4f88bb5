"""What was understood of tables beyond the plain reading, said once, and collected for who does not see the log."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mainstem.data.tabular import Table

LOG = logging.getLogger("mainstem.tables")
HEARD: ContextVar[list[str] | None] = ContextVar("HEARD", default=None)  # a session's own, as pages run side by side


def tell(tables: "Iterable[Table]") -> None:
    """Say what was understood of tables beyond the plain reading; once all that can be refused has been."""
    for table in tables:
        if table.notes:
            note(f"{table.name}: {'; '.join(table.notes)}")


def note(text: str) -> None:
    """Say a line of what a user should know of the data, though nothing is wrong with them."""
    LOG.warning("%s", text)
    heard = HEARD.get()
    if heard is not None:
        heard.append(text)


@contextmanager
def hearing() -> Iterator[list[str]]:
    """Collect what `tell` says meanwhile, a line a table, for who does not see the log."""
    heard: list[str] = []
    before = HEARD.set(heard)
    try:
        yield heard
    finally:
        HEARD.reset(before)
