"""Tables written as CSV that a spreadsheet opens without running any of it."""

import re
from typing import Any

import pandas as pd

from mainstem.data.tabular import NUMBER

CONTROLS = "[\\x00-\\x1f\\x7f]"  # a bare carriage return begins a row of its own, unquoted
FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def csv_bytes(frame: pd.DataFrame) -> bytes:
    """A table as CSV that a spreadsheet opens without running any of it; every export goes through here.

    Text that a spreadsheet would take for a formula gets an apostrophe before it, tabs and line breaks become blanks;
    numbers stay as they are.

    Source: OWASP, CSV Injection, https://owasp.org/www-community/attacks/CSV_Injection.
    """
    columns = [frame.iloc[:, index] for index in range(frame.shape[1])]
    safe = [cells if pd.api.types.is_numeric_dtype(cells) else cells.astype(object).map(_defused) for cells in columns]
    header = [_defused(str(column)) for column in frame.columns]
    text: str = pd.concat(safe, axis=1).to_csv(index=False, header=header) if safe else "\n"
    return text.encode()


def _defused(cell: Any) -> Any:  # noqa: ANN401 - text is changed, all else handed on
    if not isinstance(cell, str) or re.match(NUMBER, cell):
        return cell
    line = re.sub(CONTROLS, " ", cell)
    return f"'{line}" if line.lstrip().startswith(FORMULA) else line
