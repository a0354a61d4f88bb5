"""Whether a filter's doubt holds in a user's own recording: `mainstem robot selfcheck`, as a record and as lines."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mainstem.adapters.sensor_fusion.recordings import taken
from mainstem.adapters.sensor_fusion.selfcheck import selfcheck
from mainstem.adapters.sensor_fusion.verified import CONSISTENT, write_verification
from mainstem.core.errors import InputError
from mainstem.core.outputs import check_output, check_outside
from mainstem.core.task import DataRequest
from mainstem.data.robot.estimates import NO_PROTECTION


def check_itself(request: DataRequest, level: float, out: Path | None = None) -> dict[str, Any]:
    """Return what hiding each sensor of a recording in turn shows; written to `out` too, for predictions to name.

    Raises:
        InputError: if the recording cannot be used, no sensor of it be held against the filter, or `out` be written.
    """
    if out is not None:
        files = [*request.values("extrinsics"), *request.values("msg-path")]
        check_output(out, [request.data, *files], (".json",))
        check_outside(out, request.data)
    recording, said = taken(request)
    checks = selfcheck(recording, level=level)
    if not checks:
        raise InputError(
            f"{recording.name} is too short, or tells too little of places, for any sensor to be hidden in it; "
            "record some minutes of driving with GNSS"
        )
    doubts = [f"{check.sensor} hidden: {check.verdict}" for check in checks if check.verdict != CONSISTENT]
    told = {
        "file": request.data,
        "said": said,
        "checks": [asdict(check) for check in checks],
        "doubts": doubts,
        "note": NO_PROTECTION,
    }
    if out is not None:
        write_verification(out, recording, told)
    return told


def lines_of_check(told: dict[str, Any]) -> Iterator[str]:
    """Yield what `check_itself` returned as lines for people."""
    yield from told["said"]
    for check in told["checks"]:
        yield (
            f"{check['sensor']} hidden for {check['hidden_s']:.3g} s, {check['num_windows']} times: "
            f"{check['scored_by']} then off by {check['median_error']:.3g} {check['unit']} (median); "
            f"NEES {check['nees']:.2f}, expected {check['nees_low']:.2f} to {check['nees_high']:.2f}; "
            f"{check['covered']} of {check['num_windows']} within the {check['level']:.0%} region: {check['verdict']}"
        )
    if told["doubts"]:
        yield f"the stated covariance does not hold: {'; '.join(told['doubts'])}"
    else:
        yield "the stated covariance holds as far as these windows can tell"
    yield told["note"]
