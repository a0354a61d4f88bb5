"""How forecasts of past seasons ended, by lead and season: a region set's model, asked without what learned from them.

`MAINSTEM_MIRROR=... python -m tests.benchmarks.hindsight [SET] [--json OUT]` trains the model where there is none.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd

from mainstem.adapters.crop_yield import TASK
from mainstem.apps.demo import ensure_run
from mainstem.apps.hindsight import (
    FORECAST,
    LEVELS,
    look_back,
    looked_back,
    looked_back_file,
    season_figures,
    skill_by_lead,
)
from mainstem.apps.region_sets import REAL
from mainstem.core.contradiction import chance_of_so_many_below, chance_of_such_groups
from mainstem.core.fitted import load_run
from mainstem.core.task import DataRequest


def widths_never_narrower(looked: pd.DataFrame, level: float) -> dict[str, float]:
    """How often an interval was issued wider than an earlier lead's, and by how much at most, in seasons forecast."""
    looked = looked[looked["how"] == FORECAST] if (looked["how"] == FORECAST).any() else looked
    wide = looked.assign(width=looked[f"high_{level:.0%}"] - looked[f"low_{level:.0%}"])
    by_lead = wide.pivot_table(index=["season", "region"], columns="lead", values="width").to_numpy()
    ratio = by_lead[:, :-1] / by_lead[:, 1:]
    return {"share": float((ratio > 1 + 1e-6).mean()), "largest": float(np.nanmax(ratio))}


def main() -> None:
    """Print the figures, and write them as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", default=REAL)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    fitted = load_run(Path(ensure_run(asked.data)["run"]), TASK)
    looked = looked_back(looked_back_file(asked.data, fitted.adapter_sha256))
    if looked is None:
        looked = look_back(fitted, TASK.read(DataRequest(data=asked.data)))
    told: dict[str, object] = {"issued wider than earlier": widths_never_narrower(looked, LEVELS[-1])}
    for lead in sorted(looked["lead"].unique().tolist()):
        figures = season_figures(looked, lead, LEVELS[-1])
        told[f"lead {lead}"] = figures.round(3).to_dict("records")
        for level in LEVELS:
            for how, own in season_figures(looked, lead, level).groupby("how"):
                ended = own["coverage"].dropna().tolist()
                chances = chance_of_such_groups(ended, level), chance_of_so_many_below(ended, level)
                name = f"lead {lead}, {how}, {level:.0%}"
                told[name] = {"coverage": float(np.mean(ended)), "below": sum(one < level for one in ended)}
                print(
                    f"{name}: mean coverage {np.mean(ended):.3f}, chance at most {chances[0]:.3f}; "
                    f"{sum(one < level for one in ended)} of {len(ended)} below, chance {chances[1]:.3f}"
                )
        print(figures.round(2).to_string(index=False))
    skill = skill_by_lead(looked, LEVELS[-1])
    print(skill.round(3).to_string(index=False))
    told["skill by lead"] = skill.round(4).to_dict("records")
    if asked.json is not None:
        asked.json.write_text(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
