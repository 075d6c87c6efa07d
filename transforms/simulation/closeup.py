"""What a high-resolution satellite sees: the same ground at 1.5 m, with every crown, roof and heap, and shadows."""

from dataclasses import dataclass
from datetime import date

import numpy as np
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from scipy import ndimage

from stook.transforms.simulation import phenology
from stook.transforms.simulation.atmosphere import shadow_offset
from stook.transforms.simulation.ground import Cover
from stook.transforms.simulation.heaps import Heaps
from stook.transforms.simulation.landscape import Landscape
from stook.transforms.simulation.phenology import REFLECTANCE, RGB, Material, Weather
from stook.transforms.simulation.relief import CROWN_OPACITY, RELIEF, pixels_of, roof_slopes, tree_crowns
from stook.transforms.simulation.stamps import stamp

BRIGHTEST, GAMMA = 0.46, 0.62  # reflectance shown as 255, and the curve between; the means are about 0.4, 0.35, 0.3
BLUR_PX = 0.55  # standard deviation of the point spread function
NOISE = 0.004  # reflectance
SHADE = 0.52  # share of the light that a full shadow takes
GRAIN = {Cover.CROPLAND: 0.07, Cover.GRASS: 0.12, Cover.TREES: 0.12, Cover.BARE: 0.06, Cover.BUILT: 0.06}
FURROWS_M, FURROWS = 9.0, 0.03  # wavelength and amplitude of rows
BORDER = 0.14  # how much darker the ridge between two parcels is
TEXTURE_M, TILE_PX = 1.5, 1024  # pixel and size of the texture, which repeats itself beyond
HEAP_REFLECTANCE = np.array(  # red, green, blue; rows follow ``HeapKind``
    [[0.295, 0.235, 0.143], [0.265, 0.213, 0.137], [0.235, 0.155, 0.098], [0.225, 0.172, 0.124], [0.250, 0.195, 0.135]],
    np.float32,
)


@dataclass(frozen=True)
class Closeup:
    """The parts of a view that stay from pass to pass; arrays [y, x] of ``grid``.

    Attributes:
        landscape: What is seen.
        epsg: The UTM zone.
        grid: Of the pictures.
        nearest: int32, flat position of the ground's pixel that is seen.
        grain: float32, brightness of the texture around 1.
        roofs: int32, 0 or 1 + the index of a row of ``roof_colours``.
        roof_colours: float32 [row, (red, green, blue)].
        crowns: Share under crowns, and their brightness.
        shade: Share of each pixel in the shadow of trees and houses.
        sun: Metres (east, north) that a shadow falls per metre of height.
    """

    landscape: Landscape
    epsg: int
    grid: GeoBox
    nearest: np.ndarray
    grain: np.ndarray
    roofs: np.ndarray
    roof_colours: np.ndarray
    crowns: tuple[np.ndarray, np.ndarray]
    shade: np.ndarray
    sun: tuple[float, float]

    @classmethod
    def of(cls, landscape: Landscape, epsg: int, grid: GeoBox, when: date) -> "Closeup":
        """The view on ``grid``, with the shadows of the day ``when``."""
        sun = shadow_offset(landscape.place.latitude, when)
        x, y = positions(landscape, grid)
        nearest, inside = _smooth_borders(landscape, x, y)
        roofs, colours, roof_shade = roof_slopes(landscape, grid, sun)
        crowns, crown_shade = tree_crowns(landscape, grid, sun)
        grain = _grain(landscape, x, y, nearest)
        grain *= 1 - BORDER * (landscape.parcels.number.ravel()[nearest] > 0) * (inside < 0.8)
        shade = np.maximum(crown_shade, roof_shade)
        return cls(landscape, epsg, grid, nearest, grain, roofs, colours, crowns, shade, sun)

    def picture(self, colours: np.ndarray, heaps: Heaps, when: date) -> np.ndarray:
        """The picture of one day, uint8 [(red, green, blue), y, x], 1…255.

        Args:
            colours: Reflectance of the ground below roofs and crowns on that day, float32 [band, y, x] of the ground.
            heaps: Those that stand.
            when: The day.
        """
        shape = self.nearest.shape
        x, y, size = self._in_pixels(heaps)
        lean = self._lean
        body, light = stamp(shape, x, y, size, heaps.tone, (-RELIEF * lean[0], -RELIEF * lean[1]))
        kind = stamp(shape, x, y, size, heaps.kind + 1.0)[1].astype(np.uint8)  # which disc is seen, as in ``body``
        fall = 0.7 * heaps.height_m * np.hypot(*self.sun) / self.grid.resolution.x
        high = fall > 0
        cast, _ = stamp(shape, (x + fall * lean[0])[high], (y + fall * lean[1])[high], 0.9 * size[high])
        lit = self.grain * (1 - SHADE * np.maximum(self.shade, cast))
        canopy = REFLECTANCE[Material.CANOPY][RGB]
        heap_colours = np.vstack([np.zeros((1, 3), np.float32), HEAP_REFLECTANCE])
        roof_colours = np.vstack([np.zeros((1, 3), np.float32), self.roof_colours])
        crown, crown_light = self.crowns
        crown = crown * CROWN_OPACITY
        rng = np.random.default_rng([self.landscape.place.seed, when.toordinal(), 12])
        gains, haze = (
            rng.normal(1, 0.04) * rng.normal(1, 0.015, 3),
            np.abs(rng.normal(0, 0.004)) * np.array([0.5, 0.7, 1]),
        )
        noise = np.random.default_rng([self.landscape.place.seed, when.toordinal(), 13, self.epsg])
        bands = []
        for band in range(3):
            seen = colours[band].ravel()[self.nearest] * lit
            seen += body * (heap_colours[kind, band] * light - seen)
            seen = np.where(self.roofs > 0, roof_colours[self.roofs, band], seen)
            seen += crown * (canopy[band] * crown_light - seen)
            seen = ndimage.gaussian_filter(seen, BLUR_PX, truncate=3)
            seen = seen * np.float32(gains[band]) + np.float32(haze[band])
            seen += NOISE * noise.standard_normal(shape, np.float32)
            bands.append(_tones()[np.clip(seen * 4096, 0, 4095).astype(np.int16)])
        return np.stack(bands)

    @property
    def _lean(self) -> tuple[float, float]:
        """Direction in which shadows fall, in columns and rows, of length 1."""
        length = np.hypot(*self.sun)
        return float(self.sun[0] / length), float(-self.sun[1] / length)

    def _in_pixels(self, heaps: Heaps) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Column, row and radius of heaps."""
        columns, rows = pixels_of(self.landscape, self.grid, heaps.x, heaps.y)
        return columns, rows, heaps.radius_m / self.grid.resolution.x


def ground_colours(landscape: Landscape, when: date, weather: Weather) -> np.ndarray:
    """Reflectance below roofs and crowns, float32 [(red, green, blue), y, x] on the grid of the ground."""
    shares = phenology.materials(landscape.ground.without_roofs_and_trees(), when, weather)
    return np.tensordot(REFLECTANCE[:, RGB].T, shares, 1)


def positions(landscape: Landscape, grid: GeoBox) -> tuple[np.ndarray, np.ndarray]:
    """Metres (east, north) in the place's frame of the pixel centres of ``grid``, float32 [y, x].

    Over the few kilometres of a place one transverse Mercator is a polynomial of another to within millimetres, and
    millions of pixels are too many for exact transformation.
    """
    columns, rows = np.arange(grid.shape.x) + 0.5, np.arange(grid.shape.y) + 0.5
    u, v = (np.linspace(0, size, 9) for size in (grid.shape.x, grid.shape.y))
    knots = np.array([point.ravel() for point in np.meshgrid(u, v)])
    to_frame = Transformer.from_crs(str(grid.crs), landscape.place.frame, always_xy=True)
    targets = to_frame.transform(*(grid.transform @ tuple(knots)))
    scale = np.array([grid.shape.x, grid.shape.y], float)

    def terms(p: np.ndarray, q: np.ndarray) -> list[np.ndarray]:
        return [np.ones_like(p), p, q, p * p, p * q, q * q]

    design = np.stack(terms(*(knots / scale[:, None])), -1)
    found = []
    for target in targets:
        weights = np.linalg.lstsq(design, target, rcond=None)[0]
        p, q = columns / scale[0], rows[:, None] / scale[1]
        found.append(
            (weights[0] + weights[1] * p + weights[3] * p * p + (weights[2] * q + weights[5] * q * q)
             + weights[4] * q * p).astype(np.float32)
        )  # fmt: skip
    return found[0], found[1]


def _smooth_borders(landscape: Landscape, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which pixel of the ground is seen at each position: of the four around it, the likeliest kind; and how sure.

    Kinds weigh as in bilinear interpolation, so that borders run straight instead of in steps of 5 m.
    """
    ground, number = landscape.ground, landscape.parcels.number
    kinds = (number.astype(np.int32) * 128 + ground.cover).ravel()
    height, width = number.shape
    transform = ~landscape.geobox.transform
    columns, rows = x * np.float32(transform.a) + np.float32(transform.c - 0.5), y * np.float32(transform.e)
    rows += np.float32(transform.f - 0.5)
    left, top = np.floor(columns).clip(0, width - 2), np.floor(rows).clip(0, height - 2)
    across, down = columns - left, rows - top
    first = top.astype(np.int32) * width + left.astype(np.int32)
    corners = [first, first + 1, first + width, first + width + 1]
    weights = [(1 - across) * (1 - down), across * (1 - down), (1 - across) * down, across * down]
    kind = [kinds[corner] for corner in corners]
    nearest, best = corners[0], np.full(x.shape, -1, np.float32)
    for i in range(4):
        together = sum(weights[j] * (kind[i] == kind[j]) for j in range(4) if j != i) + weights[i]
        together = together + np.float32(1e-3) * weights[i]  # of one kind, the nearest
        nearest, best = np.where(together > best, corners[i], nearest), np.maximum(together, best)
    return nearest, best


def _grain(landscape: Landscape, x: np.ndarray, y: np.ndarray, nearest: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng([landscape.place.seed, 11])
    tile = np.zeros((TILE_PX, TILE_PX), np.float32)
    for size, weight in ((0.8, 0.75), (2.5, 0.65)):
        tile += weight * _unit(ndimage.gaussian_filter(rng.standard_normal(tile.shape, np.float32), size, mode="wrap"))
    column, row = (np.floor(axis / TEXTURE_M).astype(np.int32) % TILE_PX for axis in (x, y))
    amplitude = np.full(256, 0.03, np.float32)
    for cover, value in GRAIN.items():
        amplitude[cover] = value
    grain = tile[row, column] * amplitude[landscape.ground.cover.ravel()[nearest]]
    furrows, farmed = landscape.parcels.furrows.ravel()[nearest], landscape.parcels.number.ravel()[nearest] > 0
    phase = (2 * np.pi / FURROWS_M) * (y * np.cos(furrows) - x * np.sin(furrows))
    return 1 + grain + np.float32(FURROWS) * np.sin(phase) * farmed


def _tones() -> np.ndarray:
    """uint8 of reflectance in steps of 1/4096."""
    curve = (np.arange(4096) / 4096 / BRIGHTEST).clip(0, 1) ** GAMMA
    return np.rint(255 * curve).clip(1, 255).astype(np.uint8)


def _unit(field: np.ndarray) -> np.ndarray:
    return (field - field.mean()) / field.std()
