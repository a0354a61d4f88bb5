"""A map's table twin: one row can be chosen in it, and shows what was chosen elsewhere."""

from collections.abc import Callable, Container, Sequence
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st
from pandas.api.types import is_float_dtype

SHOWN = "table_chose"  # session key: by table, the row that was last chosen in the table itself
TIMES = "table_times"  # session key: how often a table began anew
HEIGHT_PX, ROW_PX = 300, 35  # at most; of a row and of the head, as Streamlit draws them


def named_in_address(name: str, known: Container[str], first: str) -> tuple[str, str]:
    """Return what the address names, `first` where it names none; and what it names in vain."""
    asked = str(st.query_params.get(name, ""))
    if not asked:
        return first, ""
    return (asked, "") if asked in known else ("", asked)


def choice_table(
    shown: pd.DataFrame,
    names: Sequence[str],
    chosen: str,
    on_chosen: Callable[[str], None],
    name: str,
    most_px: int = HEIGHT_PX,
) -> None:
    """Show a table; call `on_chosen` with the name of the row that is chosen in it.

    Args:
        shown: the rows.
        names: of the rows.
        chosen: name of the row that the page shows, whoever chose it.
        on_chosen: called before the page is drawn anew.
        name: of what the table shows; a table of other rows starts anew.
        most_px: height of a long one.
    """
    last: dict[str, str] = st.session_state.setdefault(SHOWN, {})
    if last.get(name) != chosen:  # chosen elsewhere: a new table begins with that row
        st.session_state[TIMES] = st.session_state.get(TIMES, 0) + 1
        last.clear()
        last[name] = chosen
    key = f"{name} {st.session_state.get(TIMES, 0)}"
    rows = [list(names).index(chosen)] if chosen in names else []
    decimals: Any = {
        str(name): st.column_config.NumberColumn(format="%.2f") for name in shown if is_float_dtype(shown[name])
    }
    height = min(most_px, ROW_PX * (len(shown) + 1) + 3)  # no empty rows below a few
    st.dataframe(
        shown, hide_index=True, on_select=partial(_choose, key, name, tuple(names), on_chosen),
        selection_mode="single-row", selection_default={"selection": {"rows": rows}}, key=key, height=height,
        column_config=decimals,
    )  # fmt: skip


def _choose(key: str, name: str, names: tuple[str, ...], on_chosen: Callable[[str], None]) -> None:
    """Take a choice, unless the table has begun anew since: the browser may repeat the last one of the table before."""
    if key != f"{name} {st.session_state.get(TIMES, 0)}":
        return
    rows = st.session_state[key].selection.rows
    if (
        rows and 0 <= rows[0] < len(names) and st.session_state.get(SHOWN, {}).get(name) != names[rows[0]]
    ):  # no echo of its own
        st.session_state[SHOWN] = {name: names[rows[0]]}
        on_chosen(names[rows[0]])
