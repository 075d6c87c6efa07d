"""Squares of ground, such as chips: which of them share ground, and how far apart they lie."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import shapely
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from stook.transforms.ground.geodesy import project, to_lonlat
from stook.transforms.ground.grid import Zone

EDGE_M = 1e-3  # what rounding may make of edges that merely touch; far less than a pixel
CORNERS = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])


@dataclass(frozen=True)
class Squares:
    """Squares along the axes of their own UTM zones.

    Attributes:
        zones: str [square], names of zones.
        x: float64 [square], easting of the middle, metres.
        y: float64 [square], northing of the middle, metres.
        side_m: Of every one.
    """

    zones: np.ndarray
    x: np.ndarray
    y: np.ndarray
    side_m: float

    def __len__(self) -> int:
        return len(self.x)

    @classmethod
    def around(cls, cells: pd.DataFrame, cell_m: float, side_m: float) -> "Squares":
        """Squares around the middles of cells with ``zone``, ``column`` and ``row``, see ``LabelledPixels``."""
        x, y = ((cells[axis].to_numpy() + 0.5) * cell_m for axis in ("column", "row"))
        return cls(cells["zone"].to_numpy(str), x, y, side_m)

    @classmethod
    def joined(cls, parts: Sequence["Squares"]) -> "Squares":
        """All of several, which are of one size."""
        zones, x, y = (np.concatenate([getattr(part, name) for part in parts]) for name in ("zones", "x", "y"))
        return cls(zones, x, y, parts[0].side_m)

    def take(self, which: np.ndarray) -> "Squares":
        """Some of them, by bool or int index."""
        return Squares(self.zones[which], self.x[which], self.y[which], self.side_m)

    def at(self, zone: Zone) -> tuple[np.ndarray, np.ndarray]:
        """What lies in a zone or a neighbouring one, in the zone's projection.

        Returns:
            Indices int [n], and the bounding boxes there, float64 [n, 4]: left, bottom, right, top. A square of another
            zone is turned a little there and its box a little larger, so nothing is taken for further away than it is.
        """
        half = self.side_m / 2
        numbers, boxes = [], []
        for name in np.unique(self.zones):
            here = np.flatnonzero(self.zones == name)
            other = Zone.parse(name)
            if other == zone:
                x, y = self.x[here], self.y[here]
                boxes.append(np.column_stack([x - half, y - half, x + half, y + half]))
            elif (other.number - zone.number) % 60 in (0, 1, 59):
                boxes.append(_seen_from(zone, other, self.x[here], self.y[here], self.side_m))
            else:
                continue
            numbers.append(here)
        return np.concatenate(numbers or [np.zeros(0, int)]), np.concatenate(boxes or [np.zeros((0, 4))])


def sharing_ground(one: Squares, other: Squares) -> np.ndarray:
    """Pairs int [pair, 2], index in ``one`` and in ``other``, of squares that overlap; touching edges do not count."""
    found = [np.zeros((0, 2), int)]
    for name in np.unique(one.zones):
        zone = Zone.parse(name)
        here = np.flatnonzero(one.zones == name)
        ours, (there, theirs) = one.take(here).at(zone)[1], other.at(zone)
        inner = theirs + np.array([EDGE_M, EDGE_M, -EDGE_M, -EDGE_M])
        pairs = shapely.STRtree(shapely.box(*inner.T)).query(shapely.box(*ours.T))
        found.append(np.column_stack([here[pairs[0]], there[pairs[1]]]))
    return np.unique(np.concatenate(found), axis=0)


def components(squares: Squares) -> np.ndarray:
    """Number int [square] of the connected piece of ground that squares which overlap make up, counted from 0."""
    pairs = sharing_ground(squares, squares)
    shape = (len(squares), len(squares))
    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=shape)
    return connected_components(graph, directed=False)[1]


def gap_m(one: Squares, other: Squares) -> float:
    """Smallest distance between the edges of a square of ``one`` and of ``other``, metres.

    Negative by how deep they overlap; infinite where there are none, or none in the same or neighbouring zones.
    """
    smallest = np.inf
    for name in np.unique(one.zones):
        zone = Zone.parse(name)
        ours, (_, theirs) = one.take(one.zones == name).at(zone)[1], other.at(zone)
        if not len(theirs):
            continue
        tree, boxes = shapely.STRtree(shapely.box(*theirs.T)), shapely.box(*ours.T)
        _, distance = tree.query_nearest(boxes, return_distance=True, all_matches=False)
        nearest = float(distance.min())
        if nearest == 0:
            i, j = tree.query(boxes)
            depth = np.minimum(ours[i, 2:], theirs[j, 2:]) - np.maximum(ours[i, :2], theirs[j, :2])
            deepest = float(depth.min(axis=1).max())
            nearest = -deepest if deepest > EDGE_M else 0.0
        smallest = min(smallest, nearest)
    return float(smallest)


def _seen_from(zone: Zone, other: Zone, x: np.ndarray, y: np.ndarray, side_m: float) -> np.ndarray:
    """Bounding boxes in ``zone`` of squares of another zone."""
    corners = np.stack([x, y], axis=-1)[:, None] + CORNERS * side_m
    lonlat = np.column_stack(to_lonlat(f"EPSG:{other.epsg}").transform(*corners.reshape(-1, 2).T))
    projected = shapely.get_coordinates(project(shapely.MultiPoint(lonlat), zone)).reshape(-1, 4, 2)
    return np.concatenate([projected.min(axis=1), projected.max(axis=1)], axis=1)
