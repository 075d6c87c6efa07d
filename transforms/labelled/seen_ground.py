"""Which chips lie on ground that an encoder was trained with before, see ``stook.models.seen``."""

import numpy as np

from stook.models.seen import LATTICE_M, SeenGround, Square
from stook.transforms.ground.squares import EDGE_M, Squares, sharing_ground


def touched(chips: Squares) -> frozenset[Square]:
    """The lattice squares that chips share ground with, each in the zone of its chip."""
    half = chips.side_m / 2 - EDGE_M
    (left, right), (bottom, top) = (
        tuple(np.floor((middle + sign * half) / LATTICE_M).astype(int) for sign in (-1, 1))
        for middle in (chips.x, chips.y)
    )
    across = range(int(np.max(right - left, initial=0)) + 1)
    up = range(int(np.max(top - bottom, initial=0)) + 1)
    found: set[Square] = set()
    for zone in np.unique(chips.zones):
        here = chips.zones == zone
        for i in across:
            for j in up:
                reached = here & (left + i <= right) & (bottom + j <= top)
                squares = np.unique(np.column_stack([left[reached] + i, bottom[reached] + j]), axis=0)
                found.update((str(zone), int(column), int(row)) for column, row in squares)
    return frozenset(found)


def on_seen_ground(chips: Squares, seen: SeenGround | None) -> np.ndarray:
    """Whether a chip shares ground with lattice squares that were seen, bool [chip]; nowhere if that is not known."""
    there = np.zeros(len(chips), bool)
    if seen is not None and seen.squares:
        there[sharing_ground(chips, _as_squares(seen))[:, 0]] = True
    return there


def _as_squares(seen: SeenGround) -> Squares:
    zones, columns, rows = zip(*sorted(seen.squares), strict=True)
    return Squares(
        np.array(zones), (np.array(columns) + 0.5) * LATTICE_M, (np.array(rows) + 0.5) * LATTICE_M, LATTICE_M
    )
