"""The reader with 300 slices of 512 x 512: first slice after the click, and moves of slice, window and overlays.

Times are the page's own. A move is timed from its event to the second animation frame after it, and as far as the
frame that shows it (a message posted in that frame comes after it is painted); while a hand drags or turns the wheel,
the frames between moves are timed too.
"""

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np

APP = Path(__file__).parents[1] / "dashboards" / "reader_app.py"
SHAPE = (300, 512, 512)
MOVES = 60
WATCH = """
window.moves = [];
for (const kind of ['keydown', 'pointermove', 'wheel']) window.addEventListener(kind, () => {
  const start = performance.now(), channel = new MessageChannel();
  requestAnimationFrame(() => {
    const move = [0, 0];
    channel.port1.onmessage = () => { move[0] = performance.now() - start; };
    channel.port2.postMessage('');
    requestAnimationFrame(() => { move[1] = performance.now() - start; window.moves.push(move); });
  });
}, true);
"""
FIRST_SLICE = """([label, old]) => new Promise((done) => {
  const find = (root) => { for (const one of root.querySelectorAll('*')) {
    if (one.tagName === 'CANVAS' && one.dataset.drawn) return one;
    const inner = one.shadowRoot && find(one.shadowRoot);
    if (inner) return inner;
  } };
  const choice = [...document.querySelectorAll('label')].find((one) => one.textContent.trim() === label);
  const start = performance.now();
  const look = () => {
    const canvas = find(document);
    const isDrawn = canvas && canvas.dataset.study !== old && Number(canvas.dataset.seen);
    if (!isDrawn) { requestAnimationFrame(look); return; }
    requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - start)));
  };
  choice.click();
  look();
})"""


@contextmanager
def reader_served(
    shape: tuple[int, int, int], *, plain: bool = False, slow_s: float = 0.0
) -> Iterator[tuple[str, int]]:
    """Serve the phantom; give its address and the server's process."""
    from tests.dashboards.browser import free_port

    port = free_port()
    told = {
        "READER_SHAPE": ",".join(map(str, shape)),
        "READER_PLAIN": "1" if plain else "",
        "READER_SLOW_S": str(slow_s),
    }
    command = [sys.executable, "-m", "streamlit", "run", str(APP), "--server.port", str(port)]
    options = ["--server.headless=true", "--server.address=127.0.0.1", "--server.fileWatcherType=none",
               "--browser.gatherUsageStats=false"]  # fmt: skip
    path = os.pathsep.join([str(APP.parents[2]), *(one for one in sys.path if one)])
    environment = {**os.environ, **told, "PYTHONPATH": path}
    server = subprocess.Popen(
        [*command, *options], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1).close()
                break
            except OSError:
                time.sleep(0.25)
        yield f"http://127.0.0.1:{port}", server.pid
    finally:
        server.terminate()
        server.wait()


def bench_reader() -> dict[str, float]:
    """Times of the page itself."""
    from tests.dashboards.browser import opened

    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("the reader's benchmark needs Chromium: apt-get install chromium")
    first: list[float] = []
    whole: list[float] = []
    figures: dict[str, float] = {}
    with reader_served(SHAPE) as (address, process):
        for turn in range(3):
            with opened(chromium, 1440) as (page, outside):
                page.set_viewport_size({"width": 1440, "height": 900})
                page.add_init_script(WATCH)
                page.goto(address)
                page.get_by_text("first", exact=True).wait_for(timeout=60_000)
                first.append(float(page.evaluate(FIRST_SLICE, ["first", ""])))
                start = time.perf_counter()
                canvas = page.locator("canvas[data-drawn]")
                page.mouse.move(700, 500)
                loading = _moves(page, lambda _: page.mouse.wheel(0, 40))
                page.wait_for_function(HOLDS, arg=SHAPE[0], timeout=120_000)
                whole.append(time.perf_counter() - start)
                if turn == 2:
                    figures = _figures(page, canvas) | _told("wheel_while_loading", loading)
                assert outside == [], outside
        peak = next(line for line in Path(f"/proc/{process}/status").read_text().splitlines() if "VmHWM" in line)
    return {
        "slices": float(SHAPE[0]),
        "first_slice_ms": median(first),
        "first_slice_worst_ms": max(first),
        "all_slices_s": median(whole),
        **figures,
        "server_peak_mb": int(peak.split()[1]) / 1024,
        "outside_requests": 0.0,
    }


HOLDS = """(count) => { const find = (root) => { for (const one of root.querySelectorAll('*')) {
  if (one.tagName === 'CANVAS' && one.dataset.held) return one;
  const inner = one.shadowRoot && find(one.shadowRoot); if (inner) return inner; } };
  return Number(find(document)?.dataset.held) === count; }"""


def _figures(page, canvas) -> dict[str, float]:  # type: ignore[no-untyped-def]
    """Keys one by one, then a drag and the wheel without a stop."""
    keys: dict[str, Callable[[int], None]] = {
        "slice_key": lambda _: canvas.press("ArrowDown"),
        "window_key": lambda turn: canvas.press("01"[turn % 2]),
        "mask_key": lambda _: canvas.press("x"),
        "heatmap_key": lambda _: canvas.press("h"),
    }
    found: dict[str, float] = {}
    for name, act in keys.items():
        found |= _told(name, _moves(page, act))
    box = canvas.bounding_box()
    x, y = box["x"] + 300, box["y"] + 300
    page.mouse.move(x, y)
    found |= _told("wheel", _moves(page, lambda _: page.mouse.wheel(0, 40)))
    page.mouse.down()
    found |= _told("window_drag", _moves(page, lambda turn: page.mouse.move(x + turn, y + turn / 2)))
    page.mouse.up()
    return found


def _moves(page, act: Callable[[int], None]) -> np.ndarray:  # type: ignore[no-untyped-def, type-arg]
    """(moves, 2): ms until painted, and until the second frame."""
    page.evaluate("window.moves = []")
    for turn in range(MOVES):
        act(turn)
        time.sleep(0.012)
    time.sleep(0.3)
    return np.array(page.evaluate("window.moves"))


def _told(name: str, moves: np.ndarray) -> dict[str, float]:  # type: ignore[type-arg]
    found: dict[str, float] = {}
    for column, what in enumerate(("painted", "two_frames")):
        found[f"{name}_{what}_p50_ms"], found[f"{name}_{what}_p95_ms"] = np.percentile(
            moves[:, column], [50, 95]
        ).tolist()
    return found
