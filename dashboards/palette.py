"""Colour-blind-safe, perceptually even colours: viridis and plasma, which hold no grey; diverging around zero."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
STOPS = {  # nine even stops of matplotlib's tables (van der Walt & Smith 2015; ColorBrewer BrBG)
    "viridis": ("440154", "472d7b", "3b528b", "2c728e", "21918c", "28ae80", "5ec962", "addc30", "fde725"),
    "plasma": ("0d0887", "4b03a1", "7d03a8", "a82296", "cb4679", "e56b5d", "f89441", "fdc328", "f0f921"),
    "brbg": ("543005", "8c510a", "bf812d", "dfc27d", "f5f5f5", "80cdc1", "35978f", "01665e", "003c30"),
}
GREEN = "#1f6f43"  # of the theme: what is forecast, or is the one chosen
FADED = "#4a544c"  # 7.9 to 1 on white
MEASURED = "#222222"  # what was measured: harvests
SEASON = "#2b5f9e"  # inputs of a season
HEARD = "#b4510b"  # inputs that the alarm heard
PAST = "#7a7a7a"  # what the past says
IN_THE_DARK = {  # at least 4.5 to 1 on the dark theme's ground
    GREEN: "#57b583", FADED: "#b3beb6", MEASURED: "#f0f0f0", SEASON: "#86b4ee", HEARD: "#f09a55", PAST: "#a8a8a8",
}  # fmt: skip
NO_DATA = (240, 240, 240)  # light: no ramp comes near it


def ramp(name: str) -> list[str]:
    """CSS colours of the map from low to high."""
    return [f"#{stop}" for stop in STOPS[name]]


def colours(values: Array, low: float, high: float, name: str) -> NDArray[np.uint8]:
    """Return rgba (values, 4) uint8; NaN becomes NO_DATA."""
    stops = np.array([[int(stop[at : at + 2], 16) for at in (0, 2, 4)] for stop in STOPS[name]], np.float64)
    share = np.clip((values - low) / max(high - low, 1e-12), 0, 1) * (len(stops) - 1)
    known = np.isfinite(share)
    share = np.where(known, share, 0.0)
    rgb = np.stack([np.interp(share, np.arange(len(stops)), stops[:, channel]) for channel in range(3)], -1)
    rgb = np.where(known[:, None], rgb, NO_DATA)
    return np.concatenate([rgb, np.full((len(values), 1), 255)], -1).round().astype(np.uint8)
