"""Whether known truths speak against a stated coverage: exact for cases that err apart, and for groups that do not."""

import math
from collections.abc import Sequence


def chance_of_so_few(num_inside: int, num: int, level: float) -> float:
    """Chance that of `num` cases that err apart so few, or fewer, lie inside regions that hold each with `level`.

    The exact binomial tail. Cases of one group mostly err together, so that a small chance speaks of these cases alone,
    not of the average over groups, for which there is `chance_of_such_groups`. 1 of no case.
    """
    from scipy.special import bdtr  # late: it takes a quarter of a second to import

    return float(bdtr(num_inside, num, level)) if num else 1.0


def chance_of_so_many_below(coverages: Sequence[float], level: float) -> float:
    """Chance that so many groups, or more, have fewer inside than `level` says, where half of them do.

    The exact sign test. Groups that now and then fail badly and hold `level` on average have more inside in most of
    them, so that for those the chance is smaller still. 1 of no group.
    """
    from scipy.special import bdtrc

    num_below = sum(coverage < level for coverage in coverages)
    return float(bdtrc(num_below - 1, len(coverages), 0.5)) if num_below else 1.0


def chance_of_such_groups(coverages: Sequence[float], level: float) -> float:
    """At least the chance of groups with such shares of cases inside, or lower ones, where `level` is true on average.

    Groups are taken to be alike and independent, cases within one to err together in whatever way. 1 of no group.

    Source: Bates, Angelopoulos, Lei, Malik & Jordan 2021, Distribution-free, risk-controlling prediction sets, section
    3.1.3 (Hoeffding-Bentkus).
    """
    from scipy.special import bdtr

    num = len(coverages)
    if not num:
        return 1.0
    mean = min(math.fsum(coverages) / num, level)
    hoeffding = math.exp(-num * (_part(mean, level) + _part(1 - mean, 1 - level)))
    bentkus = math.e * float(bdtr(math.ceil(round(num * mean, 9)), num, level))
    return min(hoeffding, bentkus, 1.0)


def _part(share: float, expected: float) -> float:
    """One term of the Kullback-Leibler divergence between two coins."""
    return share * math.log(share / expected) if share > 0 else 0.0
