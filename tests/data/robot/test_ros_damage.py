"""Bags that are cut off, flipped, without an index or hostile: what is whole is read and the rest is said."""

import struct
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import zstandard
from mcap.writer import CompressionType
from mcap.writer import Writer as McapWriter
from tests.data.robot.bags import IMU, START_NS, STEP_NS, Maker, all_sensors, write1, write2

from mainstem.core.errors import InputError
from mainstem.data.robot.recording import Recording
from mainstem.data.robot.ros import read_bag

KINDS = ("bag", "bag-bz2", "bag-lz4", "mcap", "mcap-packed", "db3")
COUNT = 30
MOST_MIB = 64  # that reading a bag of 100 kB may take


@pytest.fixture(scope="module")
def bags(tmp_path_factory) -> dict[str, Path]:
    """One small bag of each kind, as a single file."""
    folder, ros1, ros2 = tmp_path_factory.mktemp("bags"), Maker(is_ros1=True), Maker()
    found = {
        name: write1(folder / f"{name}.bag", ros1, all_sensors(ros1, COUNT), name[4:].upper()) for name in KINDS[:3]
    }
    for name, storage, packed in (("mcap", "MCAP", ""), ("mcap-packed", "MCAP", "storage"), ("db3", "SQLITE3", "")):
        made = write2(folder / name, ros2, all_sensors(ros2, COUNT), storage, packed)
        found[name] = next(path for path in made.iterdir() if path.suffix in (".mcap", ".db3"))
    return found


def outcome(path: Path) -> Recording | None:
    """What a damaged bag gives: a recording, or None where it is refused in one line; nothing else."""
    try:
        return read_bag(path)
    except InputError as error:
        return None if "\n" not in str(error) else pytest.fail(f"several lines: {error}")


def peak_mib(path: Path) -> float:
    """Memory that refusing a bag took at most."""
    tracemalloc.start()
    try:
        with pytest.raises(InputError):
            read_bag(path)
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


def count_of(recording: Recording | None) -> int:
    sensor = recording.sensors.get("/imu/data.gyroscope") if recording else None
    return len(sensor.times) if sensor else 0


@pytest.mark.parametrize("kind", KINDS)
def test_cut_bag_gives_what_is_whole_and_is_flagged(bags, tmp_path, kind):
    data, whole = bags[kind].read_bytes(), read_bag(bags[kind])
    counts = []
    for length in np.linspace(0, len(data) - 1, 40).astype(int):
        path = tmp_path / f"cut{bags[kind].suffix}"
        path.write_bytes(data[:length])
        found = outcome(path)
        counts.append(count_of(found))
        if found is None:
            continue
        assert found.faults
        assert found.skipped[path.name]
        rates = found.sensors["/imu/data.gyroscope"].values
        assert np.isin(rates[:, 0], whole.sensors["/imu/data.gyroscope"].values[:, 0]).all()
    assert counts[0] == 0
    if kind != "db3":  # SQLite's pages need the last of them
        assert counts == sorted(counts)
        assert counts[-1] == COUNT


@pytest.mark.parametrize("kind", ["bag", "mcap"])
def test_cut_in_a_plain_chunk_loses_only_what_is_behind_it(bags, tmp_path, kind):
    data = bags[kind].read_bytes()
    path = tmp_path / f"cut{bags[kind].suffix}"
    path.write_bytes(data[: len(data) // 2])
    assert COUNT // 4 < count_of(read_bag(path)) < COUNT


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_flipped_bytes_are_refused_or_read_and_never_crash(bags, tmp_path, kind):
    data = bags[kind].read_bytes()
    generator = np.random.default_rng(14)
    for trial in range(60):
        flipped = bytearray(data)
        beginning = trial % 3 == 0  # headers, where a flip does most
        for place in generator.integers(0, 4096 if beginning else len(data), 1 + trial % 8):
            flipped[place % len(data)] ^= int(generator.integers(1, 256))
        path = tmp_path / f"flip{bags[kind].suffix}"
        path.write_bytes(flipped)
        outcome(path)


def test_flip_in_a_packed_chunk_is_found(bags, tmp_path):
    data = bytearray(bags["bag-bz2"].read_bytes())
    data[len(data) // 3] ^= 0xFF
    path = tmp_path / "flip.bag"
    path.write_bytes(data)
    found = outcome(path)
    assert found is None or any(fault.what == "damage" for fault in found.faults)


def test_flip_in_a_chunk_with_a_checksum_is_found_and_the_others_are_read(tmp_path):
    maker, path = Maker(), tmp_path / "a.mcap"
    with path.open("wb") as file:
        writer = McapWriter(file, chunk_size=1000, compression=CompressionType.NONE)
        writer.start(profile="ros2")
        schema = writer.register_schema(IMU, "ros2msg", maker.store.generate_msgdef(IMU, ros_version=2)[0].encode())
        channel = writer.register_channel("/imu/data", "cdr", schema)
        for index in range(COUNT):
            message = maker.imu(START_NS + index * STEP_NS, index)
            writer.add_message(channel, START_NS, bytes(maker.store.serialize_cdr(message, IMU)), START_NS)
        writer.finish()
    data = bytearray(path.read_bytes())
    data[data.index(struct.pack("<d", 15.1))] ^= 0xFF  # the rate about x of the sixteenth message
    path.write_bytes(data)
    found = read_bag(path)
    assert COUNT // 2 < count_of(found) < COUNT
    assert 15.1 not in found.sensors["/imu/data.gyroscope"].values[:, 0]
    assert "checksum" in found.skipped["a.mcap"]
    assert [(fault.what, fault.state) for fault in found.faults] == [("damage", "bad")]


def test_bag_without_index_is_read_whole_and_said(bags, tmp_path):
    data = bags["bag"].read_bytes()
    at = data.index(b"index_pos=") + len(b"index_pos=")
    index = int.from_bytes(data[at : at + 8], "little")
    path = tmp_path / "active.bag"
    path.write_bytes(data[:at] + bytes(8) + data[at + 8 : index])
    found = read_bag(path)
    assert count_of(found) == COUNT
    assert "no index" in found.skipped["active.bag"]
    assert [(fault.what, fault.state) for fault in found.faults] == [("damage", "note")]


def test_folder_without_metadata_is_read_and_said(tmp_path):
    folder = write2(tmp_path / "a", Maker(), all_sensors(Maker(), COUNT), "SQLITE3")
    (folder / "metadata.yaml").unlink()
    found = read_bag(folder)
    assert count_of(found) == COUNT
    assert "no index" in found.skipped["a"]


@pytest.mark.parametrize("text", ["", "a: [", "rosbag2_bagfile_information: 3", "&a [*a, *a]", "\x00", "[" * 5000])
def test_metadata_that_is_none_is_said(tmp_path, text):
    folder = write2(tmp_path / "a", Maker(), all_sensors(Maker(), COUNT))
    (folder / "metadata.yaml").write_text(text)
    found = read_bag(folder)
    assert count_of(found) == COUNT
    assert "cannot be read" in found.skipped["a"]


def test_metadata_leads_to_no_file_outside_of_its_folder(tmp_path):
    folder = write2(tmp_path / "a", Maker(), all_sensors(Maker(), COUNT))
    write2(tmp_path / "other", Maker(), all_sensors(Maker(), COUNT))
    text = (folder / "metadata.yaml").read_text().replace("a.mcap", "../other/other.mcap")
    (folder / "metadata.yaml").write_text(text)
    found = read_bag(folder)
    assert count_of(found) == COUNT  # its own
    assert "other.mcap" in found.skipped["a"]


def test_link_in_a_folder_leads_to_no_file_outside_of_it(tmp_path):
    folder = write2(tmp_path / "a", Maker(), all_sensors(Maker(), COUNT))
    (folder / "a.mcap").rename(tmp_path / "elsewhere.mcap")
    (folder / "a.mcap").symlink_to(tmp_path / "elsewhere.mcap")
    with pytest.raises(InputError, match="leads outside"):
        read_bag(folder)


def record(header: bytes, data: bytes, claimed: int | None = None) -> bytes:
    length = len(data) if claimed is None else claimed
    return struct.pack("<I", len(header)) + header + struct.pack("<I", length) + data


def field(name: bytes, value: bytes) -> bytes:
    return struct.pack("<I", len(name) + 1 + len(value)) + name + b"=" + value


@pytest.mark.parametrize("claimed", [2**31, 2**32 - 1])
def test_claimed_sizes_ask_for_no_memory(tmp_path, claimed):
    chunk = field(b"op", b"\x05") + field(b"compression", b"bz2") + field(b"size", struct.pack("<I", claimed))
    path = tmp_path / "a.bag"
    for content in (record(chunk, b"BZh9", claimed), record(chunk, b"BZh9"), struct.pack("<I", claimed)):
        path.write_bytes(b"#ROSBAG V2.0\n" + content)
        assert peak_mib(path) < MOST_MIB
    path = tmp_path / "a.mcap"
    begin = struct.pack("<QQQIII", 0, 0, claimed << 16, 0, 4, 0)[:-4] + b"zstd" + struct.pack("<Q", claimed << 16)
    for content in (struct.pack("<BQ", 6, claimed << 20), struct.pack("<BQ", 6, len(begin)) + begin):
        path.write_bytes(b"\x89MCAP0\r\n" + content)
        assert peak_mib(path) < MOST_MIB


@pytest.mark.parametrize("form", ["bz2", "lz4"])
def test_packed_chunk_that_grows_is_not_unpacked_beyond_what_it_claims(tmp_path, form):
    import bz2

    import lz4.frame

    packed = {"bz2": bz2.compress, "lz4": lz4.frame.compress}[form](bytes(32 << 20))
    chunk = field(b"op", b"\x05") + field(b"compression", form.encode()) + field(b"size", struct.pack("<I", 1000))
    path = tmp_path / "a.bag"
    path.write_bytes(b"#ROSBAG V2.0\n" + record(chunk, packed))
    assert peak_mib(path) < 8


def chunk_of(content: bytes) -> bytes:
    """An MCAP chunk record that packs a content by zstd."""
    packed = zstandard.compress(content)
    head = struct.pack("<QQQII", 0, 0, len(content), 0, 4) + b"zstd" + struct.pack("<Q", len(packed))
    return struct.pack("<BQ", 6, len(head) + len(packed)) + head + packed


@pytest.mark.long
@pytest.mark.parametrize("inner", [b"\0" * 9, struct.pack("<BQ", 5, 22) + bytes(22)])
def test_bag_of_many_packed_chunks_is_refused_before_it_is_unpacked_whole(tmp_path, inner):
    path, begin = tmp_path / "a.mcap", time.process_time()
    path.write_bytes(b"\x89MCAP0\r\n" + 40 * chunk_of(inner * ((100 << 20) // len(inner))))
    made_s, begin = time.process_time() - begin, time.process_time()
    assert path.stat().st_size < 2 << 20
    with pytest.raises(InputError, match=r"as no recording does|than any recording does"):
        read_bag(path)
    assert time.process_time() - begin < 10 + made_s


def test_messages_that_each_unpack_to_much_are_refused(tmp_path):
    import sqlite3

    folder = write2(tmp_path / "a", Maker(), all_sensors(Maker(), COUNT), "SQLITE3", "message")
    with sqlite3.connect(next(folder.glob("*.db3"))) as database:
        packed = zstandard.compress(bytes(100 << 20))
        database.executemany("UPDATE messages SET data = ? WHERE id = ?", [(packed, number) for number in (3, 4, 5)])
    with pytest.raises(InputError, match="as no recording does"):
        read_bag(folder)


def test_database_that_is_no_bag_or_makes_rows_is_refused(tmp_path):
    import sqlite3

    path = tmp_path / "a.db3"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT, type TEXT, serialization_format TEXT)")
        database.execute("INSERT INTO topics VALUES (1, '/imu', 'sensor_msgs/msg/Imu', 'cdr')")
        database.execute(
            "CREATE VIEW messages AS WITH RECURSIVE endless(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM endless) "
            "SELECT id, 1 AS topic_id, id AS timestamp, zeroblob(1000000) AS data FROM endless"
        )
    with pytest.raises(InputError, match="without the tables"):
        read_bag(path)
