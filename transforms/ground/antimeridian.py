"""Ground on both sides of the 180th meridian, in whatever form people hand it in.

Files write it as coordinates that jump from 179 to -179, that go on to 181, or that are cut at 180 (RFC 7946, section
3.1.9). Inside Stook it is always cut: no polygon reaches beyond -180…180.
"""

from collections.abc import Sequence

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from stook.transforms.ground.geodesy import area_m2, with_straight_edges

LONGEST_EDGE_DEGREES = 90.0  # of longitude; of a longer one nobody can tell which way round the Earth it goes
LARGEST_DIFFERENCE = 1e-6  # of the area before and after, relative


def within_one_turn(geometry: BaseGeometry) -> BaseGeometry:
    """Polygons in degrees, cut at the 180th meridian if they cross it; as they are if they do not.

    Raises:
        ValueError: If an edge is too long to tell which way it goes, the ground encloses a pole or reaches around the
            Earth, or its area would change.
    """
    rings = [shapely.get_coordinates(ring) for ring in shapely.get_rings(shapely.get_parts(geometry))]
    steps = [np.abs(np.diff(ring[:, 0])) for ring in rings]
    longest = max(float(step.max(initial=0.0)) for step in steps)
    if longest <= LONGEST_EDGE_DEGREES and all(np.abs(ring[:, 0]).max() <= 180 for ring in rings):
        return geometry
    if any(((step > LONGEST_EDGE_DEGREES) & (step < 360 - LONGEST_EDGE_DEGREES)).any() for step in steps):
        raise ValueError(
            f"an edge of {longest:g} degrees of longitude could go either way round the Earth; add vertices to it, or "
            "cut the polygon at the 180th meridian"
        )
    whole = shapely.make_valid(shapely.MultiPolygon([_unrolled(part) for part in shapely.get_parts(geometry)]))
    dense = with_straight_edges(_polygons(whole))
    cut = shapely.MultiPolygon(
        [
            shapely.transform(part, lambda lonlat, turn=turn: lonlat - (360 * turn, 0))
            for turn in (-1, 0, 1)
            for part in shapely.get_parts(
                _polygons(shapely.intersection(dense, shapely.box(360 * turn - 180, -90, 360 * turn + 180, 90)))
            )
        ]
    )
    before, after = area_m2(dense), area_m2(cut)
    if abs(after - before) > LARGEST_DIFFERENCE * before:
        raise ValueError(f"{before / 1e4:,.2f} ha would become {after / 1e4:,.2f} ha when cut at the 180th meridian")
    return cut


def lonlat_box(geometries: Sequence[BaseGeometry]) -> tuple[float, float, float, float]:
    """West, south, east and north around polygons within -180…180; west > east where they lie across the meridian."""
    parts = shapely.get_parts(np.array(geometries, dtype=object))
    bounds = shapely.bounds(parts)
    south, north = float(bounds[:, 1].min()), float(bounds[:, 3].max())
    order = np.argsort(bounds[:, 0])
    starts, ends = bounds[order, 0], np.maximum.accumulate(bounds[order, 2])
    gaps = starts[1:] - ends[:-1]
    around = starts[0] + 360 - ends[-1]
    widest = int(gaps.argmax()) if len(gaps) else 0
    if len(gaps) and gaps[widest] > around:
        return float(starts[widest + 1]), south, float(ends[widest]), north
    return float(starts[0]), south, float(ends[-1]), north


def _unrolled(polygon: shapely.Polygon) -> shapely.Polygon:
    """A polygon whose longitudes go on beyond 180 instead of jumping; its holes lie where it does."""
    shell = _continuous(shapely.get_coordinates(polygon.exterior))
    holes = [_continuous(shapely.get_coordinates(ring)) for ring in polygon.interiors]
    middle = (shell[:, 0].min() + shell[:, 0].max()) / 2
    shell = shell - (360 * np.round(middle / 360), 0)
    middle -= 360 * np.round(middle / 360)
    return shapely.Polygon(shell, [hole + (360 * np.round((middle - hole[:, 0].mean()) / 360), 0) for hole in holes])


def _continuous(ring: np.ndarray) -> np.ndarray:
    """A closed ring float64 [vertex, 2] without jumps in longitude."""
    lon = np.unwrap(ring[:, 0], period=360)
    if abs(lon[-1] - lon[0]) > 1:
        raise ValueError("it encloses a pole or reaches around the Earth")
    lon[-1] = lon[0]
    return np.column_stack([lon, ring[:, 1]])


def _polygons(geometry: BaseGeometry) -> shapely.MultiPolygon:
    """The polygons of a geometry, without lines and points that an operation has left beside them."""
    parts = shapely.get_parts(shapely.get_parts(geometry))
    return shapely.MultiPolygon([part for part in parts if isinstance(part, shapely.Polygon)])
