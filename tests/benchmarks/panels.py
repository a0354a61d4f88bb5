"""The yield page's panels on the real counties, in Chromium: from a press to the second frame after all is there."""

import os
import shutil
import sys
import tempfile
from pathlib import Path
from statistics import median

PANELS = {"region": "Region", "why": "Why", "list": "List", "hindsight": "Hindsight", "claims": "Claims"}
TURNS, SEASON = 6, "2012"
PRESS = """([name, title]) => new Promise((done, fail) => {
  setTimeout(() => fail(new Error(`no panel ${title} in 60 s`)), 60000);
  const state = () => document.querySelector('[data-test-script-state]').getAttribute('data-test-script-state');
  let hasRun = false;
  const isDrawn = () => {
    const dock = document.querySelector('.st-key-desk-dock');
    hasRun ||= state() === 'running';
    const isAsked = new URL(location).searchParams.get('panel') === name;
    if (!dock || !hasRun || !isAsked || state() !== 'notRunning') return false;
    const parts = [...dock.querySelectorAll('[data-testid=stVegaLiteChart], [data-testid=stDataFrame]')];
    return parts.every((part) => part.querySelector('canvas, svg')) && !dock.querySelector('[data-stale=true]');
  };
  const look = () => (isDrawn()
    ? requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - start)))
    : requestAnimationFrame(look));
  const titles = [...document.querySelectorAll('.st-key-desk-panels button')];
  const start = performance.now();
  titles.find((one) => one.textContent.trim() === title).click();
  requestAnimationFrame(look);
})"""


def bench_panels() -> dict[str, float]:
    """Milliseconds to open each panel for the first time on a server, and again (median over panels and turns)."""
    from mainstem.adapters.crop_yield import TASK
    from mainstem.apps.finetune import finetune
    from mainstem.apps.region_sets import REAL, choices, run_folder
    from mainstem.core.finetuning import FitSpec
    from mainstem.core.task import DataRequest, FitConfig
    from mainstem.core.training import TrainingConfig
    from mainstem.data.catalogue import pull

    with tempfile.TemporaryDirectory() as home:
        os.environ["MAINSTEM_HOME"] = home
        pull("us-counties")
        quick = FitConfig(trunk_size="xs", training=TrainingConfig(epochs=1), num_folds=2)
        finetune(TASK, TASK.read(DataRequest(data=REAL)), FitSpec(config=quick), run_folder(REAL))
        next(choice for choice in choices() if choice.name == REAL).look_back()
        return time_panels(Path(home))


def time_panels(home: Path) -> dict[str, float]:
    """The figures of a MAINSTEM_HOME that has the counties' run and has looked back."""
    from tests.dashboards.browser import opened, served

    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("the panels' benchmark needs Chromium: apt-get install chromium")
    figures: dict[str, float] = {}
    again: dict[str, list[float]] = {name: [] for name in PANELS}
    with served(home) as address, opened(chromium, 1440) as (page, _):
        page.goto(f"{address}/yield_map?set=us-maize&season={SEASON}&panel=files")
        page.locator("canvas[data-stamp]").wait_for(timeout=240_000)
        page.wait_for_selector('[data-test-script-state="notRunning"]', state="attached", timeout=240_000)
        for turn in range(TURNS + 1):
            for name, title in PANELS.items():
                page.wait_for_timeout(300)
                took = float(page.evaluate(PRESS, [name, title]))
                if turn:
                    again[name].append(took)
                else:
                    figures[f"{name}_first_ms"] = took
    figures |= {f"{name}_ms": median(values) for name, values in again.items()}
    every = sorted(value for values in again.values() for value in values)
    return {**figures, "panel_ms": median(every), "panel_worst_ms": every[-1]}
