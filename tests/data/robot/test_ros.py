"""Bags of ROS 1 and 2, written by rosbags and read back: values, units, stamps, covariances, and what is skipped."""

import os
from pathlib import Path

import numpy as np
import pytest
from mcap.writer import Writer as McapWriter
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin, Writer
from tests.data.robot.bags import FIX, IMU, MAG, RANGE, START_NS, STEP_NS, TWIST, Maker, all_sensors, write1, write2

from mainstem.core.errors import InputError
from mainstem.data.robot.recording import Recording
from mainstem.data.robot.ros import read_bag
from mainstem.data.robot.ros_collecting import Room
from mainstem.data.robot.ros_messages import known


def written(tmp_path: Path, form: str) -> Path:
    """A bag of all sensors."""
    if form.startswith("ros1"):
        return write1(tmp_path / "a.bag", Maker(is_ros1=True), all_sensors(Maker(is_ros1=True)), form[5:].upper())
    storage, _, packed = form.partition("-")
    return write2(tmp_path / "a", Maker(), all_sensors(Maker()), storage, packed)


@pytest.fixture(params=["ros1", "ros1-bz2", "ros1-lz4", "MCAP", "MCAP-storage", "SQLITE3", "SQLITE3-message"])
def recording(request, tmp_path) -> Recording:
    return read_bag(written(tmp_path, request.param))


def test_bag_of_every_kind_gives_the_same_sensors(recording):
    assert {name: (sensor.kind, sensor.frame, len(sensor.times)) for name, sensor in recording.sensors.items()} == {
        "/imu/data.gyroscope": ("gyroscope", "imu_link", 20),
        "/imu/data.accelerometer": ("accelerometer", "imu_link", 20),
        "/imu/data.orientation": ("orientation", "imu_link", 20),
        "/mag": ("magnetometer", "imu_link", 20),
        "/odom": ("wheel", "base_link", 20),
        "/odom.position": ("position", "odom", 20),
        "/odom.orientation": ("orientation", "odom", 20),
        "/fix": ("gnss", "gps", 20),
        "/sonar": ("range", "sonar", 20),
    }
    gyroscope = recording.sensors["/imu/data.gyroscope"]
    np.testing.assert_allclose(gyroscope.values, [[0.1 + index, 0.2, 0.3] for index in range(20)])
    np.testing.assert_allclose(gyroscope.times, 0.25 + 0.01 * np.arange(20), rtol=0, atol=1e-12)
    np.testing.assert_allclose(gyroscope.received, gyroscope.times + 0.002, rtol=0, atol=1e-12)
    assert recording.origin == "2023-11-14T22:13:20Z"
    np.testing.assert_allclose(recording.sensors["/imu/data.orientation"].values[3], [0.6, 0.8, 0, 0])
    np.testing.assert_allclose(recording.sensors["/odom"].values[0], [1.5, 0.1, 0.25])
    np.testing.assert_allclose(recording.sensors["/odom"].covariance[5], np.diag([10.0, 20.0, 60.0]))
    assert "own estimate" in recording.sensors["/odom.position"].source
    assert "std_msgs/msg/String" in recording.skipped["/words"]
    assert not recording.faults


def test_units_are_converted_and_said(recording):
    compass = recording.sensors["/mag"]
    np.testing.assert_allclose(compass.values[0], [20, -3, -44])
    np.testing.assert_allclose(compass.covariance[0], np.eye(3))
    assert "/mag: tesla to microtesla" in recording.converted


def test_covariance_of_zeros_is_unknown_and_one_of_minus_one_is_absent(tmp_path):
    maker = Maker()
    messages = [("/imu", IMU, START_NS, maker.imu(START_NS, orientation=-1.0, rates=0.0))]
    found = read_bag(write2(tmp_path / "a", maker, messages))
    assert set(found.sensors) == {"/imu.gyroscope", "/imu.accelerometer"}
    assert np.isnan(found.sensors["/imu.gyroscope"].covariance).all()
    np.testing.assert_allclose(found.sensors["/imu.accelerometer"].covariance[0], np.diag([0.1, 0.2, 0.3]))
    assert "absent in all messages" in found.skipped["/imu.orientation"]


def test_orientation_absent_in_some_messages_is_nan_there(tmp_path):
    maker = Maker()
    stamps = [START_NS + index * STEP_NS for index in range(4)]
    covariances = [0.01, -1.0, 0.01, 0.01]
    messages = [
        ("/imu", IMU, stamp, maker.imu(stamp, orientation=each))
        for stamp, each in zip(stamps, covariances, strict=True)
    ]
    found = read_bag(write2(tmp_path / "a", maker, messages))
    values = found.sensors["/imu.orientation"].values
    assert np.isnan(values).all(-1).tolist() == [False, True, False, False]
    assert "1 of 4" in found.skipped["/imu.orientation"]


def test_fix_without_fix_has_no_place_and_unknown_covariance_is_nan(tmp_path):
    maker = Maker()
    fixes = [maker.fix(START_NS, status=-1), maker.fix(START_NS + 1, kind=0), maker.fix(START_NS + 2)]
    messages = [("/fix", FIX, START_NS, each) for each in fixes]
    fix = read_bag(write2(tmp_path / "a", maker, messages)).sensors["/fix"]
    assert np.isnan(fix.values).all(-1).tolist() == [True, False, False]
    assert np.isnan(fix.covariance).all((1, 2)).tolist() == [True, True, False]
    np.testing.assert_allclose(fix.covariance[2], np.diag([1.0, 2.0, 9.0]))


def test_range_beyond_its_limits_is_no_value(tmp_path):
    maker = Maker()
    distances = [0.05, 0.1, 3.0, 4.5, float("inf"), float("nan")]
    messages = [
        ("/s", RANGE, START_NS, maker.range(START_NS + index, metres)) for index, metres in enumerate(distances)
    ]
    values = read_bag(write2(tmp_path / "a", maker, messages)).sensors["/s"].values[:, 0]
    assert np.isnan(values).tolist() == [True, False, False, True, True, True]
    assert values[2] == 3.0


def test_command_is_no_measurement(tmp_path):
    maker = Maker()
    twist = maker.make("geometry_msgs/msg/Twist", linear=maker.xyz([1, 0, 0]), angular=maker.xyz([0, 0, 1]))
    message = maker.make(TWIST, header=maker.header(START_NS, "base_link"), twist=twist)
    messages = [("/cmd_vel", TWIST, START_NS, message), ("/wheel_twist", TWIST, START_NS, message)]
    found = read_bag(write2(tmp_path / "a", maker, messages))
    assert list(found.sensors) == ["/wheel_twist"]
    assert found.sensors["/wheel_twist"].covariance is None
    assert "command" in found.skipped["/cmd_vel"]


def test_zero_stamps_have_no_time_and_are_named(tmp_path):
    maker = Maker()
    stamps = [START_NS, 0, START_NS + STEP_NS, 0]
    messages = [("/imu", IMU, START_NS + index, maker.imu(stamp)) for index, stamp in enumerate(stamps)]
    found = read_bag(write2(tmp_path / "a", maker, messages))
    assert np.isnan(found.sensors["/imu.gyroscope"].times).tolist() == [False, True, False, True]
    assert found.sensors["/imu.gyroscope"].usable().tolist() == [True, False, True, False]
    (fault,) = found.faults
    assert (fault.what, fault.state, fault.count, fault.sensor) == ("unstamped", "bad", 2, "/imu")


def test_stamps_of_a_simulator_have_no_calendar(tmp_path):
    maker = Maker()
    messages = [("/imu", IMU, START_NS + index * STEP_NS, maker.imu(10**9 + index * STEP_NS)) for index in range(3)]
    found = read_bag(write2(tmp_path / "a", maker, messages))
    assert found.origin == ""
    np.testing.assert_allclose(found.sensors["/imu.gyroscope"].times, [0, 0.01, 0.02], atol=1e-12)
    assert [fault.what for fault in found.faults] == ["clock"]


def test_stamps_are_left_as_they_are(tmp_path):
    maker = Maker()
    offsets = [0, 2, 1, 1]
    messages = [
        ("/imu", IMU, START_NS + index, maker.imu(START_NS + offset * STEP_NS)) for index, offset in enumerate(offsets)
    ]
    times = read_bag(write2(tmp_path / "a", maker, messages)).sensors["/imu.gyroscope"].times
    np.testing.assert_allclose(times, 0.25 + 0.01 * np.array(offsets), rtol=0, atol=1e-12)


@pytest.mark.parametrize("storage", ["ros1", "MCAP", "SQLITE3"])
def test_topic_that_stayed_silent_is_named(tmp_path, storage):
    maker = Maker(storage == "ros1")
    writer = (
        Writer1(tmp_path / "a.bag")
        if maker.is_ros1
        else Writer(tmp_path / "a", version=9, storage_plugin=StoragePlugin[storage])
    )
    with writer:
        writer.add_connection("/mag", MAG, typestore=maker.store)
        connection = writer.add_connection("/imu", IMU, typestore=maker.store)
        serialize = maker.store.serialize_ros1 if maker.is_ros1 else maker.store.serialize_cdr
        writer.write(connection, START_NS, bytes(serialize(maker.imu(START_NS), IMU)))
    found = read_bag(writer.path)
    assert "/imu.gyroscope" in found.sensors
    assert "no message" in found.skipped["/mag"]


def test_only_wanted_topics_are_read(tmp_path):
    path = written(tmp_path, "MCAP")
    found = read_bag(path, wanted=["/fix"])
    assert list(found.sensors) == ["/fix"]
    assert "not among" in found.skipped["/imu/data"]
    with pytest.raises(InputError, match="holds no reading"):
        read_bag(path, wanted=["/nothing"])


def mcap(path: Path, channels: list[tuple[str, tuple[str, str, bytes] | None, str, bytes]]) -> Path:
    """A lone MCAP of (topic, schema (name, encoding, text) or None, message encoding, message)."""
    with path.open("wb") as file:
        writer = McapWriter(file)
        writer.start(profile="ros2")
        for topic, schema, encoding, data in channels:
            number = writer.register_schema(*schema) if schema else 0
            channel = writer.register_channel(topic, encoding, number)
            writer.add_message(channel, START_NS, data, START_NS)
        writer.finish()
    return path


def imu_channel(definition: bytes, topic: str = "/imu") -> tuple[str, tuple[str, str, bytes], str, bytes]:
    maker = Maker()
    return topic, (IMU, "ros2msg", definition), "cdr", bytes(maker.store.serialize_cdr(maker.imu(START_NS), IMU))


def definition_of(kind: str) -> bytes:
    return Maker().store.generate_msgdef(kind, ros_version=2)[0].encode()


def test_channels_without_schema_or_of_other_encodings_are_listed(tmp_path):
    path = mcap(tmp_path / "a.mcap", [
        ("/none", None, "cdr", b"1234"),
        ("/json", ("Foo", "jsonschema", b"{}"), "json", b"{}"),
        ("/proto", ("foo.Bar", "protobuf", b"\x00"), "protobuf", b""),
        ("/empty", ("std_msgs/msg/Empty", "ros2msg", b""), "cdr", b"\x00\x01\x00\x00\x00"),
        ("/scan", ("sensor_msgs/msg/LaserScan", "ros2msg", b""), "cdr", b"\x00\x01\x00\x00"),
        imu_channel(definition_of(IMU)),
    ])  # fmt: skip
    found = read_bag(path)
    assert set(found.skipped) == {"/none", "/json", "/proto", "/empty", "/scan"}
    assert "without a schema" in found.skipped["/none"]
    assert "json" in found.skipped["/json"]
    assert "LaserScan" in found.skipped["/scan"]
    assert "/imu.gyroscope" in found.sensors


def test_lone_db3_of_before_iron_has_no_definitions_and_is_read(tmp_path):
    import sqlite3

    maker = Maker()
    with sqlite3.connect(tmp_path / "a.db3") as database:
        database.execute("CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT, type TEXT, serialization_format TEXT)")
        database.execute(
            "CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER, timestamp INTEGER, data BLOB)"
        )
        for number, (topic, kind, message) in enumerate(
            (("/imu", IMU, maker.imu(START_NS)), ("/s", RANGE, maker.range(START_NS)))
        ):
            database.execute("INSERT INTO topics VALUES (?, ?, ?, 'cdr')", (number, topic, kind))
            data = bytes(maker.store.serialize_cdr(message, kind))
            database.execute("INSERT INTO messages VALUES (?, ?, ?, ?)", (number, number, START_NS, data))
    found = read_bag(tmp_path / "a.db3")
    assert found.sensors["/s"].values[0, 0] == 2.5
    assert found.sensors["/imu.gyroscope"].values[0].tolist() == [0.1, 0.2, 0.3]


def test_definition_that_is_not_the_standards_is_not_read_as_one(tmp_path):
    swapped = definition_of(IMU).replace(b"angular_velocity\n", b"other_velocity\n")
    with pytest.raises(InputError, match="otherwise than ROS"):
        read_bag(mcap(tmp_path / "a.mcap", [imu_channel(swapped)]))
    garbled = mcap(
        tmp_path / "b.mcap", [imu_channel(b"\xff\x00 not a definition"), imu_channel(definition_of(IMU), "/good")]
    )
    found = read_bag(garbled)
    assert "/good.gyroscope" in found.sensors
    assert "/imu" in found.skipped


IDL = """{sep}
IDL: sensor_msgs/msg/MagneticField
module sensor_msgs {{ module msg {{
  typedef double double__9[9];
  struct MagneticField {{
    std_msgs::msg::Header header;
    geometry_msgs::msg::Vector3 magnetic_field;
    double__9 {name};
  }};
}}; }};
{sep}
IDL: std_msgs/msg/Header
module std_msgs {{ module msg {{ struct Header {{ builtin_interfaces::msg::Time stamp; string frame_id; }}; }}; }};
"""


def test_definition_in_idl_is_compared_too(tmp_path):
    maker = Maker()
    data = bytes(maker.store.serialize_cdr(maker.mag(START_NS), MAG))
    for name, is_read in (("magnetic_field_covariance", True), ("covariance", False)):
        text = IDL.format(sep="=" * 80, name=name).encode()
        path = mcap(
            tmp_path / f"{name}.mcap", [("/mag", (MAG, "ros2idl", text), "cdr", data), imu_channel(definition_of(IMU))]
        )
        found = read_bag(path)
        assert ("/mag" in found.sensors) == is_read, found.skipped
        assert ("/mag" in found.skipped) != is_read


def test_bag_that_holds_more_values_than_memory_should_is_refused():
    room = Room(left=10)
    room.take(10)
    with pytest.raises(InputError, match="choose topics"):
        room.take(1)


def test_message_shorter_than_its_type_is_counted(tmp_path):
    topic, schema, encoding, data = imu_channel(definition_of(IMU))
    found = read_bag(
        mcap(tmp_path / "a.mcap", [(topic, schema, encoding, data), ("/imu", schema, encoding, data[:-9])])
    )
    assert len(found.sensors["/imu.gyroscope"].times) == 1
    assert "1 of 2 messages do not fit" in found.skipped["/imu"]


def test_own_type_is_read_by_its_definition_alone(tmp_path):
    from rosbags.typesys import get_types_from_msg

    kind, text = (
        "my_msgs/msg/Force",
        "std_msgs/Header header\nfloat64[3] force\nint32 code\nstring text\nfloat32[] many\n",
    )
    maker = Maker()
    maker.store.register(get_types_from_msg(text, kind))
    many = np.zeros(2, dtype=np.float32)
    message = maker.make(
        kind, header=maker.header(START_NS, "tool"), force=np.array([1.0, 2, 3]), code=7, text="a", many=many
    )
    path = write2(tmp_path / "a", maker, [("/force", kind, START_NS, message), *all_sensors(maker, 1)])
    assert "--msg-path" in read_bag(path).skipped["/force"]
    folder = tmp_path / "own" / "my_msgs" / "msg"
    folder.mkdir(parents=True)
    (folder / "Force.msg").write_text(text)
    sensor = read_bag(path, [tmp_path / "own"]).sensors["/force"]
    assert (sensor.kind, sensor.frame) == ("other", "tool")
    assert [channel.name for channel in sensor.channels] == ["force.0", "force.1", "force.2", "code"]
    assert sensor.values[0].tolist() == [1, 2, 3, 7]
    with pytest.raises(InputError, match=r"no \.msg file"):
        read_bag(path, [tmp_path / "a"])
    (folder / "Bad.msg").write_text("float64 = = 3 [")
    with pytest.raises(InputError, match=r"Bad\.msg"):
        read_bag(path, [tmp_path / "own"])


def test_what_is_no_bag_is_refused_in_one_line(tmp_path):
    (tmp_path / "empty.bag").touch()
    (tmp_path / "old.bag").write_bytes(b"#ROSBAG V1.2\n" + bytes(100))
    (tmp_path / "folder").mkdir()
    for name, words in (
        ("absent.bag", "no file"),
        ("empty.bag", "no bag"),
        ("old.bag", "rosbag fix"),
        ("folder", "no .db3"),
    ):
        with pytest.raises(InputError, match=words) as told:
            read_bag(tmp_path / name)
        assert "\n" not in str(told.value)


@pytest.mark.mirror
@pytest.mark.skipif("MAINSTEM_MIRROR" not in os.environ, reason="MAINSTEM_MIRROR is not set")
def test_husky_bag_is_read_whole():
    found = read_bag(Path(os.environ["MAINSTEM_MIRROR"]) / "robot" / "rosbags" / "test1.bag")
    counts = {name: len(sensor.times) for name, sensor in found.sensors.items()}
    assert (counts["/imu/data.gyroscope"], counts["/husky_velocity_controller/odom"], counts["/fix"]) == (
        11_865,
        3_952,
        989,
    )
    assert found.sensors["/imu/data.gyroscope"].frame == "imu_link"
    assert found.body == "base_link"
    assert not found.skipped
    assert found.origin == "2015-05-21T19:11:38Z"
    start, end = found.span_s()
    assert end - start == pytest.approx(395.3, abs=0.1)
    np.testing.assert_allclose(found.sensors["/imu/data.accelerometer"].covariance[0], np.eye(3) * 0.009604)


def test_covariances_that_are_none_are_unknown():
    stated = np.stack([np.diag([value] * 3) for value in (1e-9, 1e12, 1e300, np.inf, np.nan, -1.0, 0.0)])
    assert np.isfinite(known(stated)).all((1, 2)).tolist() == [True, True, *(False,) * 5]
