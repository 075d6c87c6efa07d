"""The map store: one whole shard per tile, readable by anyone."""

import ast
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stook.models.errors import UnreachableError
from stook.transforms.editions import map_store
from stook.transforms.ground.grid import Grid, Tile, Zone
from stook.transforms.store import Address, files_in, read_bytes, remove_folder, write_bytes
from stook.transforms.values import NODATA
from tests.transforms.editions.test_edition import make_plan

ROOT = Path(__file__).resolve().parents[3]
GRID = Grid(tile_px=500)
NORTH, SOUTH = Zone(37, False), Zone(37, True)
TILES = [Tile(NORTH, 100, 0), Tile(NORTH, 102, 1), Tile(SOUTH, 100, 1999)]


@pytest.fixture
def store(home: Address) -> Address:
    """An empty map store, in either store."""
    map_store.create(home / "maps.zarr", replace(make_plan(), grid=GRID, provisional=True), TILES)
    return home / "maps.zarr"


def test_each_zone_has_arrays_over_its_own_tiles(store: Address) -> None:
    north = map_store.open_layer(store, "32637", 10, "cropland")
    south = map_store.open_layer(store, "32737", 10, "cropland")
    assert (north.shape, south.shape) == ((1000, 1500), (500, 500))
    assert (north.shards, north.chunks) == ((500, 500), (250, 250))
    assert north.attrs["proj:code"] == "EPSG:32637"
    assert north.attrs["spatial:transform"] == [10, 0, 500_000, 0, -10, 10_000]
    assert north.attrs["first_tile"] == [100, 0]
    assert north.attrs["provisional"] is True


def test_what_is_written_stands_at_its_place_on_the_ground(store: Address) -> None:
    array = map_store.open_layer(store, "32637", 10, "cropland", mode="r+")
    window = map_store.extents(TILES)[NORTH].slices(GRID, TILES[1])
    map_store.write_shard(array, window, np.full((500, 500), 42, np.uint8))
    opened = map_store.open_group(store, "32637", 10)["cropland"]
    bounds = GRID.bounds(TILES[1])
    inside = opened.sel(x=slice(bounds.left, bounds.right), y=slice(bounds.top, bounds.bottom))
    assert inside.shape == (500, 500) and (inside == 42).all()
    assert int((opened != NODATA).sum()) == 250_000


def file_of(module: str) -> Path:
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def reached_from(module: str) -> set[str]:
    """Our modules that a module imports, and all that these import."""
    found, left = set(), {module}
    while left:
        found.add(name := left.pop())
        for node in ast.walk(ast.parse(file_of(name).read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                names = {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
                left |= {each for each in names - found if each.startswith("stook.") and file_of(each).is_file()}
    return found


def test_the_store_knows_nothing_of_how_products_are_made() -> None:
    reached = reached_from("stook.transforms.editions.map_store")
    assert "stook.transforms.editions.plan" in reached
    assert not reached & {"stook.transforms.tiles.derived", "stook.transforms.tiles.smoothing"}


def test_less_or_more_than_one_shard_is_refused(store: Address) -> None:
    array = map_store.open_layer(store, "32637", 10, "cropland", mode="r+")
    for window in ((slice(0, 250), slice(0, 500)), (slice(250, 750), slice(0, 500)), (slice(0, 1000), slice(0, 500))):
        with pytest.raises(ValueError, match="not one whole shard"):
            map_store.write_shard(array, window, np.zeros((500, 500), np.uint8))


def test_a_store_that_cannot_be_written_is_unreachable_and_names_itself(
    store: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = map_store.open_layer(store, "32637", 10, "cropland", mode="r+")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("stook.transforms.store.files.replacing", full)
    monkeypatch.setattr("zarr.storage.FsspecStore.set", full)
    with pytest.raises(UnreachableError, match="output: cannot write .*No space left on device"):
        map_store.write_shard(array, (slice(0, 500), slice(0, 500)), np.zeros((500, 500), np.uint8))


def test_a_shard_takes_the_place_of_one_that_cannot_be_read(store: Address) -> None:
    array = map_store.open_layer(store, "32637", 10, "cropland", mode="r+")
    window = (slice(0, 500), slice(0, 500))
    [shard] = map_store.TileOfLayer(store, array, window).shards()
    write_bytes(shard, b"torn in two by a power cut")
    map_store.write_shard(array, window, np.full((500, 500), 7, np.uint8))
    assert (array[window] == 7).all()


def test_a_shard_is_what_zarr_itself_would_have_written(store: Address) -> None:
    values = np.random.default_rng(3).integers(0, 100, (500, 500)).astype(np.uint8)
    array = map_store.open_layer(store, "32637", 10, "cropland", mode="r+")
    window = (slice(500, 1000), slice(0, 500))
    [shard] = map_store.TileOfLayer(store, array, window).shards()
    array[window] = values
    by_zarr = read_bytes(shard)
    map_store.write_shard(array, window, values)
    assert read_bytes(shard) == by_zarr is not None


def test_readers_see_the_old_shard_until_the_new_one_is_there(store: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    array = map_store.open_layer(store, "32637", 10, "cropland", mode="r+")
    window = (slice(0, 500), slice(0, 500))
    map_store.write_shard(array, window, np.full((500, 500), 7, np.uint8))

    def die(*_: object, **__: object) -> None:
        raise RuntimeError("died")

    monkeypatch.setattr("pathlib.Path.replace", die)
    monkeypatch.setattr("zarr.storage.FsspecStore.set", die)
    with pytest.raises(RuntimeError, match="died"):
        map_store.write_shard(array, window, np.full((500, 500), 8, np.uint8))
    assert (map_store.open_layer(store, "32637", 10, "cropland")[window] == 7).all()


def test_a_tile_of_nothing_but_nodata_has_no_shard_and_takes_the_old_one_away(store: Address) -> None:
    array = map_store.open_layer(store, "32637", 10, "cropland", mode="r+")
    window = (slice(0, 500), slice(0, 500))
    [shard] = map_store.TileOfLayer(store, array, window).shards()
    for value, files in ((7, {shard.name}), (NODATA, set())):
        map_store.write_shard(array, window, np.full((500, 500), value, np.uint8))
        assert set(files_in(shard.parent, "")) == files and (array[window] == value).all()


def test_tiles_are_taken_over_by_another_store_and_stay_when_the_first_one_goes(store: Address) -> None:
    other = store.parent / "other.zarr"
    map_store.create(other, replace(make_plan(), grid=GRID, provisional=True), TILES)
    windows = (slice(0, 500), slice(0, 500)), (slice(500, 1000), slice(1000, 1500))
    old, new = (map_store.open_layer(each, "32637", 10, "cropland", mode="r+") for each in (store, other))
    map_store.write_shard(old, windows[0], np.full((500, 500), 42, np.uint8))
    map_store.write_shard(new, windows[1], np.full((500, 500), 99, np.uint8))  # where the first store has nothing
    for window in windows:
        map_store.TileOfLayer(other, new, window).link(map_store.TileOfLayer(store, old, window))
    remove_folder(store)
    taken = map_store.open_layer(other, "32637", 10, "cropland")
    assert (taken[windows[0]] == 42).all() and (taken[windows[1]] == NODATA).all()
