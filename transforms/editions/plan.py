"""What a run of one season computes, settled before it starts and kept with its edition."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from pydantic import TypeAdapter

from stook.models.source import ModelSource
from stook.transforms.choices import Combination
from stook.transforms.encoding.encodings import Encoding, PictureEncoding, Quantisation
from stook.transforms.ground.grid import Grid
from stook.transforms.imagery.season import Period, Season
from stook.transforms.imagery.sources import Source

PROCESSING_VERSION = 7  # raised whenever the same inputs would give other pixels, or records of another form
EMBEDDING = "embedding"  # feature vectors as a product of their own
M2_PER_HA = 10_000


@dataclass(frozen=True)
class Smoothing:
    """How the classes of cropland are to be smoothed into a layer of their own, ``cropland_smoothed``.

    Attributes:
        threshold: Percent from which a cell is cropland.
        majority_cells: Side of the window (odd) of which the majority decides; 1 for none.
        minimum_ha: Connected patches of either class that are smaller take the class around them.
    """

    threshold: int
    majority_cells: int
    minimum_ha: float

    def rule(self, cell_m: float) -> "SmoothingRule":
        """The same in cells of which one is so wide; patches of less than the asked hectares never stay."""
        cells = math.ceil(self.minimum_ha * M2_PER_HA / cell_m**2 - 1e-9)
        return SmoothingRule(self.threshold, self.majority_cells, max(1, cells))


@dataclass(frozen=True)
class SmoothingRule:
    """How the classes of cropland are smoothed, in the cells of its map.

    Attributes:
        threshold: Percent from which a cell is cropland.
        majority_cells: Side of the window (odd) of which the majority decides; 1 for none.
        minimum_cells: Connected patches of either class with fewer cells take the class around them; 1 for none.
    """

    threshold: int
    majority_cells: int
    minimum_cells: int


@dataclass(frozen=True)
class FarmedRule:
    """When a cell of harvest piles is a farmed one.

    Attributes:
        cropland_threshold: Percent from which a pixel is cropland.
        least_cropland_percent: Share of a cell's mapped pixels that must be cropland.
        piles_threshold: Percent from which piles are seen in a cell.
    """

    cropland_threshold: int
    least_cropland_percent: int
    piles_threshold: int


@dataclass(frozen=True)
class ProductPlan:
    """How one product is made.

    Attributes:
        product: Name in ``stook.transforms.editions.products.PRODUCTS``, or ``EMBEDDING``.
        model: Where the model is.
        model_hash: The bundle's hash; of a checkpoint, the encoder's fingerprint.
        encoding: How the season is encoded.
        minimum_observations: Cells with fewer clear observations are nodata.
        quantiles: That the model answers with; empty where it answers with a probability.
        combination: What of a cell's pictures counts.
    """

    product: str
    model: ModelSource
    model_hash: str
    encoding: Encoding | PictureEncoding
    minimum_observations: int
    quantiles: tuple[float, ...] = ()
    combination: Combination = "maximum"

    @property
    def cell_px(self) -> int:
        """Side of a cell, in pixels of the grid."""
        return self.encoding.cell_px


@dataclass(frozen=True)
class DerivedPlan:
    """How one product is made from finished maps.

    Attributes:
        product: Name in ``stook.transforms.editions.products.PRODUCTS``.
        rule: How.
        inputs: The products it is made from, in the order of ``stook.transforms.tiles.derived.derive``.
        cell_px: Side of a cell, in pixels of the grid.
    """

    product: str
    rule: SmoothingRule | FarmedRule
    inputs: tuple[str, ...]
    cell_px: int
    quantiles: ClassVar[tuple[float, ...]] = ()


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
        smoothing: How cropland is smoothed; None for not at all.
        farmed: When a cell is farmed; None where that is not asked.
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
    smoothing: Smoothing | None = None
    farmed: FarmedRule | None = None
    processing: int = PROCESSING_VERSION

    @property
    def key(self) -> str:
        """Hash of everything that decides the result, save what archives and stores offer on the day."""
        return digest(self.exact.as_json())

    @property
    def exact(self) -> "Plan":
        """The same without what does not decide the result.

        That is where a model lies, the rounding that maps take on from vectors that happen to be stored, and how far
        the links of an archive are followed and its files checked.
        """
        products = (
            replace(product, encoding=product.encoding.exact)
            if isinstance(product.encoding, Encoding) and product.product != EMBEDDING
            else product
            for product in (replace(each, model=replace(each.model, path="")) for each in self.products)
        )
        sources = {
            name: replace(each, hosts=(), folders=(), verify=False, headers=()) for name, each in self.sources.items()
        }
        return replace(self, products=tuple(products), sources=sources)

    def as_json(self) -> dict[str, Any]:
        """Plain data for ``edition.json``."""
        return PLAN.dump_python(self, mode="json")

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Plan":
        """The plan that ``as_json`` wrote."""
        return PLAN.validate_python(data, strict=False)

    @property
    def periods(self) -> tuple[Period, ...]:
        """Every period that some product reads, in order."""
        return tuple(sorted({period for product in self.products for period in product.encoding.periods}))

    @property
    def spans(self) -> dict[str, tuple[Period, ...]]:
        """Sensor -> every period that some product reads of it, in order; archives that nothing reads are left out."""
        read: dict[str, set[Period]] = {}
        for product in self.products:
            for sensor in product.encoding.sensors:
                if sensor in self.sources:
                    read.setdefault(sensor, set()).update(product.encoding.periods)
        return {sensor: tuple(sorted(periods)) for sensor, periods in read.items()}

    @property
    def halo_px(self) -> int:
        """How far beyond a tile some encoder looks."""
        return max(product.encoding.halo_px for product in self.products)

    @property
    def reach_m(self) -> float:
        """How far beyond the region scenes are needed: around a cell that lies in it with no more than an edge."""
        cells = max(self.cells(product).resolution_m for product in self.products)
        return self.halo_px * self.grid.resolution_m + cells

    def quantised(self, quantisation: Quantisation) -> "Plan":
        """The same with the quantisation of every encoding that is stored as ``int8`` known."""
        products = (
            replace(product, encoding=replace(product.encoding, quantisation=quantisation))
            if isinstance(product.encoding, Encoding) and product.encoding.storage == "int8"
            else product
            for product in self.products
        )
        return replace(self, products=tuple(products))

    @property
    def derived(self) -> tuple[DerivedPlan, ...]:
        """The products that are made from finished maps, each after those that it is made from."""
        made = []
        cell_px = {product.product: product.cell_px for product in self.products}
        if self.smoothing is not None:
            side = cell_px["cropland"]
            rule = self.smoothing.rule(side * self.grid.resolution_m)
            made.append(DerivedPlan("cropland_smoothed", rule, ("cropland",), side))
        if self.farmed is not None:
            cropland = "cropland" if self.smoothing is None else "cropland_smoothed"
            inputs = (cropland, "harvest_piles")
            made.append(DerivedPlan("farmed_cells", self.farmed, inputs, cell_px["harvest_piles"]))
        return tuple(made)

    @property
    def all_products(self) -> tuple[ProductPlan | DerivedPlan, ...]:
        """Those that models make, then those that are made from maps."""
        return *self.products, *self.derived

    def cells(self, product: ProductPlan | DerivedPlan) -> Grid:
        """The grid of a product's cells: the same tiles, larger pixels."""
        return Grid(self.grid.resolution_m * product.cell_px, self.grid.tile_px // product.cell_px)


PLAN = TypeAdapter(Plan)


def digest(data: Any) -> str:
    """Hexadecimal sha256 of plain data, whatever the order of its mappings."""
    return hashlib.sha256(json.dumps(data, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
