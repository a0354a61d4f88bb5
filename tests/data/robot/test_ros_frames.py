"""Frames of /tf_static: chains with a known answer, trees that are none, and where sensors are mounted."""

from dataclasses import replace

import numpy as np
import pytest
from tests.data.robot.bags import IMU, ODOMETRY, START_NS, TRANSFORMS, Maker, all_sensors, write1, write2

from mainstem.core.errors import InputError
from mainstem.data.robot.mounting import check_mounting, mounted_frames, read_extrinsics, with_extrinsics
from mainstem.data.robot.ros import read_bag
from mainstem.data.robot.ros_frames import Frames

HALF = 0.5**0.5
STILL = (1.0, 0.0, 0.0, 0.0)
GPS = "gps: {translation_m: [1, 2, 3], rotation_wxyz: [1, 0, 0, 0]}\n"
LEFT = (HALF, 0.0, 0.0, HALF)  # a quarter turn to the left: x of the child points along y of the parent


def frames(*poses) -> Frames:
    found = Frames()
    found.note(Maker().transforms(*poses).transforms)
    return found


def test_chain_is_composed_from_the_body_to_the_sensor():
    found = frames(("base_link", "mast", (0, 0, 1), LEFT), ("mast", "imu_link", (0.5, 0, 0), STILL))
    pose = found.extrinsics("base_link", ["imu_link"])["imu_link"]
    np.testing.assert_allclose(pose, [[0, -1, 0, 0], [1, 0, 0, 0.5], [0, 0, 1, 1], [0, 0, 0, 1]], atol=1e-15)


def test_path_may_go_up_and_down_the_tree():
    found = frames(
        ("base_footprint", "base_link", (0, 0, 0.2), STILL),
        ("base_footprint", "gps", (1, 0, 0.5), LEFT),
        ("base_link", "imu_link", (0, 0, 0.3), LEFT),
    )
    poses = found.extrinsics("base_link", ["gps", "imu_link", "base_link", "camera"])
    assert set(poses) == {"gps", "imu_link", "base_link"}
    np.testing.assert_allclose(poses["gps"][:3, 3], [1, 0, 0.3])
    np.testing.assert_allclose(poses["base_link"], np.eye(4))
    between = found.extrinsics("imu_link", ["gps"])["gps"]
    np.testing.assert_allclose(
        between[:3, 3], [0, -1, 0], atol=1e-15
    )  # a metre ahead of a body turned left is on its right
    np.testing.assert_allclose(between[:3, :3], np.eye(3), atol=1e-15)


def test_circle_ends_and_joins_nothing():
    found = frames(("a", "b", (1, 0, 0), STILL), ("b", "a", (1, 0, 0), STILL), ("a", "imu_link", (0, 0, 0), STILL))
    assert "imu_link" not in found.extrinsics("base_link", ["imu_link"])
    assert any("circle" in doubt for doubt in found.doubts)


def test_told_twice_otherwise_the_later_counts_and_it_is_said():
    found = frames(("base_link", "imu", (1, 0, 0), STILL), ("base_link", "imu", (2, 0, 0), STILL))
    assert found.extrinsics("base_link", ["imu"])["imu"][0, 3] == 2
    assert any("twice" in doubt for doubt in found.doubts)
    same = frames(("base_link", "imu", (1, 0, 0), STILL), ("base_link", "imu", (1, 0, 0), STILL))
    assert not same.doubts


@pytest.mark.parametrize("turn", [(0.0, 0.0, 0.0, 0.0), (float("nan"), 0.0, 0.0, 1.0)])
def test_what_is_no_rotation_is_not_used(turn):
    found = frames(("base_link", "imu", (1, 0, 0), turn))
    assert not found.extrinsics("base_link", ["imu"])
    assert any("no pose" in doubt for doubt in found.doubts)


@pytest.mark.parametrize("is_ros1", [True, False])
def test_bag_gives_the_poses_of_its_sensors(tmp_path, is_ros1):
    maker = Maker(is_ros1)
    path = (write1 if is_ros1 else write2)(tmp_path / ("a.bag" if is_ros1 else "a"), maker, all_sensors(maker, 2))
    found = read_bag(path)
    assert found.body == "base_link"
    assert set(found.extrinsics) == {"base_link", "imu_link"}
    np.testing.assert_allclose(found.extrinsics["imu_link"][:3, 3], [0, 0.5, 1], atol=1e-15)


def test_body_is_what_odometry_moves_where_it_has_another_name(tmp_path):
    maker = Maker()
    messages = [
        ("/odom", ODOMETRY, START_NS, maker.odometry(START_NS, "chassis")),
        ("/imu", IMU, START_NS, maker.imu(START_NS)),
    ]
    transforms = maker.transforms(("chassis", "imu_link", (0, 0, 1), STILL))
    found = read_bag(write2(tmp_path / "a", maker, [*messages, ("/tf_static", TRANSFORMS, START_NS, transforms)]))
    assert found.body == "chassis"
    assert found.extrinsics["imu_link"][2, 3] == 1


@pytest.fixture
def recording(tmp_path):
    return read_bag(write2(tmp_path / "a", Maker(), all_sensors(Maker(), 2)))


def test_frames_that_lack_a_pose_are_named(recording):
    assert mounted_frames(recording) == ["base_link", "gps", "imu_link", "sonar"]
    with pytest.raises(InputError, match="'gps', 'sonar' in base_link"):
        with_extrinsics(recording)


def test_file_gives_poses_and_is_said(recording, tmp_path):
    path = tmp_path / "mounting.yaml"
    path.write_text("gps: {translation_m: [1, 0, 2], rotation_wxyz: [1, 0, 0, 0]}\n"
                    f"/sonar: {{translation_m: [0, 0, 0], rotation_wxyz: [{HALF}, 0, 0, {HALF}]}}\n")  # fmt: skip
    found = with_extrinsics(recording, path)
    np.testing.assert_allclose(found.extrinsics["gps"][:3, 3], [1, 0, 2])
    np.testing.assert_allclose(found.extrinsics["sonar"][:3, 0], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(found.extrinsics["imu_link"], recording.extrinsics["imu_link"])
    assert any(line.startswith("gps: mounted as") for line in found.converted)


def test_identity_is_taken_only_when_told_and_is_said(recording):
    found = with_extrinsics(recording, assume_identity=True)
    np.testing.assert_allclose(found.extrinsics["gps"], np.eye(4))
    np.testing.assert_allclose(found.extrinsics["imu_link"], recording.extrinsics["imu_link"])
    assert [line for line in found.converted if "ASSUMED" in line] == [
        "gps: ASSUMED to be base_link itself", "sonar: ASSUMED to be base_link itself"
    ]  # fmt: skip


def test_file_goes_before_the_recording_and_says_so(recording, tmp_path):
    path = tmp_path / "m.yaml"
    path.write_text("imu_link: {translation_m: [9, 0, 0], rotation_wxyz: [1, 0, 0, 0]}\n")
    found = with_extrinsics(recording, path, assume_identity=True)
    assert found.extrinsics["imu_link"][0, 3] == 9
    assert any("not as the recording does" in line for line in found.converted)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "names no frame"),
        ("gps: 3", "translation_m"),
        ("gps: {translation_m: [1, 2], rotation_wxyz: [1, 0, 0, 0]}", "3 finite numbers"),
        ("gps: {translation_m: [a, b, c], rotation_wxyz: [1, 0, 0, 0]}", "3 finite numbers"),
        ('gps: {translation_m: "123", rotation_wxyz: [1, 0, 0, 0]}', "list of 3 finite numbers"),
        ("gps: {translation_m: [1, true, 3], rotation_wxyz: [1, 0, 0, 0]}", "list of 3 finite numbers"),
        (GPS + GPS.replace("gps", "/gps"), "names gps twice"),
        ("gps: {translation_m: [1, 2, nan], rotation_wxyz: [1, 0, 0, 0]}", "finite"),
        ("gps: {translation_m: [1, 2, 3], rotation_wxyz: [2, 0, 0, 0]}", "unit quaternion"),
        ("gps: {translation_m: [100000, 2, 3], rotation_wxyz: [1, 0, 0, 0]}", "metres"),
        ("- 1", "names no frame"),
    ],
)
def test_file_that_holds_no_pose_is_refused(tmp_path, text, words):
    path = tmp_path / "m.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        read_extrinsics(path)


def test_file_of_a_whole_robot_serves_the_sensors_that_are_chosen(recording, tmp_path):
    path = tmp_path / "m.yaml"
    still = "{translation_m: [1, 0, 0], rotation_wxyz: [1, 0, 0, 0]}"
    path.write_text(f"gps: {still}\nsonar: {still}\nlaser: {still}\n")
    found = with_extrinsics(recording, path)
    assert "laser" not in found.extrinsics
    assert f"{path} names 'laser' too, in which no sensor that was chosen is mounted: not used" in found.converted
    path.write_text(f"gsp: {still}\nsonar: {still}\n")
    with pytest.raises(InputError, match="no pose of 'gps'"):
        with_extrinsics(recording, path)


def test_a_frame_with_an_endless_name_is_told_in_short(recording):
    name = "x" * 100_000
    sensors = {"odd": replace(recording.sensors["/sonar"], frame=name)}
    with pytest.raises(InputError) as refused:
        with_extrinsics(replace(recording, sensors=sensors))
    assert len(str(refused.value)) < 400
    found = with_extrinsics(replace(recording, sensors=sensors), assume_identity=True)
    assert max(map(len, found.converted)) < 200


def gravity(recording, values, frame="imu_link"):
    """The recording with an accelerometer of a hundred such readings."""
    old = recording.sensors["/imu/data.accelerometer"]
    told = replace(
        old, times=np.arange(100.0), values=np.tile(values, (100, 1)), received=None, covariance=None, frame=frame
    )
    return replace(recording, sensors={**recording.sensors, "/imu/data.accelerometer": told})


def test_gravity_along_no_z_of_a_body_on_wheels_is_a_wrong_mounting(recording):
    turned = replace(recording, extrinsics={**recording.extrinsics, "side": np.eye(4)})
    (found,) = check_mounting(gravity(turned, [0.1, -9.8, 0.2], "side"))
    assert (found.sensor, found.what, found.state) == ("/imu/data.accelerometer", "mounting", "bad")
    assert "gravity lies along +y of base_link over the whole drive, 89 degrees off -z" in found.words
    assert not [*check_mounting(gravity(turned, [3.0, 0, 9.3], "side"))]  # a slope
    assert not [*check_mounting(gravity(turned, [0.1, 0, 0.2], "side"))]  # no gravity, which is another finding
    bare = gravity(turned, [0.1, -9.8, 0.2], "side")
    flying = {name: sensor for name, sensor in bare.sensors.items() if sensor.kind != "wheel"}
    assert not [*check_mounting(replace(bare, sensors=flying))]
