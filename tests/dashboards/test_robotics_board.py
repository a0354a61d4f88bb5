"""What the robotics page says, without a browser: lanes, doubt in words, health, faults, tables; what is sent once."""

import json
import re
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from mainstem import dashboards
from mainstem.adapters import shipped_runs
from mainstem.adapters.sensor_fusion.motion import TASK
from mainstem.adapters.sensor_fusion.recordings import predict_recording
from mainstem.adapters.sensor_fusion.verified import write_verification
from mainstem.apps.robotics import Door, Opened, choices, used_of, with_truth
from mainstem.apps.robotics_filters import (
    BY_RUNS,
    BY_SILENCE,
    Attitude,
    Health,
    Travelled,
    adapter_words,
    ball_radius,
    error_rad,
    healths,
    motion,
    share_inside,
    told_of,
    vqf,
)
from mainstem.core import rotations
from mainstem.core.errors import InputError
from mainstem.core.task import DataRequest, TrackAsk
from mainstem.dashboards.components.tracks import Packed, pack
from mainstem.dashboards.robotics import reads
from mainstem.dashboards.robotics.board import (
    UNVERIFIED,
    Estimates,
    claim_words,
    drawn_sensors,
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
from mainstem.dashboards.robotics.reads import Brought, check_bounds, take_own
from mainstem.dashboards.robotics.words import (
    cursor_table,
    doctor_line,
    errors_line,
    estimate_frame,
    fault_words,
    headline,
    unused_words,
)
from mainstem.data.robot.checking import check_recording
from mainstem.data.robot.faults import Fault, inject, usual_size
from mainstem.data.robot.reading import read_recording
from mainstem.data.robot.recording import Recording
from mainstem.data.robot.simulate import simulate_trial
from tests.data.robot.bags import FIX, IMU, MAG, ODOMETRY, START_NS, TRANSFORMS, Maker, Timed, write2

PAGE = Path(dashboards.__file__).parent / "robotics" / "page.py"
OPENED = with_truth(simulate_trial(seconds=30.0))
LONG = with_truth(simulate_trial(seconds=50.0)).recording
FAULT = Fault(sensor="imu.gyroscope", kind="absent", start_s=10.0, seconds=2.0)


def told() -> Attitude:
    """An attitude like ours: the truth turned by one degree."""
    truth = OPENED.truth
    assert truth is not None
    assert truth.attitude is not None
    quat = rotations.multiply(np.tile(rotations.exp(np.radians([0, 0, 1.0])), (len(truth.times), 1)), truth.attitude)
    num = len(truth.times)
    return Attitude(
        name="motion 1", times=truth.times, quat=quat, radius90_rad=np.radians(np.linspace(0.5, 3.5, num)),
        covariance=np.tile(np.diag([1e-4, 4e-4, 9e-4]), (num, 1, 1)),
    )  # fmt: skip


def said_of(word: str = "ok", start: float = 10.1, end: float = 12.0) -> dict[str, Health]:
    """A gyroscope of which a word is said for a while, an accelerometer, and wheels."""
    times = np.array([0.0, start, end, 30.0])
    fine = Health(times=times, words=np.full(4, "ok"))
    return {
        "imu.gyroscope": Health(times=times, words=np.array(["ok", word, "ok", "ok"])), "imu.accelerometer": fine,
        "wheels": replace(fine, judged=BY_SILENCE),
    }  # fmt: skip


ESTIMATES = Estimates(
    own=told(), classical=replace(told(), name="VQF", radius90_rad=None), health=said_of("absent"), used=used_of(OPENED)
)


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
    metres = local_metres(np.array([[95.0, 0, 0], [52.0, 13.0, 40.0], [52.001, 13.0, 41.0], [np.nan, 0, 0]]))
    assert np.isnan(metres[[0, 3]]).all()
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


def test_the_headline_says_who_lies_how_late_it_was_named_and_what_was_looked_for():
    said = headline(OPENED, FAULT, ESTIMATES)
    assert said.startswith("Gyroscope absent 10.1 to 12.0 s.")
    assert "named absent after 0.10 s" in said
    assert said.endswith(
        "Judged for every fault by limits of BROAD's unit: gyroscope, accelerometer; for silence alone: wheel."
    )
    fine = Estimates(health=said_of())
    assert headline(OPENED, None, fine).startswith(
        "No sensor is accused. Judged for every fault by limits of BROAD's unit: gyroscope"
    )
    assert "was not named" in headline(OPENED, FAULT, fine)
    assert headline(OPENED, None, Estimates()) == "Nothing tells the sensors' health."


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
    assert table.loc["gyroscope", "health"] == "absent"
    assert table.loc["wheel", "health"] == "ok"
    assert cursor_table(OPENED, ESTIMATES, -1.0).iloc[0]["told"] == "nothing yet"


def test_the_estimate_is_taken_along_with_what_it_is_and_is_not_for():
    table = estimate_frame(OPENED, ESTIMATES, FAULT)
    assert {"time_s", "w", "yaw_deg", "radius90_deg", "health imu.gyroscope"} <= set(table)
    for column, wanted in (
        ("origin", "simulated"), ("injected_fault", "imu.gyroscope,absent,10,2,0"), ("adapter", "motion 1"),
        ("claim", "Covariance not verified on this sensor"), ("licence", "CC0-1.0"),
    ):  # fmt: skip
        assert set(table[column]) == {wanted}
    assert table["not_for"].str.contains("ISO 13849").all()
    assert table.loc[1100, "health imu.gyroscope"] == "absent"  # at 11 s


def test_a_fault_is_said_with_what_its_size_means():
    said = [
        fault_words(replace(FAULT, kind=kind, size=0.2), OPENED.recording) for kind in ("biased", "saturated", "skewed")
    ]
    assert said == [
        "gyroscope biased by 0.2 rad/s for 2 s from 10 s", "gyroscope saturated clipped at 0.2 rad/s for 2 s from 10 s",
        "gyroscope skewed by 0.2 s for 2 s from 10 s",
    ]  # fmt: skip


def inertial(recording: Recording) -> Recording:
    return replace(recording, sensors={name: one for name, one in recording.sensors.items() if name.startswith("imu.")})


def test_vqf_follows_the_truth_and_stands_still_without_a_gyroscope():
    followed = vqf(used_of(OPENED).recording)
    assert np.nanmedian(np.degrees(error_rad(followed, OPENED.truth))) < 8
    silent = vqf(used_of(OPENED, inject(OPENED.recording, FAULT)).recording)
    within = (silent.times > 10.01) & (silent.times < 11.99)
    assert np.ptp(silent.quat[within], axis=0).max() == 0
    wheels = replace(OPENED.recording, sensors={"wheels": OPENED.recording.sensors["wheels"]})
    assert vqf(wheels) is None


def judged(recording: Recording) -> Estimates:
    """What is said of the sensors' health alone."""
    return Estimates(health=healths(recording, used_of(Opened(recording=recording)).recording))


def test_of_healthy_sensors_none_is_named():
    for seed in (0, 1):
        recording = with_truth(simulate_trial(seed, seconds=60.0)).recording
        estimates = judged(recording)
        said = headline(Opened(recording=recording), None, estimates)
        assert said.startswith("No sensor is accused.")
        assert said.endswith("for silence alone: wheel, gnss.")
        lanes = health_of(recording, estimates)
        assert {span[2] for lane in lanes for span in lane.spans} == {"ok"}
        assert [lane.title for lane in lanes] == ["gyroscope", "accelerometer", "magnetometer", "wheel", "gnss"]


def test_wheels_and_fixes_that_fall_silent_are_named_with_the_delay():
    for name, title, soon in (("wheels", "Wheel", 0.3), ("gnss", "Gnss", 1.0)):
        fault = Fault(sensor=name, kind="absent", start_s=20.0, seconds=5.0)
        broken = inject(LONG, fault)
        said = headline(Opened(recording=broken), fault, judged(broken))
        assert said.startswith(f"{title} absent 20.")
        found = re.search(r"named absent after (\d\.\d\d) s", said)
        assert found, said
        assert 0 < float(found[1]) < soon
    gone = inject(LONG, replace(fault, start_s=0.0, seconds=1e3))
    assert set(judged(gone).health["gnss"].words) == {"absent"}
    heights = LONG.sensors["gnss"].values * [np.nan, np.nan, 1]
    alone = replace(LONG, sensors={**LONG.sensors, "gnss": replace(LONG.sensors["gnss"], values=heights)})
    assert set(judged(alone).health["gnss"].words) == {"ok"}  # part of a reading is no silence


@pytest.mark.parametrize("kind", ["absent", "stuck", "biased", "noisy", "saturated"])
@pytest.mark.parametrize("sensor", ["gyroscope", "accelerometer", "magnetometer"])
def test_a_fault_is_named_on_the_board_and_how_late_is_said(sensor, kind):
    name = f"imu.{sensor}"
    size = usual_size(LONG.sensors[name], kind)
    fault = Fault(sensor=name, kind=kind, start_s=40.0, seconds=5.0, size=size)
    broken = inject(LONG, fault)
    own = judged(broken)
    said = headline(Opened(recording=broken), fault, own)
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
    assert "The skewed sensor was not named while" in headline(OPENED, fault, own)


def test_doubt_is_said_to_be_unverified_but_on_the_unit_that_taught_the_adapter():
    assert scene_of("simulated", OPENED, None, ESTIMATES, 15.0).says == "Covariance not verified on this sensor."
    known = replace(OPENED, is_learned_from=True)
    assert scene_of("broad", known, None, ESTIMATES, 15.0).says.startswith(
        "In hindsight 83% of this trial lay in the 90 %"
    )
    assert "of this trial with its fault lay" in claim_words(known, FAULT, ESTIMATES)
    unknown = f"{UNVERIFIED[:1].upper()}{UNVERIFIED[1:]}"
    assert claim_words(replace(known, truth=None), None, ESTIMATES) == unknown
    assert (
        claim_words(known, None, Estimates(own=ESTIMATES.classical)) == claim_words(known, None, Estimates()) == unknown
    )


def test_the_adapter_that_ships_follows_a_cart_and_looks_back():
    cart = inertial(used_of(OPENED, inject(OPENED.recording, replace(FAULT, kind="stuck"))).recording)
    own, back = motion(cart), motion(cart, is_smoothed=True)
    assert adapter_words() == "sensor-fusion motion 1"
    errors = [np.sqrt(np.nanmean(error_rad(one, OPENED.truth) ** 2)) for one in (own, back)]
    assert errors[1] < errors[0] < np.radians(8)
    assert (back.name, share_inside(own, OPENED.truth) > 0.7) == ("motion smoother", True)


def test_a_path_lies_on_the_truth_and_its_ellipses_hold_it():
    (own, path), truth = told_of(used_of(OPENED).recording), OPENED.truth
    assert path is not None
    assert np.sqrt(np.nanmean(error_rad(own, truth)[500:] ** 2)) < np.radians(8)
    near = np.searchsorted(truth.times, path.times).clip(0, len(truth.times) - 1)
    away = path.place - truth.position[near, :2]
    away -= np.nanmedian(away, axis=0)  # fixes begin at their own first one, a metre or two off
    assert np.nanmedian(np.linalg.norm(away, axis=1)) < 2
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


def cart_messages(maker: Maker, has_places: bool) -> list[Timed]:
    """A simulated cart as messages: its compass, and another of unknown mounting that points elsewhere; odometry."""
    sensors = OPENED.recording.sensors
    told: list[Timed] = []
    for row in range(0, 6000, 4):
        stamp = START_NS + round(sensors["imu.gyroscope"].times[row] * 1e9)
        turn, force = (maker.xyz(sensors[f"imu.{kind}"].values[row]) for kind in ("gyroscope", "accelerometer"))
        imu = replace(maker.imu(stamp), angular_velocity=turn, linear_acceleration=force)
        told.append(("/imu", IMU, stamp, imu))
        if row % 8 == 0:
            field = sensors["imu.magnetometer"].values[row // 4] * 1e-6
            told.append(("/mag", MAG, stamp, replace(maker.mag(stamp), magnetic_field=maker.xyz(field))))
        if row % 40 == 0:
            other = replace(maker.mag(stamp), header=maker.header(stamp, "mast"), magnetic_field=maker.xyz(-field))
            told.append(("/a_mag", MAG, stamp, other))
        if has_places and row % 20 == 0:
            odometry = maker.odometry(stamp)
            speed, _, rate = sensors["wheels"].values[row // 10]
            twist = replace(odometry.twist.twist, linear=maker.xyz([speed, 0, 0]), angular=maker.xyz([0, 0, rate]))
            told.append(("/odom", ODOMETRY, stamp, replace(odometry, twist=replace(odometry.twist, twist=twist))))
            latitude, longitude, altitude = sensors["gnss"].values[row // 40]
            fix = replace(maker.fix(stamp), latitude=latitude, longitude=longitude, altitude=altitude)
            told.append(("/fix", FIX, stamp, replace(fix, header=maker.header(stamp, "base_link"))))
    return told


@pytest.fixture
def cart_bag(tmp_path) -> Callable[[bool, bool], Path]:
    """A bag of the cart, with or without places, with or without the mounting of its inertial unit, upside down."""

    def made(has_places: bool, is_mounted: bool) -> Path:
        maker = Maker()
        turn = ("base_link", "imu_link", (0.0, 0.0, 0.1), (0.0, 1.0, 0.0, 0.0))
        frames = [("/tf_static", TRANSFORMS, START_NS, maker.transforms(turn))] if is_mounted else []
        return write2(tmp_path / "cart", maker, [*frames, *cart_messages(maker, has_places)])

    return made


@pytest.mark.long
@pytest.mark.parametrize("has_places", [True, False])
def test_page_and_predict_say_the_same_of_a_bag_with_an_odom_position_and_two_magnetometers(
    cart_bag, tmp_path, has_places
):
    bag = cart_bag(has_places, True)
    request = DataRequest(data=str(bag), options={})
    predict_recording(TASK, TrackAsk(request=request, run=shipped_runs("sensor-fusion")["motion"]), tmp_path / "e.csv")
    table = pd.read_csv(tmp_path / "e.csv")
    opened = with_truth(read_recording(bag))
    assert ("/odom.position" in opened.recording.sensors) is has_places
    used = used_of(opened)
    assert "/mag" in used.recording.sensors
    assert "/a_mag" not in used.recording.sensors
    own, path = told_of(used.recording)
    np.testing.assert_allclose(own.quat, table[["qw", "qx", "qy", "qz"]], atol=1e-6)
    assert (path is not None) is has_places
    if path is not None:
        np.testing.assert_allclose(path.place, table[["x_m", "y_m"]][:: len(table) // len(path.times)], atol=1e-3)


def test_sensors_of_unknown_mounting_are_drawn_but_not_used_until_somebody_says_where_they_are(cart_bag, tmp_path):
    opened = with_truth(read_recording(cart_bag(True, False)))
    used = used_of(opened)
    assert used.unmounted == ("imu_link",)
    assert sorted(used.recording.sensors) == ["/fix", "/odom"]
    said = unused_words(opened.recording, used)
    assert said.startswith("Not used for attitude and path: gyroscope, accelerometer, ")
    assert "nobody says where 'imu_link' lies in base_link" in said
    assert unused_words(OPENED.recording, used_of(OPENED)) == ""
    assert "/imu.gyroscope" in drawn_sensors(opened.recording)
    assert healths(opened.recording, used.recording)["/imu.gyroscope"].judged == BY_RUNS
    assumed = used_of(replace(opened, door=Door(assumes_identity=True)))
    assert "Mounting of 'imu_link' ASSUMED" in claim_words(opened, None, Estimates(used=assumed))
    assert "/imu.gyroscope" in assumed.recording.sensors
    written = tmp_path / "mounting.yaml"
    written.write_text("imu_link: {translation_m: [0, 0, 0.1], rotation_wxyz: [0, 1, 0, 0]}\n")
    told = used_of(replace(opened, door=Door(extrinsics=written)))
    assert not told.unmounted
    assert not told.assumed
    np.testing.assert_allclose(told.recording.extrinsics["imu_link"][:3, :3], np.diag([1.0, -1.0, -1.0]), atol=1e-12)


def test_a_path_from_its_first_pose_is_not_laid_over_places_in_the_world():
    path = Travelled(
        name="pose filter", times=np.arange(3.0), place=np.zeros((3, 2)), covariance=np.tile(np.eye(2), (3, 1, 1)),
        is_placed=False,
    )  # fmt: skip
    scene = scene_of("simulated", OPENED, None, Estimates(path=path), 15.0)
    assert [way.name for way in scene.ways] == ["pose filter, 90 % of the way from its first pose"]
    assert "ahead" in scene.up
    assert len(scene_of("simulated", OPENED, None, Estimates(path=replace(path, is_placed=True)), 15.0).ways) == 3


def test_a_ball_of_a_normal_rotation_holds_nine_in_ten():
    rng = np.random.default_rng(0)
    spreads = np.array([[0.1, 0.1, 0.1], [0.3, 0.0, 0.0], [0.3, 0.1, 0.05], [9.0, 9.0, 9.0]])
    radius = ball_radius(np.stack([np.diag(one**2) for one in spreads]))
    inside = [
        (np.linalg.norm(rng.normal(0, one, (20_000, 3)), axis=1) < r).mean()
        for one, r in zip(spreads, radius, strict=True)
    ]
    assert inside[:3] == pytest.approx([0.9, 0.9, 0.9], abs=0.01)
    assert radius[3] == np.pi


def checked(verdict: str) -> dict[str, object]:
    return {"checks": [{"sensor": next(iter(used_of(OPENED).recording.sensors)), "verdict": verdict}]}


def test_a_self_check_of_the_same_sensors_says_whether_the_covariance_held(tmp_path):
    path = tmp_path / "check.json"
    write_verification(path, used_of(OPENED).recording, checked("consistent"))
    verified = replace(OPENED, door=Door(verified=path))
    assert claim_words(verified, None, Estimates(used=used_of(verified))) == "Stated covariance held in your self-check"
    write_verification(path, used_of(OPENED).recording, checked("too sure"))
    assert "did not hold in the self-check (" in claim_words(verified, None, Estimates(used=used_of(verified)))
    with pytest.raises(InputError, match="run mainstem robot selfcheck on it"):
        used_of(replace(verified, recording=inertial(OPENED.recording)))


def test_what_the_doctor_calls_bad_is_said_beside_the_state():
    gyroscope, attitude = LONG.sensors["imu.gyroscope"], simulate_trial(seconds=50.0).sensors["truth.orientation"]
    degrees = replace(gyroscope, values=np.degrees(gyroscope.values))
    oriented = replace(LONG, sensors={**LONG.sensors, "imu.gyroscope": degrees, "attitude": attitude})
    said = doctor_line(check_recording(oriented), oriented)
    assert said.startswith("BAD by the doctor: gyroscope: unit")
    assert doctor_line(check_recording(LONG), LONG) == ""


def test_arrays_alike_have_one_key():
    assert Packed.of(np.arange(3.0)).key == Packed.of(np.arange(3.0)).key != Packed.of(np.arange(4.0)).key


@pytest.fixture
def quick(monkeypatch, home) -> None:
    """A page that asks VQF alone: what ours says is tested beside the adapter, and compiled in minutes."""
    monkeypatch.setattr(reads, "told_of", lambda sensors, is_smoothed: (replace(vqf(sensors), name="filter"), None))


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
    said = said_on(page(panel="file"))
    assert said.startswith("# Simulated cart\n")  # one h1 a page
    for words in (
        "simulated",
        "not for protective functions (ISO 13849, ISO 10218)",
        "not verified",
    ):
        assert words in said


@pytest.mark.long
@pytest.mark.usefixtures("quick")
def test_a_fault_and_a_time_are_kept_in_the_address_and_vain_ones_are_said():
    test = page(fault=FAULT.text(), t="11")
    assert "Injected: gyroscope absent for 2 s from 10 s." in said_on(test)
    assert "There is no t 9999 here" in said_on(page(t="9999"))
    assert "no sensor 'x'" in said_on(page(fault="x,absent,1,2,0"))
    assert "lies outside of simulated cart, which goes from 0 to 1" in said_on(
        page(fault="imu.gyroscope,stuck,9999,2,0")
    )
    assert "none of a sensor's" in said_on(page(fault="imu.gyroscope,biased,10,5,1e300"))


@pytest.mark.usefixtures("quick")
def test_the_address_names_the_recording_from_the_start_and_says_nothing_of_another():
    test = page()
    assert test.query_params["recording"] == "simulated"
    assert test.query_params["t"] == "60.00"
    test = page(recording="nope", fault=FAULT.text(), t="3")
    said = said_on(test)
    assert "There is no recording nope here" in said
    assert "Injected" not in said
    assert "fault" not in test.query_params


@pytest.mark.parametrize("name", ["imu.gyroscope", "wheels"])
def test_what_no_sensor_can_tell_is_left_out_and_the_canvas_stays(name):
    recording = with_truth(simulate_trial(seconds=3.0)).recording
    values = recording.sensors[name].values.copy()
    values[len(values) // 2] = 1e160
    held = {**recording.sensors, name: replace(recording.sensors[name], values=values)}
    opened = Opened(recording=replace(recording, sensors=held))
    broken, estimates, why = reads.estimate.__wrapped__(opened, "beyond", "", False)
    assert estimates.own is not None
    assert not any("left the numbers" in line for line in why)
    assert any("they lie beyond" in line for line in estimates.used.said)
    header, sent = unpacked(pack(scene_of("beyond", broken, None, estimates, 1.0), ()))
    assert len(header["lanes"]) == 5
    assert not np.isinf(sent).any()


def test_a_brought_folder_is_read_as_one_and_what_leads_out_of_it_is_refused(cart_bag, tmp_path, monkeypatch):
    monkeypatch.setattr(reads, "session_folder", lambda: tmp_path)
    bag = cart_bag(False, True)
    files = {f"cart/{path.name}": path.read_bytes() for path in bag.iterdir()}
    own: dict[str, object] = {}
    monkeypatch.setattr(reads, "own_choices", lambda: own)
    assert take_own(Brought(files=files, is_folder=True)) == "own cart"
    assert take_own(Brought(files=files, is_folder=True, assumes_identity=True)) == "own cart (2)"
    assert own["own cart (2)"].open().door.assumes_identity
    before = sorted(tmp_path.iterdir())
    for name in ("../out.mcap", "/out.mcap", "cart/../../out.mcap"):
        with pytest.raises(InputError, match="no name in a folder"):
            take_own(Brought(files={name: b""}, is_folder=True))
    with pytest.raises(InputError, match="1,000 and 500 MB at most"):
        check_bounds(1001, 0)
    with pytest.raises(InputError, match="3 files of 501 MB"):
        check_bounds(3, 501 << 20)
    assert sorted(tmp_path.iterdir()) == before
