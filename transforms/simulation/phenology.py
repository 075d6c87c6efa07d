"""How the ground looks on a day of the year: shares of a dozen materials, and what satellites see of each.

Reflectance and backscatter are linear mixtures of the materials below. Spectra and powers were set by hand so that
class medians and seasonal swings resemble real cropland, grassland and settlements (docs/simulator.md says how far they
do); no measurement is reproduced.
"""

from dataclasses import dataclass
from datetime import date
from enum import IntEnum

import numpy as np
from scipy.special import expit

from stook.transforms.simulation.country import Roof
from stook.transforms.simulation.ground import Cover, Crop, Ground, Place

OPTICAL_BANDS = ("blue", "green", "red", "rededge1", "rededge2", "rededge3", "nir", "nir08", "swir16", "swir22")
RGB = [2, 1, 0]  # red, green and blue among them
RADAR_BANDS = ("vv", "vh")
YEAR_DAYS = 365.0


class Material(IntEnum):
    """What light and radar meet, in the order of the tables below."""

    BROADLEAF = 0
    BLADE = 1
    CANOPY = 2
    STRAW = 3
    PALE_SOIL = 4
    DARK_SOIL = 5
    TILLED_SOIL = 6
    RED_SOIL = 7
    THATCH = 8
    RUSTY = 9
    METAL = 10
    TILE = 11
    CONCRETE = 12
    WATER = 13
    SHADE = 14


REFLECTANCE = np.array(  # [material, optical band], 1 = 100 %
    [
        [0.024, 0.062, 0.026, 0.098, 0.350, 0.470, 0.510, 0.520, 0.215, 0.095],
        [0.026, 0.060, 0.032, 0.100, 0.310, 0.400, 0.435, 0.445, 0.205, 0.095],
        [0.020, 0.043, 0.024, 0.075, 0.235, 0.300, 0.325, 0.340, 0.160, 0.072],
        [0.086, 0.138, 0.182, 0.218, 0.250, 0.275, 0.298, 0.322, 0.385, 0.280],
        [0.092, 0.135, 0.195, 0.222, 0.242, 0.260, 0.278, 0.296, 0.372, 0.325],
        [0.044, 0.062, 0.080, 0.089, 0.097, 0.105, 0.114, 0.124, 0.168, 0.144],
        [0.055, 0.079, 0.108, 0.121, 0.132, 0.142, 0.153, 0.165, 0.218, 0.188],
        [0.052, 0.085, 0.165, 0.195, 0.215, 0.230, 0.247, 0.265, 0.340, 0.295],
        [0.080, 0.103, 0.130, 0.150, 0.168, 0.180, 0.195, 0.210, 0.275, 0.235],
        [0.098, 0.118, 0.158, 0.182, 0.205, 0.222, 0.240, 0.255, 0.300, 0.285],
        [0.235, 0.250, 0.265, 0.272, 0.280, 0.285, 0.292, 0.298, 0.310, 0.285],
        [0.072, 0.098, 0.192, 0.228, 0.252, 0.270, 0.290, 0.305, 0.335, 0.300],
        [0.168, 0.190, 0.212, 0.226, 0.236, 0.244, 0.252, 0.258, 0.278, 0.258],
        [0.052, 0.066, 0.050, 0.042, 0.034, 0.030, 0.027, 0.024, 0.014, 0.010],
        [0.008, 0.013, 0.009, 0.018, 0.045, 0.058, 0.062, 0.064, 0.035, 0.016],
    ],
    np.float32,
)
POWER_DB = np.array(  # [material, (vv, vh)], dry ground
    [
        [-9.8, -15.6],
        [-13.2, -19.0],
        [-9.0, -14.2],
        [-12.4, -19.3],
        [-13.6, -21.8],
        [-12.8, -21.0],
        [-11.2, -19.3],
        [-12.6, -21.0],
        [-9.5, -16.5],
        [-9.5, -18.0],
        [-10.0, -18.5],
        [-8.5, -16.5],
        [-9.0, -17.0],
        [-20.5, -27.5],
        [-9.5, -15.0],
    ],
    np.float32,
)
SOILS = [Material.PALE_SOIL, Material.DARK_SOIL, Material.TILLED_SOIL, Material.RED_SOIL]
ROOFING = np.array([Material[roof.name] for roof in Roof])
ROOF_SHADE = 0.07  # of a roof's share: eaves and gaps
WALLS_DB = np.array([3.0, -6.5], np.float32)  # (vv, vh) where walls of strength 1 have the whole pixel
WET_SOIL_GAIN_DB = 4.0
WET_SOIL_DARKENING = 0.32
# Days from sowing: half-way green-up, half-way senescence, harvest; then the largest cover. Rows follow ``Crop``.
CALENDAR = np.array([[42, 118, 148, 0.88], [34, 92, 122, 0.80], [32, 80, 104, 0.78]], np.float32)
STUBBLE = np.array([0.8, 1.25, 0.5], np.float32)  # what each crop leaves on the field, beside the mean of all


@dataclass(frozen=True)
class Weather:
    """The rains of one year.

    All days of phenology are *season days*: the day of the year where the calendar is not shifted, 1…365.

    Attributes:
        onset_day: Season day when half of the rain's strength is reached, about 145.
        end_day: The same for its end, about 280.
        shift_days: How much later than elsewhere the season is, ``Country.season_shift_days``.
    """

    onset_day: float = 145.0
    end_day: float = 280.0
    shift_days: int = 0

    @classmethod
    def of(cls, place: Place, year: int) -> "Weather":
        """The weather of ``year`` at ``place``."""
        early, late = np.random.default_rng([place.seed, year, 2]).normal(0, 6, 2)
        return cls(145.0 + early, 280.0 + late, place.country.season_shift_days)

    @property
    def delay_days(self) -> float:
        """How much later than usual the rains began; sowing waits for them."""
        return self.onset_day - 145

    def season_day(self, when: date) -> float:
        """The season day of a date."""
        return (when.timetuple().tm_yday - self.shift_days - 1) % YEAR_DAYS + 1

    def rain(self, day: float) -> float:
        """Strength of the rains on a season day, 0 dry … 1."""
        return float(_rise(day, self.onset_day, 12) - _rise(day, self.end_day, 12))


def materials(ground: Ground, when: date, weather: Weather) -> np.ndarray:
    """Shares of the materials on one day.

    Returns:
        float32 [material, y, x], summing to 1; all 0 where ``ground`` has no cover.
    """
    day = weather.season_day(when)
    painters = {
        Cover.CROPLAND: _cropland,
        Cover.GRASS: _savanna,
        Cover.TREES: _savanna,
        Cover.BARE: _bare,
        Cover.BUILT: _bare,  # the yard; roofs come on top
        Cover.WATER: _water,
    }
    shares = np.zeros((len(Material), ground.cover.size), np.float32)
    for cover, there, patch in ground.patches:
        shares[:, there] = painters[cover](patch, day, weather)
    under = ground.roofed
    roof = ground.roof.ravel()[under]
    shares[:, under] *= 1 - roof
    shares[ROOFING[ground.roofing.ravel()[under]], under] += (1 - ROOF_SHADE) * roof
    shares[Material.SHADE, under] += ROOF_SHADE * roof
    return shares.reshape(len(Material), *ground.cover.shape)


def reflectance(shares: np.ndarray, moisture: float) -> np.ndarray:
    """Surface reflectance float32 [optical band, y, x] of material ``shares``; moist soil (0…1) is darker."""
    spectra = REFLECTANCE.copy()
    spectra[SOILS] *= 1 - WET_SOIL_DARKENING * moisture
    return np.tensordot(spectra.T, shares, 1)


def backscatter(
    shares: np.ndarray, moisture: float, walls: np.ndarray | float = 0.0, roughness_db: np.ndarray | float = 0.0
) -> np.ndarray:
    """Mean backscatter, linear power, float32 [(vv, vh), y, x], before speckle.

    Args:
        shares: Of the materials [material, y, x].
        moisture: Of the topsoil, 0…1; moist soil is brighter.
        walls: ``Ground.walls`` [y, x], whose double bounce is added.
        roughness_db: ``Ground.roughness`` [y, x], which all but the walls is raised by.
    """
    power = POWER_DB.copy()
    power[SOILS] += WET_SOIL_GAIN_DB * moisture
    mixed = np.tensordot(_linear(power.T), shares, 1) * _linear(np.asarray(roughness_db, np.float32))
    return mixed + np.multiply.outer(_linear(WALLS_DB), np.asarray(walls, np.float32))


def harvest_day(ground: Ground, weather: Weather) -> np.ndarray:
    """Season day on which cropland is harvested, float32, shape of ``ground``."""
    return ground.sowing_day + weather.delay_days + CALENDAR[ground.crop, 2]


def _linear(decibel: np.ndarray) -> np.ndarray:
    return np.float32(10) ** (decibel / 10)


def _rise(day: np.ndarray | float, middle: np.ndarray | float, width: float) -> np.ndarray:
    """0 well before ``middle``, 1 well after it."""
    return expit((np.asarray(day, np.float32) - middle) / width)


def _mix(ground: Ground, soil: np.ndarray, **shares: np.ndarray | float) -> np.ndarray:
    """Stack named shares, with ``soil`` divided between red, pale and dark."""
    stack = np.zeros((len(Material), *ground.cover.shape), np.float32)
    for name, share in shares.items():
        stack[Material[name]] += share
    stack[Material.RED_SOIL] += soil * ground.red
    stack[Material.PALE_SOIL] += soil * (1 - ground.red) * ground.soil
    stack[Material.DARK_SOIL] += soil * (1 - ground.red) * (1 - ground.soil)
    return stack


def _wild_green(ground: Ground, day: float, weather: Weather) -> np.ndarray:
    """Green share of grass and weeds: it follows the rains, lasts longer on wet ground and shorter on weedy fallows."""
    start = weather.onset_day + 12 - 25 * ground.wetness + 22 * ground.weeds
    end = weather.end_day + 22 + 55 * ground.wetness - 28 * ground.weeds
    last_year = 1 - _rise(day, end - YEAR_DAYS, 17)
    season = _rise(day, start, 13) - _rise(day, end, 17) + last_year
    return np.clip((0.03 + 0.17 * ground.wetness) + 0.8 * ground.vigour * season, 0, 0.95)


def _under_trees(shares: np.ndarray, woody: np.ndarray, leaf: np.ndarray | float) -> np.ndarray:
    """``shares`` seen through a canopy of cover ``woody`` and leafiness ``leaf``."""
    crown = woody * leaf
    shares = shares * (1 - crown * 1.25).clip(0.02, 1)
    rest = 1 - shares.sum(0)
    shares[Material.CANOPY] += rest * 0.8
    shares[Material.SHADE] += rest * 0.2
    return shares


def _cropland(ground: Ground, day: float, weather: Weather) -> np.ndarray:
    green_up, senescence, harvest, largest = CALENDAR[ground.crop].T
    sown = ground.sowing_day + weather.delay_days
    age = day - sown
    grown = largest * np.minimum(ground.vigour, 1.1) * _rise(age, green_up, 6.5)
    standing = 1 - _rise(age, harvest, 2.0)
    ripe = _rise(age, senescence, 8)
    leaf, stalks = grown * (1 - ripe) * standing, 0.85 * grown * ripe * standing

    # Stubble of this harvest, or of the last one, is grazed and ploughed under.
    fresh = np.where(age > harvest, age - harvest, age - harvest + YEAR_DAYS)
    ploughed = _rise(age, -ground.ploughed_days, 4)
    left = STUBBLE[ground.crop] * (0.2 + 0.45 * ground.vigour)
    stubble = left * np.exp(-fresh / 90) * np.where(age > harvest, 1 - standing, 1 - ploughed)
    gaps = np.clip(1 - leaf - stalks - stubble, 0, 1)
    weeds = gaps * ground.weeds * _wild_green(ground, day, weather) * (1 - ploughed * (1 - _rise(age, 22, 7)))
    soil = gaps - weeds
    tilled = soil * 0.85 * ploughed * (1 - _rise(age, 35, 12))
    maize_or_pulses = ground.crop != Crop.TEFF
    mixed = _mix(
        ground,
        soil - tilled,
        BROADLEAF=leaf * maize_or_pulses,
        BLADE=leaf * ~maize_or_pulses + weeds,
        STRAW=stalks + stubble,
        TILLED_SOIL=tilled,
    )
    return _under_trees(mixed / mixed.sum(0), ground.woody, 0.8)


def _savanna(ground: Ground, day: float, weather: Weather) -> np.ndarray:
    """Grass, shrubs and trees: grass below a canopy that sheds part of its leaves in the dry season."""
    green = _wild_green(ground, day, weather)
    since_rain = (day - weather.end_day) % YEAR_DAYS / YEAR_DAYS
    straw = (1 - green) * np.clip(0.9 - 0.75 * since_rain, 0.25, 1) * np.minimum(0.45 + 0.5 * ground.vigour, 1)
    flush = 0.62 + 0.3 * weather.rain(day - 10) + 0.08 * ground.wetness
    mixed = _mix(ground, 1 - green - straw, BLADE=green * 0.85, BROADLEAF=green * 0.15, STRAW=straw)
    return _under_trees(mixed, ground.woody, flush)


def _bare(ground: Ground, day: float, weather: Weather) -> np.ndarray:
    green = 0.22 * _wild_green(ground, day, weather)
    return _under_trees(_mix(ground, 0.88 - green, BLADE=green, STRAW=0.12), ground.woody, 0.7)


def _water(ground: Ground, day: float, weather: Weather) -> np.ndarray:
    """Silt rises with the rains, sandbanks show without them."""
    silt = 0.08 + 0.12 * weather.rain(day)
    return _mix(ground, np.full(ground.cover.shape, silt), WATER=1 - silt)
