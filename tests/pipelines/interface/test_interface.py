"""``import stook`` on a season that was mapped, sampled and estimated by the command."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
import torch
import xarray as xr
import yaml

import stook
from stook.models.bundle import load_bundle
from stook.pipelines.interface.reading import window_of
from stook.pipelines.interface.season import readable
from stook.pipelines.season import map_products
from stook.transforms.ground.grid import Grid, Zone
from stook.transforms.imagery.composite import CompositeSettings, composite
from stook.transforms.imagery.freeze import find_inputs
from stook.transforms.imagery.season import Window
from stook.transforms.sampling.estimates import Estimates
from stook.transforms.sampling.sample import SAMPLES
from tests.pipelines.command import stook as command
from tests.pipelines.small_season import SmallSeason

WINDOW = ("2023-01", "2023-02")
CLOUDY = ("2023-06", "2023-07")
BOX = (35.998, 9.0012, 35.9992, 9.0026)


@pytest.fixture(scope="module")
def mapped(pristine_season: SmallSeason, tmp_path_factory: pytest.TempPathFactory) -> SmallSeason:
    """A season with a sample and estimates; read only."""
    season = pristine_season.copy(tmp_path_factory.mktemp("interface") / "season").hurried(2, 1).narrowed()
    season.configure(sample={"points": 60, "fewest_points": 10, "fewest_points_per_unit": 10}, run={"mode": "memory"})
    assert command("map", season.config, "--year", season.year).status == 0
    assert command("sample", season.config, "--year", season.year).status == 0
    points = pd.read_csv(sample_of(season) / "points.csv")
    points.assign(**{"class": np.where(points["PLOTID"] % 3, "cropland", "other")}).to_csv(season.folder / "a.csv")
    assert command("estimate", season.config, "--year", season.year, season.folder / "a.csv").status == 0
    return season


@pytest.fixture
def sources(mapped: SmallSeason) -> dict[str, dict[str, str]]:
    """The archives of the season, as its configuration holds them."""
    imagery = yaml.safe_load(mapped.config.read_text(encoding="utf-8"))["imagery"]
    catalog = str(mapped.folder / "archive" / "catalog.json")
    return {sensor: imagery[sensor] | {"catalog": catalog} for sensor in ("sentinel2", "sentinel1")}


def sample_of(season: SmallSeason) -> Path:
    [folder] = (season.output / SAMPLES).glob("[!.]*")
    return folder


def points_in(box: tuple[float, float, float, float], count: int) -> gpd.GeoDataFrame:
    x, y = np.random.default_rng(0).uniform(box[:2], box[2:], (count, 2)).T
    index = range(5, 5 + count)
    return gpd.GeoDataFrame({"name": index}, geometry=gpd.points_from_xy(x, y), crs=4326, index=index)


@pytest.mark.parametrize(
    ("months", "expected"),
    [
        (("2018-11", "2019-10"), (Window(11, -1, 12), 2019)),
        (("2023-01", "2023-12"), (Window(1, 0, 12), 2023)),
        (("2021-02", "2023-01"), (Window(2, -2, 24), 2023)),
    ],
)
def test_months_are_counted_over_new_year(months: tuple[str, str], expected: tuple[Window, int]) -> None:
    assert window_of(months) == expected


def test_stored_numbers_are_read_in_their_unit_and_codes_as_they_are() -> None:
    stored = xr.Variable(
        ("y", "x"), np.array([[250, 255]], "uint8"), {"_FillValue": 255, "scale_factor": 0.1, "a:b": 1}
    )
    numbers = readable(stored, coded=False)
    np.testing.assert_allclose(numbers.values, [[25.0, np.nan]])
    assert numbers.attrs == {}
    codes = readable(stored, coded=True)
    assert codes.dtype == np.uint8 and codes.attrs == {"_FillValue": 255, "scale_factor": 0.1}


class TestOpen:
    def test_a_season_is_the_same_from_configuration_mapping_and_folder(
        self, mapped: SmallSeason, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(mapped.folder)  # what relative paths of a mapping start from
        content = yaml.safe_load(mapped.config.read_text(encoding="utf-8"))
        seasons = [stook.open(each, mapped.year) for each in (mapped.config, content, mapped.output.parent)]
        assert len({season.edition for season in seasons}) == 1
        assert isinstance(seasons[0], stook.Season)
        assert seasons[0].simulated == ["sentinel1", "sentinel2"]
        for season in seasons:
            pd.testing.assert_frame_equal(season.statistics(), seasons[0].statistics())

    def test_statistics_are_those_that_were_published(self, mapped: SmallSeason) -> None:
        season = stook.open(mapped.config, mapped.year)
        written = pd.read_parquet(Path(season.folder) / "statistics.parquet")
        pd.testing.assert_frame_equal(season.statistics(), written)
        assert season.statistics(threshold=100)["area_ha"].sum() < written["area_ha"].sum()

    def test_a_map_has_the_values_of_the_store_where_they_lie(self, mapped: SmallSeason) -> None:
        season = stook.open(mapped.config, mapped.year)
        assert season.zones == (32636, 32637)
        found = season.map("cropland", 32636)
        config = mapped.configuration
        exported = config.output + "/exports"
        assert command("export", mapped.config, "--year", mapped.year, "--to", exported).status == 0
        with rasterio.open(f"{exported}/simulated_main-2023_cropland_32636.tif") as file:
            raw, transform, crs = file.read(1), file.transform, file.crs
        assert found.odc.crs.to_epsg() == crs.to_epsg() == 32636
        assert found.odc.geobox.transform == transform
        np.testing.assert_array_equal(found.cropland.values, np.where(raw == 255, np.nan, raw).astype("float32"))
        assert (raw != 255).any() and (raw == 255).any()
        assert found.cropland.chunks is not None  # lazy

    def test_a_map_can_be_written_as_netcdf_and_its_axes_are_in_order(
        self, mapped: SmallSeason, tmp_path: Path
    ) -> None:
        found = stook.open(mapped.config, np.int64(mapped.year)).map("cropland", 32636)
        assert list(found.sizes) == ["y", "x"]
        assert found.attrs["provisional"] == "no"
        found.to_netcdf(tmp_path / "map.nc")
        with xr.open_dataset(tmp_path / "map.nc") as back:
            np.testing.assert_array_equal(back["cropland"].values, found["cropland"].values)

    def test_seasons_are_keys_and_public_names_are_listed(self, mapped: SmallSeason) -> None:
        season = stook.open(mapped.config, mapped.year)
        assert {season: 1}[season] == 1
        assert set(dir(stook)) == set(stook.__all__) >= {"Season", "StookError"}

    def test_units_join_their_figures(self, mapped: SmallSeason) -> None:
        season = stook.open(mapped.config, mapped.year)
        units = season.units()
        assert list(units.columns) == ["id", "name", "parent_1", "parent_2", "geometry"] and units.crs.to_epsg() == 4326
        figures = season.statistics().query("level == 'unit' and product == 'cropland'")
        joined = units.merge(figures, on="id")
        assert len(joined) == len(units) == 2
        areas = joined.to_crs(32636).area / 1e4
        np.testing.assert_allclose(joined["total_ha"], areas, rtol=2e-3)

    def test_estimates_are_the_newest(self, mapped: SmallSeason) -> None:
        season = stook.open(mapped.config, mapped.year)
        newest = Estimates.newest(mapped.output, season.edition, "cropland")
        assert newest is not None
        pd.testing.assert_frame_equal(season.estimates(), newest.table)

    @pytest.mark.parametrize(
        ("what", "message"),
        [
            (lambda season: season.map("corn", 32636), "product: 'corn'; main-2023 has cropland"),
            (lambda season: season.map("cropland"), "zone: None; the region lies in 32636, 32637"),
            (lambda season: season.map("cropland", 32601), "zone: 32601; the region lies in 32636, 32637"),
            (lambda season: season.map("cropland", 32636.0), "zone: 32636.0; the region lies in"),
            (lambda season: season.map(["cropland"], 32636), r"product: \['cropland'\]; main-2023 has"),
            (lambda season: season.statistics(0), "threshold: 0; allowed are whole numbers from 1 to 100"),
            (lambda season: season.statistics(101), "threshold: 101"),
            (lambda season: season.statistics(True), "threshold: True"),
            (lambda season: season.statistics("50"), "threshold: '50'"),
            (lambda season: season.estimates("harvest_piles"), "nothing has been estimated"),
        ],
    )
    def test_what_is_not_there_is_told_in_one_line(self, mapped: SmallSeason, what: object, message: str) -> None:
        with pytest.raises(stook.StookError, match=message):
            what(stook.open(mapped.config, mapped.year))  # type: ignore[operator]

    def test_a_season_that_is_not_there_is_told_in_one_line(self, mapped: SmallSeason, tmp_path: Path) -> None:
        for source, year, message in (
            (mapped.output.parent, 2022, "has no season of 2022"),
            (tmp_path, 2023, "has no season of 2023"),
            (tmp_path / "none", 2023, "there is no such folder"),
            (tmp_path / "none.yaml", 2023, "does not exist"),
            ({"name": "x"}, 2023, "region: this field is required"),
            (mapped.config, "2023", "year: '2023'; allowed are whole numbers"),
            (mapped.config, 23, "year: 23; allowed are whole numbers"),
            ("s3://bucket/folder", 2023, "'s3://bucket/folder'; allowed are a path of this machine and gs://"),
            ("a\0b", 2023, "zero byte"),
        ):
            with pytest.raises(stook.StookError, match=message):
                stook.open(source, year)


class TestComposite:
    def test_it_is_what_maps_are_made_of(self, sources: dict[str, dict[str, str]], mapped: SmallSeason) -> None:
        found = stook.composite(BOX, WINDOW, sources, bands=["blue", "nir", "vv"])
        assert found.blue.dims == ("time", "y", "x") and found.blue.dtype == np.float32
        assert found.attrs["simulated"] == ["sentinel1", "sentinel2"]
        config = mapped.configuration
        [product] = map_products(config, mapped.year)
        periods, grid = product.encoding.periods, Grid(tile_px=100)
        tile = grid.tile_at(Zone(36), float(found.x[0]), float(found.y[-1]))
        archives = {name: config.imagery.sources()[name] for name in sources}
        inputs, *_ = find_inputs(archives, BOX, dict.fromkeys(archives, periods))
        settings = CompositeSettings(("blue", "nir", "vv"), periods)
        made = composite(inputs.near(BOX), archives, grid.geobox(tile), settings)
        whole = grid.geobox(tile).coordinates
        rows, columns = (np.isin(found[name], whole[name].values) for name in ("y", "x"))
        there = np.ix_(*(np.isin(whole[name].values, found[name]) for name in ("y", "x")))
        assert rows.sum() > 10 and columns.sum() > 10
        np.testing.assert_array_equal(found.nir.values[:, rows][:, :, columns], made.values[:, 1][:, *there])
        np.testing.assert_array_equal(found.clear_observations.values[rows][:, columns], made.clear_observations[there])

    def test_blocks_do_not_show(self, sources: dict[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> None:
        whole = stook.composite(BOX, WINDOW, sources, bands=["red"], cloud_dilation_px=2).compute()
        monkeypatch.setattr("stook.pipelines.interface.composite.BLOCK_PX", 7)
        parts = stook.composite(BOX, WINDOW, sources, bands=["red"], cloud_dilation_px=2)
        assert parts.red.data.numblocks[1] > 1
        np.testing.assert_array_equal(parts.red.values, whole.red.values)
        np.testing.assert_array_equal(parts.clear_observations.values, whole.clear_observations.values)

    def test_clouds_grow_as_told(self, sources: dict[str, dict[str, str]]) -> None:
        counts = [
            stook.composite(BOX, CLOUDY, sources, bands=["red"], cloud_dilation_px=px).clear_observations.values.astype(
                int
            )
            for px in (0, 3)
        ]
        assert (counts[1] <= counts[0]).all() and counts[1].sum() < counts[0].sum()

    def test_each_month_is_that_month(self, sources: dict[str, dict[str, str]]) -> None:
        both = stook.composite(BOX, CLOUDY, sources, bands=["red", "vh"])
        assert [str(time)[:7] for time in both.time.values] == ["2023-06", "2023-07"]
        alone = stook.composite(BOX, ("2023-07", "2023-07"), sources, bands=["vh", "red"])
        for band in ("red", "vh"):
            np.testing.assert_array_equal(both[band].values[1], alone[band].values[0])

    def test_ground_is_a_box_a_geometry_or_a_table(self, sources: dict[str, dict[str, str]]) -> None:
        square = shapely.box(*BOX)
        table = gpd.GeoDataFrame(geometry=[square], crs=4326)
        boxes = [stook.composite(g, WINDOW, sources, bands=["red"]).odc.geobox for g in (BOX, square, table)]
        assert boxes[0] == boxes[1] == boxes[2]
        projected = stook.composite(table.to_crs(32636), WINDOW, sources, bands=["red"]).odc.geobox
        assert projected.extent.contains(boxes[0].extent.buffer(-15))

    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            ({"ground": (36.0, 9.0, 35.9, 9.1)}, "ground: .*west < east"),
            ({"ground": (200, 9, 201, 10)}, "within -180…180"),
            ({"ground": "here"}, "ground: str; allowed are"),
            ({"ground": (36, 9, 37)}, "ground: 3 numbers; allowed are four"),
            ({"ground": (36, 9, 36, 10)}, "ground: .*has no area"),
            ({"ground": (30.0, 0.0, 40.0, 10.0)}, "ground: 1,1.. km x 1,1.. km; allowed are 250,000 km²"),
            ({"cloud_dilation_px": -1}, "cloud_dilation_px: -1; allowed are whole numbers from 0 to 50"),
            ({"cloud_dilation_px": 1.5}, "cloud_dilation_px: 1.5"),
            ({"cloud_dilation_px": 51}, "cloud_dilation_px: 51"),
            ({"bands": []}, "bands: .*at least one"),
            ({"bands": "red"}, "bands: 'red'; allowed is a list"),
            ({"bands": 5}, "bands: 5; allowed is a list"),
            ({"window": ("9999-01", "9999-12")}, "window: year: 9999"),
            ({"ground": gpd.GeoSeries([shapely.box(*BOX)])}, "has no CRS"),
            ({"window": ("2023-05", "2023-01")}, "window: .* months; allowed are 1 to 24"),
            ({"window": ("2023", "2024")}, "window: .*give the first and the last month"),
            ({"bands": ["ultraviolet"]}, "bands: 'ultraviolet'; the archives have blue"),
            ({"sources": {}}, "name at least one of"),
            ({"sources": {"sentinel2": {"catalog": "c"}}}, "sources: sentinel2.collection"),
        ],
    )
    def test_wrong_arguments_are_told_in_one_line(
        self, sources: dict[str, dict[str, str]], changed: dict[str, object], message: str
    ) -> None:
        arguments: dict[str, object] = {"ground": BOX, "window": WINDOW, "sources": sources} | changed
        with pytest.raises(stook.StookError, match=message):
            stook.composite(**arguments)  # type: ignore[arg-type]


class TestEmbed:
    def test_vectors_give_the_probabilities_of_the_map(
        self, mapped: SmallSeason, sources: dict[str, dict[str, str]]
    ) -> None:
        points = points_in(BOX, 12)
        found = stook.embed(points.to_crs(32637), mapped.folder / "bundle", WINDOW, sources)
        assert list(found.columns[:4]) == ["name", "geometry", "clear_observations", "f000"]
        assert list(found.index) == list(points.index) and found.crs.to_epsg() == 32637
        task = load_bundle(mapped.folder / "bundle").task
        percent = 100 * task.shares(torch.tensor(found.filter(regex=r"^f\d").to_numpy())).numpy().ravel()
        cropland = stook.open(mapped.config, mapped.year).map("cropland", 32636)
        at = points.to_crs(32636).geometry
        values = cropland.cropland.sel(
            x=xr.DataArray(at.x.to_numpy(), dims="point"),
            y=xr.DataArray(at.y.to_numpy(), dims="point"),
            method="nearest",
        ).values
        assert np.isfinite(values).sum() >= 6
        np.testing.assert_allclose(percent[np.isfinite(values)], values[np.isfinite(values)], atol=0.51)

    def test_points_with_too_few_observations_have_no_vector(
        self, mapped: SmallSeason, sources: dict[str, dict[str, str]]
    ) -> None:
        points, bundle = points_in(BOX, 4), mapped.folder / "bundle"
        counts = []
        for px, fewest in ((0, 1), (3, 1), (0, 254)):
            options = {"cloud_dilation_px": px, "minimum_observations": fewest}
            found = stook.embed(points, bundle, CLOUDY, sources, **options)
            counts.append(found["clear_observations"].astype(int).sum())
            np.testing.assert_array_equal(found["f000"].isna(), found["clear_observations"] < fewest)
        assert counts[1] < counts[0] == counts[2]

    def test_points_without_imagery_have_no_vector(
        self, mapped: SmallSeason, sources: dict[str, dict[str, str]]
    ) -> None:
        points = gpd.GeoSeries(gpd.points_from_xy([BOX[0], 36.2], [BOX[1], 9.002]), crs=4326)
        found = stook.embed(points, mapped.folder / "bundle", WINDOW, sources)
        assert found["clear_observations"].tolist()[1] == 255
        assert found["f000"].notna().tolist() == [True, False]

    @pytest.mark.parametrize(
        ("points", "encoder", "message"),
        [
            (gpd.GeoSeries([], crs=4326), "bundle", "points: 0 rows"),
            (gpd.GeoSeries([shapely.box(*BOX)], crs=4326), "bundle", "allowed are points"),
            ([1, 2], "bundle", "points: list"),
            (gpd.GeoSeries([shapely.Point(36, 9)]), "bundle", "points: has no CRS"),
            (gpd.GeoDataFrame({"a": [1]}), "bundle", "points: has no column of geometries"),
            (gpd.GeoSeries([shapely.Point(36, 91)], crs=4326), "bundle", "points: row 0 lies at POINT"),
            (gpd.GeoSeries([shapely.Point(np.nan, 9)], crs=4326), "bundle", "points: "),
            (gpd.GeoDataFrame({"f000": [1]}, geometry=[shapely.Point(36, 9)], crs=4326), "bundle", "a column 'f000'"),
            (gpd.GeoSeries([shapely.Point(36, 9)], crs=4326), None, "encoder: NoneType"),
            (gpd.GeoSeries([shapely.Point(36, 9)], crs=4326), "nonesuch", "the encoder 'nonesuch' is unknown"),
        ],
    )
    def test_wrong_arguments_are_told_in_one_line(
        self, mapped: SmallSeason, sources: dict[str, dict[str, str]], points: object, encoder: str, message: str
    ) -> None:
        model = mapped.folder / "bundle" if encoder == "bundle" else encoder
        with pytest.raises(stook.StookError, match=message):
            stook.embed(points, model, WINDOW, sources)  # type: ignore[arg-type]


class TestEstimate:
    DESIGN = pd.DataFrame({"stratum": ["crop", "other"], "area_ha": [200.0, 800.0]})
    ANSWERS = pd.DataFrame(
        {"stratum": ["crop"] * 50 + ["other"] * 50, "reference": (["crop"] * 40 + ["other"] * 10) + ["other"] * 50}
    )

    def test_areas_are_those_of_the_strata_weighted(self) -> None:
        areas = stook.estimate(self.DESIGN, self.ANSWERS).query("figure == 'area'").set_index("class")["value"]
        assert areas.to_dict() == pytest.approx({"crop": 160.0, "other": 840.0})

    def test_strata_need_not_be_the_classes_of_the_map(self) -> None:
        mapped = self.ANSWERS.assign(map=["crop"] * 45 + ["other"] * 54 + [None])
        found = stook.estimate(self.DESIGN, mapped)
        assert found["method"].str.contains("Stehman").any()
        assert found.query("figure == 'area'")["value"].sum() == pytest.approx(1000.0)

    def test_a_sample_of_the_command_gives_what_the_command_gives(self, mapped: SmallSeason) -> None:
        found = stook.estimate(sample_of(mapped), mapped.folder / "a.csv")
        pd.testing.assert_frame_equal(found, stook.open(mapped.config, mapped.year).estimates())

    def test_codes_are_the_same_class_whether_a_gap_made_them_floats_or_not(self) -> None:
        numbers = {"crop": 1, "other": 2}
        design = self.DESIGN.assign(stratum=["in", "out"])
        points = pd.DataFrame({"stratum": ["in"] * 50 + ["out"] * 50})
        points["reference"] = self.ANSWERS["reference"].map(numbers)
        points["map"] = [1.0] * 50 + [2.0] * 49 + [None]
        found = stook.estimate(design, points)
        [accuracy] = found.query("figure == 'overall_accuracy'")["value"]
        assert 0.9 < accuracy < 1
        assert set(found["class"]) == {"", "1", "2"}

    def test_blanks_around_a_class_make_no_other_class(self) -> None:
        spaced = self.ANSWERS.assign(reference=self.ANSWERS["reference"] + " ")
        pd.testing.assert_frame_equal(stook.estimate(self.DESIGN, spaced), stook.estimate(self.DESIGN, self.ANSWERS))

    def test_a_stratum_without_a_size_is_countless(self) -> None:
        sizes = stook.estimate(self.DESIGN.assign(size=[None, 8000]), self.ANSWERS)
        assert sizes["low"].notna().all()
        whole = stook.estimate(self.DESIGN, self.ANSWERS)
        area = "figure == 'area' and `class` == 'crop'"
        assert sizes.query(area)["standard_error"].item() <= whole.query(area)["standard_error"].item()
        fewer = stook.estimate(self.DESIGN.assign(size=[60, 70]), self.ANSWERS)
        assert fewer.query(area)["standard_error"].item() < 0.6 * whole.query(area)["standard_error"].item()

    @pytest.mark.parametrize(
        ("design", "answers", "message"),
        [
            (DESIGN.assign(area_ha=["200 ha", "800"]), ANSWERS, "design: area_ha: allowed are numbers"),
            (DESIGN.assign(size=["many", "few"]), ANSWERS, "design: size: allowed are numbers"),
            (DESIGN.assign(size=[10.5, 1e6]), ANSWERS, "design: size: 10.5; allowed are whole numbers"),
            (DESIGN.assign(size=[-3, 10**6]), ANSWERS, "design: size: -3"),
            (DESIGN, ANSWERS.replace({"reference": {"crop": ""}}), "answers: reference is empty in row 0"),
            (
                DESIGN,
                ANSWERS.assign(map=[["crop"]] * 100),
                "answers: field 'map': row 1 is .*; allowed are text",
            ),
            (
                DESIGN,
                ANSWERS.assign(map=["Crop", *["crop"] * 99]),
                "'Crop' and 'crop' differ by capitals alone",
            ),
            (pd.concat([DESIGN, DESIGN[["area_ha"]]], axis=1), ANSWERS, "design: has 'area_ha' more than once"),
            ("folder", [], "design, answers: allowed are two tables"),
            ("folder", None, "answers: NoneType"),
            (DESIGN.drop(columns="area_ha"), ANSWERS, "design: has no column 'area_ha'"),
            (DESIGN, ANSWERS.drop(columns="reference"), "answers: has no column 'reference'"),
            (DESIGN, ANSWERS.replace({"reference": {"crop": None}}), "answers: reference is empty in row 0"),
            (DESIGN, ANSWERS.replace({"stratum": {"crop": "corn"}}), "answers: stratum 'corn' is not in the design"),
            (DESIGN, ANSWERS.iloc[49:], "stratum 'crop': sample of 1"),
            (DESIGN.assign(area_ha=[0.0, 1.0]), ANSWERS, "stratum 'crop': area 0"),
            (DESIGN, "a.csv", "answers: with a design that is a table"),
            ("folder", ANSWERS, "answers: with the folder of a sample"),
        ],
    )
    def test_wrong_tables_are_told_in_one_line(self, design: object, answers: object, message: str) -> None:
        with pytest.raises(stook.StookError, match=message):
            stook.estimate(design, answers)  # type: ignore[arg-type]
