"""Pixels that are wanted get a percent, the others none, and each pixel is shown where it lies."""

from pathlib import Path

import numpy as np
import pytest
from odc.geo.geobox import GeoBox

from models.bundle import Bundle, load_bundle
from models.errors import InputError, TileError
from tests.pipelines.small_season import write_random_bundle
from transforms.composite import Composite
from transforms.grid import Grid, Tile
from transforms.infer import bands_missing, map_composite, pixel_latlon
from transforms.products import NODATA
from transforms.season import Window

GRID = Grid(tile_px=20)
GEOBOX: GeoBox = GRID.geobox(Tile.parse("32737_2500_49999"))  # 37 south, its upper edge is the equator


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    write_random_bundle(tmp_path / "bundle")
    return load_bundle(tmp_path / "bundle")


@pytest.fixture
def season(bundle: Bundle) -> Composite:
    random = np.random.default_rng(0)
    values = random.uniform(0.02, 0.4, (12, 12, 20, 20)).astype(np.float32)
    values[random.random(values.shape) < 0.3] = np.nan
    counts, everywhere = np.full((20, 20), 9, np.uint8), np.ones((20, 20), bool)
    return Composite(values, bundle.specification.band_names, Window(1, 0, 12).periods(2023), counts, everywhere)


def test_only_wanted_pixels_get_a_percent(bundle: Bundle, season: Composite) -> None:
    wanted = np.zeros((20, 20), bool)
    wanted[3:9, 4:15] = True
    percent = map_composite(bundle, season, GEOBOX, wanted, batch_pixels=16)
    assert percent.dtype == np.uint8
    assert (percent[wanted] <= 100).all()
    assert (percent[~wanted] == NODATA).all()


def test_the_size_of_a_batch_changes_nothing(bundle: Bundle, season: Composite) -> None:
    everything = np.ones((20, 20), bool)
    small, large = (map_composite(bundle, season, GEOBOX, everything, size) for size in (7, 400))
    assert np.abs(small.astype(int) - large.astype(int)).max() <= 1
    assert (small != large).mean() <= 0.005  # a last bit may carry a value over the edge of rounding


def test_an_answer_that_is_no_number_fails_the_tile_and_is_not_zero_percent(bundle: Bundle, season: Composite) -> None:
    season.values[5, 3, 10, 10] = np.inf
    with pytest.raises(TileError, match="no number for"):
        map_composite(bundle, season, GEOBOX, np.ones((20, 20), bool), 400)


def test_a_pixel_is_shown_at_its_own_latitude_and_longitude() -> None:
    latlon = pixel_latlon(GEOBOX, np.array([0, 19]), np.array([0, 19]))
    assert -1e-4 < latlon[0, 0] < 0  # half a pixel south of the equator
    assert latlon[1, 0] < latlon[0, 0] and latlon[1, 1] > latlon[0, 1]
    assert latlon[0, 1] == pytest.approx(39.0, abs=1e-3)  # easting 500,005 lies on the central meridian


def test_an_encoder_that_is_left_without_any_band_is_refused(bundle: Bundle) -> None:
    bands_missing(bundle, frozenset({"vv", "vh", "nir08"}))
    with pytest.raises(InputError, match="none of the bands"):
        bands_missing(bundle, frozenset(bundle.specification.band_names))
