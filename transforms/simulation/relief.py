"""What stands above the ground in close views: crowns and roofs, lit from one side, and the shadows they throw."""

import numpy as np
import shapely
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from rasterio.features import rasterize

from stook.transforms.simulation.country import Roof
from stook.transforms.simulation.coverage import reproject
from stook.transforms.simulation.landscape import Landscape
from stook.transforms.simulation.noise import key_of, normal, uniform
from stook.transforms.simulation.phenology import REFLECTANCE, RGB, ROOFING
from stook.transforms.simulation.stamps import stamp

RELIEF = 0.24  # how much brighter the sunny side of a roof, crown or heap is
CROWN_OPACITY = 0.82
TREE_HEIGHT = 1.5  # per metre of the crown's radius


def tree_crowns(
    landscape: Landscape, grid: GeoBox, sun: tuple[float, float]
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Crowns, as many and as large as ``Ground.woody`` asks for.

    Args:
        landscape: What is seen.
        grid: Of the view.
        sun: Metres (east, north) that a shadow falls per metre of height.

    Returns:
        The share of each pixel under crowns and their brightness; the share in their shadow. float32 [y, x].
    """
    woody, geobox = landscape.ground.woody, landscape.geobox
    key = key_of(landscape.place.seed, 71, np.arange(woody.size)).reshape(woody.shape)
    typical = 1.5 + 2.0 * woody
    area = 1.2 * np.pi * typical**2  # the mean of the square of what follows
    chance = -np.log1p(-0.95 * woody) * geobox.resolution.x**2 / area
    at = np.flatnonzero(uniform(key, 1) < chance)
    key = key.ravel()[at]
    radius = typical.ravel()[at] * np.exp(0.3 * normal(key, 2))
    rows, columns = np.divmod(at, woody.shape[1])
    x, y = geobox.transform @ (columns + uniform(key, 3), rows + uniform(key, 4))
    columns, rows = pixels_of(landscape, grid, x, y)
    step, shape = grid.resolution.x, (grid.shape.y, grid.shape.x)
    near = (columns > -9) & (columns < shape[1] + 9) & (rows > -9) & (rows < shape[0] + 9)
    columns, rows, radius, key = columns[near], rows[near], radius[near] / step, key[near]
    fall = TREE_HEIGHT * np.hypot(*sun)
    east, south = sun[0] / np.hypot(*sun), -sun[1] / np.hypot(*sun)
    tone = 1 + 0.18 * normal(key, 5)
    crowns = stamp(shape, columns, rows, radius, tone, (-RELIEF * east, -RELIEF * south))
    away = 0.7 * fall * radius
    shade, _ = stamp(shape, columns + away * east, rows + away * south, radius)
    return crowns, CROWN_OPACITY * shade


def roof_slopes(
    landscape: Landscape, grid: GeoBox, sun: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Roofs in two slopes, round ones in four.

    Args:
        landscape: What is seen.
        grid: Of the view.
        sun: Metres (east, north) that a shadow falls per metre of height.

    Returns:
        int32 [y, x], 0 or the number of a slope; float32 [slope - 1, (red, green, blue)], its reflectance; float32
        [y, x], 1 in the shadow of a house, else 0.
    """
    houses, frame, crs = landscape.houses, landscape.place.frame, str(grid.crs)
    shape = (grid.shape.y, grid.shape.x)
    if not houses.x.size:
        return np.zeros(shape, np.int32), np.zeros((0, 3), np.float32), np.zeros(shape, np.float32)
    corners = shapely.get_coordinates(houses.polygons)
    ends = np.cumsum(shapely.get_num_coordinates(houses.polygons))[:-1]
    slopes, facing, owner = [], [], []
    for index, ring in enumerate(np.split(corners, ends)):
        turn = houses.turn[index]
        if houses.hut[index]:
            for quarter in range(4):
                arc = ring[3 * quarter : 3 * quarter + 4]
                slopes.append(np.vstack([arc, [[houses.x[index], houses.y[index]]] * 2]))
                facing.append(np.pi / 2 * (quarter + 0.5))
        else:
            gables = (ring[1] + ring[2]) / 2, (ring[3] + ring[0]) / 2
            slopes.append(np.vstack([ring[0], ring[1], *gables, gables[1], gables[1]]))
            slopes.append(np.vstack([gables[1], gables[0], ring[2], ring[3], ring[3], ring[3]]))
            facing += [turn - np.pi / 2, turn + np.pi / 2]
        owner += [index] * (4 if houses.hut[index] else 2)
    light = -(np.cos(facing) * sun[0] + np.sin(facing) * sun[1]) / np.hypot(*sun)
    steep = np.where(houses.roof[owner] == Roof.CONCRETE, 0.0, RELIEF)
    tone = houses.tone[owner] * (1 + steep * light)
    colours = (REFLECTANCE[ROOFING[houses.roof[owner]]][:, RGB] * tone[:, None]).astype(np.float32)
    parts = reproject(shapely.polygons(np.array(slopes)), frame, crs)
    values = zip(parts, range(1, len(parts) + 1), strict=True)
    roofs = rasterize(values, shape, transform=grid.transform, dtype="int32")

    thrown = corners + np.repeat(houses.height_m, shapely.get_num_coordinates(houses.polygons))[:, None] * np.array(sun)
    both = [np.vstack(pair) for pair in zip(np.split(corners, ends), np.split(thrown, ends), strict=True)]
    hulls = np.array([shapely.convex_hull(shapely.multipoints(points)) for points in both])
    shade = rasterize(reproject(hulls, frame, crs), shape, transform=grid.transform, dtype="uint8")
    return roofs, colours, shade.astype(np.float32)


def pixels_of(landscape: Landscape, grid: GeoBox, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns and rows of positions in the place's frame, float [point]."""
    to_zone = Transformer.from_crs(landscape.place.frame, str(grid.crs), always_xy=True)
    columns, rows = ~grid.transform @ to_zone.transform(x, y)
    return columns, rows
