"""Where the chips of an encoder lie, and which cells of the map their feature vectors are of.

Chips are counted from the zone's origin, never from a tile, so that the map is the same whatever the tile size.
"""

from dataclasses import dataclass

import numpy as np

from stook.models.errors import InputError
from stook.models.specification import InputSpecification, OutputSpecification
from stook.transforms.ground.grid import Grid, Tile


@dataclass(frozen=True)
class ChipLayout:
    """How chips lie on the ground of a zone.

    There are two kinds. An encoder with one vector per chip describes the *cell* in the chip's middle, and the next
    chip is a cell further; for an encoder of single pixels chip and cell are one pixel. An encoder with a grid of
    vectors describes the patches of its chips; chips overlap, and where several describe a patch they are blended.

    Attributes:
        chip_px: Side of a chip.
        patch_px: Side of what one vector describes: ``chip_px`` for one vector per chip, else a divisor of it.
        stride_px: From one chip to the next, along both axes.

    Raises:
        InputError: If chips of this stride would leave gaps, or would not lie on whole pixels or patches.
    """

    chip_px: int
    patch_px: int
    stride_px: int

    def __post_init__(self) -> None:
        if not 1 <= self.stride_px <= self.chip_px:
            raise InputError(f"stride_px: {self.stride_px}; allowed are 1 to {self.chip_px}, the side of a chip")
        if self.blended and self.stride_px % self.patch_px:
            raise InputError(
                f"stride_px: {self.stride_px}; allowed are multiples of {self.patch_px}, the side of a patch"
            )
        if not self.blended and (self.chip_px - self.stride_px) % 2:
            raise InputError(
                f"stride_px: {self.stride_px}; a cell has its chip of {self.chip_px} pixels evenly around it, so both "
                "must be even or both odd"
            )

    @classmethod
    def of(cls, specification: InputSpecification, output: OutputSpecification, stride_px: int | None) -> "ChipLayout":
        """The layout for an encoder; without a stride, chips that overlap by half, or cells as large as the chip."""
        chip, patch = specification.chip_px, output.patch_px
        if stride_px is None:
            stride_px = chip if patch == chip else max(1, chip // (2 * patch)) * patch
        return cls(chip, patch, stride_px)

    @property
    def blended(self) -> bool:
        """Whether a chip has several vectors, so that chips overlap and are blended."""
        return self.patch_px < self.chip_px

    @property
    def cell_px(self) -> int:
        """Side of a cell of the map, in pixels."""
        return self.patch_px if self.blended else self.stride_px

    @property
    def halo_px(self) -> int:
        """How far chips reach beyond a tile at most; what is read around it."""
        return self.chip_px - self.patch_px if self.blended else (self.chip_px - self.stride_px) // 2

    def require_fit(self, grid: Grid) -> None:
        """Raise InputError unless tiles are whole numbers of cells."""
        if grid.tile_px % self.cell_px:
            raise InputError(
                f"grid.tile_px: {grid.tile_px}; the encoder's cells are {self.cell_px} pixels wide and must divide it"
            )

    def starts(self, first_px: int, count_px: int) -> np.ndarray:
        """First pixels of the chips that describe something of a span of pixels, along one axis.

        Args:
            first_px: First pixel of the span, counted from the zone's origin.
            count_px: Pixels in the span.

        Returns:
            int [chip], counted from the zone's origin, increasing.
        """
        if self.blended:
            lowest = -((self.chip_px - 1 - first_px) // self.stride_px)
            return self.stride_px * np.arange(lowest, -(-(first_px + count_px) // self.stride_px))
        return first_px + np.arange(0, count_px, self.stride_px) - self.halo_px

    def blending(self) -> np.ndarray:
        """Weight of the patches of a chip along one axis, float64 [patch]: greatest in the middle, never 0."""
        patches = self.chip_px // self.patch_px
        return np.sin(np.pi * (np.arange(patches) + 0.5) / patches) ** 2


@dataclass(frozen=True)
class TileChips:
    """The chips of one tile, in pixels of the tile with its halo, north up.

    Attributes:
        rows: int [chip row], first row of each row of chips, north to south.
        columns: int [chip column], first column of each column of chips, west to east.
    """

    rows: np.ndarray
    columns: np.ndarray

    @classmethod
    def of(cls, layout: ChipLayout, grid: Grid, tile: Tile) -> "TileChips":
        """The chips that describe something of a tile."""
        side, halo = grid.tile_px, layout.halo_px
        columns = layout.starts(tile.ix * side, side) - (tile.ix * side - halo)
        # Northings count upwards from the zone's origin, rows downwards from the top of the haloed tile.
        northings = layout.starts(tile.iy * side, side)
        rows = ((tile.iy + 1) * side + halo) - (northings + layout.chip_px)
        return cls(rows[::-1], columns)

    def reaching(self, layout: ChipLayout, asked: np.ndarray, top: int) -> np.ndarray:
        """The first columns of those chips of a row of blended chips that describe something that is asked for.

        Args:
            layout: Of the chips.
            asked: bool [cell row, cell column] of the tile with its halo.
            top: First row of the row of chips.
        """
        patch, patches = layout.patch_px, layout.chip_px // layout.patch_px
        useful = np.any(asked[top // patch : top // patch + patches], axis=0)
        return self.columns[[useful[left // patch : left // patch + patches].any() for left in self.columns]]

    def count(self, layout: ChipLayout, wanted: np.ndarray) -> int:
        """How many chips describe something of the wanted cells, bool [cell row, cell column] of the tile."""
        if not layout.blended:
            return int(wanted.sum())
        asked = np.pad(wanted, layout.halo_px // layout.patch_px)
        return sum(len(self.reaching(layout, asked, int(top))) for top in self.rows)
