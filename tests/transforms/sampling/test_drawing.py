"""Points drawn from a made-up map: in their stratum, uniform by area, the same from the same seed."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import shapely
import zarr
from pyproj import Transformer
from scipy.stats import chisquare, kstest
from shapely import Polygon

from stook.models.errors import InputError
from stook.transforms.editions.edition import Edition
from stook.transforms.ground.areas import TileCoverage, UnitCoverage
from stook.transforms.ground.geodesy import to_zone
from stook.transforms.ground.grid import Tile, Zone
from stook.transforms.ground.region import Part
from stook.transforms.sampling import drawing
from stook.transforms.sampling.drawing import drawn_points, places_in
from stook.transforms.sampling.sample import DM2_PER_HA, Sample, SampleDesign, SampledStratum
from stook.transforms.sampling.strata import DividedMap, MeasuredStratum, measured_strata
from stook.transforms.statistics.sums import WHOLE_REGION, ledger_sums
from stook.transforms.values import FAILED, NO_IMAGERY, TOO_FEW_OBSERVATIONS
from tests.transforms.sampling.conftest import FAILED_TILE, GRID, REGION
from tests.transforms.sampling.test_strata import divided

LEAST_P = 1e-4  # seeds are fixed: a right draw passes always, one off by some percent has p below 1e-10


def drawn(map_: DividedMap, counts: list[int], seed: int = 1) -> tuple[tuple[MeasuredStratum, ...], pd.DataFrame]:
    strata = measured_strata(map_)
    return strata, drawn_points(map_, strata, np.array(counts), seed)


def looked_up(edition: Edition, points: pd.DataFrame, layer: str) -> np.ndarray:
    """What a layer of the store says at the points, by its own attributes and nothing of ours."""
    found = np.full(len(points), -1)
    for zone, arrays in zarr.open_group(edition.maps, mode="r").groups():
        array = arrays["100m"][layer]
        east, west_edge, north_edge = array.attrs["spatial:transform"][0], *array.attrs["spatial:transform"][2::3]
        x, y = Transformer.from_crs(4326, int(zone), always_xy=True).transform(points["lon"], points["lat"])
        column, row = np.floor((x - west_edge) / east).astype(int), np.floor((north_edge - y) / east).astype(int)
        here = points["lon"].to_numpy() // 6 == Zone.parse(zone).central_meridian // 6
        found[here] = array[:][row[here], column[here]]
    return found


def test_points_lie_in_their_stratum_and_unit_when_looked_up_again(edition: Edition, earlier: Edition) -> None:
    map_ = divided(edition, earlier, within="unit")
    strata = measured_strata(map_)
    points = drawn_points(map_, strata, np.full(len(strata), 40), 5)
    percent, before = looked_up(edition, points, "cropland"), looked_up(earlier, points, "cropland")
    names = np.where(percent >= 60, "cropland", "other")
    was = np.where(before >= 60, "cropland", "other")
    expected = np.where(
        (percent > 100) | (before > 100), "not mapped", [f"{b} → {a}" for b, a in zip(was, names, strict=True)]
    )
    stratum = np.array([strata[h].name for h in points["stratum"]])
    assert (stratum == [f"{unit}: {name}" for unit, name in zip(points["unit"], expected, strict=True)]).all()
    mapped = percent <= 100
    np.testing.assert_array_equal(points["value"][mapped], percent[mapped])
    assert set(points["value"][~mapped]) == {NO_IMAGERY, TOO_FEW_OBSERVATIONS, FAILED}
    np.testing.assert_array_equal(points["before"][before <= 100], before[before <= 100])
    grounds = {(part.unit.id, zone): part.geometry for zone in REGION.zones for part in REGION.parts(zone)}
    zones = [Zone.at(lon, lat) for lon, lat in zip(points["lon"], points["lat"], strict=True)]
    assert len(set(zones)) == 2
    for zone, unit, lon, lat in zip(zones, points["unit"], points["lon"], points["lat"], strict=True):
        at = shapely.Point(to_zone(zone).transform(lon, lat))
        assert grounds[unit, zone].contains(at)


def test_the_table_has_what_its_format_says(edition: Edition) -> None:
    strata, points = drawn(divided(edition), [30, 20, 10])
    assert list(points) == ["point", "lon", "lat", "stratum", "unit", "value", "before", "inclusion_per_ha"]
    assert points["point"].tolist() == list(range(1, 61))
    np.testing.assert_array_equal(np.bincount(points["stratum"]), [30, 20, 10])
    assert points["before"].isna().all()
    for name in ("lon", "lat"):
        assert points[name].tolist() == [float(f"{value:.7f}") for value in points[name]]
    for h, stratum in enumerate(strata):
        per_ha = points["inclusion_per_ha"][points["stratum"] == h]
        assert per_ha.tolist() == pytest.approx([[30, 20, 10][h] * DM2_PER_HA / stratum.area_dm2] * len(per_ha))


def test_pieces_of_a_stratum_are_hit_by_their_area(edition: Edition) -> None:
    map_ = divided(edition)
    strata, points = drawn(map_, [6_000, 6_000, 6_000], seed=11)
    tiles = [GRID.tile_at(zone, *at).name for zone, at in zip(*in_zone(points), strict=True)]
    hits = pd.Series(1, index=pd.MultiIndex.from_arrays([points["stratum"], tiles, points["unit"]]))
    hits = hits.groupby(level=[0, 1, 2]).sum()
    for h, stratum in enumerate(strata):
        areas = pd.Series({(piece.tile.name, piece.unit): piece.area_dm2 for piece in stratum.pieces}, dtype=float)
        counted = hits[h].reindex(areas.index, fill_value=0)
        assert same_distribution(counted.to_numpy(), areas.to_numpy()) > LEAST_P


def test_pixels_are_hit_by_the_area_that_a_unit_has_of_them() -> None:
    tile, part, unit = border_tile()
    ground = TileCoverage.of(REGION, GRID, tile)
    pixels = np.zeros((GRID.tile_px, GRID.tile_px), bool)
    assert unit.fraction is not None
    pixels[unit.rows, unit.columns] = unit.fraction > 0
    _, cells = places_in(np.random.default_rng(3), GRID, tile, pixels, ground.pixel_areas, part, 60_000)
    hits = np.zeros(pixels.shape, int)
    np.add.at(hits, tuple(cells.T), 1)
    areas = np.zeros(pixels.shape)
    areas[unit.rows, unit.columns] = unit.fraction * ground.pixel_areas.window(unit.rows, unit.columns)
    assert same_distribution(hits[pixels], areas[pixels]) > LEAST_P
    border = pixels.copy()
    border[unit.rows, unit.columns] &= unit.fraction < 1
    share, expected = hits[border].sum() / hits.sum(), areas[border].sum() / areas.sum()
    assert expected > 0.03
    assert abs(share - expected) < 4 * np.sqrt(expected / hits.sum())


def test_places_are_uniform_within_a_pixel() -> None:
    tile, part, unit = border_tile()
    ground = TileCoverage.of(REGION, GRID, tile)
    assert unit.fraction is not None
    row, column = np.argwhere(unit.fraction == 1)[40] + [unit.rows.start, unit.columns.start]
    pixels = np.zeros((GRID.tile_px, GRID.tile_px), bool)
    pixels[row, column] = True
    lonlat, cells = places_in(np.random.default_rng(8), GRID, tile, pixels, ground.pixel_areas, part, 5_000)
    assert (cells == [row, column]).all()
    x, y = Transformer.from_crs(4326, tile.zone.epsg, always_xy=True).transform(*lonlat.T)
    left, _, _, top = GRID.bounds(tile).bbox
    for share in ((x - left) / 100 - column, (top - y) / 100 - row):
        assert kstest(share, "uniform").pvalue > LEAST_P


def test_ground_that_a_unit_hardly_has_any_of_is_drawn_from_too() -> None:
    tile = Tile(Zone(37), 50, 145)
    left, bottom, _, top = GRID.bounds(tile).bbox
    sliver = Polygon([(left + 120, bottom), (left + 120.3, bottom), (left + 120.3, top), (left + 120, top)])
    part, pixels = Part(REGION.units[0], sliver), np.zeros((GRID.tile_px, GRID.tile_px), bool)
    pixels[:, 1] = True
    areas = TileCoverage(GRID, tile, ()).pixel_areas
    lonlat, cells = places_in(np.random.default_rng(1), GRID, tile, pixels, areas, part, 500)
    assert len(lonlat) == 500
    assert chisquare(np.bincount(cells[:, 0] // 10)).pvalue > LEAST_P


def test_ground_between_the_steps_of_coordinates_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "HOPELESS", 5_000)
    tile = Tile(Zone(37), 50, 145)
    left, bottom, _, _ = GRID.bounds(tile).bbox
    part = Part(REGION.units[0], shapely.box(left + 50, bottom + 50, left + 50.00001, bottom + 50.00001))
    pixels, areas = np.ones((GRID.tile_px, GRID.tile_px), bool), TileCoverage(GRID, tile, ()).pixel_areas
    with pytest.raises(InputError, match=r"tile 32637_50_145: the ground of unit 'north' is too thin"):
        places_in(np.random.default_rng(1), GRID, tile, pixels, areas, part, 1)


def test_the_same_seed_gives_the_same_points_and_another_one_others(edition: Edition) -> None:
    first, again, other = (drawn(divided(edition), [30, 30, 30], seed)[1] for seed in (4, 4, 5))
    pd.testing.assert_frame_equal(first, again)
    assert not (first["lon"].isin(other["lon"])).any()


def test_more_points_in_one_stratum_leave_those_of_the_others(edition: Edition) -> None:
    few, many = (drawn(divided(edition), counts)[1] for counts in ([20, 20, 20], [20, 90, 20]))
    for h in (0, 2):
        assert set(few["lon"][few["stratum"] == h]) == set(many["lon"][many["stratum"] == h])


def test_no_two_strata_or_tiles_share_random_numbers(edition: Edition) -> None:
    _, points = drawn(divided(edition, within="unit"), [40] * 9)
    at = np.array(in_zone(points)[1])
    assert len(np.unique(np.rint(at % GRID.resolution_m * 20), axis=0)) >= 359  # to 5 cm within the pixel


def test_numbers_say_nothing_of_the_strata(edition: Edition) -> None:
    _, points = drawn(divided(edition), [200, 200, 200])
    for h in range(3):
        assert kstest(points["point"][points["stratum"] == h] / 600, "uniform").pvalue > LEAST_P


def test_memory_is_that_of_the_tiles_with_points(edition: Edition, monkeypatch: pytest.MonkeyPatch) -> None:
    map_ = divided(edition)
    strata = measured_strata(map_)
    read: list[Tile] = []
    tile_of = DividedMap.tile

    def told(self: DividedMap, tile: Tile) -> Any:
        read.append(tile)
        return tile_of(self, tile)

    monkeypatch.setattr(DividedMap, "tile", told)
    points = drawn_points(map_, strata, np.array([2, 2, 2]), 3)
    tiles = {GRID.tile_at(zone, *at) for zone, at in zip(*in_zone(points), strict=True)}
    assert sorted(tiles) == read


def test_a_failed_tile_has_points_of_ground_that_is_not_mapped(edition: Edition) -> None:
    _, points = drawn(divided(edition), [2, 2, 300])
    here = [GRID.tile_at(zone, *at) for zone, at in zip(*in_zone(points), strict=True)]
    failed = np.array([tile == REGION.tiles(GRID)[FAILED_TILE] for tile in here])
    assert failed.any()
    assert (points["value"][failed] == FAILED).all() and (points["stratum"][failed] == 2).all()


@pytest.mark.parametrize(
    "how",
    [
        {},
        *(
            pytest.param(how, marks=pytest.mark.slow)
            for how in ({"by": "bands", "bands": (30, 60, 90)}, {"within": "unit"})
        ),
    ],
    ids=str,
)
def test_estimates_from_samples_are_right_within_their_intervals(
    edition: Edition, earlier: Edition, how: dict[str, Any]
) -> None:
    """The reference is another map whose area is known to the last dm²; one sample tells it as its error says."""
    histogram = ledger_sums(earlier, REGION).histograms["cropland"][WHOLE_REGION, "place"]
    truth = sum(area for value, area in histogram.items() if 60 <= value <= 100) / DM2_PER_HA
    map_ = divided(edition, **how)
    strata = measured_strata(map_)
    off = []
    for seed in range(10):
        counts = np.full(len(strata), 600 // len(strata))
        points = drawn_points(map_, strata, counts, seed)
        sampled = tuple(SampledStratum(s.name, s.area_dm2, int(n)) for s, n in zip(strata, counts, strict=True))
        design = SampleDesign("", "", "", "", None, "cropland", 100, "", seed, {}, "", sampled)
        reference = looked_up(earlier, points, "cropland")
        plan = Sample(design, points).design(np.ones(len(points), bool))
        member = ((reference >= 60) & (reference <= 100)).astype(float)
        off.append((plan.mean(member) * plan.area - truth) / (plan.standard_error(member) * plan.area))
    assert abs(np.mean(off)) < 3 / np.sqrt(len(off))
    assert 0.4 < np.std(off) < 1.6
    assert np.mean(np.abs(off) < 1.96) >= 0.8


def in_zone(points: pd.DataFrame) -> tuple[list[Zone], list[tuple[float, float]]]:
    """Zone of each point, and where in it, metres."""
    zones = [Zone.at(lon, lat) for lon, lat in zip(points["lon"], points["lat"], strict=True)]
    to = {zone: Transformer.from_crs(4326, zone.epsg, always_xy=True) for zone in set(zones)}
    at = [to[zone].transform(lon, lat) for zone, lon, lat in zip(zones, points["lon"], points["lat"], strict=True)]
    return zones, at


def border_tile() -> tuple[Tile, Part, UnitCoverage]:
    """The tile in which a unit has a border of pixels cut by it, and much else."""
    for tile in REGION.tiles(GRID):
        units = {unit.unit_id: unit for unit in TileCoverage.of(REGION, GRID, tile).units}
        for part in REGION.pieces(GRID, tile):
            fraction = units[part.unit.id].fraction
            if fraction is not None and (fraction == 1).sum() > 400:
                return tile, part, units[part.unit.id]
    raise AssertionError


def same_distribution(hits: np.ndarray, areas: np.ndarray) -> float:
    """p of a chi-square test of hits by area; what is hardly expected is put together."""
    expected = areas / areas.sum() * hits.sum()
    rare = expected < 5
    if rare.any():
        hits = np.append(hits[~rare], hits[rare].sum())
        expected = np.append(expected[~rare], expected[rare].sum())
    return float(chisquare(hits, expected).pvalue)
