"""The commands of an operator look after editions of feature vectors as after those of maps."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from stook.models.bundle import load_bundle
from stook.models.errors import InputError, UnreachableError
from stook.pipelines import opening
from stook.pipelines.kind import VECTORS
from stook.pipelines.operations.editions import run_cancel
from stook.pipelines.season import embeddings_folder, season_folder
from stook.transforms.choices import Storage
from stook.transforms.editions.season_folder import SeasonFolder
from stook.transforms.editions.signals import asked_to_stop
from stook.transforms.tiles.quantisation import fit_quantisation
from tests.pipelines.command import assert_same_maps, stook
from tests.pipelines.embedded import TILES, stook_embed, vectors_of, with_vectors
from tests.pipelines.small_season import ABSENT, SmallSeason, write_random_bundle


@pytest.fixture(scope="module")
def both(embedded: Callable[[Storage], SmallSeason], tmp_path_factory: pytest.TempPathFactory) -> SmallSeason:
    """Vectors published twice, the second time all taken over, and a map; read only."""
    season = embedded("int8").copy(tmp_path_factory.mktemp("both") / "season")
    assert run(season, "embed", "--quiet", "--refresh").event("run_finished")["carried"] == TILES
    assert run(season, "map", "--quiet").status == 0
    return season


@pytest.fixture
def season(both: SmallSeason, tmp_path: Path) -> SmallSeason:
    """A copy of it that the test may spoil."""
    return both.copy(tmp_path / "season")


def run(season: SmallSeason, command: str, *options: object) -> Any:
    return stook(command, season.config, "--year", season.year, *options)


def states(season: SmallSeason) -> list[dict[str, Any]]:
    return stook("status", season.config, "--json").events


def vectors_folder(season: SmallSeason) -> SeasonFolder:
    return embeddings_folder(season.configuration, season.year)


def maps_folder(season: SmallSeason) -> SeasonFolder:
    return season_folder(season.configuration, season.year)


def planned(season: SmallSeason, *options: object) -> dict[str, Any]:
    return dict(json.loads(run(season, "plan", "--json", *options).output))


def stopped_before(step: str, season: SmallSeason, *words: object) -> None:
    """Run a command that ends before a step of its run, as where a store does not answer."""

    def gives_up(*_: object) -> None:
        raise UnreachableError("it does not answer")

    with pytest.MonkeyPatch.context() as patched, pytest.raises(UnreachableError):
        patched.setattr(f"stook.pipelines.map.{step}", gives_up)
        stook(words[0], season.config, "--year", season.year, "--quiet", *words[1:])


@pytest.mark.slow
def test_status_tells_vectors_and_maps_apart(both: SmallSeason) -> None:
    told = [(state["season"], state["kind"], state["status"]) for state in states(both)]
    name = f"main-{both.year}"
    assert told == [
        (name, "maps", "published"),
        (name, "embeddings", "superseded"),
        (name, "embeddings", "published"),
    ]
    assert states(both)[-1]["products"] == {"embedding": {"done": TILES, "failed": 0, "left": 0}}
    line = next(line for line in stook("status", both.config).output.splitlines() if "superseded" in line)
    assert "embeddings" in line and vectors_folder(both).editions()[0].id in line


def test_status_tells_who_is_at_work_before_there_is_an_edition(pristine_season: SmallSeason, tmp_path: Path) -> None:
    season = with_vectors(pristine_season.copy(tmp_path / "season"), "int8")
    for folder in (maps_folder(season), vectors_folder(season)):
        with folder.lease() as lease:
            [told] = states(season)
            assert (told["edition"], told["status"], told["kind"]) == (None, "opening", folder.kind)
            assert told["season"] == f"main-{season.year}" and told["holder"]["run"] == lease.run
            text = stook("status", season.config).output
            assert f"{folder.kind}, no edition yet: season locked by pid" in text
        with pytest.raises(InputError, match="there is no edition; make one with 'stook map'"):
            stook("status", season.config)


def test_status_tells_who_is_at_work_beside_the_editions_that_are_there(both: SmallSeason, tmp_path: Path) -> None:
    season = both.copy(tmp_path / "season")
    before = len(states(season))
    folder = maps_folder(season)
    with folder.lease() as lease:
        [opening] = [state for state in states(season) if state["status"] == "opening"]
        assert opening["kind"] == "maps" and opening["holder"]["run"] == lease.run
        lease.say(edition=folder.editions()[0].id)
        assert len(states(season)) == before and states(season)[0]["holder"]["run"] == lease.run


def test_events_of_a_run_name_the_season_and_what_is_made(season: SmallSeason) -> None:
    told = run(season, "embed", "--quiet", "--refresh")
    for event in ("run_started", "published", "run_finished"):
        assert (told.event(event)["season"], told.event(event)["kind"]) == (f"main-{season.year}", "embeddings")
    assert told.event("run_started")["message"].startswith(f"main-{season.year} embeddings: run")
    done = stook_embed(season).event("nothing_to_do")
    assert (done["season"], done["kind"]) == (f"main-{season.year}", "embeddings")


def test_vectors_are_taken_back_and_maps_stay_as_they_are(season: SmallSeason) -> None:
    first, second = vectors_folder(season).editions()
    shown = maps_folder(season).current()
    for edition in (first, second):
        assert str(edition.folder) in run(season, "publish", "--embeddings", "--edition", edition.id).output
        assert vectors_of(season) == edition and maps_folder(season).current() == shown
    with pytest.raises(InputError, match=f"--edition {first.id}: .* has no such edition"):
        run(season, "publish", "--edition", first.id)  # without the option maps are meant


@pytest.mark.slow
def test_publishing_concludes_vectors_that_a_killed_run_left(season: SmallSeason) -> None:
    stopped_before("finish", season, "embed", "--refresh")
    before, opened = vectors_of(season), vectors_folder(season).editions()[-1]
    run(season, "publish", "--embeddings")
    assert vectors_of(season) == opened != before
    tables = [pd.read_parquet(edition.folder / "statistics.parquet") for edition in (before, opened)]
    pd.testing.assert_frame_equal(*tables)


def test_vectors_that_are_not_all_made_are_not_published(season: SmallSeason) -> None:
    stopped_before("run_tiles", season, "embed", "--refresh")
    with pytest.raises(InputError, match=f"{TILES} of {TILES} tiles are not made yet; finish with 'stook embed'"):
        run(season, "publish", "--embeddings")


def test_a_run_of_vectors_is_stopped_and_one_of_maps_is_not(season: SmallSeason) -> None:
    maps, vectors = maps_folder(season), vectors_folder(season)
    with ThreadPoolExecutor(1) as beside, vectors.lease(), maps.lease():
        stopped = beside.submit(run_cancel, season.configuration, season.year, False, 0.1, VECTORS)
        with pytest.raises(UnreachableError, match="it was asked to stop and has not yet"):
            stopped.result()
        assert asked_to_stop(vectors.folder) and not asked_to_stop(maps.folder)


@pytest.mark.slow
def test_open_vectors_are_discarded_and_open_maps_are_not(season: SmallSeason) -> None:
    for command in ("map", "embed"):
        stopped_before("run_tiles", season, command, "--refresh")
    maps, vectors = maps_folder(season).editions(), vectors_folder(season).editions()
    assert vectors[-1].id in run(season, "cancel", "--embeddings", "--discard").output
    assert vectors_folder(season).editions() == vectors[:-1] and maps_folder(season).editions() == maps


def test_superseded_vectors_are_cleared_away_unless_a_map_may_be_made_from_them(season: SmallSeason) -> None:
    old, new = vectors_folder(season).editions()
    maps = maps_folder(season).editions()
    assert str(old.folder) in run(season, "remove", "--embeddings", "--keep", 0).output
    with (
        maps_folder(season).lease(),
        pytest.raises(InputError, match="season locked by pid .* may be reading these feature vectors"),
    ):
        run(season, "remove", "--embeddings", "--keep", 0, "--yes")
    assert vectors_folder(season).editions() == [old, new]
    run(season, "remove", "--embeddings", "--keep", 0, "--yes")
    assert vectors_folder(season).editions() == [new] and maps_folder(season).editions() == maps


@pytest.mark.slow
def test_only_the_failed_tiles_of_vectors_are_made_again(
    pristine_season: SmallSeason, embedded: Callable[[Storage], SmallSeason], tmp_path: Path
) -> None:
    season = with_vectors(pristine_season.copy(tmp_path / "season"), "int8")
    damage = season.damage_one_tile()
    assert stook_embed(season).status == 3
    with pytest.raises(InputError, match="of the area failed, .* mend the cause and run 'stook embed'"):
        run(season, "publish", "--embeddings")
    season.configure(publish__most_failed_share=1.0)
    run(season, "publish", "--embeddings")
    assert "'stook retry --embeddings' does them again" in run(season, "plan", "--embeddings").output
    first = vectors_of(season)
    damage.mend()
    told = run(season, "retry", "--embeddings", "--quiet").event("run_finished")
    assert (told["computed"], told["carried"], told["failed"]) == (1, TILES - 1, 0)
    second = vectors_of(season)
    # Offset and spread were found without the tile; with others nothing could have been taken over.
    assert second != first and second.manifest["quantisation"] == first.manifest["quantisation"]
    assert second.plan.key == first.plan.key
    with pytest.raises(InputError, match="no tile has failed"):
        run(season, "retry", "--embeddings", "--quiet")


@pytest.mark.slow
def test_a_refresh_keeps_offset_and_spread_which_anew_finds_again(pristine_season: SmallSeason, tmp_path: Path) -> None:
    season = with_vectors(pristine_season.copy(tmp_path / "season"), "int8")
    assert stook_embed(season).status == 0
    first = vectors_of(season)
    for path in season.items():  # less to see: other vectors at the points that they are found at
        if path.name.startswith("S2") and "_202306" in path.name:
            item = json.loads(path.read_text())
            path.write_text(
                json.dumps(item | {"properties": item["properties"] | {"datetime": "2022-06-02T08:05:00Z"}})
            )
    assert run(season, "embed", "--refresh", "--quiet").event("run_finished")["computed"] == TILES
    assert vectors_of(season).manifest["quantisation"] == first.manifest["quantisation"]
    assert run(season, "embed", "--no-reuse", "--quiet").event("run_finished")["computed"] == TILES
    assert vectors_of(season).manifest["quantisation"] != first.manifest["quantisation"]


@pytest.mark.slow
def test_maps_are_retried_with_the_rounding_that_they_have(pristine_season: SmallSeason, tmp_path: Path) -> None:
    """Vectors that were stored since are of another one, and would make every tile another."""
    season = with_vectors(pristine_season.copy(tmp_path / "season"), "int8")
    damage = season.configure(publish__most_failed_share=1.0).damage_one_tile()
    assert run(season, "map", "--quiet").status == 3
    damage.mend()
    assert stook_embed(season).status == 0
    told = run(season, "retry", "--quiet").event("run_finished")
    assert (told["computed"], told["carried"], told["failed"]) == (1, TILES - 1, 0)
    exact = maps_folder(season).current()
    (season.output / "embeddings" / "current.json").unlink()
    assert run(season, "map", "--quiet", "--no-reuse").event("run_finished")["computed"] == TILES
    anew = maps_folder(season).current()
    assert exact is not None and anew is not None
    assert_same_maps(exact, anew)


@pytest.mark.slow
@pytest.mark.parametrize("storage", [pytest.param("int8", marks=pytest.mark.slow), "float16"])
def test_a_plan_of_vectors_is_what_the_run_then_reads_and_encodes(
    storage: Storage, pristine_season: SmallSeason, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    season = with_vectors(pristine_season.copy(tmp_path / "season"), storage)
    fits: list[object] = []
    monkeypatch.setattr(opening, "fit_quantisation", lambda *given: fits.append(given) or fit_quantisation(*given))
    plan = planned(season, "--embeddings")
    assert len(fits) == (storage == "int8")  # samples are of the edition that is planned
    assert not season.output.exists()
    assert (plan["kind"], plan["season"], plan["continues"]) == ("embeddings", f"main-{season.year}", None)
    assert plan["fates"] == {"embedding": {"new": TILES, "again": 0, "carried": 0, "unchanged": 0}}
    bytes_per_cell = {"int8": 16 + 4 + 1, "float16": 2 * 16 + 1}[storage]  # vector, scale, observations
    assert plan["disk_bytes_at_most"] == TILES * 100**2 * bytes_per_cell
    assert 0 < plan["disk_bytes"] < plan["disk_bytes_at_most"] and plan["seconds"] > 0
    kept = tmp_path / "plan.json"
    kept.write_text(json.dumps(plan))
    with pytest.raises(InputError, match="no edition was made as planned in .*; run 'stook embed' first"):
        run(season, "plan", "--embeddings", "--compare", kept)
    assert stook_embed(season).status == 0
    [told] = run(season, "plan", "--embeddings", "--compare", kept, "--json").events
    assert told["edition"] == vectors_of(season).id
    found = {figure["figure"]: (figure["planned"], figure["actual"]) for figure in told["figures"]}
    for exact in ("tiles computed", "scene_reads", "assets"):
        assert found[exact][0] == found[exact][1] > 0, exact
    assert 0.8 * found["pixels"][0] < found["pixels"][1] <= 1.01 * found["pixels"][0]
    with pytest.raises(InputError, match=r"is of embeddings, not of maps; --embeddings tells which are meant"):
        run(season, "plan", "--compare", kept)


@pytest.mark.slow
def test_a_plan_of_published_vectors_has_nothing_to_do_but_anew(both: SmallSeason) -> None:
    done = planned(both, "--embeddings")
    assert done["fates"]["embedding"]["unchanged"] == TILES and done["assets"]["value"] == 0 == done["seconds"]
    assert "nothing to do" in run(both, "plan", "--embeddings").output
    again = planned(both, "--embeddings", "--refresh")
    assert again["fates"]["embedding"]["carried"] == TILES and again["predecessor"] == vectors_of(both).id
    anew = planned(both, "--embeddings", "--no-reuse")
    assert anew["fates"]["embedding"]["new"] == TILES
    assert anew["assets"]["value"] > 0 and anew["predecessor"] is None
    assert anew["rates"].startswith(f"the run of edition {vectors_folder(both).editions()[0].id}")
    output = run(both, "plan", "--embeddings", "--no-reuse").output
    assert "feature vectors of" in output and "disk for vectors" in output


@pytest.mark.slow
def test_vectors_of_other_units_on_the_same_ground_are_planned_and_made_again(season: SmallSeason) -> None:
    units = season.folder / "districts.geojson"
    units.write_text(units.read_text().replace('"unit_id": "west"', '"unit_id": "occident"'))
    plan = planned(season, "--embeddings")
    assert plan["predecessor"] == vectors_of(season).id
    assert plan["fates"]["embedding"] == {"new": 0, "again": TILES, "carried": 0, "unchanged": 0}
    told = stook_embed(season).event("run_finished")
    assert (told["computed"], told["carried"]) == (TILES, 0)


@pytest.mark.slow
def test_rates_are_of_a_run_that_stored_the_same_kind_of_vectors_in_whatever_season(season: SmallSeason) -> None:
    other = season.year - 1
    season.repeat_in(other)
    told = stook("plan", season.config, "--year", other, "--embeddings", "--json")
    assert json.loads(told.output)["rates"].startswith(f"the run of edition {vectors_folder(season).editions()[0].id}")
    season.configure(embeddings__storage="float32")  # takes four times the disk
    assert planned(season, "--embeddings")["rates"].startswith("a sample of 1 tile")


@pytest.mark.slow
def test_a_plan_of_maps_reads_stored_vectors_unless_the_edition_takes_nothing_over(season: SmallSeason) -> None:
    write_random_bundle(season.folder / "new", season_conditions(season), seed=9, encoder=encoder_of(season))
    season.configure(products__cropland__bundle="new")
    plan = planned(season)
    assert plan["compute"]["value"] == TILES and plan["assets"]["value"] == 0 == plan["pixels"]["value"]
    assert planned(season, "--no-reuse")["assets"]["value"] > 0
    stopped_before("run_tiles", season, "map", "--no-reuse")
    opened = maps_folder(season).editions()[-1]
    going_on = planned(season)
    assert going_on["continues"] == opened.id and going_on["assets"]["value"] > 0
    assert planned(season, "--no-reuse")["continues"] == opened.id  # the same words continue it
    assert planned(season, "--refresh")["continues"] is None


def season_conditions(season: SmallSeason) -> Any:
    return load_bundle(season.folder / "bundle").conditions


def encoder_of(season: SmallSeason) -> Any:
    return load_bundle(season.folder / "bundle").encoder


@pytest.mark.parametrize("command", ["publish", "cancel", "remove", "retry", "plan"])
def test_without_a_section_of_vectors_the_option_is_refused(command: str, season: SmallSeason) -> None:
    season.configure(embeddings=ABSENT)
    with pytest.raises(InputError, match="^--embeddings: the configuration has no section embeddings, so") as refused:
        run(season, command, "--embeddings")
    assert refused.value.exit_status == 2 and "\n" not in str(refused.value)
