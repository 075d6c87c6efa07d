"""Bounding boxes of scenes, in degrees."""

from collections.abc import Iterable, Iterator, Mapping
from math import isfinite, nan
from typing import Any

BoundingBox = tuple[float, float, float, float]
"""West, south, east, north in degrees; west > east across the antimeridian."""

FARTHEST = 91.0  # latitude; boxes of coarse pixels go a little beyond the poles


def box_of(item: Mapping[str, Any]) -> BoundingBox | None:
    """The box of a STAC item as JSON: its own, or that of its geometry; None if it has neither.

    Longitudes may count from -180, from 0 or beyond either end, and boxes may have heights (six numbers).
    A box with a corner that is no number (null, NaN) is none.

    Raises:
        ValueError: If it is no box, is not in degrees, or its geometry is none.
    """
    if item.get("bbox") is not None:
        corners = [nan if number is None else float(number) for number in item["bbox"]]
        if len(corners) not in (4, 6):
            raise ValueError(f"bbox of {len(corners)} numbers")
        west, south, east, north = corners if len(corners) == 4 else (*corners[:2], *corners[3:5])
        if all(map(isfinite, (west, south, east, north))):
            stated, shown = _placed(west, south, east, north), box_of({"geometry": item.get("geometry")})
            contradicts = shown is not None and (not intersects(stated, shown) or _width(stated) > 180 > _width(shown))
            return shown if contradicts else stated
    places = list(_positions(item.get("geometry") or {}))
    if not places:
        return None
    lon, lat = zip(*places, strict=True)
    west, east = min(lon), max(lon)
    if east - west > 180:  # no scene is that wide: it lies across the antimeridian
        west, east = min(x for x in lon if x >= 0), max(x for x in lon if x < 0)
    return _placed(west, min(lat), east, max(lat))


def around(west: float, south: float, east: float, north: float) -> BoundingBox:
    """A box with longitudes brought into -180…180."""
    if east - west >= 360:
        return -180.0, south, 180.0, north
    if -180 <= west <= 180 and -180 <= east <= 180:
        return west, south, east, north
    west, east = ((lon + 180) % 360 - 180 for lon in (west, east))
    return west, south, east if east > -180 else 180.0, north


def _placed(west: float, south: float, east: float, north: float) -> BoundingBox:
    """The same as ``around``, with south below north; raises ValueError if it is not in degrees."""
    south, north = sorted((south, north))
    if south < -FARTHEST or north > FARTHEST:
        raise ValueError(f"it reaches from latitude {south:g} to {north:g}; bbox and geometry have to be in degrees")
    return around(west, south, east, north)


def on_each_side(box: BoundingBox) -> list[BoundingBox]:
    """The box, or its parts on both sides of the antimeridian."""
    return [(west, box[1], east, box[3]) for west, east in _spans(box)]


def intersects(box: BoundingBox, other: BoundingBox) -> bool:
    """Whether two boxes touch, either of which may cross the antimeridian."""
    if box[1] > other[3] or box[3] < other[1]:
        return False
    pairs = [(*span, *span_of_other) for span in _spans(box) for span_of_other in _spans(other)]
    # 180 and -180 are one meridian
    return any(w + turn <= e2 and w2 <= e + turn for w, e, w2, e2 in pairs for turn in (-360, 0, 360))


def alike(box: BoundingBox, other: BoundingBox) -> bool:
    """Whether two boxes are of one footprint: more than half of what either covers is covered by both."""
    both = sum(
        max(0.0, min(e, e2) - max(w, w2)) * max(0.0, min(box[3], other[3]) - max(box[1], other[1]))
        for w, e in _spans(box)
        for w2, e2 in _spans(other)
    )
    return box == other or both > 0.5 * (_area(box) + _area(other) - both)


def _area(box: BoundingBox) -> float:
    return sum(e - w for w, e in _spans(box)) * (box[3] - box[1])


def _width(box: BoundingBox) -> float:
    return sum(east - west for west, east in _spans(box))


def _spans(box: BoundingBox) -> list[tuple[float, float]]:
    west, east = box[0], box[2]
    return [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]


def _positions(geometry: Mapping[str, Any]) -> Iterator[tuple[float, float]]:
    """Longitudes and latitudes of a GeoJSON geometry."""
    for part in geometry.get("geometries", ()):
        yield from _positions(part)
    pending: list[Any] = [geometry.get("coordinates", ())]
    while pending:
        here = pending.pop()
        if isinstance(here, Iterable) and not isinstance(here, str):
            here = list(here)
            if len(here) >= 2 and all(isinstance(number, int | float) for number in here):
                yield float(here[0]), float(here[1])
            else:
                pending += here
