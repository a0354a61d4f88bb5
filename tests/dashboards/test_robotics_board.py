"""What the robotics page says, without a browser: lanes, doubt in words, health, faults, tables; what is sent once."""

import json
import re
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from mainstem import dashboards
from mainstem.adapters.sensor_fusion.health import judge_health
from mainstem.adapters.sensor_fusion.health_limits import stored_limits
from mainstem.apps.robotics import Opened, choices, on_grid, with_truth
from mainstem.apps.robotics_filters import (
    Attitude,
    Travelled,
    adapter_words,
    error_rad,
    health_words,
    motion,
    share_inside,
    travelled,
    vqf,
)
from mainstem.core import rotations
from mainstem.core.errors import InputError
from mainstem.dashboards.components.tracks import Packed, pack
from mainstem.dashboards.robotics import reads
from mainstem.dashboards.robotics.board import (
    UNVERIFIED,
    Estimates,
    claim_words,
    ellipses_of,
    half_widths_deg,
    health_of,
    lanes_of,
    local_metres,
    scene_of,
    spans_of,
    thinned,
    titles_of,
    undrawn,
)
from mainstem.dashboards.robotics.words import cursor_table, errors_line, estimate_frame, fault_words, headline
from mainstem.data.robot.faults import Fault, inject, usual_size
from mainstem.data.robot.recording import Recording
from mainstem.data.robot.simulate import simulate_trial

PAGE = Path(dashboards.__file__).parent / "robotics" / "page.py"
OPENED = with_truth(simulate_trial(seconds=30.0))
LONG = simulate_trial(seconds=50.0)
FAULT = Fault(sensor="imu.gyroscope", kind="absent", start_s=10.0, seconds=2.0)


def told(word: str = "ok", start: float = 10.1, end: float = 12.0) -> Attitude:
    """An attitude like ours: the truth turned by one degree, and a gyroscope of which a word is said for a while."""
    truth = OPENED.truth
    assert truth is not None
    assert truth.attitude is not None
    quat = rotations.multiply(np.tile(rotations.exp(np.radians([0, 0, 1.0])), (len(truth.times), 1)), truth.attitude)
    words = np.where((truth.times >= start) & (truth.times < end), word, "ok")
    num = len(truth.times)
    return Attitude(
        name="motion 1", times=truth.times, quat=quat, radius90_rad=np.radians(np.linspace(0.5, 3.5, num)),
        covariance=np.tile(np.diag([1e-4, 4e-4, 9e-4]), (num, 1, 1)),
        health={"imu.gyroscope": words, "imu.accelerometer": np.full(num, "ok")},
    )  # fmt: skip


ESTIMATES = Estimates(own=told("absent"), classical=replace(told(), name="VQF", health={}, radius90_rad=None))


def unpacked(payload: bytes) -> tuple[dict, np.ndarray]:
    (length,) = struct.unpack("<I", payload[:4])
    start = -(-(4 + length) // 4) * 4
    return json.loads(payload[4 : 4 + length]), np.frombuffer(payload[start:], np.float32)


def test_every_stream_is_sent_once_at_its_own_rate():
    scene = scene_of("simulated", OPENED, None, ESTIMATES, 15.0)
    header, values = unpacked(pack(scene, ()))
    assert [(lane["title"], round(lane["rate"])) for lane in header["lanes"]] == [
        ("gyroscope", 200), ("accelerometer", 200), ("magnetometer", 50), ("wheel", 20), ("gnss", 5),
    ]  # fmt: skip
    assert sum(one["num"] for one in header["arrays"]) == len(values)
    assert {one["key"] for one in header["arrays"]} == set(header["needs"])
    sizes = {one["key"]: one["num"] for one in header["arrays"]}
    gyroscope = header["lanes"][0]
    assert sizes[gyroscope["times"]] == 6000
    assert sizes[gyroscope["values"]] == 18_000
    again, none = unpacked(pack(replace(scene, cursor=16.0), scene.arrays()))
    assert (again["arrays"], len(none)) == ([], 0)
    assert again["key"] == header["key"]
    assert again["cursor"] == 16.0


def test_a_fault_sends_its_own_sensor_alone_anew():
    before = scene_of("simulated", OPENED, None, Estimates(), 15.0)
    broken = Opened(recording=inject(OPENED.recording, FAULT), truth=OPENED.truth)
    after = scene_of("simulated", broken, FAULT, Estimates(), 15.0)
    header, values = unpacked(pack(after, before.arrays()))
    assert [one["key"] for one in header["arrays"]] == [header["lanes"][0]["values"]]
    assert np.isnan(values).sum() == 3 * 400
    assert header["lanes"][0]["fault"] == {"word": "absent", "from": 10.0, "to": 12.0}
    assert header["lanes"][1]["fault"] is None


def test_thinning_keeps_every_spike():
    values = np.zeros((100_000, 2))
    values[54_321, 1], values[777, 0] = 9.0, -9.0
    times, shown = thinned(np.arange(100_000.0), values, 1000)
    assert len(times) == len(shown) == 1000
    assert (shown[:, 1].max(), shown[:, 0].min()) == (9.0, -9.0)
    assert (np.diff(times) >= 0).all()
    same = thinned(np.arange(10.0), np.zeros((10, 1)), 1000)
    assert len(same[0]) == 10


def test_fixes_are_drawn_in_metres():
    metres = local_metres(np.array([[np.nan, 0, 0], [52.0, 13.0, 40.0], [52.001, 13.0, 41.0]]))
    assert np.isnan(metres[0]).all()
    assert metres[2] == pytest.approx([0, 111.27, 1.0], abs=0.1)
    assert [lane.channels for lane in lanes_of(OPENED.recording, None)][-1] == ("east", "north", "up")


def test_half_widths_of_yaw_are_those_of_the_vertical_and_grow_at_a_steep_pitch():
    level, steep = (rotations.exp(np.array([[0.0, pitch, 0.0]])) for pitch in (0.0, 1.4))
    covariance = np.diag([0.01, 0.02, 0.03])[None] ** 2
    assert half_widths_deg(level, covariance)[0] == pytest.approx(
        np.degrees(1.645 * np.array([0.01, 0.02, 0.03])), rel=1e-3
    )
    assert half_widths_deg(steep, covariance)[0, 2] > 2 * half_widths_deg(level, covariance)[0, 2]
    behind = rotations.exp(np.array([[0.0, 0.0, np.pi]]))  # where yaw jumps from 180 to -180
    assert half_widths_deg(behind, covariance)[0, 2] == pytest.approx(np.degrees(1.645 * 0.03), rel=1e-3)


def test_spans_have_no_hole_and_say_each_word_once_in_a_row():
    words = np.array(["ok", "ok", "stuck", "ok"])
    assert spans_of(np.arange(4.0), words) == ((0.0, 2.0, "ok"), (2.0, 3.0, "stuck"), (3.0, 3.0, "ok"))
    assert spans_of(np.empty(0), words[:0]) == ()


def test_the_headline_says_who_lies_and_how_late_it_was_named():
    said = headline(OPENED, FAULT, ESTIMATES)
    assert said.startswith("Gyroscope absent 10.1 to 12.0 s.")
    assert "named absent after 0.10 s" in said
    assert headline(OPENED, None, Estimates(own=told(), classical=None)) == "All sensors ok."
    assert "was not named" in headline(OPENED, FAULT, Estimates(own=told(), classical=None))
    assert "No filter here" in headline(OPENED, None, Estimates(own=None, classical=ESTIMATES.classical))


def test_errors_are_told_in_hindsight_with_how_often_the_ball_held():
    said = errors_line(OPENED, FAULT, ESTIMATES)
    assert "motion 1 1.0 deg, 1.0 deg during the fault".replace("1.0 deg during", "1.0 during") in said
    assert "83% inside the 90 % ball" in said  # radii from 0.5 to 3.5 deg, an error of 1 deg
    assert errors_line(replace(OPENED, truth=None), None, ESTIMATES) == ""
    own = told()
    assert np.degrees(error_rad(own, OPENED.truth)).max() == pytest.approx(1.0)
    late = replace(own, times=own.times + 1e4)
    assert np.isnan(error_rad(late, OPENED.truth)).all()


def test_the_table_twin_says_what_the_cursor_stands_on():
    table = cursor_table(OPENED, ESTIMATES, 11.0).set_index("what")
    assert "m/s" in table.loc["wheel", "told"]
    assert table.loc["wheel", "age, s"] <= 0.05
    assert "yaw" in table.loc["motion 1", "told"]
    assert "±" in table.loc["motion 1", "told"]
    assert table.loc["motion 1", "90 % within"] == "1.6 deg"
    assert table.loc["motion 1", "off by, deg"] == 1.0
    assert table.loc["motion 1", "health"] == "imu.gyroscope absent"
    assert cursor_table(OPENED, ESTIMATES, -1.0).iloc[0]["told"] == "nothing yet"


def test_the_estimate_is_taken_along_with_what_it_is_and_is_not_for():
    table = estimate_frame(OPENED, told("absent"), FAULT, "motion 1")
    assert {"time_s", "w", "yaw_deg", "radius90_deg", "health imu.gyroscope"} <= set(table)
    for column, wanted in (
        ("origin", "simulated"), ("injected_fault", "imu.gyroscope,absent,10,2,0"), ("adapter", "motion 1"),
        ("claim", "Covariance not verified on this sensor"), ("licence", "CC0-1.0"),
    ):  # fmt: skip
        assert set(table[column]) == {wanted}
    assert table["not_for"].str.contains("ISO 13849").all()
    assert fault_words(replace(FAULT, kind="biased", size=0.2), OPENED.recording) == (
        "gyroscope biased by 0.2 rad/s for 2 s from 10 s"
    )


def test_sensors_go_onto_one_grid_and_none_is_made_up():
    grid = on_grid(OPENED.recording)
    assert grid.rate_hz == pytest.approx(200)
    assert np.isfinite(grid.gyr).all()
    assert np.isfinite(grid.mag[:, 0]).sum() == len(OPENED.recording.sensors["imu.magnetometer"].times)
    turned = replace(OPENED.recording, extrinsics={"imu_link": np.diag([-1.0, -1.0, 1.0, 1.0])})
    np.testing.assert_allclose(on_grid(turned).gyr, grid.gyr * [-1, -1, 1])
    wheels = replace(OPENED.recording, sensors={"wheels": OPENED.recording.sensors["wheels"]})
    with pytest.raises(InputError, match="no gyroscope, accelerometer or magnetometer"):
        on_grid(wheels)


def test_vqf_follows_the_truth_and_stands_still_without_a_gyroscope():
    grid = on_grid(OPENED.recording)
    assert np.nanmedian(np.degrees(error_rad(vqf(grid), OPENED.truth))) < 8
    silent = vqf(on_grid(inject(OPENED.recording, FAULT)))
    within = (silent.times > 10.01) & (silent.times < 11.99)
    assert np.ptp(silent.quat[within], axis=0).max() == 0


def judged(recording: Recording) -> Attitude:
    """An attitude that does not matter, with what is said of the sensors' health."""
    grid = on_grid(recording)
    samples = np.concatenate([grid.gyr, grid.acc, grid.mag], axis=1)
    codes = judge_health(samples, np.full(len(samples), 1 / grid.rate_hz), stored_limits())
    quat = np.tile([1.0, 0, 0, 0], (len(grid.times), 1))
    return Attitude(name="motion", times=grid.times, quat=quat, health=health_words(codes, grid.names))


def test_of_healthy_sensors_none_is_named():
    for seed in (0, 1):
        recording = simulate_trial(seed, seconds=60.0)
        own = judged(recording)
        assert headline(Opened(recording=recording), None, Estimates(own=own)) == "All sensors ok."
        assert {span[2] for lane in health_of(recording, own) for span in lane.spans} == {"ok"}
    wheels = replace(OPENED.recording, sensors={"imu.gyroscope": OPENED.recording.sensors["imu.gyroscope"]})
    assert list(judged(wheels).health) == ["imu.gyroscope"]  # nothing is said of sensors that there are not


@pytest.mark.parametrize("kind", ["absent", "stuck", "biased", "noisy", "saturated"])
@pytest.mark.parametrize("sensor", ["gyroscope", "accelerometer", "magnetometer"])
def test_a_fault_is_named_on_the_board_and_how_late_is_said(sensor, kind):
    name = f"imu.{sensor}"
    size = usual_size(LONG.sensors[name], kind)
    fault = Fault(sensor=name, kind=kind, start_s=40.0, seconds=5.0, size=size)
    broken = inject(LONG, fault)
    own = judged(broken)
    said = headline(Opened(recording=broken), fault, Estimates(own=own))
    found = re.search(rf"The injected fault was named .*?{kind} after (\d\.\d\d) s", said)
    assert found, said
    assert 0 < float(found[1]) <= 1.0
    first = next(span for lane in health_of(broken, own) for span in lane.spans if span[2] != "ok")
    assert first[0] >= 40.0
    lanes = {lane.title: {span[2] for span in lane.spans if span[0] < 45.0} for lane in health_of(broken, own)}
    assert kind in lanes.pop(sensor)
    assert set.union(*lanes.values()) == {"ok"}  # no other sensor is accused of it


def test_a_delay_that_gentle_motion_hides_is_said_to_be_unnamed():
    fault = Fault(sensor="imu.accelerometer", kind="skewed", start_s=40.0, seconds=5.0, size=0.2)
    own = judged(inject(LONG, fault))
    assert "The skewed sensor was not named while" in headline(OPENED, fault, Estimates(own=own))


def test_doubt_is_said_to_be_unverified_but_on_the_unit_that_taught_the_adapter():
    assert scene_of("simulated", OPENED, None, ESTIMATES, 15.0).says == "Covariance not verified on this sensor."
    known = replace(OPENED, is_learned_from=True)
    assert scene_of("broad", known, None, ESTIMATES, 15.0).says.startswith(
        "In hindsight 83% of this trial lay in the 90 %"
    )
    assert "of this trial with its fault lay" in claim_words(known, FAULT, ESTIMATES.own)
    assert claim_words(replace(known, truth=None), None, ESTIMATES.own) == UNVERIFIED
    assert claim_words(known, None, ESTIMATES.classical) == claim_words(known, None, None) == UNVERIFIED


def test_the_adapter_that_ships_follows_a_cart_and_looks_back():
    grid = on_grid(inject(OPENED.recording, replace(FAULT, kind="stuck")))
    own, back = motion(grid), motion(grid, is_smoothed=True)
    assert adapter_words() == "sensor-fusion motion 1"
    errors = [np.sqrt(np.nanmean(error_rad(one, OPENED.truth) ** 2)) for one in (own, back)]
    assert errors[1] < errors[0] < np.radians(8)
    assert (back.name, share_inside(own, OPENED.truth) > 0.7) == ("motion smoother", True)
    assert "Gyroscope stuck 10.1 to 12.0 s." in headline(OPENED, None, Estimates(own=own))
    np.testing.assert_array_equal(back.health["imu.gyroscope"], own.health["imu.gyroscope"])


def test_a_path_lies_on_the_truth_and_its_ellipses_hold_it():
    path, truth = travelled(OPENED.recording), OPENED.truth
    assert path is not None
    near = np.searchsorted(truth.times, path.times).clip(0, len(truth.times) - 1)
    away = path.place - truth.position[near, :2]
    away -= np.nanmedian(away, axis=0)  # fixes begin at their own first one, a metre or two off
    assert np.nanmedian(np.linalg.norm(away, axis=1)) < 2
    imu = {name: sensor for name, sensor in OPENED.recording.sensors.items() if name.startswith("imu.")}
    assert travelled(replace(OPENED.recording, sensors=imu)) is None
    shapes = ellipses_of(np.array([[[4.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 9.0]]]))
    np.testing.assert_allclose(shapes[:, :2], np.sqrt(4.605) * np.array([[2.0, 1.0], [3.0, 1.0]]))
    assert np.abs(np.sin(shapes[:, 2])).tolist() == pytest.approx([0.0, 1.0])
    scene = scene_of("simulated", OPENED, None, Estimates(path=path), 15.0)
    header, _ = unpacked(pack(scene, ()))
    assert [way["style"] for way in header["paths"]] == ["readings", "reference", "estimate"]
    row = cursor_table(OPENED, Estimates(path=path), 20.0).set_index("what").loc["pose filter"]
    assert " m" in row["told"]
    lost = Travelled(name="pose", times=path.times, place=np.full_like(path.place, np.nan), covariance=path.covariance)
    assert "nobody knows" in cursor_table(OPENED, Estimates(path=lost), 20.0).set_index("what").loc["pose", "told"]


def test_sensors_of_a_kind_go_by_their_names_and_too_many_are_said():
    sensors = OPENED.recording.sensors
    two = replace(OPENED.recording, sensors={**sensors, "/second/imu": sensors["imu.gyroscope"]})
    assert titles_of(two)["/second/imu"] == "second/imu"
    assert titles_of(two)["gnss"] == "gnss"
    many = replace(two, sensors={**two.sensors, **{f"gnss {k}": sensors["gnss"] for k in range(5)}})
    assert undrawn(many)
    assert len(lanes_of(many, None)) == 7


def test_arrays_alike_have_one_key():
    assert Packed.of(np.arange(3.0)).key == Packed.of(np.arange(3.0)).key != Packed.of(np.arange(4.0)).key


@pytest.fixture
def quick(monkeypatch, home) -> None:
    """A page that asks VQF alone: what ours says is tested beside the adapter, and compiled in minutes."""
    monkeypatch.setattr(reads, "motion", lambda grid, is_smoothed: replace(vqf(grid), name="motion filter"))
    monkeypatch.setattr(reads, "travelled", lambda recording: None)


def page(**address: str) -> AppTest:
    test = AppTest.from_file(str(PAGE), default_timeout=60)
    for name, value in address.items():
        test.query_params[name] = value
    test.run()
    assert not test.exception
    return test


def said_on(test: AppTest) -> str:
    parts = [one.value for kind in (test.markdown, test.caption, test.warning, test.error) for one in kind]
    return "\n".join(map(str, parts)).replace("\\", "").replace(":small[]", "")


@pytest.mark.usefixtures("quick")
def test_the_page_says_what_it_shows_and_what_it_is_not_for():
    assert [choice.name for choice in choices()] == ["simulated"]
    said = said_on(page())
    for words in (
        "## Simulated cart",
        "simulated",
        "not for protective functions (ISO 13849, ISO 10218)",
        "not verified",
    ):
        assert words in said


@pytest.mark.usefixtures("quick")
def test_a_fault_and_a_time_are_kept_in_the_address_and_vain_ones_are_said():
    test = page(fault=FAULT.text(), t="11")
    assert "Injected: gyroscope absent for 2 s from 10 s." in said_on(test)
    assert "There is no t 9999 here" in said_on(page(t="9999"))
    assert "There is no recording nope here" in said_on(page(recording="nope"))
    assert "no sensor 'x'" in said_on(page(fault="x,absent,1,2,0"))
