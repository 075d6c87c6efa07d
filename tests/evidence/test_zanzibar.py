"""The pictures of Zanzibar are split so that no place, and no neighbour of it, is on both sides."""

import numpy as np
import pytest
import shapely

from stook.models.choices import DEFAULT_QUANTILES
from tests.evidence import zanzibar
from tests.evidence.zanzibar import BLOCK_CELLS, FOLDER, FOLDS, TILE_M, Cells, cross_validated, divided, read_cells


def grid_of_cells(side: int = 12) -> Cells:
    """A square of cells whose views hold the number of the cell."""
    rows, columns = (axis.ravel() for axis in np.indices((side, side)))
    numbers = np.arange(side**2, dtype=np.float32)
    views = np.broadcast_to(numbers[:, None, None, None, None], (side**2, 2, 3, 1, 1))
    return Cells(columns, rows, views, numbers / side**2, shapely.MultiPolygon())


def test_every_cell_is_held_out_once_and_its_neighbours_are_used_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    cells, held = grid_of_cells(), []

    def trained_on(
        cells: Cells, fit: np.ndarray, check: np.ndarray, calibrate: np.ndarray, held_out: np.ndarray, *_: object
    ) -> np.ndarray:
        used = np.concatenate([fit, check, calibrate])
        assert len(np.unique(used)) == len(used) and all(len(part) for part in (fit, check, calibrate))
        across = np.abs(cells.columns[used][:, None] - cells.columns[held_out])
        along = np.abs(cells.rows[used][:, None] - cells.rows[held_out])
        assert np.maximum(across, along).min() > 1
        blocks = [set(cells.blocks[part]) for part in (fit, check, calibrate, held_out)]
        assert sum(map(len, blocks)) == len(set.union(*blocks))
        held.append(held_out)
        return np.zeros((len(held_out), len(DEFAULT_QUANTILES)))

    monkeypatch.setattr(zanzibar, "trained_on", trained_on)
    judged = cross_validated(cells)
    assert np.isfinite(judged.quantiles).all() and len(held) == FOLDS
    assert sorted(np.concatenate(held)) == list(range(len(cells)))


def test_both_views_of_a_cell_follow_each_other() -> None:
    chips = grid_of_cells().chips(np.array([3, 5]))
    assert chips.chips.values[:, 0, 0, 0, 0].tolist() == [3, 3, 5, 5]
    assert chips.targets.tolist() == pytest.approx([3 / 144, 3 / 144, 5 / 144, 5 / 144])


def test_blocks_are_dealt_whole_and_differently_with_another_seed() -> None:
    cells = grid_of_cells(4 * BLOCK_CELLS)
    everywhere = np.arange(len(cells))
    one, other = (divided(everywhere, cells.blocks, seed) for seed in (0, 1))
    assert sorted(np.concatenate(one)) == list(everywhere)
    assert not np.array_equal(one[0], other[0])


@pytest.mark.shared
@pytest.mark.slow
def test_both_zooms_picture_the_same_ground_and_the_label_is_the_ground_under_roofs() -> None:
    cells = read_cells(FOLDER)
    assert cells.views.shape[:3] == (184, 2, 3) and np.isfinite(cells.views).all()
    assert np.abs(cells.views[:, 0] - cells.views[:, 1]).mean(axis=(1, 2, 3)).max() < 0.05
    west, north = zanzibar.corner(cells.columns, cells.rows)
    ground = shapely.union_all(shapely.box(west, north - TILE_M, west + TILE_M, north))
    under_roofs = shapely.area(cells.footprints & ground)
    assert cells.shares.sum() * TILE_M**2 == pytest.approx(under_roofs, rel=1e-4)
    assert shapely.area(ground) == pytest.approx(184 * TILE_M**2, rel=1e-9)
