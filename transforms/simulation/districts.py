"""Fictional districts of a simulated place: shared, irregular borders and a town enclosed by another district."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely
from shapely import LineString, MultiPoint, Point, Polygon

from stook.transforms.simulation.landscape import Landscape

COUNTRY = "XSV"  # user-assigned in ISO 3166: no real country
STEP_M = 40.0  # distance between the vertices of a border
TOWN_LIMITS_M, TOWN_SHARE = 380.0, 0.24  # radius, and at most this share of the place's half side
STEEPEST = 0.24  # slope of each of four waves of displacement; below 1 in sum, borders cannot fold over
# Name, province, and the district's heart in half widths and half heights of the place. The hinterland's is the town.
RURAL = (
    ("Anbesa", "upper", (-0.55, 0.62)),
    ("Berit", "upper", (0.35, 0.70)),
    ("Gelana", "lower", (-0.60, -0.22)),
    ("Hamusit", "lower", (0.25, -0.66)),
)
HINTERLAND = ("Dembel", "upper")
TOWN = ("Korat town", "upper")
PROVINCES = {"upper": "XSV-U", "lower": "XSV-L"}


def districts(landscape: Landscape) -> gpd.GeoDataFrame:
    """The districts as polygons in longitude and latitude.

    Returns:
        Columns ``unit_id``, ``name``, ``parent_id`` (one of two provinces), ``country_id`` and ``geometry``. Neighbours
        share every vertex of their border; the town is a hole in the district around it.
    """
    place, (town_x, town_y) = landscape.place, landscape.town
    half = np.array([place.width_m / 2, place.height_m / 2])
    hearts = [*(Point(*(half * position)) for _, _, position in RURAL), Point(town_x, town_y)]
    owners = [*(owner[:2] for owner in RURAL), HINTERLAND]
    outline = _outline(half)
    cells = shapely.voronoi_polygons(MultiPoint(hearts), extend_to=outline, only_edges=True)
    town = Point(town_x, town_y).buffer(min(TOWN_LIMITS_M, TOWN_SHARE * half.min()))
    # The town's limits replace whatever border would cross the town.
    net = shapely.unary_union([outline.boundary, cells.difference(town), town.boundary])
    faces = shapely.polygonize(shapely.get_parts(_wander(net, place.seed, half)))  # loose ends form no face
    rows = []
    for face in sorted(faces.geoms, key=lambda face: -face.area):
        if face.contains(Point(town_x, town_y)):
            rows.append((*TOWN, face))
            continue
        inside = face.representative_point()
        nearest = int(np.argmin([inside.distance(heart) for heart in hearts]))
        rows.append((*owners[nearest], face))
    table = gpd.GeoDataFrame(rows, columns=["name", "province", "geometry"], geometry="geometry", crs=place.frame)
    table = table.dissolve("name", as_index=False).sort_values("name", ignore_index=True)
    table["parent_id"] = table["province"].map(PROVINCES)
    table["unit_id"] = table["parent_id"] + "-" + table["name"].str[:3].str.upper()
    table["country_id"] = COUNTRY
    return table[["unit_id", "name", "parent_id", "country_id", "geometry"]].to_crs("EPSG:4326")


def write_units(landscape: Landscape, path: Path) -> Path:
    """Write ``districts`` to ``path``, GeoPackage or GeoJSON by its suffix; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    districts(landscape).to_file(path, driver="GPKG" if path.suffix == ".gpkg" else "GeoJSON")
    return path


def _outline(half: np.ndarray) -> Polygon:
    """An uneven octagon within the place."""
    x = (-0.93, -0.60, 0.45, 0.90, 0.93, 0.62, -0.40, -0.92)
    y = (-0.55, -0.94, -0.92, -0.70, 0.50, 0.94, 0.90, 0.62)
    return Polygon(half * np.column_stack([x, y]))


def _wander(lines: shapely.Geometry, seed: int, half: np.ndarray) -> shapely.Geometry:
    """``lines`` bent by one smooth field of displacement, so that what met before still meets."""
    rng = np.random.default_rng([seed, 8])
    waves = []
    for length in 0.6 * half.min() * 0.5 ** np.arange(4):
        turn = rng.uniform(0, 2 * np.pi)
        wave_number = 2 * np.pi / length * np.array([np.cos(turn), np.sin(turn)])
        waves.append((wave_number, rng.uniform(0, 2 * np.pi, 2), STEEPEST * length / (2 * np.pi)))

    def bend(points: np.ndarray) -> np.ndarray:
        shift = sum(size * np.sin((points @ k)[:, None] + phase) for k, phase, size in waves)
        return np.round(points + shift, 2)

    parts = shapely.get_parts(shapely.segmentize(lines, STEP_M))
    return shapely.union_all([LineString(bend(shapely.get_coordinates(line))) for line in parts])
