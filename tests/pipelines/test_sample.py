"""``stook sample`` on the small simulated season: what it prints and writes, and what it refuses."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from stook.models.errors import InputError
from stook.pipelines.configuration import MapConfiguration
from stook.pipelines.figures import sample as sample_pipeline
from stook.pipelines.sections import load
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.season_folder import SeasonFolder
from stook.transforms.sampling.files import INTERPRETERS_FILES
from stook.transforms.sampling.lookup import values_at
from stook.transforms.sampling.sample import SAMPLES, Sample
from stook.transforms.statistics.sums import WHOLE_REGION, ledger_sums
from stook.transforms.tiles.map_reader import MapReader
from tests.pipelines.command import Told, stook
from tests.pipelines.small_season import ABSENT, NOVEMBER, PILE_CELL_M, SmallSeason, write_pile_bundle

SAMPLE: dict[str, Any] = {"product": "cropland", "points": 60, "fewest_points": 10, "seed": 7}


@pytest.fixture(scope="module")
def mapped(pristine_season: SmallSeason, tmp_path_factory: pytest.TempPathFactory) -> SmallSeason:
    """Cropland, smoothed too, and harvest piles, mapped, with a section on samples; read only."""
    season = pristine_season.copy(tmp_path_factory.mktemp("sample") / "season").hurried(2, 1).narrowed()
    write_pile_bundle(season.folder / "piles", months=1)
    season.configure(products__cropland__smoothing={"majority_px": 3}, products__harvest_piles=NOVEMBER)
    # The map's percents are random and lie between 55 and 58.
    season.configure(run={"mode": "memory"}, sample=SAMPLE, products__cropland__threshold=57)
    assert stook("map", season.config, "--year", season.year, "--quiet").status == 0
    return season


@pytest.fixture
def season(mapped: SmallSeason, tmp_path: Path) -> Iterator[SmallSeason]:
    """The same with a configuration and results that the test may spoil: an edition is bound to where it was made."""
    config = mapped.config.with_name(f"{tmp_path.name}.yaml")
    shutil.copy(mapped.config, config)
    kept = tmp_path / "kept"
    shutil.copytree(mapped.output, kept)
    yield SmallSeason(config, mapped.year)
    shutil.rmtree(mapped.output.parent)
    shutil.copytree(kept, mapped.output)


def draw(season: SmallSeason, *words: object, **section: Any) -> Told:
    """Run ``stook sample`` with some of the section changed."""
    if section:
        season.configure(sample=SAMPLE | section)
    return stook("sample", season.config, "--year", season.year, *words)


def folder_of(season: SmallSeason) -> Path:
    [folder] = samples_of(season)
    return folder


def samples_of(season: SmallSeason) -> list[Path]:
    return list((season.output / SAMPLES).glob("[!.]*"))


def edition_of(season: SmallSeason) -> Edition:
    found = SeasonFolder.at(season.output).current()
    assert found is not None
    return found


def copied_to_an_earlier_year(season: SmallSeason) -> Path:
    """The season's editions once more as those of the year before; returns the edition's manifest."""
    earlier = season.output.with_name(f"main-{season.year - 1}")
    shutil.copytree(season.output, earlier)
    return earlier / edition_of(season).id / "edition.json"


def test_a_sample_is_drawn_printed_and_written(season: SmallSeason) -> None:
    told = draw(season)
    assert told.status == 0
    for words in ("stratum", "cropland", "exp. s.e., ha", "all", "60", "Drawn with seed 7", *INTERPRETERS_FILES):
        assert words in told.output, told.output
    assert "Expected standard error of the class: " in told.output
    drawn = Sample.read(folder_of(season))
    edition = edition_of(season)
    assert (drawn.drawn.edition, drawn.drawn.product, drawn.drawn.cell_m) == (edition.id, "cropland", 10)
    assert drawn.drawn.units_hash == edition.plan.units_hash and drawn.drawn.since is None
    assert drawn.drawn.settings["fewest_points"] == 10
    assert len(drawn.points) == 60 == sum(stratum.points for stratum in drawn.drawn.strata)
    whole = ledger_sums(edition, MapReader(edition).region).histograms["cropland"][WHOLE_REGION, "simulated"]
    assert sum(stratum.area_dm2 for stratum in drawn.drawn.strata) == sum(whole.values())
    lon, lat = drawn.points["lon"].to_numpy(), drawn.points["lat"].to_numpy()
    np.testing.assert_array_equal(values_at(MapReader(edition), "cropland", lon, lat), drawn.points["value"])
    assert (lon < 36).any() and (lon > 36).any()
    assert set(drawn.points["unit"][lon < 36]) == {"west"} and set(drawn.points["unit"][lon > 36]) == {"east"}


def test_the_same_command_finds_the_sample_and_changes_nothing(season: SmallSeason) -> None:
    draw(season)
    before = contents(folder_of(season))
    told = draw(season)
    assert "This sample is drawn already; nothing was changed." in told.output and "all" in told.output
    assert contents(folder_of(season)) == before


def test_what_concerns_answers_only_leaves_the_sample(season: SmallSeason) -> None:
    draw(season)
    told = draw(season, answers={"words": {"cropland": ["Crop"]}}, fewest_points_per_unit=40, estimator="regression")
    assert "drawn already" in told.output
    draw(season, seed=8)
    assert len(samples_of(season)) == 2


def test_the_same_settings_give_the_same_files_when_they_are_drawn_anew(season: SmallSeason) -> None:
    draw(season)
    first = contents(folder_of(season))
    shutil.rmtree(season.output / SAMPLES)
    assert "Drawn with seed" in draw(season).output
    again = contents(folder_of(season))
    for name in ("key.parquet", "points.csv", "points.geojson"):
        assert first[name] == again[name], name


def test_a_size_is_found_for_a_standard_error(season: SmallSeason) -> None:
    told = draw(season, points=None, standard_error_percent=3)
    size = len(Sample.read(folder_of(season)).points)
    [line] = [line for line in told.output.splitlines() if line.startswith("Expected standard error")]
    assert 2.9 < float(line.split("class: ")[1].split(" %")[0]) <= 3
    assert 100 < size < 160  # about (0.357 / 0.03)² = 142, accuracies of 85 % throughout


@pytest.mark.parametrize("product", ["cropland_smoothed", "harvest_piles"])
def test_every_map_can_be_sampled_on_its_own_cells(season: SmallSeason, product: str) -> None:
    draw(season, product=product, fewest_points=5)
    drawn = Sample.read(folder_of(season))
    assert drawn.drawn.cell_m == (PILE_CELL_M if product == "harvest_piles" else 10)
    lon, lat = drawn.points["lon"].to_numpy(), drawn.points["lat"].to_numpy()
    np.testing.assert_array_equal(values_at(MapReader(edition_of(season)), product, lon, lat), drawn.points["value"])
    classes = {"cropland_smoothed": "cropland", "harvest_piles": "piles"}
    names = {stratum.name for stratum in drawn.drawn.strata}
    assert names <= {"other", classes[product], f"no {classes[product]}", "not mapped"} and len(names) >= 2


def test_strata_of_bands_within_units(season: SmallSeason) -> None:
    draw(season, strata={"by": "bands", "bands_percent": [57], "within": "unit"}, points=200)
    names = [stratum.name for stratum in Sample.read(folder_of(season)).drawn.strata]
    assert all(name.startswith(("west: ", "east: ")) for name in names)
    assert {name.split(": ")[1] for name in names} <= {"cropland 0-56 %", "cropland 57-100 %", "not mapped"}


def test_an_earlier_edition_crosses_the_strata(season: SmallSeason) -> None:
    copied_to_an_earlier_year(season)
    told = draw(season, "--since", season.year - 1)
    drawn = Sample.read(folder_of(season))
    assert drawn.drawn.since == edition_of(season).id  # the copy's name is the same
    assert f"crossed with edition {drawn.drawn.since}" in told.output
    names = {stratum.name for stratum in drawn.drawn.strata}
    assert names <= {"other → other", "cropland → cropland", "not mapped"} and len(names) >= 2  # nothing changed
    assert drawn.points["before"].tolist() == drawn.points["value"].tolist()


def test_codes_of_a_raster_beside_the_configuration(season: SmallSeason) -> None:
    raster = season.folder / "zones.tif"
    write_zones(raster, 1)
    draw(season, strata={"by": "raster", "raster": "zones.tif"}, fewest_points=3)
    assert {"code 1"} <= {stratum.name for stratum in Sample.read(folder_of(season)).drawn.strata}
    write_zones(raster, 2)
    assert "Drawn with seed" in draw(season).output  # other content, another sample
    assert len(samples_of(season)) == 2


def write_zones(path: Path, code: int) -> None:
    like = {"driver": "GTiff", "crs": "EPSG:4326", "transform": from_origin(35.9, 9.1, 0.05, 0.05), "dtype": "uint8"}
    with rasterio.open(path, "w", height=4, width=4, count=1, **like) as target:
        target.write(np.full((4, 4), code, np.uint8), 1)


def refused(season: SmallSeason, told: str, *words: object, **section: Any) -> None:
    with pytest.raises(InputError, match=told):
        draw(season, *words, **section)
    assert not samples_of(season)


def test_a_configuration_without_a_sample_is_refused_with_what_to_add(season: SmallSeason) -> None:
    season.configure(sample=ABSENT)
    refused(season, r"sample: is missing; add for example 'sample: \{product: cropland, points: 500\}'")
    load_example = season.configure(sample={"product": "cropland", "points": 500}).configuration
    assert load_example.sample is not None and sample_pipeline.EXAMPLE == "sample: {product: cropland, points: 500}"


def test_too_few_points_are_refused(season: SmallSeason) -> None:
    refused(season, r"sample\.points: 19, but \d strata with at least 10 points each .* need [23]0", points=19)


def test_a_product_that_is_not_mapped_is_refused(season: SmallSeason) -> None:
    told = r"sample\.product: farmed_cells is not in the edition published for 2023; it has cropland, harvest_piles"
    refused(season, told, product="farmed_cells")


def test_a_season_that_is_not_published_is_refused(season: SmallSeason) -> None:
    (season.output / "current.json").unlink()
    refused(season, "no edition of this season is published")


def test_a_since_that_is_not_earlier_or_not_published_is_refused(season: SmallSeason) -> None:
    refused(season, r"--since 2023: has to be before --year 2023", "--since", 2023)
    refused(season, r"--since 2021: .*main-2021: no edition of this season is published", "--since", 2021)


def test_an_earlier_edition_of_other_units_tiles_or_cells_is_refused(season: SmallSeason) -> None:
    manifest = copied_to_an_earlier_year(season)
    content = json.loads(manifest.read_text())
    content["plan"]["units_hash"] = "0" * 64
    manifest.write_text(json.dumps(content))
    refused(season, r"--since 2022: edition \S+ has other units than \S+; strata of change", "--since", 2022)
    content["plan"]["grid"]["tile_px"] = 50
    manifest.write_text(json.dumps(content))
    refused(season, r"has other units and tiles and cells of cropland than", "--since", 2022)


def test_an_earlier_edition_without_the_product_is_refused(season: SmallSeason) -> None:
    manifest = copied_to_an_earlier_year(season)
    content = json.loads(manifest.read_text())
    content["plan"]["smoothing"] = None
    manifest.write_text(json.dumps(content))
    told = r"cropland_smoothed is not in the edition published for 2022"
    refused(season, told, "--since", 2022, product="cropland_smoothed")


def test_a_raster_that_is_not_there_is_refused(season: SmallSeason) -> None:
    told = r"sample\.strata\.raster: \S+none\.tif cannot be read \(No such file or directory\)"
    refused(season, told, strata={"by": "raster", "raster": "none.tif"})


@pytest.mark.parametrize(
    ("section", "told"),
    [
        (
            {"product": "cropland_smoothed", "strata": {"by": "bands", "bands_percent": [50]}},
            "bands are of a map",
        ),
        ({"standard_error_percent": 2}, "give either points or standard_error_percent"),
        ({"points": None}, "give either points or standard_error_percent"),
        ({"strata": {"by": "bands"}}, "bands_percent: are for by: bands"),
        ({"strata": {"bands_percent": [50]}}, "bands_percent: are for by: bands"),
        ({"strata": {"by": "bands", "bands_percent": [50, 20]}}, "rising between 0 and 100"),
        ({"strata": {"by": "raster"}}, "raster: goes with by: raster"),
        ({"strata": {"within": "district"}}, "strata.within"),
    ],
)
def test_a_section_that_makes_no_sense_is_refused(mapped: SmallSeason, tmp_path: Path, section: Any, told: str) -> None:
    season = SmallSeason(tmp_path / mapped.config.name, mapped.year)
    shutil.copy(mapped.config, season.config)
    season.configure(sample=SAMPLE | section)
    with pytest.raises(InputError, match=told) as refusal:
        load(season.config, MapConfiguration)
    assert "\n" not in str(refusal.value)


def test_the_configuration_of_the_expected_error_is_its_own(season: SmallSeason) -> None:
    draw(season, expected_accuracy_percent=95, allocation="proportional")
    drawn = Sample.read(folder_of(season)).drawn
    spreads = {stratum.name: stratum.spread for stratum in drawn.strata if stratum.name != "not mapped"}
    assert spreads == pytest.approx(dict.fromkeys(spreads, np.sqrt(0.95 * 0.05)))


def contents(folder: Path) -> dict[str, str]:
    """File -> hash."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
