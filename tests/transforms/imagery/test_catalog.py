import json
import socket
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pystac
import pytest
import requests

from stook.models.errors import InputError, UnreachableError
from stook.transforms.imagery.catalog import acquisition, missing_bands, search
from stook.transforms.imagery.fetching import Fetcher
from stook.transforms.imagery.footprint import box_of
from stook.transforms.imagery.sources import Source
from tests.transforms.archive import (
    EVERYWHERE,
    HASTY,
    PLACE,
    YEAR_2019,
    Archive,
    failing_first,
    lonlat,
    noon,
    served,
)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    archive = Archive(tmp_path / "archive", "scaled-1e-4")
    for day in (11, 1, 21):
        archive.add(f"day-{day:02}", noon(day), {"blue": 500, "scl": 4})
    return archive


def ids(items: Iterable[pystac.Item]) -> list[str]:
    return [item.id for item in items]


def test_static_catalogue_gives_items_in_the_box_and_the_half_open_window_by_time(archive: Archive):
    archive.add("far", noon(5), {"blue": 500}, PLACE.translate_pix(10_000, 0))
    source = archive.save()
    assert ids(search(source, lonlat(PLACE), *YEAR_2019)) == ["day-01", "day-11", "day-21"]
    assert ids(search(source, lonlat(PLACE), noon(1), noon(21))) == ["day-01", "day-11"]
    assert ids(search(source, (60, 0, 61, 1), *YEAR_2019)) == []


def test_static_catalogue_over_http_is_walked_too_and_hrefs_are_absolute(archive: Archive):
    source = archive.save()
    with served(Path(source.catalog).parent) as url:
        items = search(replace(source, catalog=f"{url}/catalog.json"), EVERYWHERE, *YEAR_2019, HASTY)
        assert items[0].assets["blue"].get_absolute_href() == f"{url}/scenes/day-01/blue.tif"


def test_a_short_refusal_is_waited_for(archive: Archive):
    source = archive.save()
    with served(Path(source.catalog).parent, failing_first(2, 503)) as url:
        assert len(search(replace(source, catalog=f"{url}/catalog.json"), EVERYWHERE, *YEAR_2019, HASTY)) == 3


@pytest.mark.parametrize("status", [503, 429, 401])
def test_a_lasting_refusal_is_unreachable_and_names_the_catalogue(archive: Archive, status: int):
    source = archive.save()
    with served(Path(source.catalog).parent, lambda path: status) as url, pytest.raises(UnreachableError, match=url):
        search(replace(source, catalog=f"{url}/catalog.json"), EVERYWHERE, *YEAR_2019, HASTY)


def test_a_refused_connection_is_unreachable():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/stac"
    source = Source("sentinel2", url, "scenes", "scaled-1e-4")
    with pytest.raises(UnreachableError, match=url):
        search(source, EVERYWHERE, *YEAR_2019, HASTY)


def test_wrong_catalogues_are_the_users_mistake(archive: Archive, tmp_path: Path):
    source = archive.save()
    (tmp_path / "page.html").write_text("<html>")
    (tmp_path / "other.json").write_text("{}")
    for wrong, why in [("none.json", "no such file"), ("page.html", "not STAC"), ("other.json", "not STAC")]:
        with pytest.raises(InputError, match=why):
            search(replace(source, catalog=str(tmp_path / wrong)), EVERYWHERE, *YEAR_2019)
    with pytest.raises(InputError, match="no collection 'elsewhere'; there are: scenes"):
        search(replace(source, collection="elsewhere"), EVERYWHERE, *YEAR_2019)
    with served(tmp_path) as url, pytest.raises(InputError, match="HTTP 404"):
        search(replace(source, catalog=f"{url}/nowhere"), EVERYWHERE, *YEAR_2019, HASTY)


def test_api_is_asked_page_by_page(archive: Archive, tmp_path: Path):
    """A STAC API of files: what matters is the landing page, the collections, and the pages of a search."""
    saved = search(archive.save(), EVERYWHERE, *YEAR_2019)
    api = tmp_path / "api"
    api.mkdir()
    with served(api) as url:
        stac = {"stac_version": "1.0.0", "description": ""}
        link = {"rel": "search", "href": f"{url}/search", "type": "application/geo+json", "method": "GET"}
        links = [link, {"rel": "self", "href": f"{url}/index"}, {"rel": "data", "href": f"{url}/collections"}]
        landing = {"type": "Catalog", "id": "api", **stac, "conformsTo": [], "links": links}
        extent = {"spatial": {"bbox": [list(EVERYWHERE)]}, "temporal": {"interval": [[None, None]]}}
        collection = {"type": "Collection", "id": "scenes", **stac, "license": "x", "links": [], "extent": extent}
        features = [item.to_dict(transform_hrefs=False) for item in saved]
        pages = [{"type": "FeatureCollection", "features": [feature], "links": []} for feature in features]
        pages[0]["links"] = [{"rel": "next", "href": f"{url}/second"}]
        pages[1]["links"] = [{"rel": "next", "href": f"{url}/third"}]
        files = {"index": landing, "collections": {"collections": [collection], "links": []}}
        files |= dict(zip(("search", "second", "third"), pages, strict=True))
        for name, content in files.items():
            (api / name).write_text(json.dumps(content))
        source = Source("sentinel2", f"{url}/index", "scenes", "scaled-1e-4")
        assert ids(search(source, EVERYWHERE, noon(1), noon(21), HASTY)) == ["day-01", "day-11"]
        with pytest.raises(InputError, match="no collection 'elsewhere'; there are: scenes"):
            search(replace(source, collection="elsewhere"), EVERYWHERE, *YEAR_2019, HASTY)


def test_of_a_reprocessed_acquisition_the_highest_baseline_wins_then_the_latest_update(tmp_path: Path):
    archive = Archive(tmp_path / "archive", "planetary-computer")
    one = {"s2:mgrs_tile": "31UFS", "platform": "Sentinel-2A"}
    archive.add("old", noon(1), {"blue": 500}, **one, **{"s2:processing_baseline": "02.14"})
    archive.add(
        "new", noon(1), {"blue": 500}, **one, **{"s2:processing_baseline": "05.00", "updated": "2023-01-01T00:00:00Z"}
    )
    archive.add(
        "newest",
        noon(1),
        {"blue": 500},
        **one,
        **{"s2:processing_baseline": "05.00", "updated": "2024-01-01T00:00:00Z"},
    )
    archive.add("next tile", noon(1), {"blue": 500}, **{**one, "s2:mgrs_tile": "31UFT"})
    archive.add("next second", noon(1, second=1), {"blue": 500}, **one)
    assert ids(search(archive.save(), EVERYWHERE, *YEAR_2019)) == ["next tile", "newest", "next second"]


def test_two_data_strips_that_meet_in_a_tile_are_two_acquisitions():
    def granule(item_id: str, strip: str) -> pystac.Item:
        fields = {
            "s2:mgrs_tile": "31UFS",
            "s2:datastrip_id": f"S2A_OPER_MSI_L2A_DS_2APS_20230101T200000_S{strip}_N05.09",
        }
        return pystac.Item(item_id, None, [3, 50, 4, 51], datetime(2023, 1, 1, 10, tzinfo=UTC), fields)

    assert acquisition(granule("a", "20230101T105000")) != acquisition(granule("b", "20230101T105015"))
    assert acquisition(granule("a", "20230101T105000")) == acquisition(granule("again", "20230101T105000"))


def test_a_band_is_missing_only_if_no_item_has_it(archive: Archive):
    archive.add("damaged", noon(25), {"scl": 4})
    source = archive.save()
    items = search(source, EVERYWHERE, *YEAR_2019)
    assert missing_bands(items, source, ("blue", "red", "nir", "scl")) == {"red", "nir"}


def test_raw_grd_items_are_refused_by_name(tmp_path: Path):
    archive = Archive(tmp_path / "archive", "linear-power")
    archive.add("S1A_IW_GRDH", noon(1), {"vv": 0.1}, **{"sar:product_type": "GRD", "proj:code": None})
    with pytest.raises(InputError, match="item S1A_IW_GRDH of scenes is raw GRD; use .*rtc"):
        search(archive.save(), EVERYWHERE, *YEAR_2019)


def edited(source: Source, item_id: str, **changes: Any) -> Source:
    """The archive with fields of an item's document replaced, or taken out (None)."""
    file = Path(source.catalog).parent / source.collection / item_id / f"{item_id}.json"
    content = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))
    return source


def test_an_item_without_a_box_is_found_by_its_geometry(archive: Archive):
    source = edited(archive.save(), "day-01", bbox=None)
    found = search(source, lonlat(PLACE), *YEAR_2019)
    assert "day-01" in ids(found)
    assert found[0].bbox == pytest.approx(lonlat(PLACE), abs=0.01), "what reads it later goes by the box"


def test_an_item_without_box_and_geometry_is_refused_by_name(archive: Archive):
    source = edited(archive.save(), "day-01", bbox=None, geometry=None)
    with pytest.raises(InputError, match="item day-01 .* neither bbox nor geometry"):
        search(source, EVERYWHERE, *YEAR_2019)


def test_an_item_of_another_collection_is_refused_by_name(archive: Archive):
    source = edited(archive.save(), "day-01", collection="level-1c")
    with pytest.raises(InputError, match="item day-01 .* is of collection 'level-1c', but 'scenes' was searched"):
        search(source, EVERYWHERE, *YEAR_2019)


def test_a_time_without_a_zone_is_utc(archive: Archive):
    source = archive.save()
    file = Path(source.catalog).parent / "scenes" / "day-01" / "day-01.json"
    content = json.loads(file.read_text())
    content["properties"]["datetime"] = content["properties"]["datetime"].removesuffix("Z")
    file.write_text(json.dumps(content))
    assert ids(search(source, EVERYWHERE, noon(1), noon(2))) == ["day-01"]


def test_parts_of_one_scene_are_not_duplicates_of_each_other(tmp_path: Path):
    archive = Archive(tmp_path / "archive", "scaled-1e-4")
    one = {"grid:code": "MGRS-31UFS", "platform": "sentinel-2a"}
    halves = {"west": PLACE[:, :30], "east": PLACE[:, 30:]}
    for name, half in halves.items():
        for baseline in ("02.14", "05.00"):
            fields = one | {"s2:processing_baseline": baseline}
            archive.add(f"{name} {baseline}", noon(1), {"blue": 500}, half, **fields)
    assert sorted(ids(search(archive.save(), EVERYWHERE, *YEAR_2019))) == ["east 05.00", "west 05.00"]


def test_strips_are_told_apart_by_either_name_of_theirs():
    strips = [f"S2A_OPER_MSI_L2A_DS_2APS_20230101T200000_S20230101T1050{second}_N05.09" for second in ("00", "15")]
    for name in ("s2:datastrip_id", "eopf:datastrip_id"):
        one, other = (
            pystac.Item("a", None, [3, 50, 4, 51], datetime(2023, 1, 1, tzinfo=UTC), {name: strip}) for strip in strips
        )
        assert acquisition(one) != acquisition(other)


def test_parts_with_the_box_of_the_whole_are_all_read(tmp_path: Path):
    archive = Archive(tmp_path / "archive", "scaled-1e-4")
    tile = {"grid:code": "MGRS-31UFS", "platform": "Sentinel-2A"}
    archive.add("north", noon(1), {"blue": 500}, **tile)
    archive.add("south", noon(1), {"blue": 500}, **tile)
    found = search(archive.save(), EVERYWHERE, *YEAR_2019)
    assert ids(found) == ["north", "south"] and found.superseded == []


@pytest.mark.parametrize("bbox", [[50, 3, 51, 4], [0, 0, 0, 0], [4, 50, 3, 51], [100, -20, 101, -19]])
def test_a_box_that_contradicts_the_geometry_is_not_believed(bbox: list[float]):
    geometry = {"type": "Polygon", "coordinates": [[[3, 50], [4, 50], [4, 51], [3, 51], [3, 50]]]}
    assert box_of({"bbox": bbox, "geometry": geometry}) == (3, 50, 4, 51)
    assert box_of({"bbox": [2.9, 49.9, 4.1, 51.1], "geometry": geometry}) == (2.9, 49.9, 4.1, 51.1)


def test_a_post_that_is_sent_elsewhere_is_told_for_a_redirect_loses_the_search(tmp_path: Path):
    answer = requests.Response()
    answer.status_code, answer.url = 301, "https://old/search"
    answer.headers["Location"] = "https://new/search"
    answer.request = requests.Request("POST", answer.url).prepare()
    with pytest.raises(InputError, match="https://old/search: is elsewhere now, at https://new/search"):
        Fetcher(HASTY)._follow(answer)
