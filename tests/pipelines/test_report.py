"""``stook report`` on a small mapped season: every file read back and held against the tables."""

import json
import re
import shutil
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pyogrio
import pytest
import sdmx

from stook.models.errors import InputError
from stook.pipelines.season import published_edition
from stook.transforms.editions.edition import MANIFEST, Edition
from stook.transforms.editions.kept_models import kept_model
from stook.transforms.editions.season_folder import SeasonFolder
from stook.transforms.reporting.observations import observations
from stook.transforms.reporting.tables import areas_table, estimates_table
from tests.pipelines.command import stook
from tests.pipelines.estimated import keep_estimates
from tests.pipelines.small_season import NOVEMBER, SmallSeason, write_pile_bundle
from tests.transforms.reporting.reading import differing_in_layers, differing_in_sdmx

FILES = {
    "areas.csv",
    "areas.parquet",
    "areas.geoparquet",
    "areas.gpkg",
    "dictionary.csv",
    "methods.md",
    "report.json",
    "sdmx/data.csv",
    "sdmx/structure.xml",
}
ESTIMATED = {"estimates.csv", "estimates.parquet", "estimates.geoparquet", "estimates.gpkg"}
THRESHOLDS = {"cropland": 50, "harvest_piles": 50}
VINTAGE = "2019 census"


@pytest.fixture(scope="module")
def mapped(pristine_season: SmallSeason, tmp_path_factory: pytest.TempPathFactory) -> SmallSeason:
    """Cropland, smoothed, piles and farmed cells of the narrowed season, published; tests write reports only."""
    season = pristine_season.copy(tmp_path_factory.mktemp("report") / "season").hurried(2, 1).narrowed()
    write_pile_bundle(season.folder / "piles", months=1)
    season.configure(products__cropland__smoothing={"minimum_mapping_unit_ha": 0.05}, products__farmed_cells={})
    season.configure(products__harvest_piles=NOVEMBER, run={"mode": "memory"}, region__vintage=VINTAGE)
    assert stook("map", season.config, "--year", season.year, "--quiet").status == 0
    return season


@pytest.fixture(scope="module")
def edition(mapped: SmallSeason) -> Edition:
    return published_edition(mapped.configuration, mapped.year)


@pytest.fixture(scope="module")
def plain(mapped: SmallSeason, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the season before anybody judged a point."""
    folder = tmp_path_factory.mktemp("reports") / "plain"
    told = stook("report", mapped.config, "--year", mapped.year, "--to", folder)
    assert told.status == 0
    assert {Path(line).relative_to(folder).as_posix() for line in told.output.split()} == FILES
    return folder


@pytest.fixture(scope="module")
def full(mapped: SmallSeason, plain: Path, edition: Edition) -> Path:
    """The report with estimates of two sets, in the default folder."""
    keep_estimates(edition, 33.3, sample="old", made="2025-01-01T00:00:00+00:00")
    keep_estimates(edition, 1234.5678)
    keep_estimates(edition, -3.25, since="main-2022")
    assert stook("report", mapped.config, "--year", mapped.year).status == 0
    return mapped.output / "reports" / edition.id


def tables_of(edition: Edition) -> tuple[pd.DataFrame, pd.DataFrame]:
    areas, estimates = areas_table(edition, THRESHOLDS, VINTAGE), estimates_table(edition, VINTAGE)
    assert estimates is not None
    return areas, estimates


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_report_has_every_file_and_names_them(full: Path) -> None:
    assert files_of(full) == FILES | ESTIMATED
    assert set(json.loads((full / "report.json").read_text())["files"]) == (FILES | ESTIMATED) - {"report.json"}
    assert not list(full.parent.glob(".*"))


def test_tables_read_back_as_the_very_numbers(full: Path, edition: Edition) -> None:
    for name, table in zip(("areas", "estimates"), tables_of(edition), strict=True):
        pd.testing.assert_frame_equal(pd.read_parquet(full / f"{name}.parquet"), table)
        read = pd.read_csv(full / f"{name}.csv")
        assert list(read) == list(table)
        for column in table.select_dtypes("number"):
            np.testing.assert_array_equal(read[column].astype(float), table[column].astype(float), err_msg=column)


def test_unrounded_areas_add_up(full: Path) -> None:
    table = pd.read_csv(full / "areas.csv")
    parts = ["mapped", "not_mapped_no_imagery", "not_mapped_too_few_observations", "not_mapped_failed"]
    assert (table[[f"{part}_dm2" for part in parts]].sum(axis=1) == table["total_dm2"]).all()
    for _, part in table.groupby("product"):
        for column in ("total_dm2", "mapped_dm2", "area_dm2"):
            sums = part.groupby("level")[column].sum()
            assert sums.nunique() == 1, column
            assert sums["region"] > 0


def test_sdmx_reads_back_by_another_library(full: Path, edition: Edition) -> None:
    areas, estimates = tables_of(edition)
    table = observations(edition, areas, estimates).table
    assert differing_in_sdmx(full / "sdmx", table) == 0
    spoiled = table.assign(HIGH=table["HIGH"] + 1e-6)
    assert differing_in_sdmx(full / "sdmx", spoiled) == table["HIGH"].notna().sum() > 0


def test_sdmx_holds_every_figure_of_the_tables(full: Path, edition: Edition) -> None:
    areas, estimates = tables_of(edition)
    data = pd.read_csv(full / "sdmx" / "data.csv", dtype={"REF_AREA": str})
    whole = areas[(areas["product"] == "cropland") & (areas["level"] == "unit")].iloc[0]
    of_map = data[(data["PRODUCT"] == "cropland") & (data["ESTIMATOR"] == "PIXEL_COUNT")]
    found = of_map[of_map["REF_AREA"] == whole["id"]].set_index("MEASURE")
    assert found.loc["TOTAL", "OBS_VALUE"] == whole["total_ha"]
    assert found.loc["TOTAL", "OBS_STATUS"] == "A"
    assert found.loc["AREA", "OBS_VALUE"] == whole["area_ha"]
    assert found.loc["AREA", ["OBS_STATUS", "CLASS", "THRESHOLD_PERCENT"]].tolist() == ["E", "CROPLAND", 50]
    assert "not for publication" in found.loc["AREA", "COMMENT_OBS"]
    sampled = data[data["ESTIMATOR"] == "DESIGN_BASED"]
    assert len(sampled) == len(estimates) == 4
    refused = sampled[sampled["OBS_VALUE"].isna()].iloc[0]
    assert (refused["OBS_STATUS"], refused["COMMENT_OBS"]) == ("O", "3 answered points lie in it; use the region's")
    assert sampled.set_index(["MEASURE", "BASE_PERIOD"]).loc[("GAIN", "main-2022"), "OBS_VALUE"] == -3.25
    assert set(data["BOUNDARY_VINTAGE"]) == {VINTAGE}
    assert set(data["REVISION"]) == {edition.id}


def test_the_structure_defines_every_code_and_is_valid(full: Path) -> None:
    from pysdmx.io import read_sdmx

    read_sdmx(full / "sdmx" / "structure.xml", validate=True)
    message = sdmx.read_sdmx(full / "sdmx" / "structure.xml")
    structure = message.structure["DSD_LAND"]
    data = pd.read_csv(full / "sdmx" / "data.csv", dtype=str, keep_default_na=False)
    coded = [*structure.dimensions, *structure.attributes]
    coded = [one for one in coded if one.local_representation and one.local_representation.enumerated]
    assert {one.id for one in coded} >= {"REF_AREA", "PRODUCT", "MEASURE", "UNIT_MEASURE", "ESTIMATOR", "OBS_STATUS"}
    for component in coded:
        codes = set(message.codelist[component.local_representation.enumerated.id].items)
        assert set(data[component.id]) <= codes, component.id
    assert message.codelist["CL_OBS_STATUS"].maintainer.id == "SDMX"


@pytest.mark.parametrize("name", ["areas", "estimates"])
def test_the_geopackage_has_a_layer_per_product_with_the_tables_numbers(
    full: Path, edition: Edition, name: str
) -> None:
    table = dict(zip(("areas", "estimates"), tables_of(edition), strict=True))[name]
    assert differing_in_layers(full / f"{name}.gpkg", table) == 0
    column = "total_ha" if name == "areas" else "points"
    assert differing_in_layers(full / f"{name}.gpkg", table.assign(**{column: table[column] + 1})) == len(table)


def test_geoparquet_has_what_its_specification_asks_for(full: Path, edition: Edition) -> None:
    path = full / "areas.geoparquet"
    told = json.loads(pq.read_metadata(path).metadata[b"geo"])
    assert (told["version"], told["primary_column"]) == ("1.1.0", "geometry")
    column = told["columns"]["geometry"]
    assert (column["encoding"], column["geometry_types"]) == ("WKB", ["MultiPolygon"])
    assert column["crs"]["id"] == {"authority": "EPSG", "code": 4326}
    assert len(column["bbox"]) == 4
    assert pq.read_schema(path).field("geometry").metadata is None  # or GDAL 3.12 does not find the CRS
    read = gpd.read_parquet(path)
    areas, _ = tables_of(edition)
    pd.testing.assert_frame_equal(pd.DataFrame(read.drop(columns="geometry")), areas)
    assert read.geometry.is_valid.all()


@pytest.mark.skipif("Parquet" not in pyogrio.list_drivers(), reason="this GDAL has no Parquet driver")
def test_gdal_opens_geoparquet(full: Path, edition: Edition) -> None:
    areas, _ = tables_of(edition)
    read = pyogrio.read_dataframe(full / "areas.geoparquet")
    np.testing.assert_array_equal(read["total_dm2"], areas["total_dm2"])
    assert (read.geom_type == "MultiPolygon").all()
    assert read.crs == "EPSG:4326"


def test_parents_are_the_ground_of_their_units(full: Path) -> None:
    table = gpd.read_file(full / "areas.gpkg", layer="cropland").to_crs(6933)
    ground = table.assign(m2=table.area).groupby("level")["m2"].sum()
    np.testing.assert_allclose(ground / ground["region"], 1, rtol=1e-9)
    np.testing.assert_allclose(table.area / 1e4, table["total_ha"], rtol=1e-3)


def test_the_dictionary_tells_every_column_of_every_file(full: Path) -> None:
    words = pd.read_csv(full / "dictionary.csv", keep_default_na=False)
    told = set(zip(words["file"], words["column"], strict=True))
    for path in full.rglob("*.csv"):
        file = path.relative_to(full).with_suffix("").as_posix()
        assert {(file, column) for column in pd.read_csv(path, nrows=0)} <= told, file
    for path in full.glob("*.geoparquet"):
        assert {(path.stem, column) for column in pq.read_schema(path).names} <= told
    for path in full.glob("*.gpkg"):
        for layer, _ in pyogrio.list_layers(path):
            assert {(path.stem, column) for column in pyogrio.read_info(path, layer=layer)["fields"]} <= told
    assert (words[["type", "meaning", "source"]] != "").all(axis=None)


def number(cell: str) -> float:
    return float("nan") if cell == "–" else float(cell.replace(",", ""))


def note_table(note: str, first: str) -> pd.DataFrame:
    """The table of the note whose first heading is so."""
    lines = note.splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith(f"| {first} |"))
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return pd.DataFrame(rows[2:], columns=rows[0])


def test_the_methods_note_holds_the_figures_of_the_tables(full: Path, edition: Edition) -> None:
    note = (full / "methods.md").read_text()
    areas, estimates = tables_of(edition)
    whole = areas[areas["level"] == "region"].set_index("product")
    mapped = note_table(note, "map").set_index("map")
    assert set(mapped.index) == set(whole.index)
    for heading, column in {
        "all ground, ha": "total_ha",
        "mapped, ha": "mapped_ha",
        "no imagery, ha": "not_mapped_no_imagery_ha",
        "too few observations, ha": "not_mapped_too_few_observations_ha",
        "class on the map, ha": "area_ha",
    }.items():
        np.testing.assert_allclose(mapped[heading].map(number), whole[column].loc[mapped.index], atol=0.00501)
    region = estimates[(estimates["level"] == "region") & (estimates["since"] == "")]
    figures = note_table(note, "figure")
    for heading, column in {"value": "value", "low 95 %": "low", "published": "published"}.items():
        np.testing.assert_allclose(figures[heading].map(number), region[column], atol=0.00501)
    scenes = note_table(note, "sensor").set_index("sensor")["scenes"].astype(int)
    assert scenes.sum() == edition.manifest["scenes"]
    assert note_table(note, "stratum").iloc[0].tolist() == ["not mapped", "123.46", "40"]


def test_the_methods_note_says_what_a_reader_must_know(full: Path, plain: Path, edition: Edition) -> None:
    note = (full / "methods.md").read_text()
    for told in (
        "SIMULATED: the imagery (rgb, sentinel1, sentinel2)",
        "Totals add up exactly in the unrounded columns",
        "rounded each by itself to their standard error",
        "120 points, 4 without an answer",
        "interpreters: Abel, Sara",
        "Cohen's kappa: Abel and Sara 0.812",
        "cropland, change since main-2022",
        edition.id,
        edition.plan.units_hash,
        VINTAGE,
        *(product.model_hash for product in edition.plan.products),
    ):
        assert told in note
    assert "no reference sample" not in note
    assert "PROVISIONAL" not in note
    without = (plain / "methods.md").read_text()
    assert re.search(r"no reference sample.*biased.*not for publication", without)


def test_a_bundle_that_changed_since_is_not_quoted(edition: Edition, tmp_path: Path) -> None:
    [piles] = [product for product in edition.plan.products if product.product == "harvest_piles"]
    manifest = Path(kept_model(edition, piles).path) / "bundle.json"
    whole = manifest.read_text()
    assert stook_note(edition, tmp_path / "one").count("not at hand") == 0
    try:
        manifest.write_text(whole + " ")
        assert stook_note(edition, tmp_path / "other").count("not at hand") == 1
    finally:
        manifest.write_text(whole)


def stook_note(edition: Edition, folder: Path) -> str:
    from stook.transforms.reporting.report import write_report

    write_report(edition, THRESHOLDS, None, folder)
    return (folder / "methods.md").read_text()


def test_another_threshold_than_at_publication_is_told(edition: Edition, tmp_path: Path) -> None:
    from stook.transforms.reporting.report import write_report

    write_report(edition, THRESHOLDS | {"cropland": 60}, None, tmp_path / "report")
    note = (tmp_path / "report" / "methods.md").read_text()
    assert "Boundaries: units " in note
    assert "When the edition was published its thresholds were others: cropland 50 %." in note


def test_a_provisional_season_says_so_everywhere(mapped: SmallSeason, tmp_path: Path) -> None:
    copy = mapped.copy(tmp_path / "season")
    edition = next(one for one in SeasonFolder.at(copy.output).editions())
    manifest = edition.manifest
    manifest["plan"]["provisional"] = True
    (edition.folder / MANIFEST).write_text(json.dumps(manifest))
    assert "**PROVISIONAL: the season was not over" in stook_note(edition, tmp_path / "report")
    data = pd.read_csv(tmp_path / "report" / "sdmx" / "data.csv")
    assert set(data["OBS_STATUS"]) <= {"P", "O", "M"}
    assert pd.read_csv(tmp_path / "report" / "areas.csv")["provisional"].all()


def test_a_report_is_made_again_in_place_and_nothing_else_is_replaced(mapped: SmallSeason, tmp_path: Path) -> None:
    def report(folder: Path) -> None:
        stook("report", mapped.config, "--year", mapped.year, "--to", folder)

    folder = tmp_path / "office"
    report(folder)
    (folder / "methods.md").write_text("stale")
    report(folder)
    assert (folder / "methods.md").read_text() != "stale"
    (folder / "press.txt").write_text("ours")
    with pytest.raises(InputError, match=r"press\.txt, which is not of the report"):
        report(folder)
    assert (folder / "press.txt").read_text() == "ours"
    other = tmp_path / "letters"
    other.mkdir()
    (other / "letter.txt").write_text("kept")
    with pytest.raises(InputError, match="not empty and not a report"):
        report(other)
    with pytest.raises(InputError, match="is a file; name a folder"):
        report(other / "letter.txt")
    assert files_of(other) == {"letter.txt"}


@pytest.mark.parametrize("content", ["{half", "[1]", '{"product": "cropland"}'])
def test_a_sample_that_cannot_be_read_is_told_and_passed_over(
    mapped: SmallSeason, tmp_path: Path, content: str
) -> None:
    design = mapped.output / "samples" / "spoiled" / "design.json"
    design.parent.mkdir(parents=True)
    try:
        design.write_text(content)
        told = stook("report", mapped.config, "--year", mapped.year, "--to", tmp_path / "report")
    finally:
        shutil.rmtree(design.parent.parent)
    assert told.status == 0 and files_of(tmp_path / "report") >= FILES
    [line] = [line for line in told.output.splitlines() if line.startswith(f"{design}: ")]
    assert line.endswith("; passed over")


def test_a_report_that_fails_leaves_the_one_before(
    full: Path, mapped: SmallSeason, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.read_bytes() for path in full.rglob("*") if path.is_file()}

    def full_disk(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("stook.transforms.reporting.report.methods_note", full_disk)
    with pytest.raises(InputError, match="cannot be written .No space left"):
        stook("report", mapped.config, "--year", mapped.year)
    assert {path: path.read_bytes() for path in full.rglob("*") if path.is_file()} == before
    assert not list(full.parent.glob(".*"))


@pytest.mark.parametrize("suffix", [".gpkg", ".geoparquet"])
def test_statistics_are_written_with_their_ground(mapped: SmallSeason, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"table{suffix}"
    assert stook("statistics", mapped.config, "--year", mapped.year, "--to", path).status == 0
    read = gpd.read_parquet(path) if suffix == ".geoparquet" else gpd.read_file(path, layer="harvest_piles")
    table = pd.read_parquet(published_edition(mapped.configuration, mapped.year).folder / "statistics.parquet")
    table = table[table["product"].isin(read["product"])]
    np.testing.assert_array_equal(read["area_dm2"], table["area_dm2"])
    assert read.geometry.is_valid.all()


def test_parts_of_places_have_no_ground(mapped: SmallSeason, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"their parts by --by zones.gpkg:zone have none; write \.csv or \.parquet"):
        stook("statistics", mapped.config, "--year", mapped.year, "--by", "zones.gpkg:zone", "--to",
              tmp_path / "table.gpkg")  # fmt: skip


def test_ground_that_cannot_be_written_is_refused(mapped: SmallSeason, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere/table.gpkg: cannot be written"):
        stook("statistics", mapped.config, "--year", mapped.year, "--to", tmp_path / "nowhere" / "table.gpkg")


def test_nothing_published_is_refused(mapped: SmallSeason) -> None:
    with pytest.raises(InputError, match="no edition of this season is published"):
        stook("report", mapped.config, "--year", 2021)
