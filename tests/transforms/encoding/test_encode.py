"""Cells that are wanted get the vector of the chips around them, the same whatever the tile and the batch."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stook.models.encoder import Chips, Encoder
from stook.models.errors import TileError
from stook.models.inference import Embedder, first_batch
from stook.models.presto import Presto, PrestoSize
from stook.models.specification import Band, InputSpecification, OutputSpecification
from stook.transforms.encoding.chips import ChipLayout
from stook.transforms.encoding.cutting import TileSeason
from stook.transforms.encoding.encode import Features, encode
from stook.transforms.ground.cells import strips
from stook.transforms.ground.geodesy import latlon_at
from stook.transforms.ground.grid import Grid, Tile
from stook.transforms.imagery.composite import Composite
from stook.transforms.imagery.season import Window

ZONE_PX = 4_000  # the ground that the tests look at, from pixel (50000, 499960) eastwards and southwards
WEST_PX, NORTH_PX = 50_000, 500_000
PERIODS = Window(5, 0, 2).periods(2023)
BANDS = ("red", "nir")


@dataclass(frozen=True)
class MeanSize:
    """Of ``PatchMeans``."""

    chip_px: int
    patch_px: int
    masks: bool = False


class PatchMeans(Encoder):
    """Answers with the mean of each band over a patch, plus that over the whole chip: simple, and knows its context."""

    family = "patch-means"
    size_type = MeanSize

    def __init__(self, size: MeanSize):
        super().__init__(size)
        self.unused = nn.Parameter(torch.zeros(1))

    @classmethod
    def interface(cls, size: MeanSize) -> tuple[InputSpecification, OutputSpecification]:
        bands = tuple(Band(name, "sentinel2", 0.0, 1.0) for name in BANDS)
        specification = InputSpecification(bands, 10, size.chip_px, "month", 2, "nearest", size.masks)
        return specification, OutputSpecification(2, size.patch_px)

    @property
    def values_per_chip(self) -> int:
        return 2 * self.size.chip_px**2

    def _encode(self, x: Tensor, months: Tensor, years: Tensor, latlon: Tensor) -> Tensor:
        means = x.mean(dim=1)
        patches = nn.functional.avg_pool2d(means, self.size.patch_px)
        return patches + means.mean(dim=(2, 3), keepdim=True)

    @classmethod
    def own_keys(cls, published: Mapping[str, Tensor]) -> dict[str, str]:
        return {key: key for key in published}


def ground(seed: int = 0, side: int = 120, missing: float = 0.0) -> np.ndarray:
    """Values [period, band, y, x] of a piece of the zone."""
    random = np.random.default_rng(seed)
    values = random.uniform(0.02, 0.5, (2, 2, side, side)).astype(np.float32)
    values[random.random(values.shape) < missing] = np.nan
    return values


def season_of(values: np.ndarray, grid: Grid, tile: Tile, halo_px: int) -> TileSeason:
    """The composite of a tile cut out of ``values``, whose first pixel is 40 px north-west of the tests' corner."""
    left = tile.ix * grid.tile_px - WEST_PX + 40 - halo_px
    top = NORTH_PX - (tile.iy + 1) * grid.tile_px + 40 - halo_px
    side = grid.tile_px + 2 * halo_px
    part = values[:, :, top : top + side, left : left + side]
    assert part.shape[2:] == (side, side)
    counts, seen = np.full((side, side), 9, np.uint8), np.ones((side, side), bool)
    return TileSeason(grid, tile, Composite(part, BANDS, PERIODS, counts, seen), halo_px)


def mapped(
    values: np.ndarray, encoder: Encoder, layout: ChipLayout, tile_px: int, spare_halo_px: int = 0, batch: int = 7
) -> np.ndarray:
    """Vectors [cell row, cell column, width] of 40 x 40 pixels, tile by tile; NaN where there is none."""
    grid = Grid(tile_px=tile_px)
    cells, side = tile_px // layout.cell_px, 40 // layout.cell_px
    result = np.full((side, side, encoder.output.width), np.nan, np.float32)
    for row in range(40 // tile_px):
        for column in range(40 // tile_px):
            tile = Tile.parse(f"32637_{WEST_PX // tile_px + column}_{NORTH_PX // tile_px - 1 - row}")
            season = season_of(values, grid, tile, layout.halo_px + spare_halo_px)
            wanted = np.ones((cells, cells), bool)
            for part in encode(Embedder(encoder, batch=batch), layout, season, wanted):
                result[row * cells + part.rows, column * cells + part.columns] = part.vectors
    return result


PIXELS = ChipLayout(1, 1, 1)
CENTRED = ChipLayout(12, 12, 4)
BLENDED = ChipLayout(12, 2, 4)
WHOLE_CHIPS = ChipLayout(8, 2, 8)


@pytest.mark.parametrize("layout", [PIXELS, CENTRED, BLENDED, WHOLE_CHIPS])
@pytest.mark.parametrize("missing", [0.0, 0.001])
def test_the_vectors_are_the_same_whatever_the_size_of_the_tiles(layout: ChipLayout, missing: float) -> None:
    values, encoder = ground(missing=missing), PatchMeans(MeanSize(layout.chip_px, layout.patch_px)).eval()
    whole = mapped(values, encoder, layout, 40)
    assert np.isnan(whole).any() == (missing > 0)
    for tile_px in (8, 20):
        assert np.allclose(mapped(values, encoder, layout, tile_px, spare_halo_px=3), whole, atol=1e-6, equal_nan=True)


def test_a_cell_is_described_by_the_chip_around_it() -> None:
    values, encoder = ground(), PatchMeans(MeanSize(12, 12)).eval()
    found = mapped(values, encoder, CENTRED, 20)[3, 5]
    chip = values[:, :, 40 + 12 - 4 : 40 + 12 + 8, 40 + 20 - 4 : 40 + 20 + 8]
    assert np.allclose(found, 2 * chip.mean(axis=(0, 2, 3)), atol=1e-6)


def test_where_chips_overlap_the_one_that_sees_a_patch_in_its_middle_counts_most() -> None:
    values, encoder = ground(), PatchMeans(MeanSize(12, 2)).eval()
    found = mapped(values, encoder, BLENDED, 40)[7, 9]  # pixels 14, 15 and 18, 19
    patch = values[:, :, 40 + 14 : 40 + 16, 40 + 18 : 40 + 20].mean(axis=(0, 2, 3))
    total, weights = np.zeros(2), 0.0
    # Northing and easting of the corner are multiples of the stride, so chips start at multiples of 4 from it.
    for top in range(-40, 41, 4):
        for left in range(-40, 41, 4):
            if top <= 14 < top + 12 and left <= 18 < left + 12:
                weight = BLENDED.blending()[(14 - top) // 2] * BLENDED.blending()[(18 - left) // 2]
                chip = values[:, :, 40 + top : 52 + top, 40 + left : 52 + left].mean(axis=(0, 2, 3))
                total, weights = total + weight * (patch + chip), weights + weight
    assert np.allclose(found, total / weights, atol=1e-6)


def test_chips_with_a_gap_are_left_out_and_others_stand_in_for_them() -> None:
    values = ground()
    values[1, 0, 40 + 17, 40 + 17] = np.nan
    blended = mapped(values, PatchMeans(MeanSize(12, 2)).eval(), BLENDED, 40)
    assert np.isnan(blended[8, 8]).all()
    assert np.isfinite(blended[4, 4]).all()  # pixel 8 is also covered by chips that end before pixel 17
    centred = mapped(values, PatchMeans(MeanSize(12, 12)).eval(), CENTRED, 40)
    assert np.isnan(centred[3:6, 3:6]).all()
    assert np.isfinite(centred).sum() == 2 * (100 - 9)


def test_only_wanted_cells_get_a_vector_and_strips_come_in_order() -> None:
    grid, tile = Grid(tile_px=40), Tile.parse(f"32637_{WEST_PX // 40}_{NORTH_PX // 40 - 1}")
    wanted = np.zeros((20, 20), bool)
    wanted[3:9, 4:15] = True
    encoder = PatchMeans(MeanSize(12, 2)).eval()
    parts = list(encode(Embedder(encoder), BLENDED, season_of(ground(), grid, tile, BLENDED.halo_px), wanted))
    assert len(parts) == len(list(strips(20, 2)))
    rows, columns = (np.concatenate([getattr(part, axis) for part in parts]) for axis in ("rows", "columns"))
    seen = np.zeros_like(wanted)
    seen[rows, columns] = True
    assert (seen == wanted).all() and (np.diff(rows) >= 0).all()


def presto_season(values: np.ndarray) -> tuple[Embedder, ChipLayout, TileSeason]:
    torch.manual_seed(0)
    presto = Presto(PrestoSize(16, 1, 2, 2.0)).eval()
    grid, tile = Grid(tile_px=20), Tile.parse("32737_2500_49999")
    counts, everywhere = np.full((20, 20), 9, np.uint8), np.ones((20, 20), bool)
    bands, periods = presto.specification.band_names, Window(1, 0, 12).periods(2023)
    season = TileSeason(grid, tile, Composite(values, bands, periods, counts, everywhere))
    return Embedder(presto), ChipLayout.of(presto.specification, presto.output, None), season


def presto_values() -> np.ndarray:
    random = np.random.default_rng(0)
    values = random.uniform(0.02, 0.4, (12, 12, 20, 20)).astype(np.float32)
    values[random.random(values.shape) < 0.3] = np.nan
    return values


def all_vectors(parts: list[Features]) -> Tensor:
    return torch.cat([part.vectors for part in parts])


def test_the_size_of_a_batch_changes_nothing_but_a_last_bit() -> None:
    embedder, layout, season = presto_season(presto_values())
    everything = np.ones((20, 20), bool)
    small, large = (
        all_vectors(list(encode(Embedder(embedder.encoder, batch=batch), layout, season, everything)))
        for batch in (7, 400)
    )
    assert torch.allclose(small, large, atol=1e-5)


def test_bands_that_the_head_never_saw_are_hidden() -> None:
    values = presto_values()
    embedder, layout, season = presto_season(values)
    everything, hidden = np.ones((20, 20), bool), frozenset({"nir08", "vv"})
    without = all_vectors(list(encode(embedder, layout, season, everything, hidden)))
    values[:, [season.composite.bands.index(band) for band in hidden]] = np.nan
    assert torch.equal(without, all_vectors(list(encode(embedder, layout, season, everything))))


def test_a_pixel_of_which_nothing_is_known_gets_no_vector_from_an_encoder_that_takes_gaps() -> None:
    values = presto_values()
    values[:, :, :3] = np.nan
    embedder, layout, season = presto_season(values)
    side = season.grid.tile_px
    parts = list(encode(embedder, layout, season, np.ones((side, side), bool)))
    rows = np.concatenate([part.rows for part in parts])
    assert rows.min() == 3 and len(rows) == side * (side - 3)


def test_an_infinite_value_fails_the_tile_and_is_not_zero_percent() -> None:
    values = presto_values()
    values[5, 3, 10, 10] = np.inf
    with pytest.raises(TileError, match="infinite"):
        list(encode(*presto_season(values), np.ones((20, 20), bool)))


def test_an_answer_that_is_no_number_fails_the_tile() -> None:
    embedder, layout, season = presto_season(np.full((12, 12, 20, 20), 0.2, np.float32))
    torch.nn.init.constant_(embedder.encoder.norm.bias, torch.nan)
    with pytest.raises(TileError, match="no number for"):
        list(encode(embedder, layout, season, np.ones((20, 20), bool)))


def test_a_pixel_is_shown_at_its_own_latitude_and_longitude() -> None:
    geobox = Grid(tile_px=20).geobox(Tile.parse("32737_2500_49999"))  # 37 south, its upper edge is the equator
    latlon = latlon_at(geobox, np.array([0.5, 19.5]), np.array([0.5, 19.5]))
    assert -1e-4 < latlon[0, 0] < 0  # half a pixel south of the equator
    assert latlon[1, 0] < latlon[0, 0] and latlon[1, 1] > latlon[0, 1]
    assert latlon[0, 1] == pytest.approx(39.0, abs=1e-3)  # easting 500,005 lies on the central meridian


class Greedy(PatchMeans):
    """Needs more memory than there is for more than three chips at once."""

    def embed(self, chips: Chips) -> Tensor:
        if len(chips) > 3:
            raise torch.OutOfMemoryError("simulated")
        return super().embed(chips)


def test_a_batch_that_does_not_fit_is_halved_for_good_and_loses_nothing() -> None:
    values = ground()
    greedy, plain = Greedy(MeanSize(12, 2)).eval(), PatchMeans(MeanSize(12, 2)).eval()
    embedder = Embedder(greedy, batch=16)
    chips = Chips(np.ascontiguousarray(np.stack([values[:, :, i : i + 12, i : i + 12] for i in range(20)])),
                  np.array([5, 6]), np.array([2023, 2023]), np.zeros((20, 2)))  # fmt: skip
    vectors = embedder(lambda part: chips[part], 20)
    assert embedder.batch == 2
    assert torch.allclose(vectors, plain.embed(chips))


class Hopeless(PatchMeans):
    """Fits nowhere."""

    def embed(self, chips: Chips) -> Tensor:
        raise torch.OutOfMemoryError("simulated")


def test_an_encoder_that_fits_nowhere_fails_the_tile() -> None:
    chips = Chips(ground()[None, :, :, :12, :12], np.array([5, 6]), np.array([2023, 2023]), np.zeros((1, 2)))
    with pytest.raises(TileError, match="no memory for a single chip"):
        Embedder(Hopeless(MeanSize(12, 2)).eval(), batch=8)(lambda part: chips[part], 1)


def test_the_first_batch_is_a_power_of_two_that_larger_chips_make_smaller() -> None:
    device = torch.device("cpu")
    small, large = (first_batch(PatchMeans(MeanSize(side, side)), device) for side in (16, 224))
    assert small > large >= 1
    assert small & (small - 1) == large & (large - 1) == 0
