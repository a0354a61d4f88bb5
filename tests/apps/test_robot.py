"""`mainstem robot doctor`: what it says of a bag, and its exit status."""

import json

from tests.data.robot.bags import IMU, START_NS, STEP_NS, Maker, all_sensors, write2
from tests.hostile.harness import run_cli


def test_doctor_says_what_a_bag_holds(tmp_path):
    folder = write2(tmp_path / "a", Maker(), all_sensors(Maker(), 30))
    done = run_cli("robot", "doctor", str(folder), "--json")
    assert done.code in (0, 1), done.text
    told = json.loads(done.out)
    assert told["sensors"]["/mag"] == {
        "kind": "magnetometer", "num": 30, "rate_hz": told["sensors"]["/mag"]["rate_hz"], "unit": "uT",
        "channels": ["x", "y", "z"], "frame": "imu_link", "source": "/mag",
    }  # fmt: skip
    assert told["origin"] == "2023-11-14T22:13:20Z"
    assert "/words" in told["skipped"]
    assert told["unmounted"] == ["gps", "sonar"]
    assert told["proposed"]["imu"] == "/imu/data"
    assert "ISO 13849" in told["note"]
    text = run_cli("robot", "doctor", str(folder)).out
    assert "/mag: tesla to microtesla" in text
    assert "--map gnss=/fix" in text
    lines = text.splitlines()
    skipped = [index for index, line in enumerate(lines) if line.startswith("skipped: ")]
    assert "skipped: 1 that no sensor is read from (/words); --json tells why of each" in lines[skipped[-1]]
    found = [index for index, line in enumerate(lines) if line.startswith(("BAD ", "note", "ok "))]
    assert max(found[:-1]) < min(skipped)  # the last line is what it is not for
    marks = [lines[index][:4] for index in found[:-1]]
    assert marks == sorted(marks, key=["BAD ", "note", "ok  "].index)


def test_doctor_exits_with_1_where_headers_have_no_stamps(tmp_path):
    maker = Maker()
    messages = [("/imu", IMU, START_NS + index * STEP_NS, maker.imu(0, index)) for index in range(30)]
    done = run_cli("robot", "doctor", str(write2(tmp_path / "a", maker, messages)))
    assert done.code == 1
    assert "stamped 0" in done.out


def test_doctor_refuses_what_is_no_recording_in_one_line(tmp_path):
    path = tmp_path / "a.bag"
    path.write_bytes(b"#ROSBAG V2.0\n" + bytes(200))
    done = run_cli("robot", "doctor", str(path))
    done.refused("holds no reading")
