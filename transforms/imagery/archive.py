"""An archive's catalogue being read: a STAC API page by page, a static catalogue link by link, neither without end.

What a catalogue says is not trusted: links may only lead where ``Reach`` allows, documents are read up to a size,
catalogues up to a number and a depth, and a page or a catalogue that leads back to itself is not followed twice.
"""

import json
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pystac

from stook.models.errors import InputError
from stook.transforms.backoff import BackOff
from stook.transforms.imagery.checksums import CHECKSUM, checkable
from stook.transforms.imagery.fetching import Fetcher, StatusError
from stook.transforms.imagery.footprint import BoundingBox, box_of, intersects, on_each_side
from stook.transforms.imagery.links import HTTP, LOCAL, scheme_of
from stook.transforms.imagery.sources import Source, acquired
from stook.transforms.imagery.stac_api import collections_instead, features, links_of

STAC_FAILURES = (pystac.STACError, pystac.STACTypeError)  # which have nothing in common
WALKERS = 8  # item files of a static catalogue read at the same time: waiting, not computing
READ_AHEAD = 4 * WALKERS  # documents of a static catalogue that are held at a time
DEEPEST = 32  # catalogues within catalogues; the deepest in use have year, month, day, zone, band and square: six
MOST_CATALOGUES = 100_000  # within one; a catalogue of days of a century has a third of it


class Archive:
    """The catalogue of a source; turns every failure into one of ours.

    Args:
        source: Whose catalogue, and where its links may lead.
        backoff: How patiently it is asked.
    """

    def __init__(self, source: Source, backoff: BackOff):
        self.source = source
        self.reach = source.reach
        self.fetcher = Fetcher(backoff, self.reach.allow_host, self.reach.headers_for)

    def items(self, bbox: BoundingBox, start: datetime, end: datetime) -> Iterator[pystac.Item]:
        """Items of the collection that intersect a box, acquired in [start, end), in no order; none is kept.

        Raises:
            InputError: As ``search``.
            UnreachableError: The archive does not answer, or refuses, after retries.
        """
        root = self.read(self.source.catalog)
        is_api = "conformsTo" in root or any(link.get("rel") == "search" for link in links_of(root))
        for content, href in self._asked(root, bbox, start, end) if is_api else self._walked(root):
            yield from self._item(content, href, bbox, start, end)

    def read(self, href: str) -> dict[str, Any]:
        """STAC JSON at a path or URL."""
        catalog = self.source.catalog
        try:
            content = json.loads(self.fetcher.read(href))
        except StatusError as error:
            raise self._answered(href, error) from error
        except FileNotFoundError:
            raise InputError(f"{catalog}: no such file {href}") from None
        except RecursionError:
            raise InputError(f"{catalog}: {href} is not STAC JSON (nested without end)") from None
        except (OSError, ValueError) as error:  # text that is no UTF-8 or no JSON is a ValueError
            raise InputError(f"{catalog}: {href} is not STAC JSON ({error})") from error
        if not isinstance(content, dict) or "stac_version" not in content:
            raise InputError(f"{catalog}: {href} is not STAC JSON (no stac_version)")
        return content

    def _asked(
        self, root: dict[str, Any], bbox: BoundingBox, start: datetime, end: datetime
    ) -> Iterator[tuple[dict[str, Any], str]]:
        """Items that an API finds, each with the address that its relative links count from.

        Servers read a box with west > east as they like, so each side of the antimeridian is a search of its own; what
        lies on both is found twice.
        """
        catalog = self.source.catalog
        empty = True
        try:
            for box in on_each_side(bbox):
                for content in features(root, self.source, self.fetcher, self.reach.allow_host, box, start, end):
                    empty = False
                    if content.get("collection") not in (None, self.source.collection):
                        self._require_collection(root)
                    own = next((link.get("href", "") for link in links_of(content) if link.get("rel") == "self"), "")
                    yield content, own if scheme_of(own) in HTTP else catalog
        except StatusError as error:
            self._require_collection(root)
            raise self._answered(catalog, error) from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, *STAC_FAILURES) as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise InputError(f"{catalog}: does not answer as a STAC API ({reason})") from error
        if empty:
            self._require_collection(root)

    def _require_collection(self, root: dict[str, Any]) -> None:
        """Raise InputError if an API lists its collections and has no such as ours."""
        if names := collections_instead(root, self.source, self.fetcher):
            raise self._no_collection(names)

    def _walked(self, root: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
        """Items of a static catalogue, each with its address, read link by link so that nothing outside is held."""
        catalog = self.source.catalog
        collections: list[str] = []
        seen = {catalog}
        pending = [(catalog, False, 0)]
        with ThreadPoolExecutor(WALKERS) as pool:
            while pending:
                href, inside, depth = pending.pop()
                content = root if href == catalog else self.read(href)
                if content.get("type") == "Collection" and not inside:
                    collections.append(str(content.get("id")))
                    inside = collections[-1] == self.source.collection
                    if not inside:
                        continue
                if inside:
                    # Only reading is threaded: what pystac makes of the JSON is not safe to make in several threads.
                    yield from _ahead(pool, self, dict.fromkeys(self._targets(content, href, "item")))
                children = [child for child in self._targets(content, href, "child") if child not in seen]
                seen.update(children)
                if children and (depth >= DEEPEST or len(seen) > MOST_CATALOGUES):
                    raise InputError(
                        f"{catalog}: {href}: nesting exceeds {DEEPEST} levels or {MOST_CATALOGUES} "
                        "catalogues; circular links?"
                    )
                pending += [(child, inside, depth + 1) for child in dict.fromkeys(children)]
        if self.source.collection not in collections:
            raise self._no_collection(collections)

    def _targets(self, content: dict[str, Any], href: str, relation: str) -> Iterator[str]:
        """Where the links of one relation lead."""
        for link in links_of(content):
            if link.get("rel") == relation:
                yield self.reach.resolved(link.get("href"), href, f"{href}: {relation}")

    def _item(
        self, content: dict[str, Any], href: str, bbox: BoundingBox, start: datetime, end: datetime
    ) -> Iterator[pystac.Item]:
        """The item, if it is wanted; links of its assets become absolute."""
        name = f"{self.source.catalog}: item {content.get('id')} ({href})"
        try:
            box = box_of(content)
            if box is None:
                raise ValueError("it has neither bbox nor geometry, so nobody knows where it is")
            if not intersects(box, bbox):
                return
            item = pystac.Item.from_dict(content | {"bbox": list(box), "links": links_of(content)}, preserve_dict=False)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, *STAC_FAILURES) as error:
            raise InputError(f"{name}: not a STAC item ({type(error).__name__}: {error})") from error
        if not start <= acquired(item) < end:
            return
        if item.collection_id not in (None, self.source.collection):
            raise InputError(
                f"{name}: is of collection {item.collection_id!r}, but {self.source.collection!r} was searched; an "
                "archive that mixes collections cannot be used"
            )
        for asset in self.source.assets_of(item).values():
            key = next(key for key, other in item.assets.items() if other is asset)
            asset.href = self.reach.resolved(asset.href, href, f"item {item.id}: asset {key}")
            if self.source.verify and not (checkable(asset.extra_fields) and scheme_of(asset.href) in (*LOCAL, *HTTP)):
                why = f"no {CHECKSUM} of a kind that is known, or neither a file nor http"
                raise InputError(f"{name}: asset {key}: {why}; imagery.{self.source.sensor}.verify needs both")
        item.set_self_href(None)
        yield item

    def _no_collection(self, names: Iterable[str]) -> InputError:
        there = ", ".join(sorted(names)) or "none"
        return InputError(f"{self.source.catalog}: no collection {self.source.collection!r}; there are: {there}")

    def _answered(self, href: str, error: StatusError) -> InputError:
        what = self.source.catalog if href == self.source.catalog else f"{self.source.catalog}: {href}"
        return InputError(f"{what}: answers {error}; is it a STAC catalogue or API?")


def _ahead(pool: ThreadPoolExecutor, archive: Archive, hrefs: Iterable[str]) -> Iterator[tuple[dict[str, Any], str]]:
    """The documents at some addresses, in order, a bounded number of them read before they are wanted."""
    waiting: deque[tuple[str, Future[dict[str, Any]]]] = deque()
    try:
        for href in hrefs:
            waiting.append((href, pool.submit(archive.read, href)))
            if len(waiting) >= READ_AHEAD:
                first, future = waiting.popleft()
                yield future.result(), first
        while waiting:
            first, future = waiting.popleft()
            yield future.result(), first
    finally:
        for _, future in waiting:
            future.cancel()
