"""Chips lie on the zone's lattice, cover what they must, and fit the tile with its halo."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stook.models.errors import InputError
from stook.models.presto import Presto, PrestoSize
from stook.models.specification import OutputSpecification
from stook.transforms.encoding.chips import ChipLayout, TileChips
from stook.transforms.ground.grid import Grid, Tile

TILE = Tile.parse("32737_2500_49999")


@st.composite
def layouts(draw: st.DrawFn) -> ChipLayout:
    """Layouts of both kinds."""
    patch, patches = draw(st.integers(1, 4)), draw(st.integers(1, 6))
    if patches > 1:
        return ChipLayout(patch * patches, patch, patch * draw(st.integers(1, patches)))
    chip = draw(st.integers(1, 20))
    return ChipLayout(chip, chip, draw(st.integers(0, (chip - 1) // 2)) * 2 + (chip % 2 or 2))


@given(layouts(), st.integers(-5, 5), st.integers(1, 4))
def test_every_cell_of_a_span_is_described_by_a_chip_of_the_lattice(layout: ChipLayout, place: int, cells: int) -> None:
    count = cells * layout.cell_px
    first = place * count
    starts = layout.starts(first, count)
    if layout.blended:
        lattice = [x for x in range(first - 200, first + 200) if x % layout.stride_px == 0]
        assert starts.tolist() == [x for x in lattice if x + layout.chip_px > first and x < first + count]
    else:
        middles = starts + layout.chip_px / 2
        assert middles.tolist() == [first + (cell + 0.5) * layout.cell_px for cell in range(cells)]
    assert starts[0] >= first - layout.halo_px
    assert starts[-1] + layout.chip_px <= first + count + layout.halo_px


@given(layouts(), st.integers(1, 5))
def test_two_tiles_have_the_chips_of_the_tile_twice_as_large(layout: ChipLayout, cells: int) -> None:
    side = cells * layout.cell_px
    apart = set(layout.starts(0, side)) | set(layout.starts(side, side))
    assert apart == set(layout.starts(0, 2 * side))


def test_rows_of_chips_count_from_the_north_and_lie_on_the_lattice_of_northings() -> None:
    layout, grid = ChipLayout(chip_px=8, patch_px=2, stride_px=4), Grid(tile_px=20)
    chips = TileChips.of(layout, grid, TILE)
    top = (TILE.iy + 1) * grid.tile_px + layout.halo_px
    southern_edges = top - (chips.rows + layout.chip_px)
    assert (southern_edges % layout.stride_px == 0).all()
    assert (np.diff(chips.rows) > 0).all()
    assert chips.rows[0] >= 0 and chips.rows[-1] + layout.chip_px <= grid.tile_px + 2 * layout.halo_px


def test_blending_is_greatest_in_the_middle_even_and_nowhere_nothing() -> None:
    weights = ChipLayout(chip_px=96, patch_px=8, stride_px=48).blending()
    assert len(weights) == 12
    assert np.allclose(weights, weights[::-1])
    assert (weights > 0).all() and weights.argmax() in (5, 6)


@pytest.mark.parametrize(
    ("chip", "patch", "stride", "message"),
    [
        (8, 2, 0, "allowed are 1 to 8"),
        (8, 2, 16, "allowed are 1 to 8"),
        (8, 2, 3, "multiples of 2"),
        (9, 9, 4, "both must be even or both odd"),
    ],
)
def test_a_stride_that_leaves_gaps_or_half_pixels_is_refused(chip: int, patch: int, stride: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ChipLayout(chip, patch, stride)


def test_a_tile_that_is_no_whole_number_of_cells_is_refused() -> None:
    with pytest.raises(InputError, match="cells are 16 pixels wide"):
        ChipLayout(224, 16, 112).require_fit(Grid(tile_px=1000))


def test_an_encoder_of_pixels_has_pixels_for_cells_and_no_halo() -> None:
    layout = ChipLayout.of(*Presto.interface(PrestoSize()), None)
    assert (layout.cell_px, layout.halo_px, layout.blended) == (1, 0, False)


def test_without_a_stride_chips_overlap_by_half_and_cells_do_not() -> None:
    specification, _ = Presto.interface(PrestoSize())
    wide = type(specification)(**{**specification.__dict__, "chip_px": 96})
    assert ChipLayout.of(wide, OutputSpecification(8, patch_px=8), None).stride_px == 48
    assert ChipLayout.of(wide, OutputSpecification(8, patch_px=96), None).stride_px == 96
