"""Groups that are named by numbers, as years are: which is later, and how far ahead the next ones lie."""

from collections.abc import Collection

import numpy as np

from mainstem.core.folds import is_number


def is_ordered(names: Collection[str]) -> bool:
    """True where groups are named by numbers, as years are, so that one can be later than another."""
    return bool(names) and all(is_number(name) for name in names)


def is_beyond(group: str, names: Collection[str]) -> bool:
    """True where groups are numbers, as years are, and this one is beyond all of the others named."""
    return bool(names) and is_ordered([*names, group]) and float(group) > max(map(float, names))


def least_lead(names: Collection[str], num_ahead: int) -> float:
    """Least distance of any group, all being numbers, from the `num_ahead`-th after it; 0 where there are too few.

    So far at least lay what was predicted of the next few groups, however far one of them lay by a gap among them.
    """
    numbers = np.unique([float(name) for name in names])
    return float((numbers[num_ahead:] - numbers[:-num_ahead]).min()) if len(numbers) > num_ahead else 0.0
