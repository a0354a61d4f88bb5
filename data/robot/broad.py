"""BROAD: inertial trials with an optical reference (Laidig et al. 2021), read from the catalogue's files."""

from pathlib import Path

import numpy as np

from mainstem.data.catalogue import pull

KINDS = (
    "slow_rotation", "fast_rotation", "slow_translation", "fast_translation", "fast_combined",
    "stationary_magnet", "attached_magnet", "tapping", "phone_vibration",
)  # fmt: skip


def trial_paths(mirror: Path | None = None) -> list[Path]:
    """Return the files of the trials, pulled where they were not."""
    return sorted(pull("broad", mirror).glob("*.npz"))
