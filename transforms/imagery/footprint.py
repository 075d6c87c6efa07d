"""Bounding boxes of scenes, in degrees."""

from collections.abc import Iterable

BoundingBox = tuple[float, float, float, float]
"""West, south, east, north in degrees; west > east across the antimeridian."""


def intersects(bbox: Iterable[float], other: BoundingBox) -> bool:
    """Whether two boxes in degrees touch, either of which may cross the antimeridian."""
    corners = list(bbox)
    west, south, east, north = corners if len(corners) == 4 else (*corners[:2], *corners[3:5])
    if south > other[3] or north < other[1]:
        return False
    spans = [[(w, e)] if w <= e else [(w, 180.0), (-180.0, e)] for w, e in ((west, east), (other[0], other[2]))]
    return any(w <= e2 and w2 <= e for w, e in spans[0] for w2, e2 in spans[1])
