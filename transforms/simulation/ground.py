"""What can stand on simulated ground, and where: covers, crops, the place, and the properties of every pixel."""

from dataclasses import dataclass, fields, replace
from enum import IntEnum
from functools import cached_property

import numpy as np
from odc.geo.geom import Geometry, box

from stook.transforms.simulation.country import SAVANNA, Country


class Cover(IntEnum):
    """Land cover, by the code that label rasters carry; 0 is unlabelled."""

    CROPLAND = 11
    GRASS = 13
    TREES = 20
    BARE = 30
    BUILT = 60
    WATER = 80


class Crop(IntEnum):
    """The main-season crops."""

    MAIZE = 0
    TEFF = 1
    PULSES = 2


@dataclass(frozen=True)
class Place:
    """Where the landscape lies, how large it is, and which one of all possible it is.

    Attributes:
        longitude: Degrees east of the centre; on a multiple of 6 the place spans two UTM zones.
        latitude: Degrees north of the centre.
        width_m: East to west.
        height_m: North to south.
        seed: Another seed is another landscape.
        country: How people live and farm there.
    """

    longitude: float = 36.0
    latitude: float = 9.0
    width_m: float = 3000.0
    height_m: float = 4000.0
    seed: int = 7
    country: Country = SAVANNA

    @property
    def frame(self) -> str:
        """Transverse Mercator of the place as a PROJ string, metres from its centre."""
        return f"+proj=tmerc +lat_0={self.latitude} +lon_0={self.longitude} +k=1 +x_0=0 +y_0=0 +datum=WGS84 +units=m"

    def rectangle(self, margin_m: float = 0.0) -> Geometry:
        """Outline of the place in ``frame``, widened by ``margin_m``."""
        x, y = self.width_m / 2 + margin_m, self.height_m / 2 + margin_m
        return box(-x, -y, x, y, self.frame)


@dataclass(frozen=True)
class Parcels:
    """Who farms what; arrays [y, x] on the grid of the ground.

    Attributes:
        number: int32, 1, 2, … for cropland by parcel, 0 elsewhere.
        furrows: float32, direction of the parcel's longer side, radians from east.
    """

    number: np.ndarray
    furrows: np.ndarray


@dataclass(frozen=True)
class Ground:
    """What stands at every pixel; all arrays [y, x], float32 where nothing else is said.

    Attributes:
        cover: uint8 code of ``Cover``, 0 beyond the simulated ground; built-up where roofs have half of the pixel.
        crop: uint8 code of ``Crop``, meaningful on cropland.
        sowing_day: Day of the year on cropland, before the weather of the year shifts it.
        ploughed_days: Days before sowing at which cropland is ploughed.
        vigour: How well crop or grass grows, about 0.3…1.2.
        weeds: Share of the gaps in a crop, or of a fallow, that weeds take, 0…1.
        soil: Tone of the soil, 0 black clay … 1 pale sand.
        red: Share of the soil that is laterite, 0…1.
        wetness: 0 upland … 1 valley bottom, green far into the dry season.
        woody: Share of the pixel under trees and shrubs, 0…1.
        roof: Share of the pixel under roofs, exactly that of the houses' polygons, 0…1.
        roofing: uint8 code of ``Roof`` of the largest roof.
        roughness: How much more than others of its kind it scatters radar back, dB.
        walls: Double bounce of the pixel's houses towards Sentinel-1, by share of the pixel.
    """

    cover: np.ndarray
    crop: np.ndarray
    sowing_day: np.ndarray
    ploughed_days: np.ndarray
    vigour: np.ndarray
    weeds: np.ndarray
    soil: np.ndarray
    red: np.ndarray
    wetness: np.ndarray
    woody: np.ndarray
    roof: np.ndarray
    roofing: np.ndarray
    roughness: np.ndarray
    walls: np.ndarray

    def take(self, rows: np.ndarray, columns: np.ndarray) -> "Ground":
        """The ground at integer positions; cover 0 where they lie outside."""
        height, width = self.cover.shape
        known = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        at = np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)
        taken = {field.name: getattr(self, field.name)[at] for field in fields(self)}
        taken["cover"] = np.where(known, taken["cover"], 0).astype(np.uint8)
        taken["roof"] = np.where(known, taken["roof"], 0).astype(np.float32)
        return Ground(**taken)

    def without_roofs_and_trees(self) -> "Ground":
        """The ground below roofs and crowns."""
        return replace(self, roof=np.zeros_like(self.roof), woody=np.zeros_like(self.woody))

    @cached_property
    def roofed(self) -> np.ndarray:
        """Flat positions of pixels with a roof."""
        return np.flatnonzero(self.roof > 0)

    @cached_property
    def patches(self) -> tuple[tuple[Cover, np.ndarray, "Ground"], ...]:
        """Each cover with its flat positions and the ground there (arrays of one axis): what stays from day to day."""
        found = []
        for cover in Cover:
            there = np.flatnonzero(self.cover == cover)
            layers = {field.name: getattr(self, field.name).ravel()[there] for field in fields(self)}
            found.append((cover, there, Ground(**layers)))
        return tuple(found)
