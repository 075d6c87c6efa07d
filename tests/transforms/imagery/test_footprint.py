"""Boxes of scenes mean the same ground in whatever form an archive gives them."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stook.transforms.imagery.footprint import alike, around, box_of, intersects, on_each_side

LONGITUDES = st.integers(-180, 179)
RING = [[179.5, -17], [180.5, -17], [180.5, -16], [179.5, -16], [179.5, -17]]
ACROSS = (179.5, -17.0, -179.5, -16.0)


@example(80, 100, 0, -180, 1)
@given(LONGITUDES, st.integers(1, 100), st.integers(-1, 1), LONGITUDES, st.integers(1, 100))
def test_a_turn_of_the_earth_changes_no_answer(west: int, width: int, turns: int, other: int, span: int) -> None:
    box = around(west, 0, west + width, 1)
    turned = around(west + 360 * turns, 0, west + 360 * turns + width, 1)
    assert turned == box
    touching = any(west + 360 * k <= other + span and other <= west + 360 * k + width for k in (-1, 0, 1))
    assert intersects(box, around(other, 0, other + span, 1)) == touching


@pytest.mark.parametrize(
    "item",
    [
        {"bbox": [179.5, -17, -179.5, -16]},
        {"bbox": [179.5, -17, 0, -179.5, -16, 900]},
        {"bbox": [179.5, -17, 180.5, -16]},
        {"bbox": [-180.5, -17, -179.5, -16]},
        {"geometry": {"type": "Polygon", "coordinates": [RING]}},
        {"geometry": {"type": "Polygon", "coordinates": [[[x - 360, y] for x, y in RING]]}},
        {"geometry": {"type": "Polygon", "coordinates": [[[(x + 180) % 360 - 180, y] for x, y in RING]]}},
        {
            "geometry": {
                "type": "MultiPolygon",
                "coordinates": [
                    [[[179.5, -17], [180, -17], [180, -16], [179.5, -17]]],
                    [[[-180, -17], [-179.5, -17], [-179.5, -16], [-180, -17]]],
                ],
            }
        },
    ],
)
def test_an_item_on_the_antimeridian_has_one_box_however_it_is_written(item: dict[str, Any]) -> None:
    assert box_of(item) == pytest.approx(ACROSS)


def test_an_item_without_box_has_that_of_its_geometry_and_one_without_both_has_none() -> None:
    square = {"type": "Polygon", "coordinates": [[[3, 50, 7.0], [4, 50, 7.0], [4, 51, 7.0], [3, 50, 7.0]]]}
    assert box_of({"geometry": square, "bbox": None}) == (3, 50, 4, 51)
    assert box_of({"geometry": {"type": "GeometryCollection", "geometries": [square]}}) == (3, 50, 4, 51)
    assert box_of({"geometry": None}) is None
    with pytest.raises(ValueError, match="bbox of 3 numbers"):
        box_of({"bbox": [1, 2, 3]})


def test_servers_are_asked_on_each_side_of_the_antimeridian() -> None:
    assert on_each_side(ACROSS) == [(179.5, -17.0, 180.0, -16.0), (-180.0, -17.0, -179.5, -16.0)]
    assert on_each_side((3, 50, 4, 51)) == [(3, 50, 4, 51)]


def test_footprints_are_alike_if_most_of_them_is_common_ground() -> None:
    assert alike((3, 50, 4, 51), (3.001, 50, 4.001, 51))
    assert alike(ACROSS, (179.51, -17.0, -179.49, -16.0))
    assert not alike((3, 50, 4, 51), (4, 50, 5, 51)), "halves of a scene that share an edge"
    assert not alike((3, 50, 4, 51), (3.6, 50, 4.6, 51))
