"""Clouds, their shadows, haze, and the scene classification that half understands them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from enum import IntEnum

import numpy as np
from odc.geo.geobox import GeoBox
from scipy import ndimage

from stook.transforms.simulation.ground import Place
from stook.transforms.simulation.noise import fractal_noise

SKY_RESOLUTION_M = 20.0
SKY_MARGIN_M = 2500.0  # clouds beyond the place still throw shadows into it
CLOUD_SIZE_M = 1100.0
OVERPASS_HOUR_ANGLE = np.radians(-22.5)  # 10:30 local solar time
CLOUD = np.array([0.60, 0.58, 0.59, 0.60, 0.62, 0.63, 0.64, 0.65, 0.47, 0.37], np.float32)
SHADOW_LIGHT = np.array([0.62, 0.54, 0.48, 0.45, 0.41, 0.39, 0.38, 0.37, 0.30, 0.28], np.float32)  # diffuse only
HAZE = np.array([1.0, 0.75, 0.6, 0.5, 0.42, 0.38, 0.34, 0.3, 0.12, 0.08], np.float32)


class SceneClass(IntEnum):
    """Sentinel-2 scene classification (SCL), the classes that occur here."""

    NO_DATA = 0
    CLOUD_SHADOW = 3
    VEGETATION = 4
    NOT_VEGETATED = 5
    WATER = 6
    UNCLASSIFIED = 7
    CLOUD_MEDIUM = 8
    CLOUD_HIGH = 9


@dataclass(frozen=True)
class Sky:
    """The atmosphere at one overpass; arrays float32 [y, x].

    Attributes:
        opacity: 0 clear … 1 nothing of the ground is seen.
        shadow: 0 lit … 1 no direct sunlight.
        texture: Standard normal field, brightness of the cloud tops.
        whim: Standard normal field, where the scene classification errs.
        haze: Error of the atmospheric correction in the blue, reflectance.
    """

    opacity: np.ndarray
    shadow: np.ndarray
    texture: np.ndarray
    whim: np.ndarray
    haze: float

    def at(self, x: np.ndarray, y: np.ndarray, grid: GeoBox) -> "Sky":
        """The sky over positions in the place's frame, metres, by bilinear interpolation on ``grid``."""
        columns, rows = ~grid.transform @ (x, y)
        where = np.stack([rows - 0.5, columns - 0.5])
        return self.each(lambda layer: ndimage.map_coordinates(layer, where, order=1, mode="nearest"))

    def each(self, function: Callable[[np.ndarray], np.ndarray]) -> "Sky":
        """The sky with ``function`` applied to every layer."""
        opacity, shadow, texture, whim = map(function, (self.opacity, self.shadow, self.texture, self.whim))
        return Sky(opacity, shadow, texture, whim, self.haze)


def sky_grid(place: Place) -> GeoBox:
    """The raster of the sky in the place's frame."""
    return GeoBox.from_bbox(place.rectangle(SKY_MARGIN_M).boundingbox, crs=place.frame, resolution=SKY_RESOLUTION_M)


def simulate_sky(place: Place, when: date, rain: float) -> Sky:
    """The sky of one overpass, on ``sky_grid``; cloudier with ``rain`` (0…1), the same for the same place and date."""
    rng = np.random.default_rng([place.seed, when.toordinal(), 3])
    grid = sky_grid(place)
    shape = (grid.shape.y, grid.shape.x)
    # A day is more often clear or overcast than half covered; the mean over the year is about 40 %.
    expected = 0.24 + 0.38 * rain
    covered = rng.beta(1.5 * expected, 1.5 * (1 - expected))
    billows = fractal_noise(rng, shape, CLOUD_SIZE_M / SKY_RESOLUTION_M, 5)
    depth = billows - np.quantile(billows, 1 - covered)
    opacity = np.clip(depth / 0.55, 0, 1) ** 0.8 if covered > 0.01 else np.zeros(shape, np.float32)

    east, north = shadow_offset(place.latitude, when)
    height_m = rng.uniform(500, 1400)
    step = (-north * height_m / SKY_RESOLUTION_M, east * height_m / SKY_RESOLUTION_M)
    shadow = ndimage.gaussian_filter(ndimage.shift(opacity, step, order=1, mode="nearest"), 1.0)
    texture = fractal_noise(rng, shape, 300 / SKY_RESOLUTION_M, 3)
    whim = fractal_noise(rng, shape, 120 / SKY_RESOLUTION_M, 3)
    return Sky(opacity.astype(np.float32), shadow, texture, whim, float(rng.normal(0, 0.006)))


def observe(surface: np.ndarray, sky: Sky) -> np.ndarray:
    """Reflectance float32 [band, y, x] of ``surface`` seen through ``sky`` of the same grid."""
    lit = surface * (1 - sky.shadow * (1 - SHADOW_LIGHT[:, None, None]))
    tops = CLOUD[:, None, None] * (1 + 0.12 * sky.texture)
    return lit * (1 - sky.opacity) + tops * sky.opacity + sky.haze * HAZE[:, None, None]


def classify(observed: np.ndarray, sky: Sky) -> np.ndarray:
    """A scene classification as good as the real one: uint8 [y, x] codes of ``SceneClass``.

    Thin cloud is missed, bright roofs and pale soil are sometimes called cloud, and borders are ragged.

    Args:
        observed: Reflectance [band, y, x] in the order of ``phenology.OPTICAL_BANDS``.
        sky: On the same grid.
    """
    blue, red, nir, swir = observed[0], observed[2], observed[6], observed[8]
    greenness = (nir - red) / np.maximum(nir + red, 1e-3)
    doubt = sky.opacity + 0.13 * sky.whim + 2.2 * np.clip(blue - 0.12, 0, 0.1) * (sky.opacity < 0.3)
    dark = sky.shadow * (1 - sky.opacity) + 0.16 * sky.whim
    classes = np.where(greenness > 0.42, SceneClass.VEGETATION, SceneClass.NOT_VEGETATED).astype(np.uint8)
    classes[(np.abs(greenness - 0.42) < 0.015) & (sky.whim > 0.8)] = SceneClass.UNCLASSIFIED
    classes[(greenness < 0.05) & (swir < 0.08)] = SceneClass.WATER
    classes[dark > 0.42] = SceneClass.CLOUD_SHADOW
    classes[doubt > 0.34] = SceneClass.CLOUD_MEDIUM
    classes[(doubt > 0.34) & (sky.opacity > 0.65)] = SceneClass.CLOUD_HIGH
    return classes


def shadow_offset(latitude: float, when: date) -> tuple[float, float]:
    """Metres east and north that a shadow falls per metre of height, in mid-morning."""
    declination = np.radians(23.44) * np.sin(2 * np.pi * (when.timetuple().tm_yday - 81) / 365)
    phi = np.radians(latitude)
    up = np.sin(phi) * np.sin(declination) + np.cos(phi) * np.cos(declination) * np.cos(OVERPASS_HOUR_ANGLE)
    east = -np.cos(declination) * np.sin(OVERPASS_HOUR_ANGLE)
    north = np.cos(phi) * np.sin(declination) - np.sin(phi) * np.cos(declination) * np.cos(OVERPASS_HOUR_ANGLE)
    return float(-east / up), float(-north / up)
