"""How exactly the tiles of a region add up to the ground of its units: the measure of the area contract."""

from collections import Counter
from collections.abc import Sequence

from shapely import Polygon

from stook.transforms.ground.areas import DM2_PER_M2, tile_totals
from stook.transforms.ground.geodesy import WGS84, area_m2
from stook.transforms.ground.grid import Grid
from stook.transforms.ground.region import Region
from stook.transforms.ground.unit import Unit


def relative_error(region: Region, grid: Grid) -> float:
    """Difference between the region's tiles, summed, and its units' geodesic area, relative to the latter, unsigned.

    The coverage of border pixels is exact whatever their size: a grid of 100 m pixels with the same tiles tells the
    same as one of 10 m, ten times faster.
    """
    summed, true = _areas_m2(region, grid)
    return abs(sum(summed.values()) - sum(true.values())) / sum(true.values())


def worst_unit_error(region: Region, grid: Grid) -> float:
    """The largest relative error of a single unit, where what one unit loses to another does not cancel."""
    summed, true = _areas_m2(region, grid)
    return max(abs(summed[unit_id] - area) / area for unit_id, area in true.items())


def squares(sides_m: Sequence[float] = (600.0, 2_000.0, 10_000.0)) -> list[Region]:
    """Small squares over the seams of the grid, each a region of its own.

    One of each size lies over a zone meridian (36° E), one over the equator and one over both, off centre, so that no
    half is like the other.
    """
    seams = {"meridian": (36.0, 9.0), "equator": (38.3, 0.0), "meridian and equator": (36.0, 0.0)}
    return [
        Region((Unit(f"{side:g} m, {seam}", seam, (), _square(lon, lat, side)),))
        for seam, (lon, lat) in seams.items()
        for side in sides_m
    ]


def _square(lon: float, lat: float, side_m: float) -> Polygon:
    """A geodesic square in degrees, a third of it west and south of the place."""
    lon, lat, _ = WGS84.fwd(lon, lat, 225, side_m * 2**0.5 / 3)
    east, north = WGS84.fwd(lon, lat, 90, side_m)[0], WGS84.fwd(lon, lat, 0, side_m)[1]
    return Polygon([(lon, lat), (east, lat), (east, north), (lon, north)])


def _areas_m2(region: Region, grid: Grid) -> tuple[dict[str, float], dict[str, float]]:
    """Area of each unit, m²: the sum of its tiles, and that of its polygon on the ellipsoid."""
    summed: Counter[str] = Counter()
    for tile in region.tiles(grid):
        summed.update(tile_totals(region, grid, tile))
    true = {unit.id: area_m2(unit.geometry) for unit in region.units}
    return {unit_id: summed[unit_id] / DM2_PER_M2 for unit_id in true}, true
