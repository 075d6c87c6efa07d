"""What a tile's work may not do: write over what another run has made, or take a store's hiccup for a failed tile."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from gcsfs.retry import HttpError

from stook.models.errors import TileError, UnreachableError
from stook.pipelines import map as mapping
from stook.pipelines.season import season_folder
from stook.transforms.editions import map_store
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.lease import LEASE
from stook.transforms.ground.grid import Tile
from stook.transforms.store import ChangedError
from stook.transforms.tiles import tile_job
from stook.transforms.tiles.claim import Claim
from stook.transforms.tiles.derive_job import DeriveJob
from stook.transforms.tiles.due import due_tiles
from stook.transforms.tiles.materials import Machine
from stook.transforms.tiles.tile_job import TileJob
from tests.pipelines.command import Told, arrays, stook
from tests.pipelines.small_season import NOVEMBER, SmallSeason, write_pile_bundle

WINDOW = {"start": {"month": 6, "year": 0}, "months": 2}


@pytest.fixture
def small(season: SmallSeason) -> SmallSeason:
    return season.hurried().narrowed().configure(run__mode="memory", publish__most_failed_share=1.0)


def run(season: SmallSeason, command: str = "map") -> Told:
    return stook(command, season.config, "--year", season.year, "--quiet")


def take_over(season: Path) -> None:
    """Make the lease one that another run may take, as after it has expired."""
    lease = season / LEASE
    lease.write_text(json.dumps(json.loads(lease.read_text()) | {"ended": "2026-01-01T00:00:00+00:00"}))


def whole(edition: Edition) -> dict[str, bytes]:
    """Every file of the maps."""
    return {str(path): path.read_bytes() for path in edition.maps.rglob("*") if path.is_file()}


def corrupt(results: Iterator[Any]) -> Iterator[Any]:
    """Results that end in a failed read."""
    raise TileError("an asset is corrupt")
    yield from results


def complete(results: Iterator[Any]) -> Iterator[Any]:
    """Results as they are."""
    yield from results


@pytest.mark.parametrize("command", ["map", pytest.param("embed", marks=pytest.mark.slow)])
@pytest.mark.parametrize("ending", [pytest.param(corrupt, marks=pytest.mark.slow), complete])
def test_a_run_that_slept_writes_nothing_over_what_another_has_published(
    command: str, ending: Callable[[Iterator[Any]], Iterator[Any]], small: SmallSeason, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.configure(embeddings={"encoder": {"bundle": "bundle"}, "window": WINDOW, "storage": "float32"})
    folder = season_folder(small.configuration, small.year)
    if command == "embed":
        folder = type(folder).at(folder.folder / "embeddings")
    make, asleep, seen = tile_job.composite_results, [], {}

    def slept(*arguments: Any) -> Iterator[Any]:
        if asleep:
            yield from make(*arguments)
            return
        asleep.append(True)
        take_over(folder.folder)
        seen["other"] = run(small, command)
        published = folder.current()
        assert published is not None
        for path in published.maps.rglob("*"):  # so that writing the very same again would be seen too
            if path.is_file() and "c" in path.parts:
                path.write_bytes(b"theirs")
        seen["files"] = whole(published)
        yield from ending(make(*arguments))

    monkeypatch.setattr(tile_job, "composite_results", slept)
    with pytest.raises(UnreachableError, match=r"another (run|one) has taken over"):
        run(small, command)
    assert seen["other"].status == 0
    published = folder.current()
    assert published is not None and whole(published) == seen["files"]


def opened(season: SmallSeason, monkeypatch: pytest.MonkeyPatch) -> Edition:
    """The season's edition, opened and not filled."""

    def stop(*_: Any) -> None:
        raise UnreachableError("stopped before the tiles")

    with monkeypatch.context() as patch, pytest.raises(UnreachableError):
        patch.setattr(mapping, "run_tiles", stop)
        run(season)
    return season_folder(season.configuration, season.year).editions()[-1]


def test_nothing_is_written_while_another_run_is_at_the_same_tile(
    small: SmallSeason, monkeypatch: pytest.MonkeyPatch
) -> None:
    edition = opened(small, monkeypatch)
    tile = Tile.parse(edition.manifest["tiles"][0])
    lease = edition.folder.parent / LEASE
    make = tile_job.composite_results

    def taken(*arguments: Any) -> Iterator[Any]:
        lease.write_text(json.dumps(json.loads(lease.read_text()) | {"run": "another"}))  # no record of the tile yet
        yield from make(*arguments)

    monkeypatch.setattr(tile_job, "composite_results", taken)
    with pytest.raises(ChangedError, match="was taken over by somebody else"):
        TileJob(edition, Machine()).run(tile)
    assert edition.ledger.read(tile) is None and not list(edition.maps.rglob("cropland/c/*/*"))


@pytest.mark.slow
def test_a_tile_given_up_after_another_worker_has_made_it_keeps_its_map(
    small: SmallSeason, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.configure(products__cropland__smoothing={"minimum_mapping_unit_ha": 0.1})
    assert run(small).status == 0
    edition = season_folder(small.configuration, small.year).editions()[-1]
    before, tile = whole(edition), Tile.parse(edition.manifest["tiles"][0])
    record, version = edition.ledger.held(tile)
    assert record is not None
    stale = replace(record, products={name: replace(made, fingerprint="x") for name, made in record.products.items()})
    on = Claim.on

    def old(edition: Edition, tile: Tile) -> Claim:
        return replace(on(edition, tile), before=stale, version="another")

    monkeypatch.setattr(Claim, "on", old)
    for job in (TileJob(edition, Machine()), DeriveJob(edition)):
        with pytest.raises(ChangedError):
            job.fail(tile, "its worker died", 3)
    with pytest.raises(ChangedError):
        DeriveJob(edition).run(tile)
    assert whole(edition) == before and edition.ledger.held(tile) == (record, version)


@pytest.mark.parametrize(
    "hiccup",
    [HttpError({"code": 503, "message": "backend error"}), pytest.param(OSError(5, "gone"), marks=pytest.mark.slow)],
)
def test_a_hiccup_of_the_output_fails_no_tile(
    hiccup: Exception, small: SmallSeason, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_layer, hits = map_store.open_layer, []

    def once(*arguments: Any, mode: str = "r") -> Any:
        if mode == "r+" and not hits:
            hits.append(mode)
            raise hiccup
        return open_layer(*arguments, mode=mode)

    monkeypatch.setattr(map_store, "open_layer", once)
    with pytest.raises(UnreachableError, match="output: cannot write"):
        run(small)
    folder = season_folder(small.configuration, small.year)
    assert folder.current() is None and not any(record.failed for record in folder.editions()[-1].ledger.records())
    told = run(small).event("run_finished")
    assert (told["failed"], told["published"]) == (0, True)


@pytest.mark.slow
def test_what_an_older_record_says_is_not_vouched_for_when_an_archive_is_down(
    small: SmallSeason, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pile_bundle(small.folder / "piles", months=1)
    small.configure(products__harvest_piles=NOVEMBER)
    assert run(small).status == 0
    edition = season_folder(small.configuration, small.year).editions()[-1]
    tile = Tile.parse(edition.manifest["tiles"][0])
    record, version = edition.ledger.held(tile)
    assert record is not None
    stale = {name: replace(made, fingerprint="other inputs") for name, made in record.products.items()}
    edition.ledger.commit(replace(record, products=stale, seal="of other inputs"), version)

    def down(*_: Any) -> Iterator[Any]:
        raise UnreachableError("archive.example: does not answer")

    monkeypatch.setattr(tile_job, "picture_results", down)
    with pytest.raises(UnreachableError, match=r"archive\.example"):
        TileJob(edition, Machine()).run(tile)
    after = edition.ledger.read(tile)
    assert after is not None and set(after.products) == {"cropland"} and after.seal == edition.seal
    assert due_tiles(edition) == [tile.name]


@pytest.mark.slow
def test_a_fault_of_ours_before_a_tile_is_begun_leaves_the_others_their_turn(
    small: SmallSeason, monkeypatch: pytest.MonkeyPatch
) -> None:
    fingerprint, faults = tile_job.product_fingerprint, []

    def faulty(*arguments: Any) -> str:
        if not faults:
            faults.append(arguments)
            raise ZeroDivisionError("in our own code")
        return fingerprint(*arguments)

    monkeypatch.setattr(tile_job, "product_fingerprint", faulty)
    told = stook("map", small.config, "--year", small.year, "--quiet")
    assert told.status == 1 and told.event("halted")["outcome"] == "fault"
    assert "fault in Stook: ZeroDivisionError('in our own code')" in told.event("halted")["reason"]
    edition = season_folder(small.configuration, small.year).editions()[-1]
    assert len(list(edition.ledger.records())) == len(edition.manifest["tiles"]) - 1 > 0
    [summary] = edition.runs
    assert summary.outcome == "fault" and summary.computed and summary.seconds
    [mark] = edition.ledger.begun().values()
    assert mark.attempts == 0 and mark.run == summary.run and "in our own code" in mark.fault
    assert run(small).event("run_finished")["published"] and arrays(edition) and edition.ledger.begun() == {}
