"""Building coverage: quantiles per cell of 100 m, hectares with an interval that add up, beside cropland in one run."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
import torch
import xarray as xr

from stook.models.bundle import Bundle, Conditions, Provenance
from stook.models.choices import DEFAULT_QUANTILES
from stook.models.errors import InputError
from stook.models.quantiles import Conformal, QuantileHead
from stook.models.resnet import ResNet, ResNetSize
from stook.models.tasks import QuantileTask
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.season_folder import SeasonFolder
from stook.transforms.values import NODATA, WIDE_NODATA
from tests.pipelines.command import stook
from tests.pipelines.small_season import SmallSeason

DRY = Conditions(start_month=1, months=2, stride_px=10)  # without a cloud
MEAN = 0.3
WINDOW = {"start": {"month": 1, "year": 0}, "months": 2}


def write_building_bundle(folder: Path) -> None:
    """Random weights, spread so that cells differ."""
    torch.manual_seed(3)
    encoder = ResNet(ResNetSize(18, ("vv", "red", "nir"), "plain", chip_px=16)).eval()
    encoder.conv1.weight.data *= 100
    head = QuantileHead(512).eval()
    last = head.mean[-1]
    with torch.no_grad():  # one mean everywhere, whatever the quantiles
        last.weight[:], last.bias[:] = 0.0, float(np.log(MEAN / (1 - MEAN)))
    provenance = Provenance("building_coverage", "random weights", None, "Apache-2.0", "nothing", "# for tests\n")
    shifts = Conformal(DEFAULT_QUANTILES, (-0.05, -0.02, 0.0, 0.02, 0.05))
    Bundle(encoder, QuantileTask(head, shifts), DRY, provenance).save(folder)


@pytest.fixture(scope="module")
def mapped(pristine_season: SmallSeason, tmp_path_factory: pytest.TempPathFactory) -> SmallSeason:
    """Both products of two dry months, mapped; read only."""
    season = pristine_season.copy(tmp_path_factory.mktemp("buildings") / "season").hurried(2, 1).narrowed()
    write_building_bundle(season.folder / "buildings")
    buildings = {"bundle": "buildings", "window": WINDOW, "minimum_observations": 0}
    season.configure(products__building_coverage=buildings, run={"mode": "memory"})
    assert stook("map", season.config, "--year", season.year).status == 0
    return season


@pytest.fixture
def edition(mapped: SmallSeason) -> Edition:
    found = SeasonFolder(mapped.output.parents[1], mapped.output.parent.name, mapped.output.name).current()
    assert found is not None
    return found


def test_quantiles_of_cells_rise_and_open_in_xarray(edition: Edition) -> None:
    cells = xr.open_zarr(edition.maps, group="32637/100m", consolidated=False, mask_and_scale=False)
    layer = cells["building_coverage"]
    assert layer.dims == ("quantile", "y", "x")
    assert layer.attrs["quantiles"] == list(DEFAULT_QUANTILES)
    values = layer.values.astype(int)
    known = values[0] != NODATA
    assert known.any() and (values[:, known] <= 100).all()
    assert (np.diff(values[:, known], axis=0) >= 0).all()
    assert (values[:, ~known] == NODATA).all()
    assert "cropland" in xr.open_zarr(edition.maps, group="32637/10m", consolidated=False)


def test_hectares_add_up_and_lie_within_their_interval(edition: Edition) -> None:
    table = pd.read_parquet(edition.folder / "statistics.parquet")
    built = table[table["product"] == "building_coverage"].set_index(["level", "id"])
    units = built.loc["unit"]
    whole = built.loc["region"].iloc[0]
    assert units["area_dm2"].sum() == whole["area_dm2"]
    assert (units["low_ha"] <= units["area_ha"]).all() and (units["area_ha"] <= units["high_ha"]).all()
    assert whole["standard_error_ha"] > 0
    # Units that share no tile are independent of each other: their squares add up.
    assert whole["standard_error_ha"] == pytest.approx(np.sqrt((units["standard_error_ha"] ** 2).sum()))
    assert built["threshold_percent"].isna().all()
    cropland = table[table["product"] == "cropland"].set_index(["level", "id"])
    assert (cropland["total_dm2"] == built["total_dm2"]).all()
    assert cropland["low_ha"].isna().all()


def test_the_hectares_are_those_of_the_mean_and_of_no_quantile(edition: Edition) -> None:
    table = pd.read_parquet(edition.folder / "statistics.parquet")
    rows = table[table["product"] == "building_coverage"]
    assert np.allclose(rows["area_ha"], MEAN * rows["mapped_ha"], rtol=1e-4)
    assert (rows["low_ha"] < rows["area_ha"]).all() and (rows["area_ha"] < rows["high_ha"]).all()


def test_the_statistics_are_printed_with_their_interval_and_method(mapped: SmallSeason) -> None:
    told = stook("statistics", mapped.config, "--year", mapped.year)
    assert told.status == 0
    assert "covered ha" in told.output and "wholly correlated" in told.output


def test_a_bundle_of_quantiles_is_no_cropland(mapped: SmallSeason, tmp_path: Path) -> None:
    spoilt = mapped.copy(tmp_path / "season").configure(products__cropland__bundle="buildings")
    with pytest.raises(InputError, match="is for building_coverage, not cropland"):
        stook("map", spoilt.config, "--year", spoilt.year)


def test_an_export_has_a_band_for_each_quantile(mapped: SmallSeason, tmp_path: Path) -> None:
    assert stook("export", mapped.config, "--year", mapped.year, "--to", tmp_path).status == 0
    [cog] = tmp_path.glob("*building_coverage_32637.tif")
    with rasterio.open(cog) as file:
        assert file.count == len(DEFAULT_QUANTILES) and file.nodata == NODATA
        assert file.descriptions[2].endswith("0.5")
        low, high = file.read(1), file.read(5)
        assert (low <= high).all()
    [mosaic] = tmp_path.glob("*main-*_building_coverage.vrt")
    with rasterio.open(mosaic) as file:
        assert file.count == len(DEFAULT_QUANTILES)
        assert (file.read(1) != NODATA).any()


def test_mean_and_interval_are_maps_of_their_own_that_read_as_percent(edition: Edition) -> None:
    stored, read = (
        xr.open_zarr(edition.maps, group="32637/100m", consolidated=False, mask_and_scale=scaled)
        for scaled in (False, True)
    )
    mean, median = stored["building_coverage_mean"], stored["building_coverage"][2]
    known = median.values != NODATA
    assert mean.dtype == np.uint16 and known.any()
    assert (mean.values[~known] == WIDE_NODATA).all() and (mean.values[known] == round(10_000 * MEAN)).all()
    assert np.allclose(read["building_coverage_mean"].values[known], 100 * MEAN)
    assert np.isnan(read["building_coverage_interval"].values[~known]).all()
    quantiles = stored["building_coverage"].values.astype(int)[:, known]
    width = read["building_coverage_interval"].values[known]
    assert (np.abs(width - (quantiles[-1] - quantiles[0])) <= 1.01).all() and (width > 0).all()


def test_the_maps_give_the_table_of_the_ledger(mapped: SmallSeason, edition: Edition, tmp_path: Path) -> None:
    table = tmp_path / "table.parquet"
    assert stook("statistics", mapped.config, "--year", mapped.year, "--from-maps", "--to", table).status == 0
    pd.testing.assert_frame_equal(
        pd.read_parquet(table), pd.read_parquet(edition.folder / "statistics.parquet"), check_exact=True
    )


def test_exports_of_mean_and_interval_have_two_bytes_their_scale_and_unit(mapped: SmallSeason, tmp_path: Path) -> None:
    assert stook("export", mapped.config, "--year", mapped.year, "--to", tmp_path).status == 0
    for pattern in ("*building_coverage_mean_32637.tif", "*building_coverage_mean.vrt"):
        [path] = tmp_path.glob(pattern)
        with rasterio.open(path) as file:
            values = file.read(1)
            assert (file.dtypes, file.nodata, file.units) == (("uint16",), WIDE_NODATA, ("percent",))
            assert file.scales == pytest.approx((0.01,))
            assert set(np.unique(values)) == {round(10_000 * MEAN), WIDE_NODATA}
