"""The way in: one tile a domain, and the pages behind them."""

from pathlib import Path

import streamlit as st

VIEWS = Path(__file__).parent / "views"


def show_home() -> None:
    """Show the tiles."""
    st.title("Mainstem")
    st.markdown("Predictions from any data stream, each with its interval, its origin and what may be claimed of it.")
    left, right = st.columns(2)
    with left.container(border=True):
        st.subheader(":material/agriculture: Crop yield", anchor=False)
        st.markdown(
            "Which regions to look at: yield by county or region, the interval, the chance of falling under a "
            "threshold, and the forecast through the season. Real US counties, simulated regions, or your own."
        )
        st.page_link(yield_page, label="Open the yield map", icon=":material/map:")
    with right.container(border=True):
        st.subheader(":material/grid_on: Fields", anchor=False)
        st.markdown(
            "Which fields to visit: yield of every pixel and field from a season of satellite scenes, with intervals, "
            "NDVI by date and clouds. A simulated farm to look at, or your own scenes and field borders."
        )
        st.page_link(field_page, label="Open the field map", icon=":material/grid_on:")
    with st.container(border=True):
        st.subheader(":material/terminal: From the command line", anchor=False)
        st.code(
            "mainstem finetune crop-yield --data PATH --crop wheat --country NL --out runs/mine\n"
            "mainstem predict crop-yield PATH --crop wheat --country NL --run runs/mine --out yields.csv\n"
            "mainstem new-adapter my-sensor --data table.csv",
            language="bash",
        )
        st.caption("An adapter for a table of your own takes minutes: docs/new-adapter.md.")


home_page = st.Page(show_home, title="Mainstem", icon=":material/home:", default=True)
field_page = st.Page(VIEWS / "field_map.py", title="Fields", icon=":material/grid_on:")
yield_page = st.Page(VIEWS / "yield_map.py", title="Crop yield", icon=":material/agriculture:")
st.set_page_config(
    page_title="Mainstem",
    page_icon=str(Path(__file__).parent / "favicon.svg"),  # a named icon would be fetched from outside
    layout="wide",
)
st.navigation([home_page, yield_page, field_page]).run()
