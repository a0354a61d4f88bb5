"""The map mounted in Chromium without a server: payloads are handed over as by a page, and its own state is read."""

import base64
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from mainstem.dashboards.components import fieldmap as package
from mainstem.dashboards.components.fieldmap.blobs import Sent
from mainstem.dashboards.components.fieldmap.content import Geometry, MapContent
from mainstem.dashboards.components.fieldmap.packing import pack, parts_of
from tests.dashboards.browser import FLAGS, is_outside

INSIDE = ("views", "lonlat", "forward", "inverse", "lengthOf", "areaOf", "transform", "ground", "tileAddress", "wanted")
MOUNT = """async ({ html, css, js, hosts }) => {
  const mounts = hosts.map((id) => `<div id="${id}">${html}</div>`);
  document.body.innerHTML = `<style>body { margin: 0 } ${css}</style>${mounts.join("")}`;
  const inside = await import(URL.createObjectURL(new Blob([js], { type: "text/javascript" })));
  Object.assign(window, inside, { told: [], mount: inside.default });
}"""
SEND = """async ({ host, payload }) => {
  const bytes = Uint8Array.from(atob(payload), (letter) => letter.charCodeAt(0));
  const note = (name, value) => window.told.push([name, value]), parentElement = document.getElementById(host);
  window.mount({ parentElement, data: bytes, setStateValue: note, setTriggerValue: note });
  window.view = window.views.get(parentElement);
  for (let frame = 0; frame < 3; frame++) await new Promise(requestAnimationFrame);
}"""
STATE = """(host) => {
  const { x, y, zoom } = views.get(document.getElementById(host));
  return { x, y, zoom };
}"""


@dataclass(kw_only=True)
class MapPage:
    """A page with maps on it, and what the page of a session would have sent."""

    page: Page
    sent: Sent
    outside: list[str]

    def send(self, geometry: Geometry, content: MapContent, host: str = "map", tells_view: bool = False) -> int:
        """Send a map to a mount, with the parts that were not sent before; return the payload's size, bytes."""
        parts = parts_of(geometry, content)
        payload = pack(geometry, content, parts, self.sent.missing(parts, host, ""), tells_view)
        self.page.evaluate(SEND, {"host": host, "payload": base64.b64encode(payload).decode()})
        return len(payload)

    def state(self, host: str = "map") -> dict[str, float]:
        """Middle and zoom of a map."""
        found: dict[str, float] = self.page.evaluate(STATE, host)
        return found

    def rested(self) -> None:
        """Wait until everything is drawn."""
        self.page.wait_for_timeout(200)

    def told(self, name: str) -> list[Any]:
        """What the map told its page under a name."""
        return [value for key, value in self.page.evaluate("window.told") if key == name]

    def pixel(self, canvas: str, x: float, y: float) -> tuple[int, ...]:
        """Red, green, blue and alpha of a canvas at a place of the page."""
        read = "(one, [x, y]) => [...one.getContext('2d').getImageData(x, y, 1, 1).data]"
        return tuple(self.page.locator(f".fieldmap-{canvas}").first.evaluate(read, [x, y]))

    def text(self, name: str) -> str:
        """Text of a part of the map."""
        return str(self.page.locator(f".fieldmap-{name}").first.text_content())


@contextmanager
def map_page(
    browser: Browser, hosts: Sequence[str] = ("map",), size: tuple[int, int] = (1000, 700), touch: bool = False
) -> Iterator[MapPage]:
    """Mount the component once a host."""
    js = "\n".join((package.FOLDER / name).read_text() for name in package.SCRIPTS)
    told = {
        "html": (package.FOLDER / "fieldmap.html").read_text(), "css": (package.FOLDER / "fieldmap.css").read_text(),
        "js": f"{js}\nexport {{ {', '.join(INSIDE)} }};", "hosts": list(hosts),
    }  # fmt: skip
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, has_touch=touch)
    page = context.new_page()
    outside: list[str] = []
    page.on("request", lambda one: outside.append(one.url) if is_outside(one.url) else None)
    page.on("pageerror", lambda error: outside.append(f"error: {error}"))
    page.evaluate(MOUNT, told)
    yield MapPage(page=page, sent=Sent(), outside=outside)
    context.close()


@contextmanager
def chromium_of(path: str) -> Iterator[Browser]:
    """A browser for several pages."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()
