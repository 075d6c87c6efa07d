"""Who is trained on and who judges: sides of a split that share no ground, and the proof of it.

A chip reaches beyond its cell, so that cells of neighbouring blocks see the same ground. Whole blocks are therefore not
enough: a chip that shares ground with one of a stricter side is dropped. What the encoder learnt from before counts as
trained on: such ground may be fitted again, but never checks, calibrates or judges.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely

from stook.models.errors import InputError
from stook.models.seen import SeenGround
from stook.transforms.choices import Grouping
from stook.transforms.ground.polygons import polygons_of, read_vector
from stook.transforms.ground.squares import Squares, components, gap_m, sharing_ground
from stook.transforms.labelled.seen_ground import on_seen_ground

SIDES = ("train", "check", "calibrate", "held_out")  # each gives way to those that follow
DEALT = SIDES[:3]
NOWHERE = ""
SPLIT_FIELD = "split"
FEWEST_GROUPS = 6

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
        seen: Cells dropped from checking and calibrating since the encoder was trained with their ground before.
    """

    sides: tuple[SideCount, ...]
    outside: int
    gap_m: float
    seen: int = 0

    def __str__(self) -> str:
        told = [
            f"{side.name.replace('_', ' ')} {side.kept}" + (f" ({side.dropped} dropped)" if side.dropped else "")
            for side in self.sides
            if side.kept or side.dropped
        ]
        beyond = f"; {self.outside} in no polygon" if self.outside else ""
        beyond += f"; {self.seen} of those dropped were seen by the encoder before" if self.seen else ""
        return f"cells: {', '.join(told)}{beyond}; chips of different sides are {self.apart} apart"

    @property
    def apart(self) -> str:
        """The gap in words."""
        return f"{self.gap_m:.0f} m or more" if np.isfinite(self.gap_m) else "zones"

    def details(self) -> dict[str, float | None]:
        """Plain data for a reporter: cells kept and dropped by side, and the gap, None where it is infinite."""
        kept: dict[str, float | None] = {side.name: side.kept for side in self.sides}
        dropped = {f"{side.name}_dropped": side.dropped for side in self.sides}
        gap = self.gap_m if np.isfinite(self.gap_m) else None
        return kept | dropped | {"outside": self.outside, "seen": self.seen, "gap_m": gap}

    def lines(self) -> list[str]:
        """Markdown."""
        return [
            "| side | cells | dropped, since a stricter side, or the encoder before, saw their ground |",
            "|---|---|---|",
            *(f"| {side.name.replace('_', ' ')} | {side.kept} | {side.dropped} |" for side in self.sides),
            "",
            f"Chips of different sides are {self.apart} apart: none that was trained on touches one that judges."
            + (f" {self.outside} cells lie in no polygon of the split." if self.outside else "")
            + (f" {self.seen} cells were dropped since the encoder had seen their ground before." if self.seen else ""),
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
    squares: Squares,
    blocks: np.ndarray,
    lonlat: np.ndarray,
    settings: SplitSettings,
    held_out: Sequence[Squares] = (),
    seen: SeenGround | None = None,
) -> Split:
    """Divide labelled cells, so that no chip shares ground with one of another side.

    Args:
        squares: The chips' ground.
        blocks: int [cell], the block each lies in.
        lonlat: float64 [cell, 2], degrees, of the cells' middles.
        settings: How.
        held_out: Chips of places that are only judged on; they are never dropped.
        seen: Ground that the encoder was trained with before; blocks that mostly lie on it are trained on, and
            elsewhere its cells are dropped from checking and calibrating.

    Raises:
        InputError: If there are too few blocks or pieces, a side is left without a cell, the file of polygons is
            unusable, or holds out ground that was seen.
    """
    again = on_seen_ground(squares, seen)
    wanted = np.full(len(squares), "train", dtype="U9") if settings.drawn is None else drawn(settings.drawn, lonlat)
    shares = {"check": settings.checked, "calibrate": settings.calibrated}
    lacking = {side: share for side, share in shares.items() if not (wanted == side).any()}
    if lacking:
        train = np.flatnonzero(wanted == "train")
        groups = blocks[train] if settings.grouping == "blocks" else components(squares.take(train))
        wanted[train] = dealt(groups, lacking, settings, again[train])
    require_unseen(int((again & (wanted == "held_out")).sum()), f"training.split_file: {settings.drawn}")
    elsewhere = Squares.joined([squares, *held_out])
    beyond = len(elsewhere) - len(squares)
    wanted = np.concatenate([wanted, np.full(beyond, "held_out")])
    barred = np.pad(again, (0, beyond)) & np.isin(wanted, DEALT[1:])
    sides = guarded(np.where(barred, NOWHERE, wanted), elsewhere)
    for side in DEALT:
        if not (sides == side).any():
            if again.any():
                raise InputError(
                    f"training.encoder.bundle: no cell is left to {side}: {again.sum()} of {len(again)} cells lie on "
                    "ground that the bundle was trained with; label places that it has not seen"
                )
            raise InputError(
                f"training.{'split_file' if settings.drawn else 'block_m'}: no cell is left to {side}: chips of "
                f"{squares.side_m:g} m share ground with those of other sides; divide the ground into larger parts"
            )
    outside = int((wanted == NOWHERE).sum())
    report = SplitReport(counted(wanted, sides), outside, smallest_gap(sides, elsewhere), int(barred.sum()))
    return Split(sides[: len(squares)], report)


def require_unseen(count: int, what: str) -> None:
    """Raise InputError if cells, so many, are held out although the encoder was trained with their ground before."""
    if count:
        raise InputError(
            f"{what}: {count} labels lie on ground that the encoder's bundle was trained with; held-out places must "
            "lie elsewhere"
        )


def dealt(
    groups: np.ndarray, shares: dict[str, float], settings: SplitSettings, seen: np.ndarray | None = None
) -> np.ndarray:
    """Whole groups int [cell] dealt to ``train`` and to sides with shares: str [cell].

    Groups most of whose cells were ``seen``, bool [cell], by the encoder before go to ``train``. Then, from the largest
    group to the smallest, each goes to the side that lacks most of its share; chance decides between groups of equal
    size.
    """
    numbers, position, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if len(numbers) < FEWEST_GROUPS:
        found, remedy = TOO_FEW[settings.grouping]
        needed = f"at least {FEWEST_GROUPS} are needed to train, check and calibrate apart"
        raise InputError(f"{found.format(len(numbers))}, {needed}; {remedy}")
    order = np.random.default_rng(settings.seed).permutation(len(numbers))
    order = order[np.argsort(-sizes[order], kind="stable")]
    again = np.bincount(position, seen, len(numbers)) > sizes / 2 if seen is not None else np.zeros(len(numbers), bool)
    order = np.concatenate([order[again[order]], order[~again[order]]])
    lacking = {"train": 1 - sum(shares.values())} | shares
    lacking = {side: share * len(groups) for side, share in lacking.items()}
    sides = np.empty(len(numbers), dtype="U9")
    for number in order:
        side = "train" if again[number] else max(lacking, key=lambda name: lacking[name])
        sides[number] = side
        lacking[side] -= sizes[number]
    return sides[position]


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
    """Smallest distance between edges of chips of different sides, metres; see ``gap_m``."""
    gaps = [np.inf]
    for number, side in enumerate(SIDES[:-1]):
        one, other = squares.take(sides == side), squares.take(np.isin(sides, SIDES[number + 1 :]))
        gaps.append(gap_m(one, other))
    return min(gaps)
