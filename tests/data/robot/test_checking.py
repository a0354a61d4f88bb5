"""The doctor: each fault that is put into a clean recording is named, counted and placed, and nothing else is."""

import os
from pathlib import Path

import numpy as np
import pytest
from tests.data.robot.made_recordings import UNNAMED, changed, clean, kept

from mainstem.data.robot.checking import check_recording
from mainstem.data.robot.checking_clocks import measure_lag
from mainstem.data.robot.checking_stamps import check_stamps, pace_of
from mainstem.data.robot.finding import Finding
from mainstem.data.robot.reading import read_recording
from mainstem.data.robot.recording import CHANNELS, Recording, Sensor
from mainstem.data.robot.units import contradiction, possible

GYR = "gyroscope"


@pytest.fixture(scope="module")
def base() -> Recording:
    return clean()


def told(recording: Recording) -> dict[tuple[str, str], Finding]:
    """What was found and is not "ok", by sensor and fault."""
    found = check_recording(recording)
    return {(finding.sensor, finding.what): finding for finding in found if finding.state != "ok"}


def only(recording: Recording, sensor: str, what: str) -> Finding:
    """The one finding of a recording."""
    found = told(recording)
    assert list(found) == [(sensor, what)], [finding.words for finding in found.values()]
    finding = found[sensor, what]
    assert "\n" not in finding.words
    return finding


@pytest.mark.parametrize("seed", range(10))
def test_a_clean_recording_has_no_finding_but_its_rates(seed):
    found = check_recording(clean(seed, seconds=30.0))
    assert {finding.what for finding in found} == {"rate"}
    assert {finding.state for finding in found} == {"ok"}


def test_the_rate_of_each_sensor_is_told(base):
    words = {finding.sensor: finding.words for finding in check_recording(base)}
    assert words["gyroscope"].startswith("6000 readings at 100")
    assert words["gnss"].startswith("300 readings at 5 Hz over 59.8 s")


def test_repeated_stamps_of_other_values_are_bad_and_of_the_same_message_a_note(base):
    times = base.sensors[GYR].times.copy()
    times[[100, 200, 300]] = times[[99, 199, 299]]
    found = only(changed(base, GYR, times=times), GYR, "repeated stamps")
    assert (found.state, found.count) == ("bad", 3)
    assert found.where_s == tuple(times[[100, 200, 300]])
    twice = np.sort(np.concatenate([np.arange(6000), [50, 60]]))
    found = only(kept(base, GYR, twice), GYR, "repeated stamps")
    assert (found.state, found.count) == ("note", 2)


def test_late_readings_are_unordered_and_a_reset_runs_backwards(base):
    order = np.arange(6000)
    order[[1000, 1001]] = [1001, 1000]
    found = only(kept(base, GYR, order), GYR, "unordered stamps")
    assert (found.state, found.count) == ("bad", 1)
    assert found.where_s == pytest.approx((10.0,), abs=0.01)
    times = base.sensors[GYR].times.copy()
    times[3000:] -= 5.0
    found = told(changed(base, GYR, times=times, received=None))[GYR, "time running backwards"]
    assert (found.state, found.count) == ("bad", 1)
    assert "by up to 4.99 s" in found.words


@pytest.mark.parametrize("is_livox", [True, False])
def test_stamps_of_arrival_are_seen_in_their_steps(base, is_livox):
    """1, 1, 4 ms as of LVI-SAM #16, and packets of ten as of a USB bridge."""
    count = 6000
    times = (
        np.cumsum(np.tile([0.005, 0.005, 0.020], count // 3))
        if is_livox
        else np.repeat(np.arange(count // 10), 10) / 10
    )
    if not is_livox:
        times = times + np.tile(np.arange(10) * 1e-4, count // 10)
    sensor = Sensor(kind="gyroscope", times=times, values=base.sensors[GYR].values, channels=base.sensors[GYR].channels)
    (found,) = (finding for finding in check_stamps(GYR, sensor) if finding.state != "ok")
    assert found.what == ("uneven steps" if is_livox else "bursts")
    assert found.count == (5999 if is_livox else 5400)
    assert pace_of(times) == pytest.approx(0.01, rel=0.1)


def test_gaps_are_measured(base):
    times = base.sensors[GYR].times
    out = ((times > 20) & (times < 22)) | ((times > 40) & (times < 40.5))
    found = only(kept(base, GYR, ~out), GYR, "gaps")
    assert (found.state, found.count) == ("bad", 2)
    assert found.where_s == pytest.approx((20.0, 40.0), abs=0.02)
    assert "2.49 s or 4.2%" in found.words
    found = only(kept(base, GYR, ~((times > 20) & (times < 20.2))), GYR, "gaps")
    assert found.state == "note"


def test_a_rate_that_changes_is_a_note(base):
    found = only(kept(base, GYR, np.concatenate([np.arange(3000), np.arange(3000, 6000, 2)])), GYR, "rate changes")
    assert "between 50 and 100" in found.words


def test_readings_of_nan_are_dropouts_and_infinity_is_bad(base):
    values = base.sensors[GYR].values.copy()
    values[1000:1150] = np.nan
    values[3000, 1] = np.inf
    found = told(changed(base, GYR, values=values))
    assert set(found) == {(GYR, "dropouts"), (GYR, "infinity")}
    assert (found[GYR, "dropouts"].count, found[GYR, "dropouts"].state) == (1, "bad")
    assert "150 readings (2.5%)" in found[GYR, "dropouts"].words
    assert found[GYR, "infinity"].where_s == pytest.approx((30.0,), abs=0.01)


def test_a_stamp_of_nan_is_bad(base):
    times = base.sensors["wheel"].times.copy()
    times[5] = np.nan
    assert only(changed(base, "wheel", times=times), "wheel", "stamps missing").count == 1


def test_clipped_values_are_saturation(base):
    values = np.clip(base.sensors[GYR].values, -1.2, 1.2)
    found = told(changed(base, GYR, values=values))[GYR, "saturation"]
    count = (np.abs(values) == 1.2).any(1).sum()
    assert (found.state, found.count) == ("bad", count)
    full = np.deg2rad(250)
    scaled = base.sensors[GYR].values * 4
    found = told(changed(base, GYR, values=np.clip(scaled, -full, full)))[GYR, "saturation"]
    assert "250 deg/s" in found.words


def test_coarse_values_are_not_saturation_and_not_stuck(base):
    values = np.round(base.sensors[GYR].values / 0.05) * 0.05
    assert not told(changed(base, GYR, values=values))


def test_stuck_values_are_found_by_where_and_how_long(base):
    values = base.sensors[GYR].values.copy()
    values[2000:2100] = values[2000]
    found = only(changed(base, GYR, values=values), GYR, "stuck values")
    assert (found.state, found.count) == ("bad", 1)
    assert found.where_s == pytest.approx((20.0,), abs=0.01)
    assert "0.99 s in all" in found.words
    values = base.sensors[GYR].values.copy()
    values[:, 2] = 0.0
    assert told(changed(base, GYR, values=values))[GYR, "stuck channel"].state == "bad"
    held = np.repeat(base.sensors["magnetometer"].values[::2], 2, axis=0)  # each reading published twice
    assert not told(changed(base, "magnetometer", values=held))
    stands = base.sensors["wheel"].values.copy()
    stands[500:] = 0.0
    assert not told(changed(base, "wheel", values=stands))


def test_units_are_judged_by_size_and_by_what_others_felt(base):
    acc, gyr, mag = (base.sensors[name].values for name in ("accelerometer", "gyroscope", "magnetometer"))
    assert "looks like g" in only(changed(base, "accelerometer", values=acc / 9.80665), "accelerometer", "unit").words
    assert "looks like gauss" in only(changed(base, "magnetometer", values=mag / 100), "magnetometer", "unit").words
    found = only(changed(base, GYR, values=np.rad2deg(gyr)), GYR, "unit")
    assert (found.state, "looks like deg/s" in found.words) == ("bad", True)
    slow = clean(turning=0.2)
    degrees = np.rad2deg(slow.sensors[GYR].values)
    assert not contradiction("gyroscope", degrees)  # too slow for its size to tell: the attitude does
    assert (
        "times as fast as orientation: it looks like deg/s"
        in only(changed(slow, GYR, values=degrees), GYR, "unit").words
    )


def test_gravity_that_was_taken_out_is_bad(base):
    values = 0.3 * np.random.default_rng(1).standard_normal((6000, 3))
    assert only(changed(base, "accelerometer", values=values), "accelerometer", "gravity").state == "bad"


def test_unnamed_units_are_a_note(base):
    sensor = Sensor(
        kind="other", times=np.arange(50.0), values=np.random.default_rng(0).random((50, 2)), channels=UNNAMED
    )
    found = only(Recording(name="a", sensors={"state": sensor}), "state", "unit missing")
    assert (found.state, found.count) == ("note", 2)


def test_places_and_rotations_that_cannot_be_are_bad(base):
    places = base.sensors["gnss"].values.copy()
    places[:3] = 0.0
    places[10, 0] = 91
    assert only(changed(base, "gnss", values=places), "gnss", "impossible values").count == 4
    turned = base.sensors["orientation"].values.copy()
    turned[7] *= 1.5
    assert only(changed(base, "orientation", values=turned), "orientation", "impossible values").count == 1


def test_covariances_of_zero_are_unknown_and_negative_ones_bad(base):
    covariance = base.sensors["wheel"].covariance
    assert only(changed(base, "wheel", covariance=0 * covariance), "wheel", "covariance").state == "note"
    assert only(changed(base, "wheel", covariance=np.nan * covariance), "wheel", "covariance").state == "note"
    assert only(changed(base, "wheel", covariance=-covariance), "wheel", "covariance").state == "bad"


@pytest.mark.parametrize("ppm", [-2000, -300, 300, 2000])
def test_clock_skew_is_measured_with_its_doubt(base, ppm):
    received = base.sensors[GYR].received + ppm * 1e-6 * base.sensors[GYR].times
    found = only(changed(base, GYR, received=received), GYR, "clock skew")
    assert found.state == ("bad" if abs(ppm) > 1000 else "note")
    slope, low, high = _numbers(found.words)
    assert low <= ppm <= high
    assert slope == pytest.approx(ppm, abs=30)


def _numbers(words: str) -> tuple[float, float, float]:
    """The slope and its interval, as the sentence has them."""
    head = words.split("by ")[1]
    slope = float(head.split(" ppm")[0])
    low, high = head.split("between ")[1].split(")")[0].split(" and ")
    return slope, float(low), float(high)


def test_a_clock_that_is_set_jumps_and_another_clock_is_offset(base):
    sensor = base.sensors[GYR]
    received = sensor.received + 0.2 * (sensor.times > 30)
    found = only(changed(base, GYR, received=received), GYR, "clock jumps")
    assert (found.state, found.count) == ("bad", 1)
    assert found.where_s == pytest.approx((30.0,), abs=2.0)
    assert "0.2 s" in found.words
    assert only(changed(base, GYR, received=sensor.received + 100), GYR, "clock offset").state == "note"
    found = told(changed(base, "gnss", times=base.sensors["gnss"].times + 1e6))
    assert list(found) == [("gnss", "clock offset")]
    assert found["gnss", "clock offset"].state == "bad"


@pytest.mark.parametrize("lag_s", [0.25, 0.05, -0.05])
def test_the_lag_between_two_that_felt_the_same_is_measured(base, lag_s):
    late = changed(base, GYR, times=base.sensors[GYR].times + lag_s, received=None)
    found = measure_lag(late.sensors[GYR], late.sensors["orientation"])
    assert found.lag_s == pytest.approx(lag_s, abs=0.005)
    assert abs(found.lag_s - lag_s) < 0.005 + found.doubt_s
    finding = only(late, GYR if lag_s > 0 else "orientation", "lag")
    assert finding.state == ("bad" if lag_s > 0.2 else "note")


def test_an_empty_sensor_is_named(base):
    assert only(kept(base, "gnss", np.zeros(300, bool)), "gnss", "empty").state == "bad"


ODD = np.array([np.nan, np.inf, -np.inf, 0.0, -1.0, 1e9, -1e300, 1e300, 5e-324])


def garbage(random: np.random.Generator) -> Recording:
    """Sensors of any kind with whatever a broken file may hold."""
    sensors = {}
    for kind, channels in CHANNELS.items():
        count = int(random.choice([0, 1, 2, 3, 30, 700, 4000]))
        times = np.cumsum(random.exponential(0.01, count)) * random.choice([1.0, 0.0, -1.0, 1e12])
        values = random.standard_normal((count, len(channels))) * random.choice([0.0, 1.0, 1e200])
        received = times + random.standard_normal(count) if random.random() < 0.5 else None
        for array in (times, values.reshape(-1), received):
            if array is not None and count:
                where = random.integers(0, len(array), int(random.choice([0, 1, count // 2])))
                array[where] = random.choice(ODD, len(where))
        covariance = random.choice(ODD, (count, len(channels), len(channels))) if random.random() < 0.3 else None
        sensors[kind] = Sensor(
            kind=kind, times=times, values=values, channels=channels, received=received, covariance=covariance
        )
    return Recording(name="garbage", sensors=sensors)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("seed", range(60))
def test_whatever_a_recording_holds_is_told_and_nothing_raises(seed):
    for finding in check_recording(garbage(np.random.default_rng(seed))):
        assert "\n" not in finding.words
        assert len(finding.where_s) <= 5


@pytest.mark.parametrize("count", [50, 500, 6000])
def test_a_sensor_that_hangs_for_good_is_stuck_however_short(base, count):
    values = np.tile(base.sensors["magnetometer"].values[:1], (6000, 1))
    whole = kept(changed(base, "magnetometer", values=values), "magnetometer", np.arange(count))
    assert told(whole)["magnetometer", "stuck values"].state == "bad"


@pytest.mark.mirror
def test_real_recordings_get_no_finding_that_is_not_there():
    folder = Path(os.environ["MAINSTEM_MIRROR"], "robot")
    for path in sorted((folder / "broad").glob("*.npz"))[::4]:
        found = [finding for finding in check_recording(read_recording(path)) if finding.state != "ok"]
        assert {(finding.sensor, finding.what, finding.state) for finding in found} <= {
            ("truth.orientation", "dropouts", "note")
        }
    for path in sorted((folder / "ulog").glob("*.ulg")):
        assert not [finding for finding in check_recording(read_recording(path)) if finding.state == "bad"]


@pytest.mark.parametrize(
    ("where", "length", "to_s"), [(100, 1, 1000.0), (0, 1, 2.0**31), (3000, 3, 50.0), (5999, 1, 1e9)]
)
def test_stamps_far_from_their_neighbours_cost_no_others(base, where, length, to_s):
    times = base.sensors[GYR].times.copy()
    times[where : where + length] += to_s
    changed_one = changed(base, GYR, times=times, received=None)
    found = only(changed_one, GYR, "stray stamps")
    assert (found.state, found.count) == ("bad", length)
    assert found.where_s == tuple(times[where : where + length])
    lost = np.flatnonzero(~changed_one.sensors[GYR].usable())
    assert lost.tolist() == [*range(where, where + length)]
    assert changed_one.span_s() == pytest.approx(base.span_s(), abs=0.1)


def test_a_first_stamp_of_long_ago_costs_no_others(base):
    times = base.sensors[GYR].times.copy()
    times[0] = -1.7e9
    found = only(changed(base, GYR, times=times, received=None), GYR, "stray stamps")
    assert found.count == 1


@pytest.mark.parametrize(
    ("sensor", "value"),
    [("gyroscope", 1e308), ("accelerometer", 1e30), ("magnetometer", -1e200), ("wheel", 1e200), ("gnss", 4.2e8)],
)
def test_numbers_that_no_such_sensor_tells_are_impossible(base, sensor, value):
    values = base.sensors[sensor].values.copy()
    values[20:23, 0] = value
    found = told(changed(base, sensor, values=values))
    assert found[sensor, "impossible values"].count == 3
    assert found[sensor, "impossible values"].state == "bad"
    assert (sensor, "unit") not in found
    assert possible(base.sensors[sensor].kind, values).tolist() == [
        index not in (20, 21, 22) for index in range(len(values))
    ]


@pytest.mark.parametrize("place", [(95.0, 8.0, 100.0), (50.0, 300.0, 100.0), (0.0, 0.0, 0.0), (50.0, 8.0, 1e6)])
def test_places_that_are_none_are_impossible_and_a_missing_height_is_not(place):
    assert not possible("gnss", np.array([place]))[0]
    assert possible("gnss", np.array([(50.0, 8.0, np.nan)]))[0]
