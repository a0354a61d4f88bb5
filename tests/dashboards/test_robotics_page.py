"""The robotics page in Chromium: the cursor by keys and mouse, zooming, a fault put in and taken out, files."""

import numpy as np
import pandas as pd
import pytest

from mainstem.data.robot.simulate import simulate_trial
from tests.dashboards.browser import opened, served
from tests.data.robot.bags import Maker, all_sensors, write2

FIRST_MS = 400_000  # filters are compiled where nobody did before


@pytest.mark.long
@pytest.mark.browser
def test_the_cursor_moves_a_fault_is_put_in_and_everything_stays_inside(home, chromium):
    with served(home) as address, opened(chromium) as (page, outside):
        page.goto(f"{address}/robotics?t=60")
        canvas = page.locator("canvas[data-stamp]")
        canvas.wait_for(timeout=FIRST_MS)
        assert canvas.get_attribute("data-lanes") == "5"
        box = canvas.bounding_box()
        assert box["width"] * box["height"] > 0.6 * 1280 * 1000
        assert "simulated" in page.locator(".st-key-desk-status").inner_text()
        canvas.focus()
        canvas.press("ArrowRight")
        canvas.press("Shift+ArrowLeft")
        page.wait_for_url(lambda url: "t=49.2" in url)  # a hundredth of 120 s on, and ten back
        canvas.press("+")
        page.wait_for_function("one => one.dataset.window !== '0.000 119.995'", arg=canvas.element_handle())
        canvas.press("0")
        page.wait_for_function("one => one.dataset.window === '0.000 119.995'", arg=canvas.element_handle())
        panels = page.locator(".st-key-desk-panels")
        panels.get_by_text("Fault", exact=True).click()
        begin = page.get_by_label("From, s")
        begin.wait_for()
        assert begin.input_value() == "49.20"
        canvas.press("ArrowRight")
        page.wait_for_url(lambda url: "t=50.4" in url)
        assert begin.input_value() == "49.20"  # what is asked for stays as the cursor moves under it
        page.get_by_role("button", name="At the cursor").click()
        page.wait_for_function("one => one.value === '50.40'", arg=begin.element_handle())
        canvas.press("ArrowLeft")
        page.wait_for_url(lambda url: "t=49.2" in url)
        page.get_by_role("button", name="At the cursor").click()
        page.wait_for_function("one => one.value === '49.20'", arg=begin.element_handle())
        page.get_by_role("button", name="Inject", exact=True).click()
        page.wait_for_url(lambda url: "fault=imu.gyroscope" in url)
        page.get_by_text("Injected: gyroscope absent for 5 s from 49.2 s").wait_for(timeout=FIRST_MS)
        page.reload()  # the browser holds nothing any more, and is sent everything anew
        canvas.wait_for(timeout=FIRST_MS)
        assert canvas.get_attribute("data-cursor") == "49.200"
        panels.get_by_text("Values", exact=True).click()
        page.wait_for_selector('[data-testid="stDataFrame"]')
        page.get_by_text("All values at 49.20 s").wait_for()
        canvas.press("ArrowRight")
        page.get_by_text("All values at 50.40 s").wait_for()
        assert page.get_by_text("All values at").count() == 1
        panels.get_by_text("File", exact=True).click()
        with page.expect_download() as download:
            page.get_by_role("button", name="Attitude of").click()
        written = pd.read_csv(download.value.path())
        assert written["injected_fault"].str.startswith("imu.gyroscope,absent").all()
        assert written["not_for"].str.contains("ISO 10218").all()
        page.set_viewport_size({"width": 400, "height": 900})
        page.wait_for_function("one => one.clientHeight > 800", arg=canvas.element_handle())
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert outside == []


@pytest.mark.long
@pytest.mark.browser
def test_a_recording_of_one_s_own_is_opened_and_a_damaged_one_refused_in_one_line(home, chromium, tmp_path):
    sensors = simulate_trial(seconds=20.0).sensors
    gyr, acc, mag = (sensors[f"imu.{kind}"].values for kind in ("gyroscope", "accelerometer", "magnetometer"))
    np.savez(tmp_path / "mine.npz", gyr=gyr[::4], acc=acc[::4], mag=mag, rate=50.0)
    (tmp_path / "broken.npz").write_bytes((tmp_path / "mine.npz").read_bytes()[:900])
    with served(home) as address, opened(chromium) as (page, outside):
        page.goto(f"{address}/robotics")
        canvas = page.locator("canvas[data-stamp]")
        canvas.wait_for(timeout=FIRST_MS)
        page.get_by_test_id("stPopoverButton").first.click()
        page.locator("input[type=file]").first.set_input_files(tmp_path / "broken.npz")
        page.get_by_role("button", name="Open it").click()
        page.get_by_text("broken.npz is a damaged .npz").wait_for()
        page.locator("input[type=file]").first.set_input_files(tmp_path / "mine.npz")
        page.get_by_text("broken.npz is a damaged .npz").wait_for(state="hidden")  # the other has arrived
        page.get_by_role("button", name="Open it").click()
        page.locator("h1", has_text="own mine.npz").wait_for(timeout=FIRST_MS)
        page.wait_for_function("one => one.dataset.lanes === '3'", arg=canvas.element_handle(), timeout=FIRST_MS)
        assert "your own data" in page.locator(".st-key-desk-status").inner_text()
        assert "recording=own" in page.url  # and the cursor: a link means this recording
        assert "t=" in page.url
        page.goto(f"{address}/robotics?recording=own+mine.npz&fault=imu.gyroscope,stuck,1,2,0")  # a session of its own
        page.get_by_text("There is no recording").wait_for()
        canvas.wait_for()
        assert "fault" not in page.url
        page.get_by_test_id("stPopoverButton").first.click()
        page.get_by_text("A folder (a ROS 2 bag, a LeRobot set)").click()
        page.locator("input[webkitdirectory]").set_input_files(write2(tmp_path / "bag", Maker(), all_sensors(Maker())))
        page.get_by_text("bag/metadata.yaml").wait_for()
        page.get_by_role("button", name="Open it").click()
        page.locator("h1", has_text="own bag").wait_for()
        assert outside == []
