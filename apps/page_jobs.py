"""What is done beside the pages for them: a model of a region set, a map of scenes or of a simulated farm."""

import sys
from collections.abc import Sequence

from mainstem.apps.field_maps import DEMO, THRESHOLD_T_HA, ensure_demo, make_map, maps_folder
from mainstem.apps.jobs import clear_half_made, start, work_on
from mainstem.apps.map_files import NOTES
from mainstem.apps.region_sets import RegionChoice, choices
from mainstem.core.errors import InputError
from mainstem.core.progress import Progress

CODE = "from mainstem.apps.page_jobs import main; main()"
MODEL, MAP, HINDSIGHT, ZONES, RATES = "model ", "map ", "hindsight ", "zones of ", "rates of "  # begin jobs' names


def start_training(name: str) -> None:
    """Begin to train the model of a region set."""
    start(model_job(name), CODE, ["model", name])


def start_hindsight(name: str) -> None:
    """Begin to ask the model of a region set what it says of past seasons."""
    start(hindsight_job(name), CODE, ["hindsight", name])


def start_map(name: str, threshold: float = THRESHOLD_T_HA, crop: str = "") -> None:
    """Begin to map the inputs that are kept under a name, or a simulated farm."""
    makes = None if name == DEMO else maps_folder() / name / NOTES  # the demo's inputs are used again
    start(map_job(name), CODE, ["map", name, repr(threshold), crop], makes)


def start_harvest(name: str) -> None:
    """Begin to map the harvest whose logs are kept under a name."""
    start(map_job(name), CODE, ["harvest", name], maps_folder() / name / NOTES)


def start_zones(name: str, others: Sequence[str], num_zones: int) -> None:
    """Begin to draw zones of a map's fields from it and from other maps."""
    start(zones_job(name), CODE, ["zones", name, str(num_zones), *others])


def start_rates(name: str, signer: str, seal: str) -> None:
    """Begin to write rate maps beside a map, by the rule that is kept there, signed by a name as it was shown."""
    start(rates_job(name), CODE, ["rates", name, signer, seal])


def model_job(name: str) -> str:
    """Name of the job that trains a set's model."""
    return f"{MODEL}{name}"


def hindsight_job(name: str) -> str:
    """Name of the job that asks a set's model what it says of past seasons."""
    return f"{HINDSIGHT}{name}"


def map_job(name: str) -> str:
    """Name of the job that makes a map."""
    return f"{MAP}{name}"


def zones_job(name: str) -> str:
    """Name of the job that draws a map's zones."""
    return f"{ZONES}{name}"


def rates_job(name: str) -> str:
    """Name of the job that writes rate maps beside a map."""
    return f"{RATES}{name}"


def main() -> None:
    """Do what the arguments of this process name."""
    kind, name, *rest = sys.argv[1:]
    if kind == "model":
        status = work_on(model_job(name), f"the model of {name}", lambda report: _choice(name).train(report))
    elif kind == "hindsight":
        status = work_on(hindsight_job(name), f"hindsight of {name}", lambda report: _choice(name).look_back(report))
    elif kind == "harvest":
        status = work_on(map_job(name), f"the harvest {name}", lambda report: _harvest(name, report))
    elif kind == "zones":
        status = work_on(zones_job(name), f"the zones of {name}", lambda report: _zones(name, rest, report))
    elif kind == "rates":
        status = work_on(rates_job(name), f"the rates of {name}", lambda report: _rates(name, rest, report))
    elif kind == "map":
        status = work_on(map_job(name), f"the map {name}", lambda report: _map(name, rest, report))
    else:
        raise SystemExit(f"no kind of work is called {kind!r}")
    raise SystemExit(status)


def _choice(name: str) -> RegionChoice:
    """The region set of a name.

    Raises:
        InputError: if it is gone.
    """
    choice = next((choice for choice in choices() if choice.name == name), None)
    if choice is None:
        raise InputError(f"there is no set {name} any more; bring its files again")
    return choice


def _harvest(name: str, report: Progress) -> None:
    try:
        from mainstem.apps.fields.harvest_maps import make_harvest  # the other jobs need no geometry

        make_harvest(name, report)
    except BaseException:  # also a stop while that is imported
        clear_half_made(maps_folder() / name / NOTES)
        raise


def _zones(name: str, rest: list[str], report: Progress) -> None:
    from mainstem.apps.fields.map_advice import draw_map_zones

    draw_map_zones(name, rest[1:], int(rest[0]), report)


def _rates(name: str, rest: list[str], report: Progress) -> None:
    from mainstem.apps.fields.map_advice import make_map_rates

    make_map_rates(maps_folder() / name, rest[0], rest[1], report)


def _map(name: str, rest: list[str], report: Progress) -> None:
    if name == DEMO:
        ensure_demo(report)
    else:
        make_map(name, float(rest[0]), report, rest[1])
