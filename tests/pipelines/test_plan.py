"""``stook plan``: what it tells before a run is what the run then does, and it leaves no trace."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from stook.models.bundle import Conditions
from stook.models.errors import InputError
from stook.transforms.editions.edition import MANIFEST
from stook.transforms.store import read_json, write_json
from tests.pipelines.command import stook
from tests.pipelines.small_season import NOVEMBER, SmallSeason, write_pile_bundle, write_random_bundle

MACHINES = {"fast": {"price_per_hour": 2.0, "currency": "EUR", "tiles_in_flight": 4, "reading": 2, "encoding": 50}}


def plan_of(season: SmallSeason, *options: object) -> dict[str, Any]:
    told = stook("plan", season.config, "--year", season.year, "--json", *options)
    assert told.status == 0
    return dict(json.loads(told.output))


def mapped(season: SmallSeason, *options: str) -> None:
    assert stook("map", season.config, "--year", season.year, "--quiet", *options).status == 0


def files(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.fixture(scope="module")
def planned(pristine_season: SmallSeason, tmp_path_factory: pytest.TempPathFactory) -> tuple[SmallSeason, Path]:
    """A season with two ways of reading that was planned and then mapped, and the plan; read only."""
    season = pristine_season.copy(tmp_path_factory.mktemp("planned") / "season").hurried().narrowed()
    write_pile_bundle(season.folder / "piles", months=1)
    season.configure(products__harvest_piles=NOVEMBER, machines=MACHINES, grid__tile_px=50)
    before = files(season.folder)
    kept = season.folder.parent / "plan.json"
    kept.write_text(json.dumps(plan_of(season)))
    assert files(season.folder) == before  # nothing was written, the output was not even created
    mapped(season)
    return season, kept


@pytest.fixture
def season(planned: tuple[SmallSeason, Path], tmp_path: Path) -> SmallSeason:
    """A copy of the mapped season that the test may spoil."""
    return planned[0].copy(tmp_path / "season")


@pytest.mark.slow
def test_a_plan_is_what_the_run_then_reads_and_encodes(planned: tuple[SmallSeason, Path]) -> None:
    season, kept = planned
    told = stook("plan", season.config, "--year", season.year, "--compare", kept, "--json").events[0]
    found = {figure["figure"]: figure for figure in told["figures"]}
    for exact in ("tiles computed", "scene_reads", "assets"):
        assert found[exact]["planned"] == found[exact]["actual"] > 0, exact
        assert found[exact]["error_percent"] == 0
    plan = json.loads(kept.read_text())
    assert plan["fates"].keys() == {"cropland", "harvest_piles"}
    assert abs(found["bytes_read"]["planned"] - found["bytes_read"]["actual"]) <= 4 * plan["bytes_read"]["error"]
    for counted in ("chips", "pixels"):  # at most; what clouds hide is not encoded
        assert 0.8 * found[counted]["planned"] < found[counted]["actual"] <= 1.01 * found[counted]["planned"]
    assert plan["seconds"] > 0 and plan["rates"].startswith("a sample of 2 tiles on this machine")
    assert 0 < plan["disk_bytes"] < plan["disk_bytes_at_most"]
    assert found["seconds"]["actual"] > 0  # how near it is depends on what else the machine does: see the evidence


def test_a_table_names_the_edition_that_was_made(planned: tuple[SmallSeason, Path]) -> None:
    season, kept = planned
    [edition] = season.output.glob("*Z-*")
    output = stook("plan", season.config, "--year", season.year, "--compare", kept).output
    assert edition.name in output and "bytes read" in output and "%" in output


def test_a_published_season_has_nothing_to_do_and_a_refresh_takes_everything_over(
    planned: tuple[SmallSeason, Path],
) -> None:
    season, _ = planned
    done = plan_of(season)
    tiles = done["tiles"]
    assert done["compute"]["value"] == done["assets"]["value"] == done["seconds"] == 0
    assert done["fates"]["cropland"] == {"new": 0, "again": 0, "carried": 0, "unchanged": tiles}
    assert "nothing to do" in stook("plan", season.config, "--year", season.year).output
    anew = plan_of(season, "--refresh")
    assert {name: fates["carried"] for name, fates in anew["fates"].items()} == dict.fromkeys(anew["fates"], tiles)
    assert anew["compute"]["value"] == 0 and anew["predecessor"] is not None


@pytest.mark.slow
def test_another_bundle_costs_its_product_only(season: SmallSeason) -> None:
    before = plan_of(season)
    write_random_bundle(season.folder / "bundle", season_conditions(), seed=97)
    plan = plan_of(season)
    assert plan["fates"]["cropland"]["again"] == plan["fates"]["harvest_piles"]["carried"] == before["tiles"]
    kept = season.folder / "plan.json"
    kept.write_text(json.dumps(plan))
    mapped(season)
    told = stook("plan", season.config, "--year", season.year, "--compare", kept, "--json").events[0]
    found = {figure["figure"]: (figure["planned"], figure["actual"]) for figure in told["figures"]}
    assert found["assets"][0] == found["assets"][1] > 0


@pytest.mark.slow
def test_failed_tiles_are_to_be_done_again(season: SmallSeason) -> None:
    damage = season.damage_one_tile()
    write_random_bundle(season.folder / "bundle", season_conditions(), seed=97)
    assert stook("map", season.config, "--year", season.year, "--quiet").status == 3
    damage.mend()
    plan = plan_of(season)
    assert plan["continues"] is not None
    assert plan["fates"]["cropland"] == {"new": 0, "again": 1, "carried": 0, "unchanged": plan["tiles"] - 1}
    assert plan["fates"]["harvest_piles"]["unchanged"] == plan["tiles"] and plan["compute"]["value"] == 1


@pytest.mark.slow
def test_some_tiles_stand_for_all_and_it_is_said(season: SmallSeason) -> None:
    write_random_bundle(season.folder / "bundle", season_conditions(), seed=97)
    whole, part = plan_of(season), plan_of(season, "--max-tiles", 4)
    assert part["looked_at"] == 4 < part["tiles"] == whole["tiles"]
    assert part["pixels"]["error"] > 0 == whole["pixels"]["error"]
    assert abs(part["pixels"]["value"] - whole["pixels"]["value"]) < 5 * part["pixels"]["error"]
    told = stook("plan", season.config, "--year", season.year, "--max-tiles", 4).output
    assert "extrapolated from 4 randomly sampled tiles" in told and "±" in told


def test_time_and_cost_on_a_machine_are_at_the_measured_speed(season: SmallSeason) -> None:
    write_random_bundle(season.folder / "bundle", season_conditions(), seed=97)
    there = plan_of(season, "--machine", "fast")
    assert there["cost"] == pytest.approx(there["seconds"] / 3600 * 2.0) and there["currency"] == "EUR"
    with pytest.raises(InputError, match="--machine slow: is not in machines of the configuration; there are: fast"):
        plan_of(season, "--machine", "slow")


@pytest.mark.slow
def test_an_earlier_run_here_gives_the_rates(season: SmallSeason) -> None:
    [manifest] = season.output.glob(f"*/{MANIFEST}")
    start = datetime.fromisoformat("2026-03-01T10:00:00+00:00")
    content = read_json(manifest)
    [run] = content["runs"]
    run |= {"started": start.isoformat(), "ended": (start + timedelta(seconds=7200)).isoformat()}
    write_json(manifest, content | {"runs": [run]})
    (season.output / "current.json").unlink()
    season.configure(publish__most_failed_share=0.5, grid__tile_px=50)  # the same plan
    plan = plan_of(season, "--refresh")
    assert plan["rates"].startswith(f"the run of edition {manifest.parent.name} on this machine")
    assert plan["seconds"] == pytest.approx(7200, rel=0.02)  # the same work at the same rates
    write_json(manifest, content | {"runs": [run | {"host": "elsewhere"}]})
    assert plan_of(season, "--refresh")["rates"].startswith("a sample of")


def test_files_that_are_no_plan_are_refused(season: SmallSeason, planned: tuple[SmallSeason, Path]) -> None:
    other = season.folder / "other.json"
    for content in ("nonsense", "[]", "{}"):
        other.write_text(content)
        with pytest.raises(InputError, match="is not what 'stook plan --json' prints"):
            beside(season, other)
    with pytest.raises(InputError, match="is not what 'stook plan --json' prints"):
        beside(season, season.folder / "absent.json")
    plan = json.loads(planned[1].read_text())
    other.write_text(json.dumps(plan | {"season": "main-1999"}))
    with pytest.raises(InputError, match=r"is of simulated main-1999, not of"):
        beside(season, other)
    other.write_text(json.dumps(plan | {"made": "2999-01-01T00:00:00+00:00"}))
    with pytest.raises(InputError, match="no edition was made as planned"):
        beside(season, other)


def beside(season: SmallSeason, file: Path) -> None:
    stook("plan", season.config, "--year", season.year, "--compare", file)


def season_conditions() -> Conditions:
    return Conditions(start_month=6, months=2)
