"""One search of a STAC API (1.0, Item Search): every page of it, or an error."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any
from urllib.parse import quote, urljoin

from pystac import Link
from pystac_client import ItemSearch
from pystac_client.stac_api_io import StacApiIO

from stook.models.errors import InputError, StookError, UnreachableError
from stook.transforms.backoff import PassingError
from stook.transforms.breaker import patiently
from stook.transforms.imagery.fetching import Fetcher, StatusError
from stook.transforms.imagery.footprint import BoundingBox
from stook.transforms.imagery.sources import Source

PAGE_SIZES = (200, 50, 10)  # items; the first is answered by every archive of the profiles before a gateway times out
TOO_MUCH = (400, 408, 413, 414, 422, 500, 502, 504)  # what servers answer that cannot give so large a page
ESTIMATED = 10_000  # items from which on servers (pgstac, Elasticsearch) count by an estimate
MOST_PAGES = 100_000  # of one search: twenty million items


def features(
    root: dict[str, Any],
    source: Source,
    fetcher: Fetcher,
    allowed: Callable[[str], object],
    box: BoundingBox,
    start: datetime,
    end: datetime,
) -> Iterator[dict[str, Any]]:
    """What an API finds in a box (west < east) and [start, end], each item once.

    A server that cannot give a page is asked for smaller ones. Pages without items are followed as any other.

    Args:
        root: Its landing page.
        source: Whose collection.
        fetcher: How it is asked.
        allowed: Called with every address; raises if it may not be asked.
        box: West, south, east, north in degrees.
        start: First instant.
        end: Last instant.

    Raises:
        StatusError: The server refuses the request.
        InputError: Its pages have no end.
        UnreachableError: It does not answer after retries, or gives fewer items than it counts.
    """
    address, method = _search_link(root, source.catalog)
    seen: set[str] = set()
    counted = 0
    for size in PAGE_SIZES:
        transport = _Transport(fetcher, allowed, may_shrink=size > PAGE_SIZES[-1])
        query = ItemSearch(
            address,
            method=method,
            collections=[source.collection],
            bbox=list(box),
            datetime=[start, end],
            limit=size,
            stac_io=transport,
        )
        try:
            pages = transport.get_pages(query.url, query.method, query.get_parameters())
            for page in _ending(pages, source.catalog):
                counted = max(counted, _matched(page))
                for feature in page.get("features") or ():
                    if (name := str(feature.get("id"))) not in seen:
                        seen.add(name)
                        yield feature
            break
        except _TooMuchError:
            continue
    if len(seen) < (counted if counted < ESTIMATED else counted / 2):
        raise UnreachableError(
            f"{source.catalog}: gave {len(seen)} of the {counted} scenes of {source.collection} that it counts; a "
            "search has to be whole"
        )


def collections_instead(root: dict[str, Any], source: Source, fetcher: Fetcher) -> list[str]:
    """Names of the collections of an API that does not have that of a source; none where it has it, or does not tell.

    The names are those of the first page of its list, so the collection is asked for by itself, too.
    """
    lists = (link["href"] for link in links_of(root) if link.get("rel") == "data")
    address = urljoin(source.catalog, next(lists, f"{source.catalog.rstrip('/')}/collections"))
    try:
        names = [str(collection["id"]) for collection in json.loads(fetcher.read(address))["collections"]]
    except (StookError, ValueError, KeyError, TypeError):
        return []
    if source.collection in names:
        return []
    try:
        fetcher.read(f"{address}/{quote(source.collection, safe='')}")
    except StookError as error:
        return names if isinstance(error, StatusError) and error.status == 404 else []
    return []


def links_of(content: dict[str, Any]) -> list[dict[str, Any]]:
    """The links of a document, without what is none."""
    links = content.get("links")
    return [link for link in links if isinstance(link, dict)] if isinstance(links, list) else []


def _search_link(root: dict[str, Any], catalog: str) -> tuple[str, str]:
    """Address and method of searches: POST where the server knows it."""
    searches = [link for link in links_of(root) if link.get("rel") == "search"]
    ways = {str(link.get("method") or "GET").upper(): link.get("href", "") for link in searches}
    method = "POST" if "POST" in ways else "GET"
    return urljoin(catalog, ways.get(method) or f"{catalog.rstrip('/')}/search"), method


def _matched(page: dict[str, Any]) -> int:
    """How many items the server says that the search has; 0 where it does not say."""
    context = page.get("context")
    counts = (page.get("numberMatched"), context.get("matched") if isinstance(context, dict) else None)
    return max((int(str(count)) for count in counts if str(count).isdecimal()), default=0)


def _ending(pages: Iterator[dict[str, Any]], catalog: str) -> Iterator[dict[str, Any]]:
    """The pages of a search; refuses one that leads to a page that was there before."""
    seen: set[str] = set()
    for page in pages:
        yield page
        following = [link for link in links_of(page) if link.get("rel") == "next"]
        address = json.dumps(following, sort_keys=True)
        if following and (address in seen or len(seen) >= MOST_PAGES):
            raise InputError(f"{catalog}: the pages of its answer have no end ({len(seen) + 1} read)")
        seen.add(address)


class _TooMuchError(StookError):
    """A server cannot give so large a page."""


class _Transport(StacApiIO):
    """How pystac-client asks: through ours, with its patience and bounds; its own search ends at an empty page."""

    def __init__(self, fetcher: Fetcher, allowed: Callable[[str], object], may_shrink: bool):
        super().__init__(max_retries=None)
        self.fetcher = fetcher
        self.allowed = allowed
        self.may_shrink = may_shrink

    def request(
        self,
        href: str,
        method: str | None = None,
        headers: dict[str, str] | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> str:
        """The text that an address answers."""
        self.allowed(href)
        verb = (method or "GET").upper()
        body = {"json": parameters} if verb == "POST" else {"params": parameters or {}}

        def ask(attempt: int) -> bytes:
            try:
                return self.fetcher.once(href, verb, headers, **body)
            except (PassingError, StatusError) as error:
                decided = attempt > 1 or isinstance(error, StatusError)
                if self.may_shrink and decided and error.status in TOO_MUCH:
                    raise _TooMuchError from error
                raise

        return patiently(href, self.fetcher.backoff, ask).decode("utf-8-sig")

    def get_pages(
        self, url: str, method: str | None = None, parameters: dict[str, Any] | None = None
    ) -> Iterator[dict[str, Any]]:
        """The pages of a search; one without items may lead to one that has some.

        Links to the next page may be relative, to the page that they stand in.
        """
        page, address = self.read_json(url, method=method, parameters=parameters), url
        while True:
            yield page
            following = next((link for link in links_of(page) if link.get("rel") == "next"), None)
            if following is None:
                return
            address = urljoin(address, following["href"])
            page = self.read_json(Link.from_dict(following | {"href": address}), parameters=parameters)
