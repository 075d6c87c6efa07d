"""``stook embed`` stores feature vectors, and ``stook map`` gives the same map from them without reading imagery."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from stook.models.bundle import Conditions, load_bundle
from stook.models.errors import UnreachableError
from stook.pipelines import cli
from stook.pipelines.opening import open_edition
from stook.pipelines.progress import JsonReporter
from stook.pipelines.season import embeddings_folder, plan_of, published_edition, region_of, season_folder
from stook.transforms.choices import Storage
from stook.transforms.editions.edition import Edition
from stook.transforms.tiles import from_composites
from stook.transforms.tiles.embeddings import EmbeddingStore
from stook.transforms.values import NODATA
from tests.pipelines.command import arrays, assert_same_maps, stook
from tests.pipelines.embedded import SUMMER, TILES, stook_embed, vectors_of
from tests.pipelines.small_season import ABSENT, SmallSeason, write_random_bundle


def stook_map(season: SmallSeason) -> Edition:
    """Map the season; gives the published edition."""
    told = stook("map", season.config, "--year", season.year, "--quiet")
    assert told.event("run_finished")["computed"] == TILES
    return published_edition(season.configuration, season.year)


@pytest.fixture
def season(embedded: Callable[[Storage], SmallSeason], tmp_path: Path) -> SmallSeason:
    """A copy of the season with its vectors as int8, that a test may spoil."""
    return embedded("int8").copy(tmp_path / "season")


@pytest.fixture(scope="module")
def mapped(embedded: Callable[[Storage], SmallSeason], tmp_path_factory: pytest.TempPathFactory) -> Edition:
    """The map from the vectors that are stored as int8; read only."""
    return stook_map(embedded("int8").copy(tmp_path_factory.mktemp("mapped") / "season"))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Grows by one with every tile whose imagery is read for a map."""
    seen: list[object] = []
    composite = from_composites.composite

    def counted(*arguments: Any) -> Any:
        seen.append(arguments[2])
        return composite(*arguments)

    monkeypatch.setattr(from_composites, "composite", counted)
    return seen


def test_vectors_are_stored_for_every_cell_with_imagery_and_published(
    embedded: Callable[[Storage], SmallSeason],
) -> None:
    edition = vectors_of(embedded("int8"))
    for zone in ("32636", "32637"):
        group = {name: arrays(edition)[f"{zone}/10m/{name}"] for name in ("embedding", "embedding_scale")}
        assert group["embedding"].shape == (16, 100, 100) and group["embedding"].dtype == np.int8
        known = np.isfinite(group["embedding_scale"])
        assert 0 < known.sum() < known.size  # the region does not fill the tile
        assert (group["embedding"][:, ~known] == -128).all()
        assert (np.abs(group["embedding"][:, known].astype(int)).max(axis=0) == 127).all()
    whole = pd.read_parquet(edition.folder / "statistics.parquet").iloc[-1]
    assert whole["mapped_dm2"] == whole["area_dm2"] == whole["total_dm2"] > 0


@pytest.mark.parametrize(
    ("storage", "most_percent"),
    [
        pytest.param("float32", 0, marks=pytest.mark.slow),
        pytest.param("float16", 1, marks=pytest.mark.slow),
        ("int8", 4),
    ],
)
def test_the_map_from_stored_vectors_is_the_exact_one_but_for_their_rounding(
    storage: Storage,
    most_percent: int,
    embedded: Callable[[Storage], SmallSeason],
    tmp_path: Path,
    reads: list[object],
) -> None:
    with_vectors, without = (embedded(storage).copy(tmp_path / name) for name in ("with", "without"))
    reads.clear()  # those of storing the vectors do not count
    from_vectors = stook_map(with_vectors)
    assert not reads
    shutil.rmtree(without.output / "embeddings")
    from_imagery = stook_map(without)
    assert len(reads) == TILES
    if storage == "float32":
        assert_same_maps(from_vectors, from_imagery)
    for zone in ("32636", "32637"):
        rounded, exact = (arrays(edition)[f"{zone}/10m/cropland"] for edition in (from_vectors, from_imagery))
        known = exact != NODATA
        assert (known == (rounded != NODATA)).all()
        assert np.abs(rounded[known].astype(int) - exact[known]).max() <= most_percent
    assert [record.products["cropland"].batch for record in from_vectors.ledger.records()] == [None] * TILES
    assert all(record.products["cropland"].batch >= 1 for record in from_imagery.ledger.records())


@pytest.mark.slow
def test_with_stored_vectors_no_imagery_is_needed(season: SmallSeason, mapped: Edition) -> None:
    config = season.configuration
    region = region_of(config)
    # Opening an edition looks into a few scenes to see whether they are plausible; after that nothing is read.
    open_edition(
        season_folder(config, season.year), plan_of(config, season.year, region, False), region, JsonReporter()
    )
    for file in (season.folder / "archive").rglob("*.tif"):
        file.unlink()
    assert_same_maps(stook_map(season), mapped)


def test_a_new_head_on_the_same_encoder_uses_the_stored_vectors(
    season: SmallSeason, mapped: Edition, reads: list[object]
) -> None:
    encoder = load_bundle(season.folder / "bundle").encoder
    write_random_bundle(season.folder / "new-head", SUMMER, seed=9, encoder=encoder)
    edition = stook_map(season.configure(products__cropland__bundle="new-head"))
    assert not reads
    assert not np.array_equal(arrays(edition)["32637/10m/cropland"], arrays(mapped)["32637/10m/cropland"])


@pytest.mark.slow
def test_another_encoder_does_not_use_them(season: SmallSeason, reads: list[object]) -> None:
    write_random_bundle(season.folder / "other", SUMMER, seed=6)
    stook_map(season.configure(products__cropland__bundle="other"))
    assert len(reads) == TILES


def test_a_head_that_never_saw_a_band_does_not_use_vectors_that_were_made_with_it(
    season: SmallSeason, reads: list[object]
) -> None:
    encoder = load_bundle(season.folder / "bundle").encoder
    conditions = Conditions(SUMMER.start_month, SUMMER.months, absent_bands=("nir08",))
    write_random_bundle(season.folder / "without-nir08", conditions, encoder=encoder)
    stook_map(season.configure(products__cropland__bundle="without-nir08"))
    assert len(reads) == TILES


@pytest.mark.slow
def test_where_a_scene_has_changed_since_the_tile_is_encoded_anew(
    season: SmallSeason, mapped: Edition, reads: list[object]
) -> None:
    item = next(path for path in season.items() if "_202306" in path.name)
    content = json.loads(item.read_text())
    content["properties"]["updated"] = "2026-01-01T00:00:00Z"
    item.write_text(json.dumps(content))
    assert_same_maps(stook_map(season), mapped)  # the pixels are the old ones, but nobody could know
    assert len(reads) == TILES  # footprints are taken 2 km wider than they are, so the scene touches both


def test_what_is_computed_anew_reads_imagery_and_no_stored_vectors(
    season: SmallSeason, mapped: Edition, reads: list[object]
) -> None:
    told = stook("map", season.config, "--year", season.year, "--quiet", "--no-reuse")
    assert told.event("run_finished")["computed"] == TILES == len(reads)
    edition = published_edition(season.configuration, season.year)
    assert all(record.products["cropland"].batch >= 1 for record in edition.ledger.records())
    assert_same_maps(edition, mapped)


@pytest.mark.slow
def test_vectors_can_be_stored_anew(season: SmallSeason, reads: list[object]) -> None:
    first = vectors_of(season)
    told = stook("embed", season.config, "--year", season.year, "--quiet", "--no-reuse").event("run_finished")
    second = vectors_of(season)
    assert second != first and (told["computed"], told["carried"], len(reads)) == (TILES, 0, TILES)
    assert_same_maps(second, first)


@pytest.mark.slow
def test_vectors_that_are_removed_while_they_are_read_make_no_map(
    season: SmallSeason, mapped: Edition, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, vectors = EmbeddingStore.read, vectors_of(season)

    def removed_meanwhile(*arguments: Any) -> Any:
        (vectors.folder / "edition.json").unlink(missing_ok=True)
        for shard in vectors.maps.rglob("embedding/c/*/*/*"):
            shard.unlink(missing_ok=True)
        return read(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(EmbeddingStore, "read", removed_meanwhile)
        with pytest.raises(UnreachableError, match="the feature vectors were removed while they were read"):
            stook("map", season.config, "--year", season.year, "--quiet")
    folder = season_folder(season.configuration, season.year)
    assert folder.current() is None and list(folder.editions()[-1].ledger.records()) == []
    known = arrays(mapped)["32637/10m/cropland"] != NODATA
    assert ((arrays(stook_map(season))["32637/10m/cropland"] != NODATA) == known).all()  # from imagery


@pytest.mark.slow
def test_an_embed_that_was_interrupted_goes_on_where_it_stopped(
    season: SmallSeason, embedded: Callable[[Storage], SmallSeason], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(season.output / "embeddings")
    composite, read = from_composites.composite, []

    def one_only(*arguments: Any) -> Any:
        if read:
            raise UnreachableError("the archive went away")
        read.append(arguments[2])
        return composite(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(from_composites, "composite", one_only)
        with pytest.raises(UnreachableError, match="the archive went away; progress is saved"):
            stook_embed(season)
    assert embeddings_folder(season.configuration, season.year).current() is None
    told = stook_embed(season)
    assert "edition_continued" in [event["event"] for event in told.events]
    assert told.event("run_finished")["computed"] == TILES - len(read)
    assert_same_maps(vectors_of(season), vectors_of(embedded("int8")))


@pytest.mark.parametrize(
    ("command", "missing", "reason"),
    [
        ("embed", "embeddings", "stook: embeddings: is missing; 'stook embed' needs to know the encoder"),
        ("map", "products", "stook: products: is empty; 'stook map' needs at least one"),
    ],
)
def test_what_a_command_needs_and_the_configuration_lacks_is_told_in_one_line(
    command: str,
    missing: str,
    reason: str,
    season: SmallSeason,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    season.configure(**{missing: ABSENT})
    monkeypatch.setattr(sys, "argv", ["stook", command, str(season.config), "--year", str(season.year)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    assert capsys.readouterr().err.splitlines() == [reason]
