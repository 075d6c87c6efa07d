"""Ground that an encoder was trained with is remembered, and never checks, calibrates or judges."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from stook.models.errors import InputError
from stook.models.seen import LATTICE_M, SeenGround
from stook.transforms.ground.geodesy import project
from stook.transforms.ground.grid import Zone
from stook.transforms.ground.squares import Squares
from stook.transforms.labelled.seen_ground import on_seen_ground, touched
from stook.transforms.labelled.splits import SplitSettings, divided
from tests.transforms.labelled.test_splits import BLOCKS, cells, field, lonlat_of, parts

places = st.lists(st.tuples(st.integers(0, 200_000), st.integers(0, 200_000)), min_size=1, max_size=8, unique=True)


def chips(middles: list[tuple[int, int]], side_m: float) -> Squares:
    x, y = np.array(middles, float).T
    return Squares(np.full(len(x), "32637"), 400_000 + x, 1_000_000 + y, side_m)


@given(places, st.sampled_from([10.0, 252.0, 500.0, 512.0, 3200.0]))
def test_what_was_seen_is_found_again_and_nothing_a_lattice_square_away(
    middles: list[tuple[int, int]], side_m: float
) -> None:
    there = chips(middles, side_m)
    seen = SeenGround(touched(there))
    assert on_seen_ground(there, SeenGround.from_json(seen.as_json())).all()
    assert len(seen.squares) <= len(middles) * (side_m // LATTICE_M + 2) ** 2
    other = chips([(300_000, 300_000)], side_m)
    assert not on_seen_ground(other, seen).any()
    beyond = Squares(there.zones, there.x + np.ptp(there.x) + side_m + 2 * LATTICE_M, there.y, side_m)
    assert not on_seen_ground(beyond, seen).any()


def test_a_chip_on_the_lattice_touches_only_its_own_square() -> None:
    whole = Squares(np.array(["32637"]), np.array([400_250.0]), np.array([1_000_250.0]), 500.0)
    assert touched(whole) == {("32637", 800, 2000)}


def test_ground_is_found_again_from_the_neighbouring_zone() -> None:
    edge = shapely.Point(36.0, 9.0)

    def around(zone: str) -> Squares:
        [[x, y]] = shapely.get_coordinates(project(edge, Zone.parse(zone)))
        return Squares(np.array([zone]), np.array([x]), np.array([y]), 250.0)

    here, there = around("32637"), around("32636")
    assert on_seen_ground(there, SeenGround(touched(here))).all()


def test_what_is_not_known_is_nowhere() -> None:
    assert not on_seen_ground(chips([(0, 0)], 250), None).any()


def test_ground_that_the_encoder_saw_is_trained_on_and_never_checks_or_calibrates() -> None:
    table = field(40)
    squares, blocks, lonlat = parts(table, side_m=100, block_m=500)
    west = table["column"].to_numpy() < 5015
    seen = SeenGround(touched(squares.take(west)))
    plain, split = (divided(squares, blocks, lonlat, BLOCKS, seen=each) for each in (None, seen))
    again = on_seen_ground(squares, seen)
    assert np.isin(plain.sides[again], ["check", "calibrate"]).any()  # what leaked before
    assert again.sum() >= west.sum() and (split.sides[again] == "train").all()
    for name in ("check", "calibrate"):
        assert (split.sides == name).mean() == pytest.approx(0.15, abs=0.03)


def test_cells_on_seen_ground_are_dropped_from_other_sides_and_counted() -> None:
    table = field(40)
    squares, blocks, lonlat = parts(table, side_m=100, block_m=1000)
    corner = (table["column"] % 10 == 0) & (table["row"] % 10 == 0)  # a quarter of each block
    split = divided(squares, blocks, lonlat, BLOCKS, seen=SeenGround(touched(squares.take(corner.to_numpy()))))
    report = split.report
    assert report.seen > 0 and report.seen == report.sides[1].dropped + report.sides[2].dropped
    assert report.details()["seen"] == report.seen
    assert f"{report.seen} of those dropped were seen by the encoder before" in str(report)
    assert any(f"{report.seen} cells were dropped since" in line for line in report.lines())


def test_where_all_was_seen_nothing_can_be_checked() -> None:
    squares, blocks, lonlat = parts(field(40), side_m=100, block_m=500)
    with pytest.raises(InputError, match="encoder.bundle: no cell is left to check: 1600 of 1600 cells lie on ground"):
        divided(squares, blocks, lonlat, BLOCKS, seen=SeenGround(touched(squares)))


def test_the_user_s_own_division_cannot_hold_out_seen_ground(tmp_path: Path) -> None:
    table = field(40)
    squares, blocks, lonlat = parts(table, side_m=100, block_m=500)
    middle = float(np.median(lonlat[:, 0]))
    boxes = shapely.box(lonlat[:, 0].min() - 1, 0, middle, 80), shapely.box(middle, 0, middle + 1, 80)
    gpd.GeoDataFrame({"split": ["train", "held_out"]}, geometry=list(boxes), crs=4326).to_file(
        tmp_path / "mine.geojson"
    )
    settings = SplitSettings("blocks", 0.15, 0.15, 1, tmp_path / "mine.geojson")
    divided(squares, blocks, lonlat, settings)
    one = Squares.around(cells(np.array([39]), np.array([39])), 100, 100)
    assert lonlat_of(cells(np.array([39]), np.array([39])))[0, 0] > middle
    with pytest.raises(
        InputError, match="split_file: .*mine.geojson: 25 labels lie on ground that the encoder's bundle"
    ):
        divided(squares, blocks, lonlat, settings, seen=SeenGround(touched(one)))
