"""Sides of a split share no ground, whatever the cells, the chips and the grouping."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from stook.models.errors import InputError
from stook.transforms.ground.geodesy import to_lonlat
from stook.transforms.ground.squares import Squares, components, gap_m, sharing_ground
from stook.transforms.labelled.labels import LabelledPixels
from stook.transforms.labelled.splits import SIDES, SplitSettings, divided

CELL_M = 100


def cells(columns: np.ndarray, rows: np.ndarray, zone: str = "32637") -> pd.DataFrame:
    """Cells of 100 m in the middle of a zone, 1000 km north of the equator."""
    return pd.DataFrame({"zone": zone, "column": 5000 + columns, "row": 10_000 + rows})


def field(side: int) -> pd.DataFrame:
    """A square field of cells."""
    columns, rows = np.meshgrid(np.arange(side), np.arange(side))
    return cells(columns.ravel(), rows.ravel())


def lonlat_of(table: pd.DataFrame) -> np.ndarray:
    x, y = ((table[axis].to_numpy() + 0.5) * CELL_M for axis in ("column", "row"))
    return np.column_stack(to_lonlat("EPSG:32637").transform(x, y))


def parts(table: pd.DataFrame, side_m: float, block_m: float) -> tuple[Squares, np.ndarray, np.ndarray]:
    """What ``divided`` takes of cells."""
    return Squares.around(table, CELL_M, side_m), LabelledPixels(table, CELL_M).blocks(block_m), lonlat_of(table)


def sharing(sides: np.ndarray, squares: Squares) -> int:
    """Pairs of different sides that share ground, counted the slow way."""
    found = 0
    for i in range(len(sides)):
        near = (np.abs(squares.x - squares.x[i]) < squares.side_m) & (np.abs(squares.y - squares.y[i]) < squares.side_m)
        found += int((near & (sides != sides[i]) & (sides != "") & (sides[i] != "")).sum())
    return found


BLOCKS = SplitSettings("blocks", checked=0.15, calibrated=0.15, seed=1)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=30, max_size=120, unique=True),
    st.sampled_from([50.0, 100.0, 102.0, 320.0]),
    st.integers(0, 5),
)
def test_no_chip_shares_ground_with_one_of_another_side(
    places: list[tuple[int, int]], side_m: float, seed: int
) -> None:
    table = cells(*np.array(places).T)
    squares, blocks, lonlat = parts(table, side_m, block_m=700)
    try:
        split = divided(squares, blocks, lonlat, SplitSettings("blocks", 0.2, 0.2, seed))
    except InputError:
        return
    assert sharing(split.sides, squares) == 0
    assert split.report.gap_m >= 0
    assert sum(side.kept + side.dropped for side in split.report.sides) == len(table)


def test_chips_that_reach_into_the_next_block_are_dropped_counted_and_told() -> None:
    squares, blocks, lonlat = parts(field(30), side_m=320, block_m=1000)
    split = divided(squares, blocks, lonlat, BLOCKS)
    train = split.report.sides[0]
    assert train.dropped > 0 and train.kept == (split.sides == "train").sum()
    assert split.report.gap_m == pytest.approx(80)  # cells of 100 m, 400 m from middle to middle
    assert f"train {train.kept} ({train.dropped} dropped)" in str(split.report) and "80 m" in str(split.report)
    assert any("none that was trained on touches" in line for line in split.report.lines())


def test_chips_as_large_as_their_cells_need_not_be_dropped() -> None:
    squares, blocks, lonlat = parts(field(30), side_m=100, block_m=1000)
    report = divided(squares, blocks, lonlat, BLOCKS).report
    assert [side.dropped for side in report.sides] == [0, 0, 0, 0]
    assert report.gap_m == pytest.approx(0, abs=1e-9)


def test_held_out_chips_stay_and_what_touches_them_goes() -> None:
    squares, blocks, lonlat = parts(field(30), side_m=320, block_m=1000)
    elsewhere = Squares.around(cells(np.array([31]), np.array([15])), CELL_M, 320)
    split = divided(squares, blocks, lonlat, BLOCKS, [elsewhere])
    assert split.report.sides[3].kept == 1
    near = (np.abs(squares.x - elsewhere.x) < 320) & (np.abs(squares.y - elsewhere.y) < 320)
    assert near.any() and (split.sides[near] == "").all()


def test_components_are_never_split() -> None:
    random = np.random.default_rng(2)
    middles = random.integers(0, 400, (40, 2))
    places = np.unique(np.concatenate([middles + step for step in ((0, 0), (1, 0), (2, 1))]), axis=0)
    table = cells(*places.T)
    squares, blocks, lonlat = parts(table, side_m=150, block_m=1000)
    split = divided(squares, blocks, lonlat, SplitSettings("components", 0.2, 0.2, seed=0))
    pieces = components(squares)
    assert len(np.unique(pieces)) > 20
    assert all(len(set(split.sides[pieces == piece])) == 1 for piece in np.unique(pieces))
    assert [side.dropped for side in split.report.sides] == [0, 0, 0, 0]
    shares = [(split.sides == side).mean() for side in SIDES[:3]]
    assert shares == pytest.approx([0.6, 0.2, 0.2], abs=0.05)


def test_wall_to_wall_labels_are_one_component_and_refused() -> None:
    squares, blocks, lonlat = parts(field(12), side_m=120, block_m=200)
    with pytest.raises(InputError, match=r"training.split: components: the chips make up 1 pieces .* choose blocks"):
        divided(squares, blocks, lonlat, SplitSettings("components", 0.2, 0.2, 0))


def test_chips_across_the_edge_of_two_zones_are_seen_to_overlap() -> None:
    # 36° E is the edge of zones 36 and 37; on the equator it lies at these eastings.
    west = Squares(np.array(["32636"]), np.array([833_900.0]), np.array([1000.0]), 250.0)
    east = Squares(np.array(["32637"]), np.array([166_150.0]), np.array([1000.0]), 250.0)
    assert len(sharing_ground(west, east)) == len(sharing_ground(east, west)) == 1
    assert gap_m(west, east) < 0
    away = Squares(east.zones, east.x + 2000, east.y, 250.0)
    assert len(sharing_ground(west, away)) == 0
    assert gap_m(west, away) == pytest.approx(gap_m(away, west), abs=2.0)
    assert 1700 < gap_m(west, away) < 2100
    assert gap_m(west, Squares(np.array(["32612"]), west.x, west.y, 250.0)) == np.inf


def drawn(folder: Path, sides: dict[str, tuple[int, int]], name: str = "split") -> Path:
    """Strips of cells, from one column to another, with the side of each."""
    shapes = [
        shapely.box(*lonlat_of(cells(np.array([low, high]), np.array([-1, 31]))).ravel())
        for low, high in sides.values()
    ]
    path = folder / "split.geojson"
    gpd.GeoDataFrame({name: list(sides)}, geometry=shapes, crs=4326).to_file(path)
    return path


def test_the_user_s_own_split_is_respected(tmp_path: Path) -> None:
    file = drawn(tmp_path, {"train": (-1, 9), "check": (9, 14), "calibrate": (14, 19), "held_out": (19, 24)})
    squares, blocks, lonlat = parts(field(30), side_m=100, block_m=1000)
    split = divided(squares, blocks, lonlat, SplitSettings("blocks", 0.2, 0.2, 0, file))
    column = np.floor(squares.x / CELL_M) - 5000
    for side, (low, high) in {"train": (0, 8), "check": (10, 13), "calibrate": (15, 18), "held_out": (20, 23)}.items():
        assert set(split.sides[(column >= low) & (column <= high)]) == {side}
    assert set(split.sides[column >= 25]) == {""}
    assert split.report.outside >= 30 * 5
    assert split.report.gap_m >= 0


def test_a_split_of_training_and_test_alone_leaves_the_rest_to_chance(tmp_path: Path) -> None:
    file = drawn(tmp_path, {"train": (-1, 20), "held_out": (20, 31)})
    squares, blocks, lonlat = parts(field(30), side_m=100, block_m=500)
    split = divided(squares, blocks, lonlat, SplitSettings("blocks", 0.2, 0.2, 0, file))
    column = np.floor(squares.x / CELL_M) - 5000
    assert set(split.sides[column < 20]) == {"train", "check", "calibrate"}
    assert set(split.sides[column > 20]) == {"held_out"}


@pytest.mark.parametrize(
    ("sides", "name", "reason"),
    [
        ({"train": (-1, 9), "test": (9, 14)}, "split", "split is test; allowed are train, check, calibrate, held_out"),
        ({"train": (-1, 9)}, "side", "has no field split"),
        ({"check": (-1, 9)}, "split", "no labelled cell lies in a polygon whose split is train"),
    ],
)
def test_a_split_that_cannot_be_used_is_refused(
    sides: dict[str, tuple[int, int]], name: str, reason: str, tmp_path: Path
) -> None:
    squares, blocks, lonlat = parts(field(12), side_m=100, block_m=300)
    with pytest.raises(InputError, match=reason):
        divided(squares, blocks, lonlat, SplitSettings("blocks", 0.2, 0.2, 0, drawn(tmp_path, sides, name)))


def test_blocks_too_small_for_the_chips_are_refused() -> None:
    squares, blocks, lonlat = parts(field(12), side_m=900, block_m=300)
    with pytest.raises(InputError, match="no cell is left to .*: chips of 900 m share ground"):
        divided(squares, blocks, lonlat, BLOCKS)


def test_too_few_blocks_are_refused() -> None:
    squares, blocks, lonlat = parts(field(8), side_m=100, block_m=500)
    with pytest.raises(InputError, match="training.block_m: the labels lie in 4 blocks, at least 6"):
        divided(squares, blocks, lonlat, BLOCKS)
