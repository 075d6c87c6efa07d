"""The scenes that a search found, each kept as a few kilobytes of text: an archive's items are ten times as large."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, overload

import pystac

from stook.transforms.imagery.checksums import CHECKSUM, SIZE
from stook.transforms.imagery.sources import Source

KEPT_PROPERTIES = ("platform", "constellation", "start_datetime", "end_datetime", "updated", "s2:processing_baseline",
                   "processing:version", "grid:code", "s2:mgrs_tile", "sar:product_type", "product:type",
                   "sat:orbit_state")  # fmt: skip
KEPT_ASSET_FIELDS = ("bands", "nodata", "data_type", SIZE, CHECKSUM)
KEPT_PREFIXES = ("proj:", "raster:")


class Scenes(Sequence[pystac.Item]):
    """Items in an order, decoded one at a time when they are asked for.

    Args:
        texts: Each of ``as_text``.
        superseded: Ids of older processings that a search left out for those that are here.
        offered: Keys of the assets that the first of them has, whether the profile knows them or not.
    """

    def __init__(self, texts: Iterable[str], superseded: Sequence[str] = (), offered: Sequence[str] = ()):
        self._texts = list(texts)
        self.superseded = superseded
        self.offered = offered

    def __len__(self) -> int:
        return len(self._texts)

    def __iter__(self) -> Iterator[pystac.Item]:
        return map(from_text, self._texts)

    @overload
    def __getitem__(self, index: int) -> pystac.Item: ...
    @overload
    def __getitem__(self, index: slice) -> "Scenes": ...
    def __getitem__(self, index: int | slice) -> "pystac.Item | Scenes":
        return Scenes(self._texts[index]) if isinstance(index, slice) else from_text(self._texts[index])

    def only(self, wanted: Callable[[pystac.Item], bool]) -> "Scenes":
        """Those that are wanted, in the same order."""
        return Scenes((text for text in self._texts if wanted(from_text(text))), self.superseded, self.offered)


def as_text(source: Source, item: pystac.Item) -> str:
    """An item with only what reading it needs, as JSON."""
    return json.dumps(trimmed(source, item), sort_keys=True, separators=(",", ":"))


def from_text(text: str) -> pystac.Item:
    """The item of ``as_text``."""
    return pystac.Item.from_dict(json.loads(text), migrate=False, preserve_dict=False)


def hrefs_of(source: Source, item: pystac.Item) -> dict[str, str]:
    """Absolute links of the assets that the profile knows, by canonical band."""
    return {band: asset.get_absolute_href() or asset.href for band, asset in source.assets_of(item).items()}


def trimmed(source: Source, item: pystac.Item) -> dict[str, Any]:
    """The item as STAC JSON with only what reading needs; links of assets are absolute."""
    time, hrefs = item.datetime, hrefs_of(source, item)
    assets = {
        source.archive.assets[band]: {"href": hrefs[band], **_kept(asset.extra_fields, KEPT_ASSET_FIELDS)}
        for band, asset in source.assets_of(item).items()
    }
    return {
        "type": "Feature",
        "stac_version": pystac.get_stac_version(),
        "id": item.id,
        "collection": item.collection_id or source.collection,
        "geometry": item.geometry,
        "bbox": item.bbox,
        "properties": {"datetime": time.isoformat() if time else None, **_kept(item.properties, KEPT_PROPERTIES)},
        "links": [],
        "assets": assets,
    }


def _kept(fields: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key in names or key.startswith(KEPT_PREFIXES)}
