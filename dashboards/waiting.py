"""Where a page waits for work beside it, the demonstration's or a job's: how far it is, a stop, and why it failed."""

from collections.abc import Callable

import streamlit as st

from mainstem.apps.demo import JOB as DEMONSTRATION
from mainstem.apps.jobs import STOPPED, Job, failure_of, failures, find_job, forget_failure, stop
from mainstem.dashboards.shell import mistakes_as_lines, plain, show_error

EVERY_S = 2.0


def is_being_made(is_ready: Callable[[], bool], name: str = DEMONSTRATION) -> bool:
    """Show how far a job is until `is_ready`, then the page; False where nobody is at work on it."""
    if find_job(name) is None:
        return False
    _watch(name, is_ready)
    return True


@st.fragment(run_every=EVERY_S)
def _watch(name: str, is_ready: Callable[[], bool]) -> None:
    job = find_job(name)
    if job is None or is_ready():
        st.rerun()
    if name == DEMONSTRATION:
        st.info(
            "`mainstem demo` is making maps and a model to look at; each page shows its own as soon as it is ready.",
            icon=":material/hourglass_top:",
        )
    else:
        st.info(
            f"Making {plain(job.what, 120)} beside the pages; leave this page or close it if you like: it goes on.",
            icon=":material/hourglass_top:",
        )
    st.progress(min(max(job.share, 0.0), 1.0), plain(job.describe()))
    if job.is_here():
        _offer_stop(job)


def _offer_stop(job: Job) -> None:
    if st.button("Stop", key=f"stop {job.name}", icon=":material/stop_circle:"):
        with mistakes_as_lines("The stop"):
            stop(job.name)
            st.rerun()


def show_failures(kind: str) -> None:
    """Say of each job whose name begins so why it ended before it was done, until the user has read it."""
    for name in failures(kind):
        show_failure(name)


def show_failure(name: str) -> None:
    """Say why a job ended before it was done, until the user has read it; nothing where it did not."""
    said = failure_of(name)
    if not said:
        return
    line = f"The {name} was not made: {said}"
    if said == STOPPED:
        st.info(plain(line), icon=":material/stop_circle:")
    else:
        show_error(line)
    if st.button("Seen", key=f"seen {name}", icon=":material/check:"):
        forget_failure(name)
        st.rerun()
