"""The slip alarm on the Husky: learned from one half of its healthy blocks, slips put into the other."""

from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import beta

from mainstem.adapters.sensor_fusion.slip import (
    BLOCK_S,
    Disagreement,
    Signals,
    SlipAlarm,
    disagreement,
    learn_alarm,
    poisson_interval,
    signals_of,
)
from mainstem.data.robot.husky import open_husky
from mainstem.data.robot.recording import Array

SLIP_S, INTO_S = 3.0, 4.0  # how long a slip lasts, and how far into a block it begins
SLIPS = {"spin of both, +0.5 m/s": (0.5, 0.0), "spin of one side, +0.3 rad/s": (0.25, 0.3), "lock, stands": (-1.0, 0.0)}


def with_slip(signals: Signals, start: float, kind: str) -> Signals:
    """Return the signals with wheels that slip from a time: they tell what the body does not do."""
    times, values = signals["wheel"]
    faster, turning = SLIPS[kind]
    inside = (times >= start) & (times < start + SLIP_S)
    slipped = values.copy()
    slipped[inside, 0] = 0.0 if faster == -1.0 else values[inside, 0] + faster
    slipped[inside, 2] += turning
    return {**signals, "wheel": (times, slipped)}


def of_blocks(found: Disagreement, parity: int) -> Disagreement:
    """The even or the odd blocks of a log, so that both halves have turns, stops and straights."""
    inside = np.floor(found.times / BLOCK_S) % 2 == parity
    return Disagreement(times=found.times[inside], values=found.values[inside])


def evaluate_slip(mirror: Path | None = None, share: float = 0.15) -> dict[str, Any]:
    """Return recall by kind of slip with exact binomial intervals, delays, and false alarms an hour with Poisson's.

    Learned from even blocks of 10 s; false alarms are counted, and slips put, in the odd ones.
    """
    recording, _ = open_husky(mirror)
    signals = signals_of(recording)
    healthy = disagreement(signals)
    alarm = learn_alarm(of_blocks(healthy, 0), share)
    tested = of_blocks(healthy, 1)
    rung = alarm.alarms(tested)
    starts = np.unique(np.floor(tested.times / BLOCK_S))[:-1] * BLOCK_S + INTO_S
    hours = (len(starts) + 1) * BLOCK_S / 3600
    low, high = poisson_interval(len(rung), hours)
    return {
        "slips": {kind: _caught(signals, alarm, kind, starts) for kind in SLIPS},
        "false_alarms": {"count": len(rung), "hours": hours, "per_hour": len(rung) / hours, "low": low, "high": high},
        "stated_per_hour": alarm.stated_per_hour,
        "healthy_blocks": alarm.num_blocks,
        "block_s": BLOCK_S,
        "rung": rung,
    }


def _caught(signals: Signals, alarm: SlipAlarm, kind: str, starts: Array) -> dict[str, Any]:
    """How many slips of a kind ring while they last, and after how long."""
    delays = []
    for start in starts:
        found = disagreement(with_slip(signals, float(start), kind))
        inside = (found.times >= start) & (found.times < start + SLIP_S)
        over = found.times[inside][alarm.scores(found)[0][inside] > 1]
        if len(over):
            delays.append(float(over[0] - start))
    low, high = _binomial(len(delays), len(starts))
    median = float(np.median(delays)) if delays else None
    return {"caught": len(delays), "of": len(starts), "low": low, "high": high, "median_delay_s": median}


def _binomial(count: int, of: int, level: float = 0.95) -> tuple[float, float]:
    """Exact interval of a share (Clopper, Pearson 1934)."""
    tail = (1 - level) / 2
    low = 0.0 if count == 0 else float(beta.ppf(tail, count, of - count + 1))
    high = 1.0 if count == of else float(beta.ppf(1 - tail, count + 1, of - count))
    return low, high
