"""The dashboards served as users get them, and Chromium to look at them; times are taken inside the page."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
START_S = 60


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def served(home: Path, log: Path = Path(os.devnull)) -> Iterator[str]:
    """Serve the dashboards over a MAINSTEM_HOME and give their address; what they write goes to `log`."""
    port = free_port()
    command = [sys.executable, "-c", "from mainstem.apps.cli import main; main()", "dashboard", "--port", str(port)]
    environment = {**os.environ, "MAINSTEM_HOME": str(home)}
    with log.open("ab") as written:
        server = subprocess.Popen(command, env=environment, stdout=written, stderr=written, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(START_S * 4):
            try:
                urllib.request.urlopen(f"{address}/_stcore/health", timeout=1).close()
                break
            except OSError:
                time.sleep(0.25)
        yield address
    finally:
        os.killpg(server.pid, 15)
        server.wait()


@contextmanager
def opened(chromium: str, width: int = 1280) -> Iterator[tuple[Page, list[str]]]:
    """A fresh page, and the list that every request to the outside is noted in."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        page = browser.new_page(viewport={"width": width, "height": 1000})
        outside: list[str] = []
        page.on("request", lambda request: outside.append(request.url) if is_outside(request.url) else None)
        yield page, outside
        browser.close()


def is_outside(url: str) -> bool:
    return not url.startswith(("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:"))


RECOLOUR = """(canvas, label) => new Promise((done, fail) => {
  setTimeout(() => fail(new Error('no new colours in 20 s')), 20000);
  const button = [...canvas.getRootNode().querySelectorAll('button')].find(b => b.textContent.trim() === label);
  let start;
  new MutationObserver((_, watcher) => {  // the map notes its stamp in the second frame after it has drawn
    watcher.disconnect();
    done(Number(canvas.dataset.paintedMs) - start);
  }).observe(canvas, { attributeFilter: ['data-painted-ms'] });
  start = performance.now();
  button.click();
})"""


def recolour_ms(page: Page, label: str) -> float:
    """Milliseconds from the click on a layer's button to the second frame after the map's new colours."""
    return float(page.locator("canvas[data-stamp]").evaluate(RECOLOUR, label))
