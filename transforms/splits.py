"""Who is trained on and who judges: sides of a split that share no ground, and the proof of it.

A chip reaches beyond its cell, so that cells of neighbouring blocks see the same ground. Whole blocks are therefore not
enough: a chip that shares ground with one of a stricter side is dropped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import shapely

from models.errors import InputError
from transforms.polygons import polygons_of, read_vector
from transforms.squares import Squares, components, gap_m, sharing_ground

SIDES = ("train", "check", "calibrate", "held_out")  # each gives way to those that follow
DEALT = SIDES[:3]
NOWHERE = ""
SPLIT_FIELD = "split"
FEWEST_GROUPS = 6

Grouping = Literal["blocks", "components"]
TOO_FEW: dict[Grouping, tuple[str, str]] = {
    "blocks": ("training.block_m: the labels lie in {} blocks", "choose smaller blocks or more places"),
    "components": ("training.split: components: the chips make up {} pieces of ground", "choose blocks or more places"),
}


@dataclass(frozen=True)
class SplitSettings:
    """How labelled ground is divided.

    Attributes:
        grouping: What is never split: square blocks, or pieces of ground that chips which overlap make up.
        checked: Share of the cells that are held out to stop early.
        calibrated: Share of the cells that are held out to calibrate.
        seed: Of what falls where.
        drawn: Polygons with a field ``split`` (train, check, calibrate, held_out), the user's own division. Where it
            names nothing to check or to calibrate with, that is taken from the cells to train on.
    """

    grouping: Grouping
    checked: float
    calibrated: float
    seed: int
    drawn: Path | None = None


@dataclass(frozen=True)
class SideCount:
    """One side of a split: cells that stayed, and those that were dropped since a stricter side sees their ground."""

    name: str
    kept: int
    dropped: int


@dataclass(frozen=True)
class SplitReport:
    """What became of the labelled cells; a cell that is pictured on several dates counts once for each.

    Attributes:
        sides: In the order of ``SIDES``.
        outside: Cells that no polygon of the user's holds.
        gap_m: Smallest distance between edges of chips of different sides, never negative; infinite where they lie
            more than a zone apart.
    """

    sides: tuple[SideCount, ...]
    outside: int
    gap_m: float

    def __str__(self) -> str:
        told = [
            f"{side.name.replace('_', ' ')} {side.kept}" + (f" ({side.dropped} dropped)" if side.dropped else "")
            for side in self.sides
            if side.kept or side.dropped
        ]
        beyond = f"; {self.outside} in no polygon" if self.outside else ""
        return f"cells: {', '.join(told)}{beyond}; chips of different sides are {self.apart} apart"

    @property
    def apart(self) -> str:
        """The gap in words."""
        return f"{self.gap_m:.0f} m or more" if np.isfinite(self.gap_m) else "zones"

    def details(self) -> dict[str, float | None]:
        """Plain data for a reporter: cells kept and dropped by side, and the gap, None where it is infinite."""
        kept: dict[str, float | None] = {side.name: side.kept for side in self.sides}
        dropped = {f"{side.name}_dropped": side.dropped for side in self.sides}
        return kept | dropped | {"outside": self.outside, "gap_m": self.gap_m if np.isfinite(self.gap_m) else None}

    def lines(self) -> list[str]:
        """Markdown."""
        return [
            "| side | cells | dropped, since a stricter side sees their ground |",
            "|---|---|---|",
            *(f"| {side.name.replace('_', ' ')} | {side.kept} | {side.dropped} |" for side in self.sides),
            "",
            f"Chips of different sides are {self.apart} apart: none that was trained on touches one that judges."
            + (f" {self.outside} cells lie in no polygon of the split." if self.outside else ""),
        ]


@dataclass(frozen=True)
class Split:
    """The division of labelled cells.

    Attributes:
        sides: str [cell], of ``SIDES``, or ``NOWHERE`` for a cell that is not used.
        report: What became of them.
    """

    sides: np.ndarray
    report: SplitReport


def divided(
    squares: Squares, blocks: np.ndarray, lonlat: np.ndarray, settings: SplitSettings, held_out: Sequence[Squares] = ()
) -> Split:
    """Divide labelled cells, so that no chip shares ground with one of another side.

    Args:
        squares: The chips' ground.
        blocks: int [cell], the block each lies in.
        lonlat: float64 [cell, 2], degrees, of the cells' middles.
        settings: How.
        held_out: Chips of places that are only judged on; they are never dropped.

    Raises:
        InputError: If there are too few blocks or pieces, a side is left without a cell, or the file of polygons is
            unusable.
    """
    wanted = np.full(len(squares), "train", dtype="U9") if settings.drawn is None else drawn(settings.drawn, lonlat)
    shares = {"check": settings.checked, "calibrate": settings.calibrated}
    lacking = {side: share for side, share in shares.items() if not (wanted == side).any()}
    if lacking:
        train = np.flatnonzero(wanted == "train")
        groups = blocks[train] if settings.grouping == "blocks" else components(squares.take(train))
        wanted[train] = dealt(groups, lacking, settings)
    elsewhere = Squares.joined([squares, *held_out])
    wanted = np.concatenate([wanted, np.full(len(elsewhere) - len(squares), "held_out")])
    sides = guarded(wanted, elsewhere)
    for side in DEALT:
        if not (sides == side).any():
            raise InputError(
                f"training.{'split_file' if settings.drawn else 'block_m'}: no cell is left to {side}: chips of "
                f"{squares.side_m:g} m share ground with those of other sides; divide the ground into larger parts"
            )
    report = SplitReport(counted(wanted, sides), int((wanted == NOWHERE).sum()), smallest_gap(sides, elsewhere))
    return Split(sides[: len(squares)], report)


def dealt(groups: np.ndarray, shares: dict[str, float], settings: SplitSettings) -> np.ndarray:
    """Whole groups int [cell] dealt to ``train`` and to sides with shares: str [cell].

    From the largest group to the smallest, each goes to the side that lacks most of its share; chance decides between
    groups of equal size.
    """
    numbers, sizes = np.unique(groups, return_counts=True)
    if len(numbers) < FEWEST_GROUPS:
        found, remedy = TOO_FEW[settings.grouping]
        needed = f"at least {FEWEST_GROUPS} are needed to train, check and calibrate apart"
        raise InputError(f"{found.format(len(numbers))}, {needed}; {remedy}")
    order = np.random.default_rng(settings.seed).permutation(len(numbers))
    order = order[np.argsort(-sizes[order], kind="stable")]
    lacking = {"train": 1 - sum(shares.values())} | shares
    lacking = {side: share * len(groups) for side, share in lacking.items()}
    sides = np.empty(len(numbers), dtype="U9")
    for number in order:
        side = max(lacking, key=lambda name: lacking[name])
        sides[number] = side
        lacking[side] -= sizes[number]
    return sides[np.searchsorted(numbers, groups)]


def drawn(file: Path, lonlat: np.ndarray) -> np.ndarray:
    """The side str [cell] of the polygon that holds a cell's middle [cell, 2], degrees; ``NOWHERE`` where none does.

    Where polygons overlap, the strictest side has the ground.

    Raises:
        InputError: If the file is no polygons, lacks the field ``split``, or its values are no sides.
    """
    table = polygons_of(read_vector(file, "polygons"), file)
    if SPLIT_FIELD not in table:
        raise InputError(f"{file}: has no field {SPLIT_FIELD}; it says of each polygon one of {', '.join(SIDES)}")
    wrong = sorted({str(value) for value in table[SPLIT_FIELD] if value not in SIDES})
    if wrong:
        raise InputError(f"{file}: {SPLIT_FIELD} is {', '.join(wrong)}; allowed are {', '.join(SIDES)}")
    sides = np.full(len(lonlat), NOWHERE, dtype="U9")
    middles = shapely.points(lonlat)
    for side in SIDES:
        ground = shapely.union_all(table.geometry[table[SPLIT_FIELD] == side].to_numpy())
        shapely.prepare(ground)
        sides[shapely.intersects(ground, middles)] = side
    if not (sides == "train").any():
        raise InputError(f"{file}: no labelled cell lies in a polygon whose {SPLIT_FIELD} is train")
    return sides


def counted(wanted: np.ndarray, sides: np.ndarray) -> tuple[SideCount, ...]:
    """What was wanted, str [cell], beside what it came to."""
    return tuple(
        SideCount(side, int((sides == side).sum()), int(((wanted == side) & (sides != side)).sum())) for side in SIDES
    )


def guarded(sides: np.ndarray, squares: Squares) -> np.ndarray:
    """The same sides str [cell], ``NOWHERE`` for chips that share ground with one of a later side of ``SIDES``."""
    sides = sides.copy()
    for number in reversed(range(len(SIDES) - 1)):
        here, stricter = np.flatnonzero(sides == SIDES[number]), np.isin(sides, SIDES[number + 1 :])
        pairs = sharing_ground(squares.take(here), squares.take(stricter))
        sides[here[np.unique(pairs[:, 0])]] = NOWHERE
    return sides


def smallest_gap(sides: np.ndarray, squares: Squares) -> float:
    """Smallest distance between edges of chips of different sides, metres; see ``transforms.squares.gap_m``."""
    gaps = [np.inf]
    for number, side in enumerate(SIDES[:-1]):
        one, other = squares.take(sides == side), squares.take(np.isin(sides, SIDES[number + 1 :]))
        gaps.append(gap_m(one, other))
    return min(gaps)
