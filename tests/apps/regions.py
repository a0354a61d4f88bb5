"""A few regions' wheat yields in the layout of CY-Bench: made data, small enough to fit within seconds."""

from pathlib import Path

import numpy as np
import pandas as pd


def write_regions(root: Path) -> Path:
    """Write six regions of ten years, greener ones yield more, and return their folder."""
    rng, place = np.random.default_rng(0), root / "wheat" / "NL"
    place.mkdir(parents=True)
    yields, ndvi = [], []
    for region in range(6):
        for year in range(2008, 2018):
            vigour = rng.normal()
            yields.append((f"NL{region}", year, 7 + region / 4 + 0.8 * vigour))
            dates = pd.date_range(f"{year}-03-01", f"{year}-07-20", freq="20D").strftime("%Y%m%d")
            ndvi += [(f"NL{region}", date, 0.5 + 0.1 * vigour) for date in dates]
    pd.DataFrame(yields, columns=["adm_id", "harvest_year", "yield"]).to_csv(place / "yield_wheat_NL.csv", index=False)
    pd.DataFrame(ndvi, columns=["adm_id", "date", "ndvi"]).to_csv(place / "ndvi_wheat_NL.csv", index=False)
    calendar = pd.DataFrame({"adm_id": [f"NL{region}" for region in range(6)], "eos": 210})
    calendar.to_csv(place / "crop_calendar_wheat_NL.csv", index=False)
    return root
