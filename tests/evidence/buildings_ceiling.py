"""How well building coverage of a simulated place could be known at best: what the noise of its scenes alone forbids.

Think of an oracle that knows everything about the place — ground, roofing, walls, crops, the year's rains, point spread
function — but one number per cell: how much more or less of it is under roofs. It sees the composite of the year, of
which it does not know what is drawn per overpass: sky, haze, missed clouds, wetness, gains, sensor noise, speckle.

- The *sensitivity* of the composite to the share is measured by drawing the scenes twice with the same chance, once
  with ``STEP`` more roof in every pixel (of the nearest roof's material, with the walls that go with it).
- The *noise* is measured by drawing the scenes of the unchanged place several times with other chance.
- Both give the Fisher information of a cell's share; with the variance of the true shares as a Gaussian prior the
  smallest possible mean squared error is 1 / (1 / variance + information), and the ceiling of R² is 1 - mean of that /
  variance. No predictor from the composite gets above it, however it is trained: it knows less than the oracle.
"""

from dataclasses import dataclass, fields, replace
from datetime import date, timedelta

import bottleneck
import numpy as np
from odc.geo.geobox import GeoBox
from scipy import ndimage

from stook.pipelines.demo.place import YEAR
from stook.transforms.imagery.composite import MASKED_CLASSES
from stook.transforms.simulation import atmosphere
from stook.transforms.simulation.ground import Place
from stook.transforms.simulation.landscape import Landscape
from stook.transforms.simulation.phenology import OPTICAL_BANDS, RADAR_BANDS, Weather
from stook.transforms.simulation.scenes import (
    COUNTS_PER_REFLECTANCE,
    Revisit,
    View,
    optical_scene,
    radar_scene,
)
from stook.transforms.simulation.truth import building_share
from stook.transforms.simulation.zones import zone_parts

STEP = 0.05
DRAWS = 3
RIM_CELLS = 2  # at the scenes' edges, left out
CELL_PX = 10

Scene = dict[str, np.ndarray]
Bands = list[np.ndarray]  # one composite: float32 [y, x] a band, radar first, each at its own resolution


@dataclass(frozen=True)
class Ceiling:
    """Best R² that is possible.

    Attributes:
        pixels: If every pixel of a cell may be weighed by itself, their noise being independent: the ceiling.
        means: If only the mean colour of each cell is looked at, with the noise's covariance between bands and what all
            pixels share of it.
        colour: The same for one who knows how roofs look but not what ground is beneath: as ``means``, where the ground
            of the cells without roofs is noise as well. Texture may beat it.
        error: Smallest possible root mean square error of a share, of ``pixels``.
    """

    pixels: float
    means: float
    colour: float
    error: float


def ceiling(place: Place, revisit: Revisit) -> Ceiling:
    """The ceiling at one simulated place."""
    drawn = Drawn.of(place, revisit)
    cells, truth = drawn.cells, drawn.truth
    slopes = [
        np.mean([(more - less) / STEP for less, more in zip(*pair, strict=True)], 0)
        for pair in zip(zip(*drawn.plain, strict=True), zip(*drawn.roofed, strict=True), strict=True)
    ]
    stacks = [np.stack(band) for band in zip(*drawn.plain, strict=True)]
    noise = [(stack - stack.mean(0)) * np.sqrt(DRAWS / (DRAWS - 1)) for stack in stacks]
    # All pixels by themselves: the sum over a cell of slope² / variance.
    by_pixel = sum(
        cells.mean(slope**2).ravel() * cells.pixels(slope) / stray.var()
        for slope, stray in zip(slopes, noise, strict=True)
    )
    # The cells' means: [cell, band], and [draw · cell, band].
    slope = np.stack([cells.mean(band).ravel() for band in slopes], -1)
    stray = np.stack([cells.mean(band).reshape(-1) for band in noise], -1)
    ground = np.stack([cells.mean(stack.mean(0)).ravel() for stack in stacks], -1)
    covariance = stray.T @ stray / len(stray)
    clutter = np.cov(ground[truth == 0], rowvar=False)
    by_mean, by_colour = (
        np.einsum("ci,ij,cj->c", slope, np.linalg.inv(matrix), slope) for matrix in (covariance, covariance + clutter)
    )
    least = 1 / (1 / truth.var() + by_pixel)
    return Ceiling(
        pixels=best_r2(by_pixel, truth),
        means=best_r2(by_mean, truth),
        colour=best_r2(by_colour, truth),
        error=float(np.sqrt(least.mean())),
    )


def best_r2(information: np.ndarray, truth: np.ndarray) -> float:
    """R² that Fisher information [cell] about the shares ``truth`` [cell] allows at most."""
    return float(1 - np.mean(1 / (1 / truth.var() + information)) / truth.var())


@dataclass(frozen=True)
class Cells:
    """The whole cells of 100 m within scenes, without a rim.

    Attributes:
        grid: Of the cells.
        top: Row of the first one in 10 m pixels of the scenes.
        left: Column.
        width_px: Of the scenes, 10 m pixels.
    """

    grid: GeoBox
    top: int
    left: int
    width_px: int

    @classmethod
    def of(cls, scenes: GeoBox) -> "Cells":
        """Those of ``scenes``, counted from the zone's origin."""
        box, side = scenes.boundingbox, 100
        west, south = (side * (int(-(-edge // side)) + RIM_CELLS) for edge in (box.left, box.bottom))
        east, north = (side * (int(edge // side) - RIM_CELLS) for edge in (box.right, box.top))
        grid = GeoBox.from_bbox((west, south, east, north), crs=str(scenes.crs), resolution=side)
        return cls(grid, round((box.top - north) / 10), round((west - box.left) / 10), scenes.shape.x)

    def mean(self, band: np.ndarray) -> np.ndarray:
        """Means [..., row, column] over the cells of a band [..., y, x] of 10 m or 20 m."""
        step = self.width_px // band.shape[-1]
        side, (rows, columns) = CELL_PX // step, self.grid.shape
        top, left = self.top // step, self.left // step
        cut = band[..., top : top + rows * side, left : left + columns * side]
        return cut.reshape(*band.shape[:-2], rows, side, columns, side).mean((-3, -1))

    def pixels(self, band: np.ndarray) -> int:
        """How many pixels of a band a cell has."""
        return (CELL_PX * band.shape[-1] // self.width_px) ** 2


@dataclass(frozen=True)
class DayView(View):
    """A view on one day.

    Attributes:
        shares: Of materials, float32 [material, y, x]; they depend on the day but not on what is drawn.
    """

    shares: np.ndarray

    @classmethod
    def on(cls, view: View, day: date, weather: Weather) -> "DayView":
        """``view`` on ``day``."""
        layers = {field.name: getattr(view, field.name) for field in fields(view)}
        return cls(**layers, shares=view.materials(day, weather))

    def materials(self, day: date, weather: Weather) -> np.ndarray:
        """Those of the day, whichever is asked for."""
        return self.shares


@dataclass(frozen=True)
class Drawn:
    """A place looked at several times, always with other chance.

    Attributes:
        cells: Its cells.
        truth: Share of each under roofs, float32 [cell].
        plain: Composites [draw] of the place as it is.
        roofed: Composites [draw] with the same chance and ``STEP`` more of every pixel under roofs.
    """

    cells: Cells
    truth: np.ndarray
    plain: list[Bands]
    roofed: list[Bands]

    @classmethod
    def of(cls, place: Place, revisit: Revisit) -> "Drawn":
        """Draw ``place``, which lies in one zone; everything that is drawn per overpass differs between the draws.

        Chance of the scenes hangs on the seed of the place, so it is given another; rains and ground stay.
        """
        landscape, weather = Landscape.simulate(place), Weather.of(place, YEAR)
        [epsg] = zone_parts(place)
        view = View.of(landscape, epsg)
        others = [replace(landscape, place=replace(place, seed=1000 * place.seed + draw)) for draw in range(DRAWS)]
        scenes: list[list[list[Scene]]] = [[[] for _ in others] for _ in range(2)]
        for day, is_optical in overpasses(revisit):
            for looks, seen in zip(scenes, (view, with_more_roofs(view)), strict=True):
                here = DayView.on(seen, day, weather)
                for found, other in zip(looks, others, strict=True):
                    look = optical if is_optical else radar_scene
                    found.append(look(other, here, day, weather))
        cells = Cells.of(view.grid)
        truth = building_share(landscape, cells.grid).ravel()
        return cls(cells, truth, *([composite(found) for found in looks] for looks in scenes))


def overpasses(revisit: Revisit) -> list[tuple[date, bool]]:
    """Every day of the year that is pictured, and whether by Sentinel-2; as ``write_archive`` has them."""
    found = []
    for first, days, is_optical in ((3, revisit.optical_days, True), (5, revisit.radar_days, False)):
        start = date(YEAR, 1, first)
        left = (date(YEAR, 12, 31) - start).days
        found += [(start + timedelta(step), is_optical) for step in range(0, left + 1, days)]
    return found


def with_more_roofs(view: View) -> View:
    """``view`` with ``STEP`` more of every pixel under the nearest roof's material; beyond 1 it goes on linearly."""
    ground = view.ground
    nearest = tuple(ndimage.distance_transform_edt(ground.roof == 0, return_indices=True)[1])
    walls = np.float32(STEP * view.walls.mean() / ground.roof.mean())
    more = replace(ground, roof=ground.roof + np.float32(STEP), roofing=ground.roofing[nearest])
    return replace(view, ground=more, walls=view.walls + walls)


def optical(landscape: Landscape, view: View, day: date, weather: Weather) -> Scene:
    """Reflectance of one overpass, NaN where it is not clear."""
    sky = atmosphere.simulate_sky(landscape.place, day, weather.rain(weather.season_day(day)))
    scene = optical_scene(landscape, view, day, weather, sky)
    unclear = np.isin(scene["scl"], MASKED_CLASSES)
    fine = unclear.repeat(2, 0).repeat(2, 1)
    masks = {mask.shape: mask for mask in (unclear, fine)}
    return {
        name: np.where(masks[scene[name].shape], np.nan, scene[name] / np.float32(COUNTS_PER_REFLECTANCE))
        for name in OPTICAL_BANDS
    }


def composite(scenes: list[Scene]) -> Bands:
    """Mean power in dB and median reflectance of a year."""
    stacks = {
        name: np.stack([scene[name] for scene in scenes if name in scene]) for name in (*RADAR_BANDS, *OPTICAL_BANDS)
    }
    radar = [10 * np.log10(stacks[name].mean(0)) for name in RADAR_BANDS]
    return radar + [bottleneck.nanmedian(stacks[name], axis=0) for name in OPTICAL_BANDS]
