"""The WGS84 ellipsoid and the zones' projections of it: degrees, edges, true areas, the areal scale of UTM."""

from functools import lru_cache

import numpy as np
import shapely
from odc.geo.geobox import GeoBox
from pyproj import Geod, Transformer
from shapely.geometry.base import BaseGeometry

from stook.transforms.ground.grid import Zone

WGS84 = Geod(ellps="WGS84")
METRES_PER_DEGREE = 110_000.0  # of latitude; a little less than anywhere on the ellipsoid
STRAIGHT_DEGREES = 0.005  # between vertices along an edge, 550 m at most
EDGE_STEPS = 9  # places on each side of a grid whose degrees are looked at
CENTRAL_SCALE = 0.9996  # of UTM, on the central meridian


def lonlat_bounds(geobox: GeoBox) -> tuple[float, float, float, float]:
    """West, south, east, north of a grid, degrees; west > east across the 180th meridian."""
    steps = np.linspace(0, 1, EDGE_STEPS)
    rows, columns = (side * steps for side in geobox.shape)
    edge = np.concatenate([np.zeros_like(steps), np.ones_like(steps), steps, steps])
    across = np.concatenate([steps, steps, np.zeros_like(steps), np.ones_like(steps)])
    lat, lon = latlon_at(geobox, edge * rows[-1], across * columns[-1]).T
    lon = lon[0] + wrapped(lon - lon[0])
    west, east = float(wrapped(lon.min())), float(wrapped(lon.max()))
    return west, float(lat.min()), east if east > -180 else 180.0, float(lat.max())


def wrapped(degrees: np.ndarray) -> np.ndarray:
    """Longitudes, or differences of longitude, within -180…180."""
    return (degrees + 180) % 360 - 180


def latlon_at(geobox: GeoBox, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Latitude and longitude float64 [place, 2], degrees; 0.5 is the middle of the first row or column."""
    grid = geobox.transform
    lon, lat = to_lonlat(str(geobox.crs)).transform(grid.c + columns * grid.a, grid.f + rows * grid.e)
    return np.stack([lat, lon], axis=-1)


def to_lonlat(crs: str) -> Transformer:
    """Transformer from a projected CRS to longitude and latitude, WGS 84."""
    return transformer(crs, "EPSG:4326")


def to_zone(zone: Zone) -> Transformer:
    """Transformer from longitude and latitude, WGS 84, to a zone's eastings and northings."""
    return transformer("EPSG:4326", f"EPSG:{zone.epsg}")


@lru_cache(maxsize=256)
def transformer(source: str, target: str) -> Transformer:
    """Transformer between two CRSs, x before y; made once, for making one takes as long as moving a thousand places."""
    return Transformer.from_crs(source, target, always_xy=True)


def widened(bounds: tuple[float, float, float, float], metres: float) -> tuple[float, float, float, float]:
    """A box in degrees with at least ``metres`` more on each side; west > east across the 180th meridian."""
    west, south, east, north = bounds
    up = metres / METRES_PER_DEGREE
    across = up / np.cos(np.radians(min(max(abs(south), abs(north)) + up, 89.0)))
    if (east - west if east >= west else east - west + 360) + 2 * across >= 360:
        return -180.0, south - up, 180.0, north + up
    west, east = (lon if -180 <= lon <= 180 else float(wrapped(lon)) for lon in (west - across, east + across))
    return west, south - up, east, north + up


def area_m2(geometry: BaseGeometry) -> float:
    """Area on the ellipsoid of a polygon or multipolygon in degrees (Karney 2013), m²; see ``with_straight_edges``."""
    return WGS84.geometry_area_perimeter(shapely.orient_polygons(with_straight_edges(geometry)))[0]


def with_straight_edges(geometry: BaseGeometry) -> BaseGeometry:
    """The same in degrees, with vertices so close that its edges may be read in any way.

    Edges are straight between longitudes and latitudes, as GeoJSON (RFC 7946, 3.1.1) and GeoParquet (``edges: planar``)
    have them. With vertices this close, geodesics and straight lines of UTM leave that line by 4 mm at most.
    """
    return shapely.segmentize(geometry, STRAIGHT_DEGREES)


def project(geometry: BaseGeometry, zone: Zone) -> BaseGeometry:
    """The geometry, whose vertices are longitudes and latitudes, in metres of the zone's CRS."""
    return shapely.transform(geometry, lambda lonlat: np.column_stack(to_zone(zone).transform(*lonlat.T)))


def areal_scale(zone: Zone, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """How many m² of the zone's CRS one m² of the ellipsoid takes up, around eastings ``x`` and northings ``y``.

    The square of the point scale of the transverse Mercator projection, Snyder 1987 (USGS PP 1395), equation 8-11;
    within 3e-10 of what geodesic areas give, up to a tile beyond the zone's edges and at all latitudes.
    """
    lon, lat = to_zone(zone).transform(x, y, direction="INVERSE")
    latitude = np.radians(lat)
    e2 = WGS84.es / (1 - WGS84.es)
    a2 = (np.radians(wrapped(lon - zone.central_meridian)) * np.cos(latitude)) ** 2
    t = np.tan(latitude) ** 2
    c = e2 * np.cos(latitude) ** 2
    scale = 1 + (
        (1 + c) * a2 / 2
        + (5 - 4 * t + 42 * c + 13 * c**2 - 28 * e2) * a2**2 / 24
        + (61 - 148 * t + 16 * t**2) * a2**3 / 720
    )
    return (CENTRAL_SCALE * scale) ** 2
