"""What every page stands on: the desk, the address, texts of others shown as they are, mistakes as one line."""

from mainstem.dashboards.shell.address import (
    choose,
    follow_address,
    note_in_address,
    put_in_address,
    recall,
    say_in_vain,
)
from mainstem.dashboards.shell.desk import FOLDED, STYLE, Desk, lay_desk, open_panel, say_status
from mainstem.dashboards.shell.jobs_list import show_jobs
from mainstem.dashboards.shell.texts import mistakes_as_lines, origin_of, plain, show_error

__all__ = [
    "FOLDED",
    "STYLE",
    "Desk",
    "choose",
    "follow_address",
    "lay_desk",
    "mistakes_as_lines",
    "note_in_address",
    "open_panel",
    "origin_of",
    "plain",
    "put_in_address",
    "recall",
    "say_in_vain",
    "say_status",
    "show_error",
    "show_jobs",
]
