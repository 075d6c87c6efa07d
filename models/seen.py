"""Ground that an encoder was trained with: what a later training must not be checked, calibrated or judged on."""

import json
from dataclasses import dataclass
from typing import Self

LATTICE_M = 500  # fine beside the blocks of a split, and 50 000 scattered chips still take less than a megabyte

Square = tuple[str, int, int]
"""UTM zone, column and row of a lattice square, counted from easting and northing 0, the row northwards."""


@dataclass(frozen=True)
class SeenGround:
    """Squares of a fixed lattice of ``LATTICE_M`` in every UTM zone.

    Attributes:
        squares: Those that some chip of a training touched: fitted, checked or calibrated on.
        complete: Whether nothing else was seen; False where it started from an encoder that does not tell.
    """

    squares: frozenset[Square] = frozenset()
    complete: bool = True

    def with_more(self, squares: frozenset[Square]) -> "SeenGround":
        """This and what another training saw."""
        return SeenGround(self.squares | squares, self.complete)

    def as_json(self) -> str:
        """Compact and always the same for the same ground: zone -> columns and rows."""
        by_zone: dict[str, list[tuple[int, int]]] = {}
        for zone, column, row in sorted(self.squares):
            by_zone.setdefault(zone, []).append((column, row))
        content = {"lattice_m": LATTICE_M, "complete": self.complete, "squares": by_zone}
        return json.dumps(content, separators=(",", ":")) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What ``as_json`` wrote; raises ValueError, KeyError or TypeError for anything else."""
        content = json.loads(text)
        if content["lattice_m"] != LATTICE_M:
            raise ValueError(f"lattice_m is {content['lattice_m']}, allowed is {LATTICE_M}")
        found = {(zone, int(x), int(y)) for zone, places in content["squares"].items() for x, y in places}
        return cls(frozenset(found), bool(content["complete"]))
