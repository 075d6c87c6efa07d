"""When and where high-resolution pictures are taken: oblique strips after the harvest, over a part of the place."""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from odc.geo.geobox import GeoBox
from odc.geo.geom import Geometry, polygon
from shapely import affinity

from stook.transforms.simulation.ground import Place
from stook.transforms.simulation.zones import scene_grid

TRACK_TILT_DEG = 11.0  # descending orbits run south-south-west


@dataclass(frozen=True)
class Strip:
    """What one pass pictures, in shares of the place's width and height counted from its middle.

    Attributes:
        season_day: Day of the pass, see ``phenology.Weather``.
        west: Western edge, half way down.
        east: Eastern edge.
        south: Where it ends.
        north: Where it begins.
    """

    season_day: int
    west: float
    east: float
    south: float
    north: float


# Together about 55 % of the place; a border that cuts cells; every heap of the harvest is met by at least one pass if
# it stands for some weeks.
STRIPS = (
    Strip(318, -0.36, 0.10, -0.55, 0.44),
    Strip(337, -0.27, 0.21, -0.45, 0.55),
    Strip(357, -0.33, 0.13, -0.40, 0.47),
)
WHOLE = (Strip(318, -2, 2, -2, 2), Strip(337, -2, 2, -2, 2), Strip(357, -2, 2, -2, 2))


@dataclass(frozen=True)
class Campaign:
    """The passes of one year.

    Attributes:
        strips: One per pass.
        resolution_m: Pixel.
    """

    strips: tuple[Strip, ...] = STRIPS
    resolution_m: float = 1.5

    def date(self, strip: Strip, place: Place, year: int) -> date:
        """The day of a pass."""
        return date(year, 1, 1) + timedelta(strip.season_day - 1 + place.country.season_shift_days)

    def footprint(self, strip: Strip, place: Place) -> Geometry:
        """What a pass pictures of the place, in the place's frame."""
        x = np.array([strip.west, strip.east], float) * place.width_m
        y = np.array([strip.south, strip.north], float) * place.height_m
        corners = [(x[0], y[0]), (x[1], y[0]), (x[1], y[1]), (x[0], y[1]), (x[0], y[0])]
        slanted = affinity.rotate(polygon(corners, place.frame).geom, -TRACK_TILT_DEG, origin=(0, 0))
        return Geometry(slanted, place.frame) & place.rectangle()

    def part(self, strip: Strip, place: Place, epsg: int) -> Geometry | None:
        """What a pass pictures in the scenes of one zone, in the zone's projection; None if nothing."""
        crs = f"EPSG:{epsg}"
        seen = self.footprint(strip, place).to_crs(crs) & scene_grid(place, epsg).extent
        return None if seen.is_empty else seen

    def grid(self, outline: Geometry) -> GeoBox:
        """The pixels around ``outline``, on the lattice of the zone's origin."""
        step, box = self.resolution_m, outline.boundingbox
        west, south = (step * np.floor(edge / step) for edge in (box.left, box.bottom))
        east, north = (step * np.ceil(edge / step) for edge in (box.right, box.top))
        return GeoBox.from_bbox((west, south, east, north), crs=outline.crs, resolution=step)
