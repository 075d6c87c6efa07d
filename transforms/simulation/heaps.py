"""Heaps on the ground: the sheaves that stand on the fields after the harvest, and what could be taken for them.

All days are season days of ``phenology``.
"""

from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np
from scipy import ndimage

from stook.transforms.simulation.ground import Cover, Crop
from stook.transforms.simulation.landscape import Landscape
from stook.transforms.simulation.noise import fractal_noise, key_of, uniform
from stook.transforms.simulation.phenology import YEAR_DAYS, Weather, harvest_day

CUSTOM_SCALE_M = 500.0  # neighbours heap or do not
HEAPED_SHARE, EXCEPTION_SHARE = 0.55, 0.008  # of cereal parcels, where heaping is the custom and where it is not
AREA_PER_HEAP_M2 = {Crop.MAIZE: 450.0, Crop.TEFF: 1300.0}  # pulses are carried home at once
MOST_PER_PARCEL = 12
HEAP_RADIUS_M = {Crop.MAIZE: (1.1, 1.9), Crop.TEFF: (1.6, 2.5)}
LEAST_VIGOUR = 0.45  # below, there is nothing to heap
DRYING_DAYS = (2, 9)  # from harvest to heap
STANDING_DAYS = (16, 60)
SPACING_PX = 2  # candidates are every second pixel, so that heaps never touch


class HeapKind(IntEnum):
    """What a heap is; only the first is a harvest pile."""

    SHEAVES = 0
    HAYSTACK = 1  # straw beside a house, all dry season
    TERMITES = 2  # a mound in the savanna
    SPOIL = 3  # soil, dung or stones on a field
    FLOOR = 4  # where sheaves are threshed: pale, round and flat


STEEPNESS = {HeapKind.HAYSTACK: 1.2, HeapKind.TERMITES: 1.1, HeapKind.SPOIL: 0.6, HeapKind.FLOOR: 0.0}


@dataclass(frozen=True)
class Heaps:
    """Round heaps; arrays [heap], positions in metres in the place's frame.

    Attributes:
        kind: uint8 code of ``HeapKind``.
        x: East of the middle.
        y: North of the middle.
        radius_m: At the ground.
        height_m: Of the top.
        first_day: Season day from which it stands.
        last_day: Until which it stands.
        parcel: Number of the parcel, 0 off the fields.
        tone: Brightness beside others of its kind.
    """

    kind: np.ndarray
    x: np.ndarray
    y: np.ndarray
    radius_m: np.ndarray
    height_m: np.ndarray
    first_day: np.ndarray
    last_day: np.ndarray
    parcel: np.ndarray
    tone: np.ndarray

    @classmethod
    def of(cls, landscape: Landscape, weather: Weather) -> "Heaps":
        """All heaps of one year's harvest, and the lasting ones."""
        parts = [_sheaves(landscape, weather), _haystacks(landscape), *_mounds(landscape)]
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    def __getitem__(self, chosen: np.ndarray) -> "Heaps":
        return Heaps(*(getattr(self, field.name)[chosen] for field in fields(self)))

    def standing(self, day: float) -> "Heaps":
        """Those that stand on a season day."""
        return self[(self.first_day <= day) & (day <= self.last_day)]

    @property
    def sheaves(self) -> "Heaps":
        """The harvest piles alone."""
        return self[self.kind == HeapKind.SHEAVES]


def _sheaves(landscape: Landscape, weather: Weather) -> Heaps:
    """Heaps on harvested maize and teff, away from the parcel's edge."""
    place, ground, number = landscape.place, landscape.ground, landscape.parcels.number
    inner = (ndimage.minimum_filter(number, 3) == ndimage.maximum_filter(number, 3)) & (number > 0)
    lattice = np.zeros(inner.shape, bool)
    lattice[::SPACING_PX, ::SPACING_PX] = True
    at = np.flatnonzero(inner & lattice)
    key = key_of(place.seed, 61, at)
    at = at[np.lexsort((uniform(key, 1), number.ravel()[at]))]
    starts = np.flatnonzero(np.diff(number.ravel()[at], prepend=-1))
    members = np.diff(starts, append=at.size)
    owner, rank = np.repeat(np.arange(starts.size), members), np.arange(at.size) - np.repeat(starts, members)

    # What each parcel does, by its first candidate.
    first = at[starts]
    parcel = number.ravel()[first]
    farm, crop = key_of(place.seed, 62, parcel), ground.crop.ravel()[first]
    pixel_m = landscape.geobox.resolution.x
    custom = fractal_noise(np.random.default_rng([place.seed, 9]), number.shape, CUSTOM_SCALE_M / pixel_m, 2)
    heaping = (custom > np.quantile(custom, 1 - place.country.heaping)).ravel()[first]
    heaped = uniform(farm, 2) < np.where(heaping, HEAPED_SHARE, EXCEPTION_SHARE)
    if at.size:
        heaped &= np.minimum.reduceat(ground.vigour.ravel()[at], starts) > LEAST_VIGOUR
        harvest = np.maximum.reduceat(harvest_day(ground, weather).ravel()[at], starts)
    else:
        harvest = np.zeros(0)
    area_m2 = members * (pixel_m * SPACING_PX) ** 2
    count = np.zeros(starts.size)
    for kind, area in AREA_PER_HEAP_M2.items():
        heaps = np.rint(area_m2 / area * (0.4 + 1.2 * uniform(farm, 3)))
        count = np.where(heaped & (crop == kind), np.clip(heaps, 1, MOST_PER_PARCEL), count)

    stands = rank < count[owner]
    at, owner = at[stands], owner[stands]
    low, high = np.array([HEAP_RADIUS_M.get(Crop(code), (0.0, 0.0)) for code in Crop]).T
    key, crop = key_of(place.seed, 63, at), crop[owner]
    radius = low[crop] + (high - low)[crop] * uniform(key, 1)
    first_day = harvest[owner] + _between(DRYING_DAYS, farm[owner], 4)
    return _heaps(
        landscape,
        at,
        HeapKind.SHEAVES,
        radius,
        height_m=radius * (0.9 + 0.5 * uniform(key, 2)),
        first_day=first_day,
        last_day=first_day + _between(STANDING_DAYS, farm[owner], 5),
        parcel=parcel[owner],
    )


def _haystacks(landscape: Landscape) -> Heaps:
    """Straw in the yards of villages and farmsteads."""
    houses, geobox = landscape.houses, landscape.geobox
    key = key_of(landscape.place.seed, 64, np.arange(len(houses.x)))
    angle, away = 2 * np.pi * uniform(key, 1), 7 + 5 * uniform(key, 2)
    columns, rows = ~geobox.transform @ (houses.x + away * np.cos(angle), houses.y + away * np.sin(angle))
    rows = np.clip(rows.astype(int), 0, geobox.shape.y - 1)
    columns = np.clip(columns.astype(int), 0, geobox.shape.x - 1)
    ground = landscape.ground
    crowd = ndimage.uniform_filter(ground.roof, 21)
    here = (ground.roof[rows, columns] == 0) & (landscape.parcels.number[rows, columns] == 0)
    here &= (uniform(key, 3) < 0.22) & (crowd[rows, columns] < 0.25)
    at, key = (rows * geobox.shape.x + columns)[here], key[here]
    radius = 1.3 + 1.7 * uniform(key, 4)
    return _heaps(landscape, at, HeapKind.HAYSTACK, radius, radius * STEEPNESS[HeapKind.HAYSTACK])


def _mounds(landscape: Landscape) -> list[Heaps]:
    """Termite mounds in the savanna, heaps of soil and threshing floors on fields."""
    ground, number = landscape.ground, landscape.parcels.number
    key = key_of(landscape.place.seed, 65, np.arange(number.size)).reshape(number.shape)
    chance = uniform(key, 1)
    wild = (ground.cover == Cover.GRASS) & (ground.wetness < 0.5) & (ground.roof == 0)
    parts = []
    for kind, where, radii in (
        (HeapKind.TERMITES, wild & (chance < 0.0022), (0.9, 2.2)),
        (HeapKind.SPOIL, (number > 0) & (chance < 0.0005), (0.9, 2.0)),
        (HeapKind.FLOOR, (number > 0) & (chance > 0.9996), (2.2, 4.0)),
    ):
        at = np.flatnonzero(where)
        radius = radii[0] + (radii[1] - radii[0]) * uniform(key.ravel()[at], 2)
        parts.append(_heaps(landscape, at, kind, radius, radius * STEEPNESS[kind], parcel=number.ravel()[at]))
    return parts


def _heaps(
    landscape: Landscape,
    at: np.ndarray,
    kind: HeapKind,
    radius: np.ndarray,
    height_m: np.ndarray,
    first_day: np.ndarray | float = 0.0,
    last_day: np.ndarray | float = 2 * YEAR_DAYS,
    parcel: np.ndarray | int = 0,
) -> Heaps:
    """Heaps somewhere in the ground's pixels ``at``, flat positions."""
    key = key_of(landscape.place.seed, 66, at)
    rows, columns = np.divmod(at, landscape.geobox.shape.x)
    x, y = landscape.geobox.transform @ (columns + uniform(key, 1), rows + uniform(key, 2))
    parcel, first_day, last_day = (np.broadcast_to(value, at.shape) for value in (parcel, first_day, last_day))
    tone = 0.85 + 0.35 * uniform(key, 3)
    return Heaps(np.full(at.shape, kind, np.uint8), x, y, radius, height_m, first_day, last_day, parcel, tone)


def _between(limits: tuple[int, int], key: np.ndarray, salt: int) -> np.ndarray:
    return limits[0] + (limits[1] - limits[0]) * uniform(key, salt)
