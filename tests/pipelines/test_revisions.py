"""``stook revisions`` and ``stook series`` on editions of a small season that differ in known ways."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from stook.models.bundle import Conditions
from stook.models.errors import InputError
from stook.pipelines.figures.revisions import run_revisions
from stook.pipelines.figures.series import run_series
from stook.transforms.editions.edition import MANIFEST, Edition
from stook.transforms.editions.season_folder import POINTER, SeasonFolder
from stook.transforms.reporting.columns import REVISIONS, SERIES
from tests.pipelines.command import stook
from tests.pipelines.estimated import keep_estimates
from tests.pipelines.small_season import SmallSeason, write_random_bundle

MONTHS = 2
THRESHOLD = 57  # at which the random bundles' maps differ


@pytest.fixture(scope="module")
def season(pristine_season: SmallSeason, tmp_path_factory: pytest.TempPathFactory) -> SmallSeason:
    """Three published editions: without some scenes of January, with them, and by another model; copy it."""
    season = pristine_season.copy(tmp_path_factory.mktemp("revisions") / "season").hurried(MONTHS, 1).narrowed()
    season.configure(run={"mode": "memory"}, products__cropland__threshold=THRESHOLD)
    write_random_bundle(season.folder / "bundle", Conditions(1, MONTHS), seed=12)
    collection = season.folder / "archive" / "sentinel-2-l2a" / "collection.json"
    whole = collection.read_text()
    content = json.loads(whole)
    left_out = [link for link in content["links"] if link["rel"] == "item"][:2]
    content["links"] = [link for link in content["links"] if link not in left_out]
    collection.write_text(json.dumps(content))
    publish(season)
    collection.write_text(whole)
    publish(season, "--refresh")
    write_random_bundle(season.folder / "bundle", Conditions(1, MONTHS), seed=5)
    publish(season)
    return season


@pytest.fixture
def spoiled(season: SmallSeason, tmp_path: Path) -> SmallSeason:
    """A copy that the test may change."""
    return season.copy(tmp_path / "season")


def publish(season: SmallSeason, *options: str) -> None:
    assert stook("map", season.config, "--year", season.year, "--quiet", *options).status == 0


def editions_of(season: SmallSeason) -> list[Edition]:
    """Scenes missing, all scenes, another model."""
    folder = SeasonFolder.at(season.output)
    pointer = json.loads((season.output / POINTER).read_text())
    return [Edition(folder.folder / name) for name in [*pointer["previous"], pointer["edition"]]]


def change_manifest(edition: Edition, change: Callable[[dict[str, Any]], None]) -> None:
    """Change what an edition says it was made from."""
    manifest = edition.manifest
    change(manifest)
    (edition.folder / MANIFEST).write_text(json.dumps(manifest))


def another_year(season: SmallSeason, year: int, factor: float = 1.0) -> Edition:
    """The published edition as one of another year, its areas of the class multiplied."""
    source = editions_of(season)[-1]
    target = season.output.with_name(f"main-{year}") / source.id
    shutil.copytree(source.folder, target, ignore=shutil.ignore_patterns("maps.zarr", "ledger"))
    (target.parent / POINTER).write_text(json.dumps({"edition": source.id, "previous": []}))

    def shift(manifest: dict[str, Any]) -> None:
        manifest["plan"]["season"]["year"] = year
        for product in manifest["plan"]["products"]:
            for period in product["encoding"]["periods"]:
                for end in period:
                    period[end] = f"{int(period[end][:4]) + year - season.year}{period[end][4:]}"

    edition = Edition(target)
    change_manifest(edition, shift)
    path = target / "statistics.parquet"
    table = pd.read_parquet(path)
    table.assign(season=f"main-{year}", area_ha=factor * table["area_ha"]).to_parquet(path)
    return edition


def revise(season: SmallSeason, since: str | None = None, to: Path | None = None) -> pd.DataFrame:
    return run_revisions(season.configuration, season.year, since, to).table


def series_of(season: SmallSeason) -> pd.DataFrame:
    table = run_series(season.configuration, None).table
    return table[table["level"] == "region"].set_index("year")


def test_another_model_is_told_as_the_reason(season: SmallSeason) -> None:
    _, before, after = editions_of(season)
    table = revise(season)
    assert list(table) == list(REVISIONS)
    assert set(table["edition_before"]) == {before.id}
    assert set(table["edition_after"]) == {after.id}
    old, new = (pd.read_parquet(edition.folder / "statistics.parquet") for edition in (before, after))
    np.testing.assert_array_equal(table["before"], old["area_ha"])
    np.testing.assert_array_equal(table["difference"], new["area_ha"] - old["area_ha"])
    np.testing.assert_allclose(table["difference_percent"], 100 * (new["area_ha"] / old["area_ha"] - 1))
    models = [edition.plan.products[0].model_hash[:8] for edition in (before, after)]
    assert set(table["why"]) == {f"model: bundle {models[0]}, now {models[1]}"}


def test_added_scenes_are_counted_and_every_reason_is_told(season: SmallSeason) -> None:
    first, second, third = editions_of(season)
    pointer = season.output / POINTER
    whole = pointer.read_text()
    try:
        pointer.write_text(json.dumps({"edition": second.id, "previous": [first.id]}))
        table = revise(season)
    finally:
        pointer.write_text(whole)
    assert set(table["why"]) <= {"scenes of sentinel2: 2 added", ""}
    assert (table["why"] == "").eq(table["difference"] == 0).all()
    assert (table["why"] != "").any()
    assert revise(season, first.id)["why"].str.fullmatch("scenes of sentinel2: 2 added; model: bundle .*").all()
    assert third.id != second.id


def test_updated_and_removed_scenes_units_and_settings_are_told(spoiled: SmallSeason) -> None:
    _, before, after = editions_of(spoiled)
    scenes = pd.read_parquet(before.inputs)
    of_january = scenes.index[(scenes["source"] == "sentinel2") & (scenes["datetime"].dt.month == 1)]
    scenes.loc[of_january[0], "updated"] = "2025-01-01"
    extra = scenes.loc[[of_january[0]]].assign(item_id="withdrawn")
    pd.concat([scenes, extra]).to_parquet(before.inputs)

    def change(manifest: dict[str, Any]) -> None:
        plan = manifest["plan"]
        plan |= {"units_hash": "f" * 64, "processing": 1, "provisional": True, "cloud_dilation_px": 2}
        plan["products"][0]["minimum_observations"] = 4
        plan["sources"]["sentinel2"]["collection"] = "older"
        manifest["versions"]["torch"] = "2.0"

    change_manifest(before, change)
    path = before.folder / "statistics.parquet"
    table = pd.read_parquet(path)
    table["threshold_percent"] = table["threshold_percent"] + 5
    table.loc[0, "not_mapped_failed_ha"] = 1.5
    table.loc[1, "id"] = "renamed"
    table.to_parquet(path)
    found = run_revisions(spoiled.configuration, spoiled.year, None, None)
    why = found.table.iloc[0]["why"]
    for told in (
        "scenes of sentinel2: 1 removed, 1 updated",
        "model: bundle",
        "units: ffffffff, now ",
        "collection of sentinel2: older, now sentinel-2-l2a",
        "version of the computation: 1, now ",
        "provisional: yes, now no",
        "pixels by which cloud grows: 2, now 0",
        "minimum of observations: 4, now 0",
        "software: torch 2.0, now ",
        f"threshold: {THRESHOLD + 5} %, now {THRESHOLD} %",
        "ground that failed: 1.5 ha, now 0 ha",
    ):
        assert told in why
    assert found.gone == (("cropland", "unit", "renamed"),)
    assert [place for *_, place in found.new] == [pd.read_parquet(after.folder / "statistics.parquet")["id"][1]]


def test_a_difference_that_nothing_explains_is_said_so(spoiled: SmallSeason) -> None:
    first, second, _ = editions_of(spoiled)
    shutil.copy(second.inputs, first.inputs)
    (spoiled.output / POINTER).write_text(json.dumps({"edition": second.id, "previous": [first.id]}))
    assert "nothing that is kept with the editions explains it" in set(revise(spoiled)["why"])


def test_estimates_are_revised_with_their_samples_and_answers(spoiled: SmallSeason, tmp_path: Path) -> None:
    _, before, after = editions_of(spoiled)
    keep_estimates(before, 40.0, sample="first", answers="1" * 64)
    keep_estimates(after, 42.5, sample="second", answers="2" * 64)
    table = revise(spoiled, to=tmp_path / "revisions.csv")
    areas = table[table["figure"] == "area"].set_index("level")
    assert areas.loc["region", ["before", "after", "difference"]].tolist() == [40.0, 42.5, 2.5]
    assert areas.loc["region", "standard_error_before"] == 2.5
    assert areas.loc["region", "why"].startswith("sample: first, now second; answers: 1 files are new or changed")
    assert "model: bundle" in areas.loc["region", "why"]
    assert areas.loc["unit", "why"] == ""  # refused in both
    read = pd.read_csv(tmp_path / "revisions.csv")
    assert list(read) == list(REVISIONS)
    assert len(read) == len(table)


def test_estimates_of_one_edition_alone_are_named(spoiled: SmallSeason) -> None:
    keep_estimates(editions_of(spoiled)[-1], 42.5)
    told = stook("revisions", spoiled.config, "--year", spoiled.year)
    assert "Estimated from a sample for the later edition only: cropland." in told.output


def test_revisions_print_reasons_by_number(season: SmallSeason) -> None:
    told = stook("revisions", season.config, "--year", season.year)
    assert told.status == 0
    assert "[1] model: bundle" in told.output


@pytest.mark.parametrize(
    ("since", "to", "told"),
    [
        ("20200101T000000Z-nosuch", None, "--since 20200101T000000Z-nosuch: not an earlier edition"),
        (None, "table.xlsx", "--to table.xlsx: write .csv or .parquet"),
        (None, "nowhere/table.csv", "--to nowhere/table.csv: cannot be written"),
    ],
)
def test_revisions_refuse_in_a_line(season: SmallSeason, since: str | None, to: str | None, told: str) -> None:
    with pytest.raises(InputError, match=told):
        revise(season, since, None if to is None else Path(to))


def test_a_first_edition_has_no_revisions(spoiled: SmallSeason) -> None:
    (spoiled.output / POINTER).write_text(json.dumps({"edition": editions_of(spoiled)[0].id, "previous": []}))
    with pytest.raises(InputError, match="the only edition of this season that was ever published"):
        revise(spoiled)
    (spoiled.output / POINTER).unlink()
    with pytest.raises(InputError, match="no edition of this season is published"):
        revise(spoiled)


def test_an_unfinished_or_foreign_edition_is_refused(spoiled: SmallSeason) -> None:
    _, before, _ = editions_of(spoiled)
    (before.folder / "statistics.parquet").rename(before.folder / "kept")
    with pytest.raises(InputError, match="never finished"):
        revise(spoiled)
    (before.folder / "kept").rename(before.folder / "statistics.parquet")
    change_manifest(before, lambda manifest: manifest["plan"].pop("grid"))
    with pytest.raises(InputError, match="made by another version of Stook"):
        revise(spoiled)


def test_years_of_one_method_are_comparable(spoiled: SmallSeason) -> None:
    another_year(spoiled, 2022, factor=0.5)
    table = run_series(spoiled.configuration, None).table
    assert list(table) == list(SERIES)
    whole = series_of(spoiled)
    assert whole.index.tolist() == [2022, 2023]
    assert pd.isna(whole.loc[2022, "comparable"])
    assert whole.loc[2023, ["compared_with", "comparable", "why_not"]].tolist() == [2022, True, ""]
    np.testing.assert_allclose(whole.loc[2023, ["difference_ha", "difference_percent"]].astype(float),
                               [whole.loc[2023, "map_area_ha"] / 2, 100])  # fmt: skip
    assert whole.loc[2023, "mapped_share"] == whole.loc[2023, "mapped_ha"] / whole.loc[2023, "total_ha"]


def test_what_keeps_years_from_being_compared_is_told(spoiled: SmallSeason) -> None:
    edition = another_year(spoiled, 2022)

    def change(manifest: dict[str, Any]) -> None:
        manifest["plan"] |= {"units_hash": "f" * 64}
        manifest["plan"]["products"][0]["model_hash"] = "e" * 64
        manifest["plan"]["sources"]["sentinel2"]["profile"] = "earth-search"
        del manifest["plan"]["products"][0]["encoding"]["periods"][0]

    change_manifest(edition, change)
    scenes = pd.read_parquet(edition.inputs)
    scenes.assign(baseline=scenes["baseline"].replace("05.00", "02.14")).to_parquet(edition.inputs)
    path = edition.folder / "statistics.parquet"
    table = pd.read_parquet(path)
    table.assign(mapped_ha=0.9 * table["mapped_ha"], provisional=True, threshold_percent=60).to_parquet(path)
    told = series_of(spoiled).loc[2023]
    assert told["comparable"] is np.False_ or told["comparable"] is False
    for why in (
        "model: bundle eeeeeeee, now ",
        "units: ffffffff, now ",
        "profile of sentinel2: earth-search, now scaled-1e-4",
        "processing baselines of sentinel2: 02.14, now 05.00",
        "window: 02-01 of year +0 up to 03-01 of year +0 in 1 steps, now 01-01 of year +0",
        f"threshold: 60 %, now {THRESHOLD} %",
        "mapped: ",
        "main-2022 is provisional",
    ):
        assert why in told["why_not"]


def test_scenes_alone_do_not_keep_years_apart(spoiled: SmallSeason) -> None:
    edition = another_year(spoiled, 2022)
    scenes = pd.read_parquet(edition.inputs)
    scenes.assign(item_id="other " + scenes["item_id"]).to_parquet(edition.inputs)
    assert series_of(spoiled).loc[2023, "comparable"]


def test_estimates_are_what_is_compared_and_never_with_pixel_counts(spoiled: SmallSeason) -> None:
    edition, published = another_year(spoiled, 2022), editions_of(spoiled)[-1]
    keep_estimates(published, 50.0, standard_error=4.0, sample="second")
    told = series_of(spoiled).loc[2023]
    assert not told["comparable"]
    assert told["why_not"] == "estimator: pixel count, now estimate from a sample"
    assert pd.isna(told["difference_ha"])
    keep_estimates(edition, 44.0, standard_error=3.0, sample="first")
    told = series_of(spoiled).loc[2023]
    assert told["comparable"]
    assert told[["difference_ha", "difference_standard_error_ha"]].tolist() == [6.0, 5.0]
    assert told[["estimate_ha", "standard_error_ha", "published_ha", "sample"]].tolist() == [50.0, 4.0, 50.0, "second"]
    assert told["estimator"].startswith("made up for a test")


def test_open_and_missing_seasons_are_named(spoiled: SmallSeason) -> None:
    another_year(spoiled, 2019)
    another_year(spoiled, 2021)
    (spoiled.output.with_name("main-2021") / POINTER).unlink()
    (spoiled.output.with_name("main-notes")).mkdir()
    found = run_series(spoiled.configuration, None)
    assert found.unpublished == ("main-2021",)
    assert found.missing == (2020, 2022)
    assert found.table["year"].unique().tolist() == [2019, 2023]
    told = stook("series", spoiled.config)
    assert "Not published: main-2021." in told.output
    assert "No edition: 2020, 2022." in told.output
    assert "biased and not for publication" in told.output


def test_the_series_is_written_and_refused_in_a_line(spoiled: SmallSeason, tmp_path: Path) -> None:
    assert stook("series", spoiled.config, "--to", tmp_path / "series.parquet").status == 0
    assert list(pd.read_parquet(tmp_path / "series.parquet")) == list(SERIES)
    with pytest.raises(InputError, match="write .csv or .parquet"):
        stook("series", spoiled.config, "--to", "series.txt")
    with pytest.raises(InputError, match="no season other-YYYY is published"):
        stook("series", spoiled.configure(season__name="other").config)
