"""Cut the chips of an encoder out of the composite of a tile."""

from dataclasses import dataclass
from functools import cached_property

import bottleneck
import numpy as np

from stook.models.encoder import Chips
from stook.models.errors import TileError
from stook.models.specification import InputSpecification
from stook.transforms.encoding.chips import ChipLayout, TileChips
from stook.transforms.ground.cells import cells_all, cells_fewest
from stook.transforms.ground.geodesy import latlon_at
from stook.transforms.ground.grid import Grid, Tile
from stook.transforms.imagery.composite import Composite
from stook.transforms.values import NODATA


@dataclass(frozen=True)
class TileSeason:
    """A composite with the tile that it is of.

    Attributes:
        grid: Of the tile.
        tile: The tile.
        composite: On the tile with ``halo_px`` more on each side.
        halo_px: Width of the halo.
    """

    grid: Grid
    tile: Tile
    composite: Composite
    halo_px: int = 0

    def inner(self, pixels: np.ndarray) -> np.ndarray:
        """An array [y, x] of the composite without its halo."""
        side = self.grid.tile_px
        return pixels[self.halo_px : self.halo_px + side, self.halo_px : self.halo_px + side]

    def clear_in_cells(self, cell_px: int) -> np.ndarray:
        """Clear observations of each cell of the tile, uint8 [cell row, cell column].

        A cell has as many as the pixel with the fewest, and 255 unless all its pixels have imagery.
        """
        clear = cells_fewest(self.inner(self.composite.clear_observations), cell_px)
        seen = cells_all(self.inner(self.composite.observed), cell_px)
        return np.where(seen, clear, NODATA).astype(np.uint8)


class Cutter:
    """The chips of one encoder over one tile.

    Args:
        season: The composite, with a halo at least as wide as the layout's.
        layout: How the chips lie.
        specification: The bands to cut, and in which order.
        absent: Bands to leave out although the composite may have them.
    """

    def __init__(
        self, season: TileSeason, layout: ChipLayout, specification: InputSpecification, absent: frozenset[str]
    ):
        composite, averaged = season.composite, specification.period == "month-mean"
        self.chips = TileChips.of(layout, season.grid, season.tile)
        self.side = layout.chip_px
        self.values = mean_of(composite.values) if averaged else composite.values
        self.bands = np.array([composite.bands.index(name) for name in specification.band_names])
        self.hidden = np.array([name in absent for name in specification.band_names])
        self.margin = season.halo_px - layout.halo_px  # the composite may have been read for a wider encoder too
        self.geobox = season.grid.geobox(season.tile, season.halo_px)
        periods = composite.periods[:1] if averaged else composite.periods
        self.months = np.array([period.first.month for period in periods])
        self.years = np.array([period.first.year for period in periods])

    def cut(self, tops: np.ndarray, lefts: np.ndarray) -> Chips:
        """The chips that start at the given rows and columns of the tile with the layout's halo.

        Raises:
            TileError: If a value is infinite.
        """
        rows, columns = tops + self.margin, lefts + self.margin
        if self.side == 1:
            values = self.values[:, :, rows, columns][..., None, None]
        else:
            pixels = np.arange(self.side)
            values = self.values[:, :, (rows[:, None] + pixels)[:, :, None], (columns[:, None] + pixels)[:, None, :]]
        values = np.moveaxis(values, 2, 0)
        if self.hidden.any() or not np.array_equal(self.bands, np.arange(values.shape[2])):
            values = values[:, :, self.bands]
            values[:, :, self.hidden] = np.nan
        if np.isinf(values).any():
            raise TileError("the composite has infinite values")
        latlon = latlon_at(self.geobox, rows + self.side / 2, columns + self.side / 2)
        return Chips(np.ascontiguousarray(values), self.months, self.years, latlon)

    def whole(self, tops: np.ndarray, lefts: np.ndarray) -> np.ndarray:
        """Whether nothing is missing in a chip: bool [chip]; arguments as of ``cut``."""
        top, left = tops + self.margin, lefts + self.margin
        bottom, right, gaps = top + self.side, left + self.side, self._gaps_north_west
        return gaps[bottom, right] - gaps[top, right] - gaps[bottom, left] + gaps[top, left] == 0

    @cached_property
    def known(self) -> np.ndarray:
        """Pixels of the composite that have a value of any band in any period, bool [y, x]."""
        known = np.zeros(self.values.shape[2:], bool)
        for period in self.values:
            for band in self.bands[~self.hidden]:
                known |= ~np.isnan(period[band])
                if known.all():
                    return known
        return known

    @cached_property
    def _gaps_north_west(self) -> np.ndarray:
        """Pixels north-west of each corner of the composite in which something is missing, int32 [y + 1, x + 1]."""
        missing = np.full(self.values.shape[2:], self.hidden.any())
        for period in self.values:
            for band in self.bands[~self.hidden]:
                missing |= np.isnan(period[band])
        return np.pad(missing.cumsum(axis=0, dtype=np.int32).cumsum(axis=1, dtype=np.int32), ((1, 0), (1, 0)))


def mean_of(values: np.ndarray) -> np.ndarray:
    """The mean over the periods that have a value, NaN where none has: [period, band, y, x] -> [1, band, y, x]."""
    mean = np.empty((1, *values.shape[1:]), np.float32)
    for band in range(values.shape[1]):
        mean[0, band] = bottleneck.nanmean(values[:, band], axis=0)
    return mean
