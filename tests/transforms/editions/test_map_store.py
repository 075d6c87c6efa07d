"""The map store: one whole shard per tile, readable by anyone."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from models.errors import UnreachableError
from tests.transforms.editions.test_edition import make_plan
from transforms.editions import map_store
from transforms.ground.grid import Grid, Tile, Zone
from transforms.values import NODATA

GRID = Grid(tile_px=500)
NORTH, SOUTH = Zone(37, False), Zone(37, True)
TILES = [Tile(NORTH, 100, 0), Tile(NORTH, 102, 1), Tile(SOUTH, 100, 1999)]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    map_store.create(tmp_path / "maps.zarr", replace(make_plan(), grid=GRID, provisional=True), TILES)
    return tmp_path / "maps.zarr"


def test_each_zone_has_arrays_over_its_own_tiles(store: Path) -> None:
    north = map_store.open_layer(store, "32637", 10, "cropland")
    south = map_store.open_layer(store, "32737", 10, "cropland")
    assert (north.shape, south.shape) == ((1000, 1500), (500, 500))
    assert (north.shards, north.chunks) == ((500, 500), (250, 250))
    assert north.attrs["proj:code"] == "EPSG:32637"
    assert north.attrs["spatial:transform"] == [10, 0, 500_000, 0, -10, 10_000]
    assert north.attrs["first_tile"] == [100, 0]
    assert north.attrs["provisional"] is True


def test_what_is_written_stands_at_its_place_on_the_ground(store: Path) -> None:
    array = map_store.open_layer(store, "32637", 10, "cropland", mode="r+")
    window = map_store.extents(TILES)[NORTH].slices(GRID, TILES[1])
    map_store.write_shard(array, window, np.full((500, 500), 42, np.uint8))
    opened = xr.open_zarr(store, group="32637/10m", consolidated=False, mask_and_scale=False)["cropland"]
    bounds = GRID.bounds(TILES[1])
    inside = opened.sel(x=slice(bounds.left, bounds.right), y=slice(bounds.top, bounds.bottom))
    assert inside.shape == (500, 500) and (inside == 42).all()
    assert int((opened != NODATA).sum()) == 250_000


def test_the_store_knows_nothing_of_how_products_are_made() -> None:
    makers = {"transforms.tiles.derived", "transforms.tiles.smoothing"}
    asked = f"import sys, transforms.editions.map_store; print({makers} & sys.modules.keys())"
    found = subprocess.run([sys.executable, "-c", asked], check=True, capture_output=True, text=True)
    assert found.stdout == "set()\n"


def test_less_or_more_than_one_shard_is_refused(store: Path) -> None:
    array = map_store.open_layer(store, "32637", 10, "cropland", mode="r+")
    for window in ((slice(0, 250), slice(0, 500)), (slice(250, 750), slice(0, 500)), (slice(0, 1000), slice(0, 500))):
        with pytest.raises(ValueError, match="not one whole shard"):
            map_store.write_shard(array, window, np.zeros((500, 500), np.uint8))


def test_a_store_that_cannot_be_written_is_unreachable_and_names_itself(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = map_store.open_layer(store, "32637", 10, "cropland", mode="r+")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("zarr.storage._local._put", full)
    with pytest.raises(UnreachableError, match="output: cannot write .*No space left on device"):
        map_store.write_shard(array, (slice(0, 500), slice(0, 500)), np.zeros((500, 500), np.uint8))
