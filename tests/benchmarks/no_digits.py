"""What the spoken digits' run says of speech that holds no digit, beside what it says of the official test's digits.

Stretches of SHORTEST_S to LONGEST_S between pauses of librispeech-mini's utterances, of those whose transcript holds no
digit's name: one word or a few. A pause is QUIET_DB below an utterance's loudest twentieth.
"""

import csv
import re
from pathlib import Path

import numpy as np

SHORTEST_S, LONGEST_S, QUIET_DB, HOP_S, KEPT = 0.2, 0.9, 22.0, 0.01, 3
NAMES = re.compile(r"\b(ZERO|ONE|TWO|THREE|FOUR|FIVE|SIX|SEVEN|EIGHT|NINE)")  # and what begins so, such as SIXTY


def stretches(waves: np.ndarray, rate: int) -> list[np.ndarray]:
    """Parts of speech (samples,) between pauses."""
    hop = round(HOP_S * rate)
    power = (waves[: len(waves) // hop * hop].reshape(-1, hop) ** 2).mean(1)
    level = np.convolve(10 * np.log10(power + 1e-10), np.ones(3) / 3, "same")
    spoken = np.concatenate([[False], level >= np.quantile(level, 0.95) - QUIET_DB, [False]])
    turns = np.flatnonzero(spoken[1:] != spoken[:-1]).reshape(-1, 2)
    return [
        waves[max(start - KEPT, 0) * hop : (end + KEPT) * hop]
        for start, end in turns.tolist()
        if SHORTEST_S <= (end - start) * HOP_S <= LONGEST_S
    ]


def bench_no_digits() -> dict[str, float]:
    """How many are refused, how sure the others' first digit is, and how many digits their 90 % sets hold."""
    from mainstem.adapters import shipped_runs
    from mainstem.adapters.media.spoken_digits import TASK
    from mainstem.core.fitted import load_run
    from mainstem.core.predict import predict
    from mainstem.core.stream import Provenance
    from mainstem.data.catalogue import pull
    from mainstem.data.media.sounds import read_sound
    from mainstem.data.media.spoken_digits import RATE_HZ, SPOKEN_DIGITS, open_spoken_digits, sample_of

    folder, of = pull("librispeech-mini"), Provenance(data="librispeech-mini", item="")
    with (folder / "transcripts.csv").open(encoding="utf-8", newline="") as file:
        paths = [folder / row["file"] for row in csv.DictReader(file) if not NAMES.search(row["text"])]
    there = [path for path in paths if Path(path).is_file()]
    words = [part for path in there for part in stretches(read_sound(path, RATE_HZ).samples, RATE_HZ)]
    digits = open_spoken_digits(SPOKEN_DIGITS)
    sets = {
        "no_digit": [sample_of(part, f"stretch {row}", of) for row, part in enumerate(words)],
        "digit": [digits.samples[row] for row in digits.split().test.tolist()],
    }
    run, found = load_run(shipped_runs("media")[SPOKEN_DIGITS], TASK), {}
    for name, samples in sets.items():
        told = [one for one in predict(run, samples, TASK.view_of, 0.9) if one.region is not None]
        sure = np.array([max(one.probabilities.values()) for one in told])
        sizes = np.array([len(one.region.to_dict()["classes"]) for one in told])
        found |= {
            f"{name}_num": float(len(samples)), f"{name}_refused": float(len(samples) - len(told)),
            f"{name}_median_probability": float(np.median(sure)), f"{name}_share_at_90": float((sure >= 0.9).mean()),
            f"{name}_mean_set": float(sizes.mean()), f"{name}_share_of_one": float((sizes == 1).mean()),
        }  # fmt: skip
    return found
