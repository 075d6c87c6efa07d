"""Catalogues without end, in a circle, too deep, too large: each ends in one line, and none is held in memory."""

import json
import os
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stook.models.errors import InputError, UnreachableError
from stook.transforms.imagery import archive as reading
from stook.transforms.imagery import fetching, stac_api
from stook.transforms.imagery.catalog import search
from stook.transforms.imagery.sources import Source
from tests.transforms.archive import EVERYWHERE, HASTY, PLACE, YEAR_2019, Archive, lonlat, noon
from tests.transforms.imagery.faulty_server import Fault, FaultyServer, faulty, serve_api

STAC = {"stac_version": "1.0.0", "description": ""}


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    archive = Archive(tmp_path / "archive", "scaled-1e-4")
    for day in (1, 11):
        archive.add(f"day-{day:02}", noon(day), {"scl": 4})
    return archive


@pytest.fixture
def server(archive: Archive) -> Iterator[FaultyServer]:
    archive.save()
    with faulty(archive.writer.folder) as running:
        yield running


def ids(source: Source) -> list[str]:
    return [item.id for item in search(source, EVERYWHERE, *YEAR_2019, HASTY)]


def refusal(source: Source) -> str:
    with pytest.raises(InputError) as caught:
        ids(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def link(path: Path, *links: tuple[str, str]) -> None:
    """Add links to a document."""
    content = json.loads(path.read_text())
    content["links"] += [{"rel": relation, "href": href} for relation, href in links]
    path.write_text(json.dumps(content))


def test_a_catalogue_that_links_to_itself_and_its_parents_is_read_once(archive: Archive) -> None:
    source, folder = archive.save(), archive.writer.folder
    link(folder / "catalog.json", ("child", "./catalog.json"), ("child", "./scenes/../scenes/collection.json"))
    link(folder / "scenes/collection.json", ("child", "../catalog.json"), ("child", "./collection.json"))
    assert ids(source) == ["day-01", "day-11"]


def test_items_that_are_linked_twice_are_one(archive: Archive) -> None:
    source = archive.save()
    link(archive.writer.folder / "scenes/collection.json", ("item", "./day-01/day-01.json"))
    assert ids(source) == ["day-01", "day-11"]


def test_a_chain_of_catalogues_without_end_is_refused(server: FaultyServer) -> None:
    class Endless(dict[str, Any]):
        def get(self, path: str, default: Any = None) -> Any:
            number = path.removeprefix("/endless/").removesuffix(".json")
            if not number.isdecimal():
                return default
            links = [{"rel": "child", "href": f"./{int(number) + 1}.json"}]
            return lambda query: {"type": "Catalog", "id": number, **STAC, "links": links}

    server.pages = Endless()
    text = refusal(Source("sentinel2", f"{server.url}/endless/0.json", "scenes", "scaled-1e-4"))
    assert "nesting exceeds 32 levels or" in text
    assert len(server.requests) < 40


def test_catalogues_without_number_are_refused(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_CATALOGUES", 50)
    source = archive.save()
    link(archive.writer.folder / "catalog.json", *(("child", f"./{number}.json") for number in range(60)))
    assert "or 50 catalogues" in refusal(source)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_pages_that_lead_back_are_refused(server: FaultyServer, archive: Archive, method: str) -> None:
    items = list(search(archive.save(), EVERYWHERE, *YEAR_2019))
    source = replace(archive.save(), catalog=serve_api(server, "scenes", items))
    last = server.pages["/api/page/1"]
    back = {"rel": "next", "href": f"{server.url}/api/search", "method": method, "body": {"token": "same"}}
    server.pages["/api/page/1"] = lambda query: last(query) | {"links": [back]}
    assert "the pages of its answer have no end" in refusal(source)
    assert len(server.requests) < 12


def test_pages_without_number_are_refused(
    server: FaultyServer, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stac_api, "MOST_PAGES", 20)
    items = list(search(archive.save(), EVERYWHERE, *YEAR_2019))
    source = replace(archive.save(), catalog=serve_api(server, "scenes", items))
    first = server.pages["/api/search"]

    def another(query: str) -> dict[str, Any]:
        links = [{"rel": "next", "href": f"{server.url}/api/search?page={len(server.requests)}"}]
        return first(query) | {"links": links}

    server.pages["/api/search"] = another
    assert "the pages of its answer have no end" in refusal(source)


def api_of(server: FaultyServer, archive: Archive, page_items: int = 1) -> Source:
    """The archive as an API."""
    source = archive.save()
    items = list(search(source, EVERYWHERE, *YEAR_2019))
    return replace(source, catalog=serve_api(server, "scenes", items, page_items))


def changed(server: FaultyServer, page: str, **fields: Any) -> None:
    """Let a page of the API say something else."""
    first = server.pages[page]
    server.pages[page] = lambda query: first(query) | fields


def test_a_server_that_gives_smaller_pages_only_is_asked_for_them(server: FaultyServer, archive: Archive) -> None:
    source = api_of(server, archive)
    search_page = server.pages["/api/search"]

    def small(query: str) -> Any:
        return 400 if "limit=200" in query else 502 if "limit=50" in query else search_page(query)

    server.pages["/api/search"] = small
    assert ids(source) == ["day-01", "day-11"]
    assert "limit=10&" in server.requests[-2]


def test_an_empty_page_that_leads_on_is_followed(server: FaultyServer, archive: Archive) -> None:
    source = api_of(server, archive)
    first = server.pages["/api/search"]
    server.pages["/api/first"] = first
    leading = [{"rel": "next", "href": f"{server.url}/api/first"}]
    server.pages["/api/search"] = lambda query: {"type": "FeatureCollection", "features": [], "links": leading}
    assert ids(source) == ["day-01", "day-11"]


def test_a_search_that_is_not_whole_is_an_error(server: FaultyServer, archive: Archive) -> None:
    source = api_of(server, archive)
    changed(server, "/api/search", numberMatched=3)
    with pytest.raises(UnreachableError, match="gave 2 of the 3 scenes of scenes that it counts"):
        ids(source)
    changed(server, "/api/search", numberMatched=2)
    assert ids(source) == ["day-01", "day-11"]
    changed(server, "/api/search", numberMatched=None, context={"matched": 3})
    with pytest.raises(UnreachableError, match="gave 2 of the 3"):
        ids(source)


def test_one_request_is_enough_for_a_page_beside_the_landing_page(server: FaultyServer, archive: Archive) -> None:
    source = api_of(server, archive, page_items=10)
    server.requests.clear()
    ids(source)
    assert [path.partition("?")[0] for path in server.requests] == ["/api", "/api/search"]


def test_collections_that_may_not_be_listed_stop_nothing(server: FaultyServer, archive: Archive) -> None:
    source = api_of(server, archive)
    server.faults.append(Fault("status", where="/api/collections", status=403))
    assert ids(source) == ["day-01", "day-11"]
    changed(server, "/api/search", features=[], links=[])
    assert ids(source) == []


def test_a_collection_beyond_the_first_page_of_their_list_is_there(server: FaultyServer, archive: Archive) -> None:
    source = api_of(server, archive)
    changed(server, "/api/search", features=[], links=[])
    listed = server.pages["/api/collections"](" ")["collections"]
    changed(server, "/api/collections", collections=[listed[0] | {"id": "another"}])
    assert "no collection 'scenes'; there are: another" in refusal(source)
    server.pages["/api/collections/scenes"] = lambda query: listed[0]
    assert ids(source) == []


def test_an_item_of_another_collection_is_refused_with_those_that_there_are(
    server: FaultyServer, archive: Archive
) -> None:
    source = api_of(server, archive)
    assert "no collection 'elsewhere'; there are: scenes" in refusal(replace(source, collection="elsewhere"))


@pytest.mark.parametrize("where", ["/catalog.json", "/scenes/collection.json", "/scenes/day-01/day-01.json"])
def test_a_document_larger_than_the_bound_is_refused_before_it_is_held(
    server: FaultyServer, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.setattr(fetching, "MOST_BYTES", 100_000)
    server.pages[where] = lambda query: b" " * 5_000_000
    text = refusal(Source("sentinel2", f"{server.url}/catalog.json", "scenes", "scaled-1e-4"))
    assert f"{where}: more than 0 MiB" in text


def test_a_file_larger_than_the_bound_is_refused_too(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    source = archive.save()
    monkeypatch.setattr(fetching, "MOST_BYTES", 10)
    assert "allowed are 0 in one document" in refusal(source)


def test_json_nested_without_end_is_refused(archive: Archive) -> None:
    source = archive.save()
    Path(source.catalog).write_text("[" * 200_000 + "]" * 200_000)
    assert "is not STAC JSON (nested without end)" in refusal(source)


NONSENSE = [
    '{"stac_version": "1.0.0", "links": 5}',
    '{"stac_version": "1.0.0", "links": [5, null, {"rel": "child"}]}',
    '{"stac_version": "1.0.0", "links": null, "type": "Collection"}',
    "5",
    "null",
    '"text"',
    "\x00",
]


@pytest.mark.parametrize("content", NONSENSE)
def test_documents_that_make_no_sense_end_in_one_line(archive: Archive, content: str) -> None:
    source = archive.save()
    Path(source.catalog).write_text(content)
    assert source.catalog in refusal(source)


@pytest.mark.parametrize(
    "change", [{"assets": 5}, {"bbox": "x"}, {"bbox": [1]}, {"properties": None}, {"geometry": 5, "assets": {"scl": 5}},
               {"properties": {"datetime": "yesterday"}}, {"id": None, "assets": []}],
)  # fmt: skip
def test_items_that_make_no_sense_end_in_one_line(archive: Archive, change: dict[str, Any]) -> None:
    source = archive.save()
    path = archive.writer.folder / "scenes/day-01/day-01.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert source.catalog in refusal(source)


def test_a_folder_or_a_pipe_is_no_catalogue(archive: Archive, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    for wrong in (tmp_path, tmp_path / "pipe.json"):
        assert "not a file" in refusal(replace(archive.save(), catalog=str(wrong)))


def test_more_scenes_than_can_be_held_are_refused(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stook.transforms.imagery.catalog.MOST_ITEMS", 1)
    assert "more than 1 scenes; map fewer units or months at a time" in refusal(archive.save())


@pytest.mark.slow
def test_of_a_catalogue_larger_than_memory_little_is_held(server: FaultyServer, archive: Archive) -> None:
    """Two thousand items of 30 KB, 60 MB in all, of which one in a hundred lies in the box."""
    [item, *_] = search(archive.save(), EVERYWHERE, *YEAR_2019)
    template = item.to_dict(transform_hrefs=False)
    template["properties"] |= {"unheard:of": "x" * 30_000}
    pages, page_items = 100, 20

    def page(query: str) -> dict[str, Any]:
        number = int(query.partition("page=")[2] or 0)
        features = []
        for place in range(page_items):
            count = number * page_items + place
            seconds = f"{count // 60:02}:{count % 60:02}"
            far = {} if count % 100 == 0 else {"bbox": [60, 0, 61, 1], "geometry": None}
            features.append({**template, **far, "id": f"item-{count}"})
            features[-1]["properties"] = {**template["properties"], "datetime": f"2019-06-01T10:{seconds}Z"}
        following = (
            [{"rel": "next", "href": f"{server.url}/api/search?page={number + 1}"}] if number + 1 < pages else []
        )
        return {"type": "FeatureCollection", "features": features, "links": following}

    source = replace(archive.save(), catalog=serve_api(server, "scenes", [item]))
    server.pages["/api/search"] = page
    search(source, (60, 10, 61, 11), *YEAR_2019, HASTY)  # imports and caches are not the catalogue's
    tracemalloc.start()
    found = search(source, lonlat(PLACE), *YEAR_2019, HASTY)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found) == pages * page_items / 100
    assert peak < 12e6, f"{peak / 1e6:.1f} MB"
    assert held < 2e6, f"{held / 1e6:.1f} MB"


def test_found_scenes_cost_a_few_kilobytes_each(archive: Archive) -> None:
    source = archive.save()
    path = archive.writer.folder / "scenes/day-01/day-01.json"
    item = json.loads(path.read_text())
    item["properties"]["unheard:of"] = "x" * 100_000
    path.write_text(json.dumps(item))
    found = search(source, EVERYWHERE, *YEAR_2019)
    assert max(len(text) for text in found._texts) < 4000
    assert [item.id for item in found] == [found[0].id, found[1].id] == ["day-01", "day-11"]
    assert len(found[1:]) == 1 and len(found.only(lambda item: item.id == "day-01")) == 1


HEADERS = (("Authorization", "Bearer ${STOOK_TEST_TOKEN}"), ("X-Key", "${file:KEY}"))


def test_headers_take_their_secrets_from_environment_and_files_and_go_to_the_catalogues_host_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOOK_TEST_TOKEN", "4711")
    (tmp_path / "key").write_text("hidden\n")
    headers = tuple((name, value.replace("KEY", str(tmp_path / "key"))) for name, value in HEADERS)
    source = Source("sentinel2", "https://here/api", "c", "scaled-1e-4", ("files.here",), headers=headers)
    expected = {"Authorization": "Bearer 4711", "X-Key": "hidden"}
    assert source.reach.headers_for("https://here/api/search") == expected
    assert source.reach.headers_for("https://files.here/a.tif") == expected
    assert source.reach.headers_for("https://elsewhere/a.tif") == {} == source.reach.headers_for("s3://here/a.tif")
    assert "4711" not in repr(source) and "hidden" not in repr(source)
    monkeypatch.delenv("STOOK_TEST_TOKEN")
    with pytest.raises(InputError, match=r"imagery.sentinel2.headers: \$\{STOOK_TEST_TOKEN\}: the environment has no"):
        source.reach.headers_for("https://here/api")
    with pytest.raises(InputError, match=r"headers: the value of Authorization would be kept"):
        replace(source, headers=(("Authorization", "Bearer secret"),))


def test_requests_carry_the_headers(server: FaultyServer, archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOOK_TEST_TOKEN", "secret")
    source = replace(archive.save(), catalog=f"{server.url}/catalog.json", headers=(("X-Key", "${STOOK_TEST_TOKEN}"),))
    sent = []
    send = fetching._Session.send

    def noted(self: Any, request: Any, **options: Any) -> Any:
        sent.append(request.headers.get("X-Key"))
        return send(self, request, **options)

    monkeypatch.setattr(fetching._Session, "send", noted)
    assert ids(source) == ["day-01", "day-11"]
    assert set(sent) == {"secret"}


@pytest.mark.parametrize("value", ["two\nlines", "", "ü"])
def test_what_no_header_can_hold_is_refused_and_not_told(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("STOOK_TEST_TOKEN", value)
    source = Source("sentinel2", "https://here/api", "c", "scaled-1e-4", headers=(("X-Key", "${STOOK_TEST_TOKEN}"),))
    with pytest.raises(InputError, match="is empty, or holds what no header can") as caught:
        source.reach.headers_for("https://here/api")
    assert not value or value not in str(caught.value)
    with pytest.raises(InputError, match="'X Key' is no name of a header"):
        replace(source, headers=(("X Key", "${STOOK_TEST_TOKEN}"),))
