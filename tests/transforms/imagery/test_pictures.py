"""Chips of pictures lie around their cells, come date by date, and are the same whatever the tile."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
from affine import Affine
from pyproj import Transformer
from rasterio.warp import transform_bounds
from shapely.geometry import box, mapping

from stook.models.errors import TileError
from stook.transforms.ground.grid import Grid, Tile
from stook.transforms.imagery.pictures import CellPictures, PictureSettings, cell_pictures, chip_box
from stook.transforms.imagery.season import Period
from stook.transforms.imagery.sources import Source

EPSG = 32637
LEFT, TOP = 500_000, 1_500_000  # a corner of tiles of 500 m
SOURCE = Source("rgb", "/catalog.json", "pictures", "visual-8bit")
SETTINGS = PictureSettings(("red", "green", "blue"), chip_px=20, resolution_m=5.0, period=Period.of_month(2023, 11))
CELLS = Grid(resolution_m=50, tile_px=10)
TILE = Tile.parse(f"{EPSG}_{LEFT // 500}_{TOP // 500 - 1}")


def scene(
    folder: Path,
    name: str,
    day: int,
    west: float,
    north: float,
    side: int,
    pixel: float,
    epsg: int = EPSG,
    month: int = 11,
) -> pystac.Item:
    """A picture whose brightness is its position: red rises eastwards, green southwards, blue is the day."""
    to_utm = Transformer.from_crs(epsg, EPSG, always_xy=True)
    transform = Affine(pixel, 0, west, 0, -pixel, north)
    columns, rows = np.meshgrid(np.arange(side) + 0.5, np.arange(side) + 0.5)
    x, y = to_utm.transform(*(transform @ (columns, rows)))
    bands = np.stack([20 + (x - LEFT) / 4, 20 + (TOP - y) / 4, np.full(x.shape, float(day))])
    path = folder / f"{name}.tif"
    profile = {"driver": "GTiff", "height": side, "width": side, "count": 3, "dtype": "uint8"}
    with rasterio.open(path, "w", **profile, crs=f"EPSG:{epsg}", transform=transform) as file:
        file.write(np.clip(np.rint(bands), 1, 255).astype(np.uint8))
    lonlat = Transformer.from_crs(epsg, 4326, always_xy=True)
    corners = lonlat.transform([west, west + side * pixel], [north - side * pixel, north])
    footprint = box(corners[0][0], corners[1][0], corners[0][1], corners[1][1])
    item = pystac.Item(name, mapping(footprint), list(footprint.bounds), datetime(2023, month, day, 8, tzinfo=UTC), {})
    item.add_asset("visual", pystac.Asset(str(path)))
    return item


def read(
    items: list[pystac.Item], cells: Grid = CELLS, tile: Tile = TILE, wanted: np.ndarray | None = None
) -> list[CellPictures]:
    everywhere = np.ones((cells.tile_px, cells.tile_px), bool)
    return list(cell_pictures(items, SOURCE, cells, tile, everywhere if wanted is None else wanted, SETTINGS))


def test_a_chip_lies_around_the_middle_of_its_cell(tmp_path: Path) -> None:
    rows = read([scene(tmp_path, "a", 3, LEFT - 100, TOP + 100, 350, 2.0)])
    assert [part.row for part in rows] == list(range(10))
    chip = rows[4].chips.values[list(rows[4].columns).index(6), 0] * 255
    east, south = 6.5 * 50 + (np.arange(20) - 9.5) * 5, 4.5 * 50 + (np.arange(20) - 9.5) * 5
    assert np.abs(chip[0] - (20 + east / 4)).max() < 0.6
    assert np.abs(chip[1] - (20 + south / 4)[:, None]).max() < 0.6
    assert rows[4].chips.latlon[6, 1] > rows[4].chips.latlon[0, 1]


def test_every_date_of_the_period_is_seen_and_no_other(tmp_path: Path) -> None:
    items = [scene(tmp_path, name, day, LEFT - 100, TOP + 100, 140, 5.0, month=month)
             for name, day, month in (("late", 20, 11), ("early", 3, 11), ("after", 2, 12))]  # fmt: skip
    rows = read(items)
    days = [round(float(part.chips.values[0, 0, 2, 0, 0] * 255)) for part in rows]
    assert days == [3, 20] * 10


def test_cells_that_are_not_wholly_pictured_are_left_out(tmp_path: Path) -> None:
    rows = read([scene(tmp_path, "a", 3, LEFT - 100, TOP + 100, 64, 5.0)])  # up to 220 m east and south of the corner
    assert {part.row for part in rows} == {0, 1, 2}
    assert all(part.columns.tolist() == [0, 1, 2] for part in rows)


def test_scenes_of_one_day_complete_each_other(tmp_path: Path) -> None:
    halves = [scene(tmp_path, "west", 3, LEFT - 100, TOP + 100, 70, 5.0),
              scene(tmp_path, "east", 3, LEFT + 250, TOP + 100, 70, 5.0)]  # fmt: skip
    apart = {column for part in (read(halves[:1]) + read(halves[1:])) for column in part.columns}
    together = read(halves)
    assert {4, 5} & apart == set()
    assert all({4, 5} <= set(part.columns) for part in together)


def cut(item: pystac.Item, folder: Path, side: int) -> list[pystac.Item]:
    """The same picture as sheets of so many pixels side by side, as archives deliver it."""
    sheets = []
    with rasterio.open(item.assets["visual"].href) as file:
        values, profile = file.read(), file.profile
    for row, column in np.ndindex(*(-(-length // side) for length in values.shape[1:])):
        part = values[:, row * side : (row + 1) * side, column * side : (column + 1) * side]
        place = profile["transform"] @ Affine.translation(column * side, row * side)
        path = folder / f"{item.id}-{row}-{column}.tif"
        shape = {"height": part.shape[1], "width": part.shape[2]}
        with rasterio.open(path, "w", **{**profile, **shape, "transform": place}) as file:
            file.write(part)
            bounds = transform_bounds(file.crs, 4326, *file.bounds)
        when = item.datetime + timedelta(seconds=len(sheets))
        sheet = pystac.Item(path.stem, mapping(box(*bounds)), list(bounds), when, {})
        sheet.add_asset("visual", pystac.Asset(str(path)))
        sheets.append(sheet)
    return sheets


@pytest.mark.parametrize("side", [23, *(pytest.param(side, marks=pytest.mark.slow) for side in (24, 31, 128))])
def test_sheets_give_the_chips_of_one_file(tmp_path: Path, side: int) -> None:
    item = scene(tmp_path, "a", 3, LEFT - 100, TOP + 100, 467, 1.5)
    with rasterio.open(item.assets["visual"].href, "r+") as file:
        noise = np.random.default_rng(0).integers(1, 255, (3, 467, 467), dtype=np.uint8)
        noise[:, 200:210, 200:210] = 0  # without data
        file.write(noise)
    whole, parts = read([item]), read(cut(item, tmp_path, side))
    assert [part.row for part in whole] == [part.row for part in parts] == list(range(10))
    for one, other in zip(whole, parts, strict=True):
        assert one.columns.tolist() == other.columns.tolist()
        np.testing.assert_allclose(one.chips.values, other.chips.values, atol=1e-6)
    assert 90 <= sum(len(part.columns) for part in whole) < 100


def test_a_picture_stored_south_up_shows_the_same_ground(tmp_path: Path) -> None:
    item = scene(tmp_path, "a", 3, LEFT - 100, TOP + 100, 350, 2.0)
    north_up = read([item])
    with rasterio.open(item.assets["visual"].href) as file:
        values, profile = file.read(), file.profile
    turned = profile["transform"] @ Affine.translation(0, 350) @ Affine.scale(1, -1)
    with rasterio.open(item.assets["visual"].href, "w", **{**profile, "transform": turned}) as file:
        file.write(values[:, ::-1])
    for one, other in zip(north_up, read([item]), strict=True):
        np.testing.assert_allclose(one.chips.values, other.chips.values, atol=1e-6)


def test_a_picture_in_another_projection_shows_the_same_ground(tmp_path: Path) -> None:
    to_mercator = Transformer.from_crs(EPSG, 3857, always_xy=True)
    west, north = to_mercator.transform(LEFT - 150, TOP + 150)
    here = read([scene(tmp_path, "utm", 3, LEFT - 100, TOP + 100, 350, 2.0)])
    there = read([scene(tmp_path, "mercator", 3, west, north, 800, 1.0, epsg=3857)])
    assert np.abs(here[5].chips.values - there[5].chips.values).max() * 255 < 1.0


def test_the_chips_are_the_same_whatever_the_tile(tmp_path: Path) -> None:
    items = [scene(tmp_path, "a", 3, LEFT - 100, TOP + 100, 350, 2.0)]
    small, part = Grid(resolution_m=50, tile_px=5), Tile.parse(f"{EPSG}_{LEFT // 250 + 1}_{TOP // 250 - 1}")
    whole = {
        (rows.row, int(column)): chip
        for rows in read(items)
        for column, chip in zip(rows.columns, rows.chips.values, strict=True)
    }
    for rows in read(items, small, part):
        for column, chip in zip(rows.columns, rows.chips.values, strict=True):
            assert np.array_equal(chip, whole[rows.row, int(column) + 5])


def test_a_picture_that_is_much_finer_is_averaged_not_skipped(tmp_path: Path) -> None:
    item = scene(tmp_path, "a", 3, LEFT - 100, TOP + 100, 1400, 0.5)
    with rasterio.open(item.assets["visual"].href, "r+") as file:
        stripes = np.where(np.arange(1400) % 2, 200, 100).astype(np.uint8)
        file.write(np.broadcast_to(stripes, (3, 1400, 1400)).copy())
    wanted = np.zeros((10, 10), bool)
    wanted[4, 4] = True
    [part] = read([item], wanted=wanted)
    assert np.allclose(part.chips.values * 255, 150, atol=1)


def test_bands_come_in_the_order_that_the_encoder_reads_them(tmp_path: Path) -> None:
    item = scene(tmp_path, "a", 3, LEFT - 100, TOP + 100, 350, 2.0)
    wanted = np.zeros((10, 10), bool)
    wanted[4, 4] = True
    turned = PictureSettings(("blue", "red"), SETTINGS.chip_px, SETTINGS.resolution_m, SETTINGS.period)
    [part], [same] = (
        list(cell_pictures([item], SOURCE, CELLS, TILE, wanted, settings)) for settings in (SETTINGS, turned)
    )
    np.testing.assert_array_equal(same.chips.values[0, 0], part.chips.values[0, 0][[2, 0]])


def test_near_infrared_is_read_where_the_archive_has_it(tmp_path: Path) -> None:
    item = scene(tmp_path, "a", 3, LEFT - 100, TOP + 100, 350, 2.0)
    path = item.assets["visual"].href
    with rasterio.open(path) as file:
        values, profile = file.read(), file.profile
    item.assets = {"rgbn": pystac.Asset(path)}
    with rasterio.open(path, "w", **{**profile, "count": 4}, photometric="MINISBLACK") as file:
        file.write(np.concatenate([values, np.full_like(values[:1], 204)]))
    source = Source("rgb", "/catalog.json", "pictures", "rgbn-8bit")
    settings = PictureSettings(("nir", "red"), SETTINGS.chip_px, SETTINGS.resolution_m, SETTINGS.period)
    parts = list(cell_pictures([item], source, CELLS, TILE, np.ones((10, 10), bool), settings))
    assert len(parts) == 10
    np.testing.assert_allclose(parts[3].chips.values[:, 0, 0], 0.8, rtol=1e-5)


def test_a_picture_forty_nine_times_finer_is_averaged_too(tmp_path: Path) -> None:
    item = scene(tmp_path, "a", 3, LEFT + 4.5 * 50 - 60, TOP - 4.5 * 50 + 60, 1200, 0.1)
    wanted = np.zeros((10, 10), bool)
    wanted[4, 4] = True
    coarse = PictureSettings(SETTINGS.bands, chip_px=10, resolution_m=4.9, period=SETTINGS.period)
    [part] = list(cell_pictures([item], SOURCE, CELLS, TILE, wanted, coarse))
    assert part.chips.values.shape == (1, 1, 3, 10, 10)


def test_only_wanted_cells_are_read(tmp_path: Path) -> None:
    wanted = np.zeros((10, 10), bool)
    wanted[3, [2, 7]] = True
    [part] = read([scene(tmp_path, "a", 3, LEFT - 100, TOP + 100, 350, 2.0)], wanted=wanted)
    assert (part.row, part.columns.tolist()) == (3, [2, 7])


def test_a_missing_file_fails_the_tile(tmp_path: Path) -> None:
    item = scene(tmp_path, "a", 3, LEFT - 100, TOP + 100, 140, 5.0)
    Path(item.assets["visual"].href).unlink()
    with pytest.raises(TileError, match="missing asset visual"):
        read([item])


@pytest.mark.parametrize(("count", "dtype"), [(1, "uint8"), (3, "uint16")])
def test_a_file_that_is_no_picture_of_eight_bits_fails_the_tile(tmp_path: Path, count: int, dtype: str) -> None:
    item = scene(tmp_path, "a", 3, LEFT - 100, TOP + 100, 140, 5.0)
    path = item.assets["visual"].href
    with rasterio.open(path) as file:
        values, profile = file.read(), file.profile
    with rasterio.open(path, "w", **{**profile, "count": count, "dtype": dtype}) as file:
        file.write(values[:count].astype(dtype))
    with pytest.raises(TileError, match=f"unusable asset visual .*{count} bands of {dtype}, where .* has 3 of uint8"):
        read([item])


def test_the_chip_of_a_cell_has_the_encoder_s_size_and_resolution() -> None:
    chip = chip_box(CELLS, TILE, 0, 0, SETTINGS)
    assert (chip.shape, chip.resolution.x) == ((20, 20), 5.0)
    assert chip.boundingbox.left == LEFT + 25 - 50 and chip.boundingbox.top == TOP - 25 + 50
