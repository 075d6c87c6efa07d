"""Where people live, and every house of it as a polygon.

The polygons are the only source of roofs: ground, scenes, close views and truth all take theirs from them.
"""

from dataclasses import dataclass, fields

import numpy as np
import shapely
from scipy import ndimage

from stook.transforms.simulation.country import Roof, SettlementKind
from stook.transforms.simulation.ground import Place
from stook.transforms.simulation.noise import key_of, normal, uniform

RIVER_DISTANCE_M = 45.0
NEIGHBOURS_M = 90.0  # ground between the last houses of two settlements
RIM = 1.25  # houses end at this multiple of a settlement's radius
TOWN_SHARE = 0.29  # of half the place's width: the town must fit into small places
PLOTS_ACROSS, PLOTS_ALONG = 2, 6  # between two streets
LOOK_AZIMUTH = np.radians(283.0)  # of Sentinel-1 on descending passes, to the right of its track
GLINT_WIDTH = np.radians(16.0)  # how far a wall may turn away before its double bounce is lost
UNALIGNED = 0.12  # what is left of it then
HUT_WALL = 0.35  # double bounce of a round mud wall beside a flat one that faces the radar
HUT_CORNERS = 12


@dataclass(frozen=True)
class Settlements:
    """Their centres in the place's frame, the town first; arrays [settlement].

    Attributes:
        x: Metres east.
        y: Metres north.
        radius_m: Of each.
        kind: Index into ``Country.settlements``.
    """

    x: np.ndarray
    y: np.ndarray
    radius_m: np.ndarray
    kind: np.ndarray

    @classmethod
    def scatter(cls, place: Place, rng: np.random.Generator, unfit: np.ndarray, resolution_m: float) -> "Settlements":
        """Settle ``place`` at random.

        Args:
            place: Its size, country and seed.
            rng: Source of chance.
            unfit: bool [y, x], where nobody settles; its middle is the place's.
            resolution_m: Pixel of ``unfit``.
        """
        half = np.array([place.width_m / 2, place.height_m / 2])
        area_km2 = 4e-6 * half.prod()
        first, *others = place.country.settlements
        middle = np.array([0.36, 0.12]) * half + rng.normal(0, (0.06, 0.05)) * half
        found = [(*middle, min(rng.uniform(*first.radius_m), TOWN_SHARE * half[0]), 0)]
        for number, kind in enumerate(others, 1):
            wanted = len(found) + max(1, round(kind.per_km2 * area_km2))
            for _ in range(40 * (wanted - len(found))):
                x, y = rng.uniform(-1, 1, 2) * half
                radius = rng.uniform(*kind.radius_m)
                there = np.array(found)
                free = np.hypot(there[:, 0] - x, there[:, 1] - y) > NEIGHBOURS_M + RIM * (there[:, 2] + radius)
                row, column = np.array(unfit.shape) // 2 + (np.array([-y, x]) / resolution_m).astype(int)
                if free.all() and not unfit[row, column]:
                    found.append((x, y, radius, number))
                if len(found) == wanted:
                    break
        x, y, radius, number = np.array(found).T
        return cls(x, y, radius, number.astype(int))

    def each(self, place: Place) -> list["Lattice"]:
        """The lattice of plots of every settlement."""
        kinds = place.country.settlements
        return [
            Lattice(kinds[kind], x, y, radius, key_of(place.seed, number, 99))
            for number, (x, y, radius, kind) in enumerate(zip(self.x, self.y, self.radius_m, self.kind, strict=True))
        ]


@dataclass(frozen=True)
class Lattice:
    """The plots of one settlement, in rows between streets if it has any.

    Attributes:
        kind: Of settlement.
        x: Metres east of its centre.
        y: Metres north.
        radius_m: Its radius.
        key: uint64, attaches chance to it.
    """

    kind: SettlementKind
    x: float
    y: float
    radius_m: float
    key: np.ndarray

    @property
    def angle(self) -> float:
        """Direction of the longer streets, radians from east."""
        return float(np.pi * uniform(self.key, 30))

    def density(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """How closely it is settled at a position in the frame, 0 outside … 1 in the middle."""
        east, north = x - self.x, y - self.y
        wave = 2 * np.pi * np.array([uniform(self.key, salt) for salt in (34, 35, 36, 37)])
        turn = np.arctan2(north, east)
        rim = 1 + 0.16 * np.sin(2 * turn + wave[0]) + 0.1 * np.sin(3 * turn + wave[1])
        patches = 0.12 * np.sin(east / 55 + wave[2]) * np.sin(north / 55 + wave[3])
        return np.clip(RIM - np.hypot(east, north) / (self.radius_m * rim) + patches, 0, 1)

    def streets(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Whether positions in the frame lie on a street, bool."""
        width, plot = self.kind.street_m, self.kind.plot_m
        if not width:
            return np.zeros(x.shape, bool)
        along = (x - self.x) * np.cos(self.angle) + (y - self.y) * np.sin(self.angle)
        across = (y - self.y) * np.cos(self.angle) - (x - self.x) * np.sin(self.angle)
        street = (across % (PLOTS_ACROSS * plot + width) < width) | (along % (PLOTS_ALONG * plot + width) < width)
        return street & (self.density(x, y) > 0.2)

    def houses(self) -> "Houses":
        """The houses of all plots that are lived in; some may overlap."""
        kind, plot = self.kind, self.kind.plot_m
        reach = int(np.ceil(RIM * 1.3 * self.radius_m / plot)) + 1
        column, row = (index.ravel() for index in np.mgrid[-reach : reach + 1, -reach : reach + 1])
        key = key_of(self.key.view(np.int64), column, row)
        u, v = (
            (number + 0.5) * plot + kind.street_m * (number // count + 1)
            for number, count in ((column, PLOTS_ALONG), (row, PLOTS_ACROSS))
        )
        turn = np.full(key.shape, self.angle) + np.radians(1.5) * normal(key, 38)
        if not kind.street_m:
            u, v = (axis + 0.25 * plot * (2 * uniform(key, salt) - 1) for axis, salt in ((u, 39), (v, 40)))
            turn = np.pi * uniform(key, 41)
        x, y = (self.x + u * np.cos(self.angle) - v * np.sin(self.angle),
                self.y + u * np.sin(self.angle) + v * np.cos(self.angle))  # fmt: skip
        density = self.density(x, y)
        lived_in = uniform(key, 31) < 1.4 * density
        built = np.clip(kind.built * (0.3 + 0.7 * density) * (0.75 + 0.35 * uniform(key, 32)), 0.03, 0.82)
        main = self._raise(key[lived_in], x[lived_in], y[lived_in], turn[lived_in], (built * plot**2)[lived_in])
        yard = lived_in & (built < 0.3) & (uniform(key, 33) < 0.6)
        side = 0.36 * plot
        outhouse = self._raise(
            key_of(key.view(np.int64), 1)[yard],
            (x + side * np.cos(turn + 0.8))[yard],
            (y + side * np.sin(turn + 0.8))[yard],
            turn[yard],
            (8 + 10 * uniform(key, 42))[yard],
        )
        return Houses.joined([main, outhouse])

    def _raise(self, key: np.ndarray, x: np.ndarray, y: np.ndarray, turn: np.ndarray, area_m2: np.ndarray) -> "Houses":
        """One house of about ``area_m2`` at each position, its longer side along ``turn``."""
        kind, fits = self.kind, 0.96 * self.kind.plot_m
        length = np.minimum(np.sqrt(area_m2 * (1 + 0.8 * uniform(key, 50))), fits)
        width = np.minimum(area_m2 / length, fits)
        slack = 0.4 if kind.street_m else 0.0
        along = slack * (fits - length) * (2 * uniform(key, 51) - 1)
        across = slack * (fits - width) * (2 * uniform(key, 52) - 1)
        x, y = x + along * np.cos(turn) - across * np.sin(turn), y + along * np.sin(turn) + across * np.cos(turn)
        hut = (uniform(key, 53) < kind.huts) & (area_m2 < 75)
        roof = np.searchsorted(np.cumsum(kind.roofs), uniform(key, 54) * sum(kind.roofs)).clip(0, len(Roof) - 1)
        roof = np.where(hut, Roof.THATCH, roof).astype(np.uint8)
        height = kind.height_m[0] + (kind.height_m[1] - kind.height_m[0]) * uniform(key, 55) ** 2
        facing = _facing(turn) * width + _facing(turn + np.pi / 2) * length  # walls across ``turn``, and along it
        walls = np.where(hut, HUT_WALL, facing / np.sqrt(length * width)) * height / 3 * np.exp(0.65 * normal(key, 56))
        polygons = np.where(hut, _round(x, y, np.sqrt(area_m2 / np.pi)), _oblong(x, y, turn, length, width))
        tone = np.clip(1 + 0.16 * normal(key, 57), 0.6, 1.4)
        return Houses(polygons, x, y, turn, hut, roof, height.astype(np.float32), walls.astype(np.float32), tone)


@dataclass(frozen=True)
class Houses:
    """All houses of a place; arrays [house].

    Attributes:
        polygons: Footprints in the place's frame, shapely; no two overlap.
        x: Metres east of the middle.
        y: Metres north of the middle.
        turn: Direction of the ridge, radians from east.
        hut: Whether it is round.
        roof: uint8 code of ``Roof``.
        height_m: Of the walls.
        walls: Double bounce towards Sentinel-1; 1 is a square house 3 m high with a wall that faces the radar.
        tone: Brightness of the roof beside others of its kind.
    """

    polygons: np.ndarray
    x: np.ndarray
    y: np.ndarray
    turn: np.ndarray
    hut: np.ndarray
    roof: np.ndarray
    height_m: np.ndarray
    walls: np.ndarray
    tone: np.ndarray

    @classmethod
    def build(cls, place: Place, settlements: Settlements, unfit: np.ndarray, resolution_m: float) -> "Houses":
        """The houses of all ``settlements``, without those on ``unfit`` ground or in the way of another."""
        houses = cls.joined([lattice.houses() for lattice in settlements.each(place)])
        row = (unfit.shape[0] / 2 - houses.y / resolution_m).astype(int)
        column = (unfit.shape[1] / 2 + houses.x / resolution_m).astype(int)
        within = (row >= 0) & (row < unfit.shape[0]) & (column >= 0) & (column < unfit.shape[1])
        fit = within & ~unfit[np.clip(row, 0, unfit.shape[0] - 1), np.clip(column, 0, unfit.shape[1] - 1)]
        houses = houses[fit]
        one, other = shapely.STRtree(houses.polygons).query(houses.polygons, predicate="intersects")
        free = np.ones(len(houses.x), bool)
        free[np.maximum(one, other)[one != other]] = False
        return houses[free]

    @classmethod
    def joined(cls, parts: list["Houses"]) -> "Houses":
        """The houses of all ``parts``."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    def __getitem__(self, chosen: np.ndarray) -> "Houses":
        return Houses(*(getattr(self, field.name)[chosen] for field in fields(self)))


def crowding(roof: np.ndarray, resolution_m: float) -> np.ndarray:
    """Share of double bounce that is left where houses stand close and hide each other's walls; 1 in the open."""
    around = ndimage.gaussian_filter(roof, 25 / resolution_m)
    return 1 - 0.6 * np.clip(around / 0.6, 0, 1)


def _facing(normal_to_wall: np.ndarray) -> np.ndarray:
    """Double bounce of a wall by the direction it faces, radians from east; 1 towards the radar."""
    look = np.pi / 2 - LOOK_AZIMUTH
    away = (normal_to_wall - look + np.pi / 2) % np.pi - np.pi / 2  # either side of a house has a wall
    return UNALIGNED + (1 - UNALIGNED) * np.exp(-((away / GLINT_WIDTH) ** 2))


def _oblong(x: np.ndarray, y: np.ndarray, turn: np.ndarray, length: np.ndarray, width: np.ndarray) -> np.ndarray:
    u = np.array([-0.5, 0.5, 0.5, -0.5]) * length[:, None]
    v = np.array([-0.5, -0.5, 0.5, 0.5]) * width[:, None]
    cos, sin = np.cos(turn)[:, None], np.sin(turn)[:, None]
    return shapely.polygons(np.stack([x[:, None] + u * cos - v * sin, y[:, None] + u * sin + v * cos], -1))


def _round(x: np.ndarray, y: np.ndarray, radius: np.ndarray) -> np.ndarray:
    angle = 2 * np.pi * np.arange(HUT_CORNERS) / HUT_CORNERS
    corners = np.stack([x[:, None] + radius[:, None] * np.cos(angle), y[:, None] + radius[:, None] * np.sin(angle)], -1)
    return shapely.polygons(corners)
