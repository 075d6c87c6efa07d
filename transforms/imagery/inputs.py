"""The frozen inputs of an edition: which items it is made from, with all that reading them needs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pystac

from stook.transforms.imagery.catalog import reading_order
from stook.transforms.imagery.footprint import BoundingBox
from stook.transforms.imagery.scenes import as_text, from_text, hrefs_of
from stook.transforms.imagery.sources import Source, acquired, baseline
from stook.transforms.store import Address, fetched, replacing

SCHEMA = pa.schema(
    [
        ("source", pa.string()),
        ("item_id", pa.string()),
        ("datetime", pa.timestamp("us", tz="UTC")),
        ("baseline", pa.string()),
        ("updated", pa.string()),
        ("minx", pa.float64()),
        ("miny", pa.float64()),
        ("maxx", pa.float64()),
        ("maxy", pa.float64()),
        ("hrefs", pa.list_(pa.string())),
        ("item", pa.string()),
    ]
)
ROWS_PER_GROUP = 256  # about 1 MB of item JSON: what one tile decodes around the few dozen rows that it needs
FOOTPRINT_SLACK_DEG = 0.02  # archives simplify footprints by up to a kilometre or two; pixels beyond them are valid


@dataclass(frozen=True)
class Inputs:
    """Items of every source of an edition, in memory or in ``inputs.parquet``.

    Reading rows by bounding box touches only the row groups around it, so a worker's memory does not grow with the
    country.

    Attributes:
        rows: Arrow data set with the columns of ``SCHEMA``, ordered by source, degree cell and reading order.
    """

    rows: ds.Dataset

    @classmethod
    def freeze(cls, found: Mapping[str, Sequence[pystac.Item]], sources: Mapping[str, Source]) -> "Inputs":
        """The inputs made of what was found for each sensor; assets are reduced to the profile's bands."""
        records = [_record(sources[name], item) for name, items in found.items() for item in items]
        order = sorted(range(len(records)), key=lambda index: records[index][0])
        return cls(ds.dataset(pa.Table.from_pylist([records[index][1] for index in order], schema=SCHEMA)))

    @classmethod
    def read(cls, path: Address) -> "Inputs":
        """Open ``inputs.parquet``; rows are read when asked for."""
        return cls(ds.dataset(str(fetched(path)), schema=SCHEMA, format="parquet"))

    def write(self, path: Address) -> None:
        """Write atomically; equal inputs give equal bytes."""
        with replacing(path) as scratch:
            pq.write_table(self.rows.to_table(), scratch, compression="zstd", row_group_size=ROWS_PER_GROUP)

    def near(self, bbox_lonlat: BoundingBox) -> dict[str, list[pystac.Item]]:
        """Items that touch a box in degrees (west > east across the antimeridian), in reading order, by source."""
        items: dict[str, list[pystac.Item]] = {}
        table = self.rows.to_table(["source", "item"], filter=_touching(bbox_lonlat))
        for name, text in zip(table["source"].to_pylist(), table["item"].to_pylist(), strict=True):
            items.setdefault(name, []).append(from_text(text))
        return {name: sorted(items[name], key=reading_order) for name in sorted(items)}

    def identity(
        self, bbox_lonlat: BoundingBox, sensors: Sequence[str], start: datetime, end: datetime
    ) -> list[tuple[str, str, str, str]]:
        """(source, item id, baseline, updated) of some sensors' items of [start, end) that touch a box, sorted."""
        meant = _touching(bbox_lonlat) & _taken(sensors, start, end)
        table = self.rows.to_table(["source", "item_id", "baseline", "updated"], filter=meant)
        return sorted(zip(*(column.to_pylist() for column in table.columns), strict=True))

    def dates(
        self, bbox_lonlat: BoundingBox, sensors: Sequence[str], start: datetime, end: datetime
    ) -> list[tuple[str, datetime, str]]:
        """(source, time, baseline) of the same items, sorted."""
        meant = _touching(bbox_lonlat) & _taken(sensors, start, end)
        table = self.rows.to_table(["source", "datetime", "baseline"], filter=meant)
        return sorted(zip(*(column.to_pylist() for column in table.columns), strict=True))

    def in_memory(self) -> "Inputs":
        """The same without what only reading pixels needs, held in memory: for many questions about where and when."""
        return Inputs(ds.dataset(self.rows.to_table([name for name in SCHEMA.names if name not in ("hrefs", "item")])))

    def __len__(self) -> int:
        return int(self.rows.count_rows())


def _record(source: Source, item: pystac.Item) -> tuple[tuple, dict[str, Any]]:
    """Sort key and row of one item. Neighbours in space are neighbours in the file, so few row groups are read."""
    corners = list(item.bbox or ())
    west, south, east, north = corners if len(corners) == 4 else (*corners[:2], *corners[3:5])
    row = {
        "source": source.sensor,
        "item_id": item.id,
        "datetime": acquired(item),
        "baseline": baseline(item),
        "updated": str(item.properties.get("updated", "")),
        "minx": west,
        "miny": south,
        "maxx": east,
        "maxy": north,
        "hrefs": list(hrefs_of(source, item).values()),
        "item": as_text(source, item),
    }
    return (source.sensor, np.floor(west), np.floor(south), reading_order(item)), row


def _taken(sensors: Sequence[str], start: datetime, end: datetime) -> pc.Expression:
    """Rows of some sensors, acquired in [start, end)."""
    return pc.field("source").isin(list(sensors)) & (pc.field("datetime") >= start) & (pc.field("datetime") < end)


def _touching(bbox: BoundingBox) -> pc.Expression:
    """Rows whose footprint, give or take, touches a box; either may cross the antimeridian."""
    west, south, east, north = bbox
    minx, miny, maxx, maxy = (pc.field(name) for name in ("minx", "miny", "maxx", "maxy"))
    slack = FOOTPRINT_SLACK_DEG

    def spans(first: float, last: float) -> pc.Expression:
        ordinary = (minx <= maxx) & (minx <= last + slack) & (maxx >= first - slack)
        return ordinary | ((minx > maxx) & ((minx <= last + slack) | (maxx >= first - slack)))

    longitude = spans(west, east) if west <= east else spans(west, 180.0) | spans(-180.0, east)
    return longitude & (miny <= north + slack) & (maxy >= south - slack)
