"""Search of imagery archives: STAC APIs and static catalogues, one acquisition once, in a stable order."""

import re
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

import pystac

from stook.models.errors import InputError
from stook.transforms.backoff import BackOff
from stook.transforms.imagery.archive import Archive
from stook.transforms.imagery.footprint import BoundingBox, alike, around
from stook.transforms.imagery.scenes import Scenes, as_text
from stook.transforms.imagery.sources import Source, acquired, baseline_rank
from stook.transforms.store import CLOUD, address_of, read_json

SIMULATED = "simulat"  # in the description of a catalogue
MOST_ITEMS = 2_000_000  # that are held, a few kilobytes each: a continent's year is about a third of it


def search(
    source: Source, bbox_lonlat: BoundingBox, start: datetime, end: datetime, backoff: BackOff | None = None
) -> Scenes:
    """Items of ``source`` that intersect a bounding box, acquired in [start, end).

    Reprocessed duplicates of one acquisition are reduced to the newest; the order is (datetime, baseline, id).

    Args:
        source: The archive.
        bbox_lonlat: West, south, east, north in degrees.
        start: First instant, with a time zone.
        end: First instant after, with a time zone.
        backoff: How patiently the archive is asked.

    Raises:
        InputError: The catalogue is not there or is not STAC, has no such collection, holds raw GRD, has links that may
            not be followed, or is without end.
        UnreachableError: The archive does not answer, or refuses, after retries.
    """
    archive = Archive(source, backoff or BackOff())
    acquisitions: dict[tuple[str, ...], list[_Found]] = defaultdict(list)
    count = 0
    superseded: list[str] = []
    offered: tuple[str, ...] = ()
    for item in archive.items(bbox_lonlat, start, end):
        source.refuse_raw(item)
        offered = offered or tuple(item.assets)
        found = _Found(_processing(item), reading_order(item), around(*item.bbox or ()), as_text(source, item))
        parts = acquisitions[acquisition(item)]
        if any(other.order == found.order for other in parts):
            continue  # one item, found twice
        same = [number for number, other in enumerate(parts) if alike(other.box, found.box)]
        if any(parts[number].processing > found.processing for number in same):
            superseded.append(item.id)
            continue
        older = [number for number in same if parts[number].processing < found.processing]
        superseded += [parts[number].order[-1] for number in older]
        # What is neither newer nor older may be another part of the scene, whatever its box says: all of it is read.
        acquisitions[acquisition(item)] = [part for number, part in enumerate(parts) if number not in older] + [found]
        count += 1 - len(older)
        if count > MOST_ITEMS:
            raise InputError(f"{source.catalog}: more than {MOST_ITEMS} scenes; map fewer units or months at a time")
    whole = (found for parts in acquisitions.values() for found in parts)
    return Scenes((found.text for found in sorted(whole, key=lambda found: found.order)), superseded, offered)


def is_simulated(source: Source) -> bool:
    """Whether the catalogue of an archive, if it is a file or object, says that its scenes are simulated.

    Raises:
        CLOUD_FAILURES: If a bucket does not answer.
    """
    if "://" in source.catalog and not source.catalog.startswith(CLOUD):
        return False
    told = read_json(address_of(source.catalog))
    return told is not None and SIMULATED in str(told.get("description", "")).lower()


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


def reading_order(item: pystac.Item) -> tuple[datetime, tuple[int, ...], str]:
    """The order in which items are mosaicked: (datetime, baseline, id)."""
    return acquired(item), baseline_rank(item), item.id


def acquisition(item: pystac.Item) -> tuple[str, ...]:
    """What reprocessing does not change, beside the footprint: platform, second, data strip and MGRS tile.

    Two data strips of one pass can meet inside an MGRS tile, as two items that some archives give the same datetime:
    the sensing time in the strip's name keeps them apart.
    """
    fields = item.properties
    strip = re.search(r"_S(\d{8}T\d{6})", str(fields.get("s2:datastrip_id") or fields.get("eopf:datastrip_id") or ""))
    tile = str(fields.get("grid:code") or fields.get("s2:mgrs_tile") or "").removeprefix("MGRS-").removeprefix("T")
    platform = str(fields.get("platform") or fields.get("constellation") or "").lower()
    return platform, acquired(item).strftime("%Y%m%dT%H%M%S"), strip[1] if strip else "", tile


def _processing(item: pystac.Item) -> tuple[tuple[int, ...], str]:
    return baseline_rank(item), str(item.properties.get("updated", ""))


class _Found(NamedTuple):
    processing: tuple[tuple[int, ...], str]
    order: tuple[datetime, tuple[int, ...], str]
    box: BoundingBox
    text: str
