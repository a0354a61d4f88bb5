"""The list of what is at work beside the pages, at the top of every page: how far each is, a stop, and what failed."""

import streamlit as st

from mainstem.dashboards.shell.texts import mistakes_as_lines, plain

EVERY_S = 3.0


@st.fragment(run_every=EVERY_S)
def show_jobs() -> None:
    """Show a button that says how many jobs are at work, and opens their list; nothing where there is none."""
    from mainstem.apps.jobs import failures, find_jobs, forget_failure, stop  # the first page is shown before

    found, failed = find_jobs(), failures("")
    if not (found or failed):
        return
    told = [f"{len(found)} at work" if found else "", f"{len(failed)} ended early" if failed else ""]
    with st.container(key="desk-jobs"), st.popover(plain(", ".join(filter(None, told))), icon=":material/pending:"):
        for job in found:
            st.progress(min(max(job.share, 0.0), 1.0), plain(f"{job.what}: {job.describe()}"))
            if job.is_here() and st.button("Stop", key=f"list stop {job.name}", icon=":material/stop_circle:"):
                with mistakes_as_lines("The stop"):
                    stop(job.name)
                    st.rerun()
        for name, said in failed.items():
            st.markdown(plain(f"The {name} was not made: {said}"))
            if st.button("Seen", key=f"list seen {name}", icon=":material/check:"):
                forget_failure(name)
                st.rerun()
