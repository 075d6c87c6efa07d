"""What a map says at places in degrees, in two zones, on borders and outside."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely

from stook.transforms.editions.edition import Edition
from stook.transforms.ground.geodesy import to_zone
from stook.transforms.ground.grid import Zone
from stook.transforms.sampling import lookup
from stook.transforms.sampling.lookup import OUTSIDE, located, shares_at, values_at
from stook.transforms.tiles.map_reader import MapReader
from stook.transforms.values import FAILED, NO_IMAGERY, TOO_FEW_OBSERVATIONS
from tests.transforms.sampling.conftest import FAILED_TILE, GRID, REGION, painted
from tests.transforms.sampling.judged_sample import places, publish_coverage

UNMAPPED = REGION.tiles(GRID)[FAILED_TILE]


def painted_at(lon: float, lat: float) -> int:
    """What the map of the place was painted as there, from where its pixel lies in its zone."""
    zone = Zone.at(lon, lat)
    x, y = to_zone(zone).transform(lon, lat)
    if GRID.tile_at(zone, x, y) == UNMAPPED:
        return FAILED
    east, north = int(x // GRID.resolution_m), int(y // GRID.resolution_m)
    if east % 23 == 0:
        return NO_IMAGERY
    if north % 17 == 0:
        return TOO_FEW_OBSERVATIONS
    return (east * 7 + north * 3 + (east // 8) * (north // 5)) % 101


@pytest.fixture(scope="module")
def inside() -> tuple[np.ndarray, np.ndarray]:
    """Places well within the units, on both sides of the meridian."""
    lon, lat = places(REGION, 3000)
    ground = shapely.union_all([unit.geometry for unit in REGION.units]).buffer(-0.001)
    kept = shapely.contains_xy(ground, lon, lat)
    return lon[kept], lat[kept]


def test_places_of_two_zones_have_the_value_that_was_painted_there(
    edition: Edition, inside: tuple[np.ndarray, np.ndarray]
) -> None:
    lon, lat = inside
    assert min((lon < 36).sum(), (lon > 36).sum()) > 100
    found = values_at(MapReader(edition), "cropland", lon, lat)
    assert found.tolist() == [painted_at(*place) for place in zip(lon, lat, strict=True)]
    assert {FAILED, NO_IMAGERY, TOO_FEW_OBSERVATIONS} < set(found.tolist())


def test_a_tile_is_read_once_whatever_the_order_of_the_places(
    edition: Edition, inside: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    classes = MapReader.classes

    def counted(self: MapReader, name: str, tile: object) -> np.ndarray:
        read.append(tile)
        return classes(self, name, tile)  # type: ignore[arg-type]

    monkeypatch.setattr(lookup.MapReader, "classes", counted)
    values_at(MapReader(edition), "cropland", *inside)
    assert len(read) == len(set(read)) > 3


def test_what_is_not_the_regions_is_told(edition: Edition) -> None:
    # Between the units, in a tile of the region; far from any tile; in the other hemisphere.
    lon, lat = np.array([36.12, 10.0, 36.0]), np.array([9.02, 50.0, -9.0])
    assert values_at(MapReader(edition), "cropland", lon, lat).tolist() == [OUTSIDE] * 3


def test_shares_are_the_means_that_areas_are_summed_from(tmp_path: Path, inside: tuple[np.ndarray, np.ndarray]) -> None:
    built = publish_coverage(tmp_path, REGION, GRID, painted)
    lon, lat = inside
    found = shares_at(MapReader(built), "building_coverage", lon, lat)
    said = np.array([painted_at(*place) for place in zip(lon, lat, strict=True)])
    np.testing.assert_allclose(found, np.where(said <= 100, 0.009 * said, np.nan), atol=1e-4)
    assert shares_at(MapReader(built), "building_coverage", np.array([10.0]), np.array([50.0])).tolist() == [OUTSIDE]


def test_a_tile_that_failed_has_no_shares_whatever_was_written_before(
    tmp_path: Path, inside: tuple[np.ndarray, np.ndarray]
) -> None:
    built = publish_coverage(tmp_path, REGION, GRID, painted)
    maps = MapReader(built)
    before = shares_at(maps, "building_coverage", *inside)
    tile, places, _ = next(
        one for one in located(maps, "building_coverage", *inside) if np.isfinite(before[one[1]]).any()
    )
    record, version = built.ledger.held(tile)
    assert record is not None
    failed = replace(record.products["building_coverage"], status="failed")
    built.ledger.commit(replace(record, products={"building_coverage": failed}), version)
    found = shares_at(MapReader(built), "building_coverage", *inside)
    assert np.isnan(found[places]).all()
    elsewhere = np.setdiff1d(np.arange(len(found)), places)
    np.testing.assert_array_equal(found[elsewhere], before[elsewhere])
