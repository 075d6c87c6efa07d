"""When the observations of two seasons keep them from being compared."""

from collections import Counter
from typing import Any

import pytest
import shapely

from stook.transforms.ground.region import Region
from stook.transforms.ground.unit import Unit
from stook.transforms.reporting.comparability import Month, Pair, Seen, observation_reasons
from stook.transforms.reporting.series import judge_by_units

WINDOW: tuple[Month, ...] = ((-1, 11), (-1, 12), (0, 1))


def seen(mean: float | None = 12.0, least: int | None = 6, without: tuple[Month, ...] = ()) -> Seen:
    months = {"sentinel2": {month: int(month not in without) for month in WINDOW}}
    return Seen(mean, least, months, {"sentinel2": Counter({"05.00": 3})})


@pytest.mark.parametrize(
    ("before", "now", "why"),
    [
        (seen(), seen(), []),
        (seen(mean=12.0), seen(mean=6.0), []),
        (seen(mean=12.0), seen(mean=5.9), ["clear observations: 12.0 on average, now 5.9"]),
        (seen(mean=5.9), seen(mean=12.0), ["clear observations: 5.9 on average, now 12.0"]),
        (seen(mean=0.0), seen(mean=0.0), []),
        (seen(mean=None), seen(), []),
        (seen(least=6), seen(least=3), []),
        (seen(least=6), seen(least=2), ["clear observations where least was seen: 6, now 2"]),
        (seen(least=0), seen(least=1), []),
        (seen(least=2), seen(least=0), ["clear observations where least was seen: 2, now 0"]),
        (seen(without=((0, 1),)), seen(without=((0, 1),)), []),
        (
            seen(),
            seen(without=((-1, 11), (0, 1))),
            ["months without a scene of sentinel2: none, now 11 of year -1, 01"],
        ),
        (
            seen(without=WINDOW),
            seen(without=WINDOW[:2]),
            [
                "months without a scene of sentinel2: 11 of year -1 to 01, now 11 of year -1 to 12 of year -1",
            ],
        ),
        (seen(without=((0, 1),)), seen(), ["months without a scene of sentinel2: 01, now none"]),
    ],
)
def test_reasons(before: Seen, now: Seen, why: list[str]) -> None:
    assert list(observation_reasons(before, now)) == why


def test_a_map_that_is_made_from_others_names_whose_observations_differ() -> None:
    [why] = observation_reasons(seen(), seen(mean=1.0), " of harvest_piles")
    assert why == "clear observations of harvest_piles: 12.0 on average, now 1.0"


def test_pictures_need_not_come_in_every_month() -> None:
    before, now = (Seen(3.0, 1, {"rgb": {(0, 11): first, (0, 12): 2 - first}}, {}) for first in (2, 0))
    assert list(observation_reasons(before, now)) == []
    assert now.without("rgb") == {(0, 11)} and now.scenes == 2


def test_a_parent_is_not_comparable_where_its_units_are_not_though_its_own_figures_agree() -> None:
    square = shapely.box(3.0, 50.0, 3.01, 50.01)
    region = Region(tuple(Unit(name, name, ("parent",), square) for name in ("west", "east", "third")))

    def row(level: str, name: str, comparable: bool, total_ha: float, product: str = "cropland") -> dict[str, Any]:
        place = {"product": product, "level": level, "id": name, "year": 2019, "total_ha": total_ha}
        return place | {"comparable": comparable, "why_not": "" if comparable else "scenes"}

    rows = [row("unit", "west", False, 48), row("unit", "east", False, 49), row("unit", "third", True, 3)]
    rows += [row("parent 1", "parent", True, 100), row("region", "all", True, 100)]
    rows += [row("unit", "west", False, 2, "piles"), row("unit", "east", True, 98, "piles")]
    rows += [row("region", "all", True, 100, "piles")]
    judge_by_units(rows, {2019: region})
    assert [one["comparable"] for one in rows] == [False, False, True, False, False, False, True, True]
    assert rows[4]["why_not"] == "units: 2 of 3, with 97.0 % of the ground, are not comparable"
    assert rows[0]["why_not"] == "scenes"


def test_a_pair_is_a_line() -> None:
    assert str(Pair("cropland", "main-2018", "main-2019", "", 7, 0)) == "cropland, main-2018 and main-2019: comparable"
    assert str(Pair("cropland", "a", "b", "", 7, 2)) == "cropland, a and b: comparable; 2 of 7 places are not"
    assert str(Pair("cropland", "a", "b", "model", 7, 7)) == "cropland, a and b: not comparable: model"
