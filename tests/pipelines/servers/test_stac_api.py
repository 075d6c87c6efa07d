"""A real STAC API beside the static catalogue: the same maps, limits, and a server that is killed in the middle."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from stook.models.errors import InputError, UnreachableError
from stook.transforms.backoff import BackOff
from stook.transforms.breaker import breaker_of
from stook.transforms.editions.season_folder import SeasonFolder
from stook.transforms.imagery import stac_api
from stook.transforms.imagery.catalog import search
from stook.transforms.imagery.sources import Source
from tests.pipelines.command import assert_same_maps, stook
from tests.pipelines.servers.conftest import SERVERS, Server, free_port, pypgstac, running
from tests.pipelines.small_season import SmallSeason
from tests.transforms.archive import EVERYWHERE
from tests.transforms.imagery.faulty_server import FaultyServer, faulty

QUICK = BackOff(attempts=3, first_wait_s=0.05, longest_wait_s=1.0, timeout_s=20)
COLLECTIONS = ("sentinel-2-l2a", "sentinel-1-rtc")


@pytest.fixture(scope="module")
def season(pristine_season: SmallSeason, tmp_path_factory: pytest.TempPathFactory) -> SmallSeason:
    """A season that is mapped from the static catalogue; read only."""
    made = pristine_season.copy(tmp_path_factory.mktemp("api") / "season").hurried(1, 1).narrowed()
    made.configure(run={"attempts": 3, "timeout_s": 20})
    assert stook("map", made.config, "--year", made.year).status == 0
    return made


@pytest.fixture(scope="module")
def files(season: SmallSeason) -> Iterator[FaultyServer]:
    """The files of the archive by http."""
    with faulty(season.folder / "archive") as server:
        yield server


@pytest.fixture(scope="module")
def loaded(database: dict[str, str], season: SmallSeason, files: FaultyServer) -> dict[str, str]:
    """The database with all items of the archive."""
    collections, items = [], []
    for path in sorted((season.folder / "archive").glob("*/collection.json")):
        if path.parent.name in COLLECTIONS:
            collections.append(json.loads(path.read_text()) | {"links": []})
    for path in season.items():
        item = json.loads(path.read_text()) | {"links": []}
        if item["collection"] in COLLECTIONS:
            where = f"{files.url}/{path.parent.relative_to(season.folder / 'archive')}"
            for asset in item["assets"].values():
                asset["href"] = f"{where}/{asset['href'].removeprefix('./')}"
            items.append(item)
    for kind, content in (("collections", collections), ("items", items)):
        file = season.folder / f"{kind}.ndjson"
        file.write_text("\n".join(map(json.dumps, content)))
        pypgstac(database, "load", kind, str(file), "--method", "upsert")
    return database


def api(loaded: dict[str, str], **limits: int) -> Server:
    """The server of the items."""
    port = free_port()
    words = [str(SERVERS / "uvicorn"), "tests.pipelines.servers.limited:app", "--port", str(port)]
    environment = loaded | {f"STOOK_{name.upper()}": str(value) for name, value in limits.items()}
    return Server(words, f"http://127.0.0.1:{port}/_mgmt/ping", environment)


def catalog_of(server: Server) -> str:
    return server.url.removesuffix("/_mgmt/ping") + "/"


def source_of(server: Server) -> Source:
    return Source("sentinel2", catalog_of(server), "sentinel-2-l2a", "scaled-1e-4")


def found(source: Source) -> list[str]:
    breaker_of.cache_clear()
    start, end = (stac_api.datetime.fromisoformat(f"{year}-01-01T00:00:00+00:00") for year in (2023, 2024))
    return [item.id for item in search(source, EVERYWHERE, start, end, QUICK)]


def static(season: SmallSeason) -> list[str]:
    imagery = yaml.safe_load(season.config.read_text())["imagery"]["sentinel2"]
    catalog = str(season.folder / "archive" / "catalog.json")
    return found(Source("sentinel2", catalog, imagery["collection"], imagery["profile"]))


def test_the_maps_are_those_of_the_static_catalogue(
    loaded: dict[str, str], season: SmallSeason, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stac_api, "PAGE_SIZES", (7, 3))
    with running(api(loaded)) as server:
        other = season.copy(tmp_path / "other")
        content = yaml.safe_load(other.config.read_text())
        for sensor in ("sentinel2", "sentinel1"):
            content["imagery"][sensor]["catalog"] = catalog_of(server)
        other.config.write_text(yaml.safe_dump(content))
        other.configure(output="from-the-api")
        assert stook("map", other.config, "--year", other.year).status == 0
    [one] = SeasonFolder.at(season.output).editions()
    [same] = SeasonFolder.at(other.folder / "from-the-api" / "simulated" / f"main-{other.year}").editions()
    assert_same_maps(one, same)


def test_pages_shrink_to_what_the_server_gives(loaded: dict[str, str], season: SmallSeason) -> None:
    with running(api(loaded, largest_page=20)) as server:
        assert sorted(found(source_of(server))) == sorted(static(season))


def test_a_server_that_gives_no_page_is_quoted(loaded: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stac_api, "PAGE_SIZES", (200, 50))
    with (
        running(api(loaded, largest_page=20)) as server,
        pytest.raises(InputError, match="answers HTTP 400 .limit must be at most 20."),
    ):
        found(source_of(server))


def test_a_collection_that_is_not_there_is_told_with_those_that_are(loaded: dict[str, str]) -> None:
    with (
        running(api(loaded)) as server,
        pytest.raises(InputError, match="no collection 'none'; there are: .*-l2a"),
    ):
        found(replace(source_of(server), collection="none"))


def test_a_server_that_limits_requests_is_asked_as_slowly_as_it_wants(
    loaded: dict[str, str], season: SmallSeason, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stac_api, "PAGE_SIZES", (2,))
    with running(api(loaded, limit_per_s=5)) as server:
        begun = time.monotonic()
        assert sorted(found(source_of(server))) == sorted(static(season))
        assert time.monotonic() - begun < 30


def test_a_server_that_is_killed_in_the_middle_is_unreachable_and_then_the_search_is_whole(
    loaded: dict[str, str], season: SmallSeason, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stac_api, "PAGE_SIZES", (2,))
    with running(api(loaded)) as server:
        pages = stac_api._Transport.get_pages
        seen = []

        def until_the_second(self: object, *words: object, **named: object) -> Iterator[dict[str, object]]:
            for page in pages(self, *words, **named):  # type: ignore[arg-type]
                seen.append(page)
                if len(seen) == 2:
                    server.kill()
                yield page

        with monkeypatch.context() as patched:
            patched.setattr(stac_api._Transport, "get_pages", until_the_second)
            with pytest.raises(UnreachableError, match="unreachable"):
                found(source_of(server))
        assert len(seen) == 2
        server.start()
        assert sorted(found(source_of(server))) == sorted(static(season))
