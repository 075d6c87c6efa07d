"""What a run of one season computes, settled before it starts and kept with its edition."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from transforms.grid import Grid
from transforms.season import Period, Season
from transforms.sources import Source

PROCESSING_VERSION = 1  # raised whenever the same inputs would give other pixels


@dataclass(frozen=True)
class ProductPlan:
    """How one product is made.

    Attributes:
        product: Name in ``transforms.products.PRODUCTS``.
        bundle: Folder of the bundle.
        bundle_hash: What the bundle must hash to.
        periods: The months it reads.
        minimum_observations: Pixels with fewer clear observations are nodata.
    """

    product: str
    bundle: str
    bundle_hash: str
    periods: tuple[Period, ...]
    minimum_observations: int


@dataclass(frozen=True)
class Plan:
    """A season of a region.

    Attributes:
        name: Of the region.
        season: What is mapped.
        provisional: Whether a window was not over when the run started.
        grid: The tiles.
        sources: The archives, by sensor.
        cloud_dilation_px: By how much masked cloud grows.
        products: In order of name.
        units_hash: Of the region's units.
        processing: Version of the computation.
    """

    name: str
    season: Season
    provisional: bool
    grid: Grid
    sources: dict[str, Source]
    cloud_dilation_px: int
    products: tuple[ProductPlan, ...]
    units_hash: str
    processing: int = PROCESSING_VERSION

    @property
    def key(self) -> str:
        """Hash of everything that decides the result, save the inputs an archive offers on the day."""
        return digest(self.as_json())

    def as_json(self) -> dict[str, Any]:
        """Plain data for ``edition.json``."""
        return PLAN.dump_python(self, mode="json")

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Plan":
        """The plan that ``as_json`` wrote."""
        return PLAN.validate_python(data, strict=False)

    @property
    def periods(self) -> tuple[Period, ...]:
        """Every month that some product reads, in order."""
        return tuple(sorted({period for product in self.products for period in product.periods}))


PLAN = TypeAdapter(Plan)


def digest(data: Any) -> str:
    """Hexadecimal sha256 of plain data, whatever the order of its mappings."""
    return hashlib.sha256(json.dumps(data, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
