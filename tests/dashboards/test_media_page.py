"""The media page in Chromium: searching, keys, marks, a file beside the grid, a player, files to take along."""

from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mainstem.apps.media.archives import keyframes_of
from mainstem.apps.media.catalogue import Catalogue
from mainstem.apps.media.index import IndexOptions, index_folder
from mainstem.apps.media.jobs import find_copies
from tests.dashboards.browser import opened, served
from tests.dashboards.media_made import made_archive

FIRST_MS = 120_000  # on a machine that is busy


@pytest.mark.long
@pytest.mark.browser
def test_an_archive_is_searched_opened_marked_and_taken_along_inside_this_machine(home, chromium, tmp_path):
    folder = made_archive(tmp_path / "archive")
    find_copies(folder, lambda stage, share: None)
    originals = {path.name: path.read_bytes() for path in folder.iterdir()}
    with served(home) as address, opened(chromium, 1440) as (page, outside):
        page.set_viewport_size({"width": 1440, "height": 900})
        page.goto(f"{address}/media")
        sheet = page.locator(".pictures-sheet").first
        sheet.wait_for(timeout=FIRST_MS)
        assert sheet.get_attribute("data-tiles") == "6"
        box = sheet.bounding_box()
        assert box["width"] * box["height"] > 0.6 * 1440 * 900
        assert page.locator("h1").count() == 1
        page.locator(".pictures-open").first.focus()
        page.keyboard.press("x")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("x")
        page.keyboard.press("x")  # and not, after all
        selected = page.locator(".st-key-desk-panels").get_by_text("Selected (1)", exact=True)
        selected.wait_for(timeout=FIRST_MS)
        assert sheet.get_attribute("data-marked") == "1"
        selected.click()
        with page.expect_download() as download:
            page.get_by_role("button", name="CSV", exact=True).click()
        written = pd.read_csv(download.value.path())
        assert written["path"].tolist() == ["bridge-small.jpg"]
        assert {"credit", "rights", "licence", "opt_out", "embargo", "why"} <= set(written.columns)
        box = page.get_by_placeholder("Search:")
        box.fill("tone")
        box.press("Enter")
        page.wait_for_url(lambda url: "q=tone" in url, timeout=FIRST_MS)
        page.locator(".pictures-sheet[data-tiles='1']").wait_for(timeout=FIRST_MS)
        page.locator(".pictures-open").first.click()
        page.wait_for_url(lambda url: "file=tone.wav" in url)
        page.locator("audio").wait_for(state="attached", timeout=FIRST_MS)
        page.get_by_text("a tone is heard").first.wait_for()
        box.fill("zeppelin")
        box.press("Enter")
        page.get_by_text("That is an answer").wait_for(timeout=FIRST_MS)
        page.get_by_text("Copies", exact=True).first.click()
        page.locator(".pictures-sheet.is-large[data-tiles='2']").wait_for(timeout=FIRST_MS)
        page.set_viewport_size({"width": 400, "height": 900})
        page.wait_for_function("innerWidth === 400")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.goto(f"{address}/media?q=bridges")  # which finds what is called bridge
        frame = page.locator(".pictures-sheet[data-tiles='2'].is-grid .pictures-frame").first
        frame.wait_for(timeout=FIRST_MS)
        page.locator("[data-test-script-state='notRunning']").wait_for(state="attached", timeout=FIRST_MS)
        assert frame.bounding_box()["y"] <= 250
        assert outside == []
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == originals


@pytest.mark.long
@pytest.mark.browser
def test_shots_share_a_line_by_how_long_they_last_and_words_are_written_and_undone_beside(home, chromium, tmp_path):
    folder = tmp_path / "archive"
    two_shots(folder / "clip.mp4", (2, 6))
    index_folder(folder, IndexOptions(workers=0))
    with closing(Catalogue(folder, is_read_only=True)) as catalogue:
        spans = sorted({(one.start_s, one.end_s) for one in keyframes_of(catalogue, "clip.mp4")})
    lengths_s = np.array([end_s - start_s for start_s, end_s in spans])
    with served(home) as address, opened(chromium) as (page, outside):
        page.goto(f"{address}/media?file=clip.mp4")
        shares = page.locator(".pictures-share")
        shares.nth(1).wait_for(timeout=FIRST_MS)
        widths = [box["width"] for box in (share.bounding_box() for share in shares.all())]
        assert np.allclose(np.array(widths) / sum(widths), lengths_s / lengths_s.sum(), atol=0.01)
        assert page.locator(".is-strip .pictures-tile").count() == len(lengths_s)
        shares.nth(1).click()
        page.wait_for_url(lambda url: "t=" in url)
        page.get_by_text("Edit", exact=True).click()
        page.get_by_label("title").fill("Two shots")
        page.get_by_text("Write the sidecar beside the file").click()
        page.get_by_role("button", name="Write", exact=False).last.click()
        page.get_by_text("Written last: title beside 1 file").first.wait_for(timeout=FIRST_MS)
        assert "Two shots" in (folder / "clip.mp4.json").read_text()
        page.get_by_role("button", name="Undo it").last.click()
        page.get_by_text("Written last").first.wait_for(state="detached", timeout=FIRST_MS)
        assert not (folder / "clip.mp4.json").exists()
        assert page.get_by_text("cannot be shown").count() == 0
        assert outside == []


def two_shots(path: Path, lengths_s: tuple[int, int]) -> None:
    """Write a video of two pictures, one after the other."""
    av = pytest.importorskip("av")
    path.parent.mkdir(parents=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=20)
        stream.width = stream.height = 96
        for seed, seconds in enumerate(lengths_s):
            shown = np.kron(
                np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8), np.ones((12, 12, 1), np.uint8)
            )
            for _ in range(20 * seconds):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(shown, format="rgb24")))
        container.mux(stream.encode())


@pytest.mark.long
@pytest.mark.browser
def test_a_folder_is_indexed_beside_the_page(home, chromium, tmp_path):
    folder = made_archive(tmp_path / "archive")
    other = tmp_path / "other"
    other.mkdir()
    (other / "minutes.txt").write_text("what the board said", encoding="utf-8")
    with served(home) as address, opened(chromium) as (page, outside):
        page.goto(f"{address}/media")
        page.locator(".pictures-sheet").first.wait_for(timeout=FIRST_MS)
        page.get_by_role("button", name="Index").click()
        page.get_by_label("Folder").fill(str(other))
        page.get_by_label("Folder").press("Enter")
        page.get_by_role("button", name="Index it").click()
        page.locator("h1", has_text="other (1 file)").wait_for(timeout=FIRST_MS)
        page.locator(".pictures-sheet[data-tiles='1']").wait_for(timeout=FIRST_MS)
        assert sorted(path.name for path in other.iterdir()) == ["minutes.txt"]
        assert folder.is_dir()
        assert outside == []
