"""Search of imagery archives: STAC APIs and static catalogues, one acquisition once, in a stable order."""

import json
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pystac
import pystac_client
from pystac.utils import make_absolute_href
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO

from models.errors import InputError, UnreachableError
from transforms.backoff import BackOff
from transforms.imagery.sources import Source, baseline_rank

BoundingBox = tuple[float, float, float, float]
"""West, south, east, north in degrees; west > east across the antimeridian."""

PAGE_ITEMS = 200  # accepted by every archive of the profiles, and few enough to be answered before a gateway times out
WALKERS = 8  # item files of a static catalogue read at the same time: waiting, not computing


def search(
    source: Source, bbox_lonlat: BoundingBox, start: datetime, end: datetime, backoff: BackOff | None = None
) -> list[pystac.Item]:
    """Items of ``source`` that intersect a bounding box, acquired in [start, end).

    Reprocessed duplicates of one acquisition are reduced to the newest; the order is (datetime, baseline, id).

    Args:
        source: The archive.
        bbox_lonlat: West, south, east, north in degrees.
        start: First instant, with a time zone.
        end: First instant after, with a time zone.
        backoff: How patiently the archive is asked.

    Raises:
        InputError: The catalogue is not there or is not STAC, has no such collection, or holds raw GRD.
        UnreachableError: The archive does not answer, or refuses, after retries.
    """
    archive = _Archive(source, backoff or BackOff())
    root = archive.read(source.catalog)
    is_api = "conformsTo" in root or any(link.get("rel") == "search" for link in root.get("links", ()))
    found = archive.ask(bbox_lonlat, start, end) if is_api else archive.walk(bbox_lonlat, start, end)
    items = newest_of_each_acquisition(found)
    for item in items:
        source.refuse_raw(item)
    return items


def missing_bands(items: Iterable[pystac.Item], source: Source, bands: Iterable[str]) -> set[str]:
    """Those of ``bands`` that no item of the archive has.

    The caller masks them if the encoder allows it. A band that only some items lack is not among them: there the
    archive is damaged, and reading that item is a TileError.
    """
    missing = set(bands)
    for item in items:
        missing -= source.assets_of(item).keys()
        if not missing:
            break
    return missing


def newest_of_each_acquisition(items: Iterable[pystac.Item]) -> list[pystac.Item]:
    """One item per acquisition, the highest baseline and then the latest ``updated``, by (datetime, baseline, id)."""
    newest: dict[tuple[str, ...], pystac.Item] = {}
    for item in items:
        key = acquisition(item)
        if key not in newest or _processing(item) > _processing(newest[key]):
            newest[key] = item
    return sorted(newest.values(), key=reading_order)


def reading_order(item: pystac.Item) -> tuple[datetime, tuple[int, ...], str]:
    """The order in which items are mosaicked: (datetime, baseline, id)."""
    return acquired(item), baseline_rank(item), item.id


def acquired(item: pystac.Item) -> datetime:
    """Time of acquisition, UTC; the start of it where an item gives a range."""
    time = item.datetime or item.common_metadata.start_datetime
    if time is None:
        raise InputError(f"item {item.id}: no datetime")
    return time


def acquisition(item: pystac.Item) -> tuple[str, ...]:
    """What reprocessing does not change: platform, second, data strip, and MGRS tile or, lacking one, footprint.

    Two data strips of one pass can meet inside an MGRS tile, as two items that some archives give the same datetime:
    the sensing time in the strip's name keeps them apart.
    """
    fields = item.properties
    strip = re.search(r"_S(\d{8}T\d{6})", str(fields.get("s2:datastrip_id", "")))
    tile = str(fields.get("grid:code") or fields.get("s2:mgrs_tile") or "").removeprefix("MGRS-").removeprefix("T")
    footprint = ",".join(f"{degree:.3f}" for degree in item.bbox or ())
    platform = str(fields.get("platform") or fields.get("constellation") or "").lower()
    return platform, acquired(item).strftime("%Y%m%dT%H%M%S"), strip[1] if strip else "", tile or footprint


def _processing(item: pystac.Item) -> tuple[tuple[int, ...], str, str]:
    return baseline_rank(item), str(item.properties.get("updated", "")), item.id


def intersects(bbox: Iterable[float], other: BoundingBox) -> bool:
    """Whether two boxes in degrees touch, either of which may cross the antimeridian."""
    corners = list(bbox)
    west, south, east, north = corners if len(corners) == 4 else (*corners[:2], *corners[3:5])
    if south > other[3] or north < other[1]:
        return False
    spans = [[(w, e)] if w <= e else [(w, 180.0), (-180.0, e)] for w, e in ((west, east), (other[0], other[2]))]
    return any(w <= e2 and w2 <= e for w, e in spans[0] for w2, e2 in spans[1])


class _Archive:
    """A catalogue being searched; turns every failure into one of ours."""

    def __init__(self, source: Source, backoff: BackOff):
        self.source = source
        self.io = StacApiIO(timeout=backoff.timeout_s, max_retries=backoff.http_retry())

    def read(self, href: str) -> dict[str, Any]:
        """STAC JSON at a path or URL."""
        try:
            content = self.io.read_json(href)
        except APIError as error:
            raise self._failure(error) from error
        except FileNotFoundError:
            raise InputError(f"{self.source.catalog}: no such file {href}") from None
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise InputError(f"{self.source.catalog}: {href} is not STAC JSON ({error})") from error
        if not isinstance(content, dict) or "stac_version" not in content:
            raise InputError(f"{self.source.catalog}: {href} is not STAC JSON (no stac_version)")
        return content

    def ask(self, bbox: BoundingBox, start: datetime, end: datetime) -> Iterator[pystac.Item]:
        """Items that an API finds."""
        try:
            client = pystac_client.Client.open(self.source.catalog, stac_io=self.io)
            client.add_conforms_to("ITEM_SEARCH")
            client.add_conforms_to("COLLECTIONS")
            names = [collection.id for collection in client.get_collections()]
            if self.source.collection not in names:
                raise self._no_collection(names)
            ways = {link.extra_fields.get("method", "GET") for link in client.get_links("search")}
            query = client.search(
                method="POST" if "POST" in ways else "GET",
                collections=[self.source.collection],
                bbox=list(bbox),
                datetime=[start, end],
                limit=PAGE_ITEMS,
            )
            for content in query.items_as_dicts():
                yield from self._item(content, self.source.catalog, bbox, start, end)
        except APIError as error:
            raise self._failure(error) from error

    def walk(self, bbox: BoundingBox, start: datetime, end: datetime) -> Iterator[pystac.Item]:
        """Items of a static catalogue, read link by link so that nothing outside is held."""
        seen: set[str] = set()
        collections: list[str] = []
        pending = [(make_absolute_href(self.source.catalog), False)]
        with ThreadPoolExecutor(WALKERS) as pool:
            while pending:
                href, inside = pending.pop()
                content = self.read(href)
                if content.get("type") == "Collection" and not inside:
                    collections.append(str(content["id"]))
                    inside = content["id"] == self.source.collection
                    if not inside:
                        continue
                links = [(link.get("rel"), make_absolute_href(link["href"], href)) for link in content.get("links", ())]
                if inside:
                    items = [target for relation, target in links if relation == "item"]
                    # Only reading is threaded: what pystac makes of the JSON is not safe to make in several threads.
                    for item_href, item in zip(items, pool.map(self.read, items), strict=True):
                        yield from self._item(item, item_href, bbox, start, end)
                children = [target for relation, target in links if relation == "child" and target not in seen]
                seen.update(children)
                pending += [(child, inside) for child in children]
        if self.source.collection not in collections:
            raise self._no_collection(collections)

    def _item(
        self, content: dict[str, Any], href: str, bbox: BoundingBox, start: datetime, end: datetime
    ) -> Iterator[pystac.Item]:
        if content.get("bbox") is None or not intersects(content["bbox"], bbox):
            return
        item = pystac.Item.from_dict(content, href=href, preserve_dict=False)
        if item.get_self_href() is None:
            item.set_self_href(href)
        if start <= acquired(item) < end:
            yield item

    def _no_collection(self, names: Iterable[str]) -> InputError:
        there = ", ".join(sorted(names)) or "none"
        return InputError(f"{self.source.catalog}: no collection {self.source.collection!r}; there are: {there}")

    def _failure(self, error: APIError) -> InputError | UnreachableError:
        status = getattr(error, "status_code", None)
        reason = f"HTTP {status}" if status else _deepest_cause(str(error))
        if status in (400, 404, 405, 410, 422):
            return InputError(f"{self.source.catalog}: answers {reason}; is it a STAC catalogue or API?")
        return UnreachableError(f"{self.source.catalog}: unreachable ({reason})")


def _deepest_cause(text: str) -> str:
    """The end of what urllib3 says, where the cause is: "[Errno 111] Connection refused"."""
    cause = " ".join(text.split()).rsplit("Caused by ", 1)[-1]
    return cause.rsplit(": ", 1)[-1].strip("\"'()")[-200:]
