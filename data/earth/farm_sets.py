"""Pixels of farms with known yields: simulated farms by name, or folders of one's own.

`simulated-farms` are 200 farms to train on and 100 to test on, each with a biology drawn from measured ranges
(`data.earth.biology`). `simulated-farms:WORLD` are the same, but the farms to test on lie in another world, as
`simulated-farms:rue-15`; worlds join by "+", and `simulated-farms:all` is what happens at once.
"""

import datetime
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mainstem.core.errors import InputError
from mainstem.core.progress import Progress, silent
from mainstem.core.samples import SampleSet
from mainstem.core.stream import Channel, Provenance, Sample, Stream
from mainstem.data.earth.biology import WORLDS, worlds_of
from mainstem.data.earth.farm_folders import MANAGEMENT, SOIL, open_farm_folders
from mainstem.data.earth.farms import ATTRIBUTION, BANDS, YEAR, Farm, simulate_farm
from mainstem.data.earth.weather import CHANNELS as WEATHER_CHANNELS
from mainstem.data.earth.weather import NAMES as WEATHER

SIMULATED, FEW_SIMULATED = "simulated-farms", "few-simulated-farms"  # the few are for a look within a minute
NUM_TRAIN, NUM_TEST, FIRST_TEST, NUM_FEW = 200, 100, 5000, 64
PIXELS_A_FIELD = 4  # to train on
TEST_PIXELS_A_FIELD = 36  # the smallest field has 324: own errors weigh a thirty-sixth, near nothing as on a map
DAY_S = 86_400.0
CHANNELS = tuple(Channel(name=name, unit="1") for name in BANDS)


def open_farms(data: str, mirror: Path | None = None, progress: Progress = silent) -> SampleSet:
    """Read pixels of farms with their yields: simulated ones by name, or folders of one's own.

    Raises:
        InputError: if it is neither.
    """
    name, colon, world = data.partition(":")
    if name == SIMULATED:
        worlds = worlds_of(world) if colon else ()
        return simulated_farms(range(NUM_TRAIN), range(FIRST_TEST, FIRST_TEST + NUM_TEST), worlds, progress)
    if data == FEW_SIMULATED:
        return simulated_farms(range(NUM_FEW), (), (), progress)
    if not Path(data).is_dir():
        raise InputError(
            f"got {data!r}, want {SIMULATED}, {SIMULATED}:WORLD ({', '.join(WORLDS)}, all), {FEW_SIMULATED} "
            "or a folder of farms (docs/maps.md)"
        )
    return open_farm_folders(Path(data))


def simulated_farms(
    train: Sequence[int], test: Sequence[int], worlds: tuple[str, ...] = (), progress: Progress = silent
) -> SampleSet:
    """Pixels of simulated farms, so many of each field drawn by the farm's number; groups are farms.

    The farms to test on lie in the `worlds`, those to train on never do; more of their pixels are drawn, so that means
    of fields are scored as a map averages them, over all.
    """
    farms = [*((number, (), PIXELS_A_FIELD) for number in train),
             *((number, worlds, TEST_PIXELS_A_FIELD) for number in test)]  # fmt: skip
    samples: list[Sample] = []
    for index, (number, where, pixels) in enumerate(farms):
        progress("simulating farms", index / len(farms))
        samples += farm_pixels(simulate_farm(number, worlds=where), number, pixels)
    held = frozenset(f"farm-{number:03d}" for number in test)
    name = f"{SIMULATED}:{'+'.join(worlds)}" if worlds else SIMULATED
    return SampleSet(
        name=name, samples=tuple(samples), flagged={}, attribution=ATTRIBUTION, licence="CC0-1.0", simulated=True,
        test_groups=held,
    )  # fmt: skip


def farm_pixels(farm: Farm, seed: int, pixels_a_field: int = PIXELS_A_FIELD) -> list[Sample]:
    """Samples of a simulated farm: reflectance, weather and sowing of pixels, with their true yield."""
    rng = np.random.default_rng([seed, 41])
    weather = weather_stream(farm)
    times = DAY_S * farm.days.astype(np.float64)
    samples = []
    for field in range(len(farm.management)):
        rows, columns = np.nonzero(farm.fields == field)
        chosen = rng.choice(len(rows), min(pixels_a_field, len(rows)), replace=False)
        sowing = Stream(kind="scalar", values=farm.management[field, :1], channels=MANAGEMENT)
        for row, column in zip(rows[chosen].tolist(), columns[chosen].tolist(), strict=True):
            series = farm.reflectance[:, :, row, column].astype(np.float64)
            seen = np.isfinite(series).any(1)
            pixel = Stream(kind="series", values=series[seen], channels=CHANNELS, times=times[seen])
            source = Provenance(
                data=SIMULATED, item=f"{farm.name} {row} {column}", group=farm.name, licence="CC0-1.0",
                attribution=ATTRIBUTION, simulated=True,
                facts={"crop": "maize", "farm": farm.name, "field": f"{farm.name}/{field}", "year": float(YEAR),
                       "samples_of_field": float(len(rows))},
            )  # fmt: skip
            soil = Stream(kind="scalar", values=farm.soil_cm_m[row, column, None].astype(np.float64), channels=SOIL)
            streams = {"pixel": pixel, "weather": weather, "soil": soil, "management": sowing}
            target = float(farm.yield_t_ha[row, column])
            origin = f"{datetime.date(YEAR, 1, 1)}T00:00:00Z"
            samples.append(Sample(streams=streams, target=target, source=source, origin=origin))
    return samples


def weather_stream(farm: Farm) -> Stream:
    """A simulated farm's daily weather."""
    values = np.stack([getattr(farm.weather, name) for name in WEATHER], 1)
    times = DAY_S * np.arange(len(values), dtype=np.float64)
    return Stream(kind="series", values=values, channels=WEATHER_CHANNELS, times=times)
