"""What no satellite tells of a farm's maize: biology drawn by farm within ranges that were measured, and other worlds.

`RANGES` are what training varies; each was set from what its sources found, none from how intervals fare elsewhere.
`WORLDS` are truths to test on: each changes the biology that was drawn, or the equations, as its line says.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.errors import InputError
from mainstem.data.earth.simulate import EXTINCTION, HARVEST_INDEX, RADIATION_USE_G_MJ, ROOT_DEPTH_M

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Biology:
    """One farm's crop; the defaults are the simulator's nominal constants.

    Attributes:
        radiation_use_g_mj: above-ground dry matter a MJ of intercepted PAR.
        harvest_index: grain of above-ground dry matter, where flowering lacks no water.
        extinction: of PAR, by leaf area.
        seen_extinction: of every band, by leaf area, as a multiple of the nominal ones.
        soil_brightness: reflectance of bare soil, as a multiple of the nominal one.
        degree_days: from sowing to maturity, base 8 degC.
        root_depth_m: down to which soil water is drunk.
        flowering_response: share of grain lost by a share of water demand that is not met round flowering.
        losses: share of the grain that never reaches the store and that no scene shows.
        follows_growth: grain set follows growth round silking instead of `flowering_response`.
        patch_losses: share of the grain lost besides, in patches.
    """

    radiation_use_g_mj: float = RADIATION_USE_G_MJ
    harvest_index: float = HARVEST_INDEX
    extinction: float = EXTINCTION
    seen_extinction: float = 1.0
    soil_brightness: float = 1.0
    degree_days: float = 1500.0  # a mid-late hybrid
    root_depth_m: float = ROOT_DEPTH_M
    flowering_response: float = 0.0
    losses: float = 0.2
    follows_growth: bool = False
    patch_losses: float = 0.0


RANGES: Mapping[str, tuple[float, float]] = {
    # 3.74-3.84 where nothing lacks (Lindquist et al. 2005, Agronomy Journal 97, 72), 3.5 on average (Kiniry et
    # al. 1989, Field Crops Research 20, 51), 3.2-3.4 in most trials, less with little nitrogen (Sinclair &
    # Muchow 1999, Advances in Agronomy 65, 215); how much less differs, so that the range is taken wide downwards.
    "radiation_use_g_mj": (2.5, 3.9),
    # 0.41 to 0.52 in hybrids of 1965 to 1993 (Echarte & Andrade 2003, Field Crops Research 82, 1); about 0.5 in
    # temperate ones (Hay & Gilbert 2001, Annals of Applied Biology 138, 103); somewhat more in the newest.
    "harvest_index": (0.41, 0.55),
    # falls as rows widen (Flenet et al. 1996, Agronomy Journal 88, 185) and differs by hybrid and density (Maddonni et
    # al. 2001, Field Crops Research 71, 183); 0.62 on average over croplands (Zhang et al. 2014, Frontiers of Earth
    # Science 8, 599); range taken wide.
    "extinction": (0.4, 0.7),
    # the same leaf area looks greener or less green by leaf angle and clumping, and NDVI by fPAR depends on leaves' and
    # soil's optics (Myneni & Williams 1994, Remote Sensing of Environment 49, 200; Vina & Gitelson 2005, Geophysical
    # Research Letters 32, L17403, on maize); range taken wide.
    "seen_extinction": (0.75, 1.25),
    "soil_brightness": (0.75, 1.25),
    # 2,500 to 2,800 degF days, a spread of 12 %, among the hybrids of one state (Nielsen 2012, Interpreting corn hybrid
    # maturity ratings, Purdue); taken twice as wide, for Europe's earlier groups.
    "degree_days": (1300.0, 1700.0),
    # 1.0-1.7 (FAO-56, table 22); shallower where a subsoil stops roots.
    "root_depth_m": (0.8, 1.7),
    # 1.5 of yield in all for what lacks in flowering (Doorenbos & Kassam 1979, FAO Irrigation and Drainage Paper 33),
    # about a quarter of it lost growth; nothing where harvest index holds but for severe stress (Hay & Gilbert 2001).
    "flowering_response": (0.0, 1.25),
    # pests and pathogens take 22.5 % of maize, 19.5-41 % by region (Savary et al. 2019, Nature Ecology & Evolution 3,
    # 430), 31 % with weeds (Oerke 2006, Journal of Agricultural Science 144, 31); a part of them shows from above.
    "losses": (0.05, 0.35),
}
FLOWERING = (0.42, 0.62)  # of the degree days to maturity: about 30 days round silking (Andrade et al. 2002)
FIRST_GRAIN_G_DAY, CURVATURE, PLANTS_M2 = 1.17, 0.67, 8.0  # Andrade et al. 2002, Crop Science 42, 1173, figure 4
PATCH_SHARE, PATCH_LOSS = 0.3, 0.4  # of a farm's area, and of the grain there: 12 % in all


def draw_biology(number: int) -> Biology:
    """Draw a farm's biology from RANGES, evenly and each by itself; the same number always gives the same."""
    rng = np.random.default_rng([number, 43])
    drawn: dict[str, Any] = {name: float(rng.uniform(*ends)) for name, ends in RANGES.items()}
    return Biology(**drawn)


def grain_set(growth_g_m2_day: Array, free_g_m2_day: Array) -> Array:
    """Kernels set at a growth round silking, as a share of those at the growth that water would have allowed.

    Source: Andrade et al. 2002, Crop Science 42, 1173, figure 4a: kernels a plant ~ (growth - 1.17 g/day) / (1 + 0.67
    (growth - 1.17)); none below.
    """

    def kernels(growth: Array) -> Array:
        above = np.maximum(growth / PLANTS_M2 - FIRST_GRAIN_G_DAY, 0.0)
        return above / (1 + CURVATURE * above)

    most = kernels(free_g_m2_day)
    return np.where(most > 0, kernels(growth_g_m2_day) / np.where(most > 0, most, 1.0), 1.0)


World = Callable[[Biology, np.random.Generator], Biology]


WORLDS: Mapping[str, World] = {
    # every farm has the nominal biology
    "fixed": lambda own, rng: Biology(),
    # radiation-use efficiency 15 % lower on every farm
    "rue-15": lambda own, rng: replace(own, radiation_use_g_mj=0.85 * own.radiation_use_g_mj),
    # up to 20 % lower or higher, by farm
    "rue-20-by-farm": lambda own, rng: replace(own, radiation_use_g_mj=rng.uniform(0.8, 1.2) * own.radiation_use_g_mj),
    # a fifth less light taken by the same leaves, which look a fifth denser
    "canopy": lambda own, rng: replace(own, extinction=0.8 * own.extinction, seen_extinction=1.2 * own.seen_extinction),
    # by growth round silking, an equation that training never sees
    "grain-set": lambda own, rng: replace(own, follows_growth=True),
    # 12 % less grain on every farm, and no scene shows it
    "losses": lambda own, rng: replace(own, losses=1 - 0.88 * (1 - own.losses)),
    # 12 % less grain in all, as patches that lose 40 %: training never sees any
    "patches": lambda own, rng: replace(own, patch_losses=PATCH_LOSS),
}
ALL = ("rue-20-by-farm", "canopy", "grain-set", "losses")  # what "all" stands for


def worlds_of(name: str) -> tuple[str, ...]:
    """Read the name of a world, "all", or several joined by "+", each of which acts on what those before it left.

    Raises:
        InputError: if one is unknown.
    """
    found: list[str] = []
    for part in name.split("+"):
        if part != "all" and part not in WORLDS:
            raise InputError(f"got the simulated world {part!r}, want one of {', '.join(WORLDS)}, all, or several by +")
        found += ALL if part == "all" else (part,)
    return tuple(found)


def biology_of(number: int, worlds: tuple[str, ...] = ()) -> Biology:
    """The biology of a farm, in these worlds; what a world draws by farm is drawn by the farm's number."""
    biology, rng = draw_biology(number), np.random.default_rng([number, 45])
    for world in worlds:
        biology = WORLDS[world](biology, rng)
    return biology
