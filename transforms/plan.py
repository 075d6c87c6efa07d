"""What a run of one season computes, settled before it starts and kept with its edition."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from pydantic import TypeAdapter

from models.encoder import Encoder
from models.errors import InputError
from models.families import fingerprint
from models.inference import Precision
from models.source import ModelSource
from transforms.chips import ChipLayout
from transforms.grid import Grid
from transforms.season import Period, Season, Window
from transforms.sources import COMPOSITE_SENSORS, PICTURE_SENSORS, Source

PROCESSING_VERSION = 3  # raised whenever the same inputs would give other pixels


EMBEDDING = "embedding"  # feature vectors as a product of their own
Storage = Literal["float32", "float16", "int8"]
Combination = Literal["maximum", "mean"]
PIXEL_M = 10


@dataclass(frozen=True)
class Quantisation:
    """What vectors are shifted and divided by before they are brought to eight bits, see ``transforms.quantisation``.

    Attributes:
        offset: Of each number.
        spread: Of each number, greater than 0.
    """

    offset: tuple[float, ...]
    spread: tuple[float, ...]


@dataclass(frozen=True)
class Encoding:
    """How a season becomes feature vectors. Products with equal encodings share one pass of the encoder.

    Attributes:
        encoder: Fingerprint of the encoder.
        width: Length of a vector.
        layout: How its chips lie.
        periods: What it reads.
        resampling: How imagery gets onto the grid.
        bands: What it reads, in its order.
        absent_bands: Those of them that are left out because the head never saw them.
        precision: Of its matrix products.
        storage: What vectors are rounded to, stored or not; None for not at all.
        quantisation: How, where that is ``int8``.
    """

    encoder: str
    width: int
    layout: ChipLayout
    periods: tuple[Period, ...]
    resampling: Literal["nearest", "bilinear"]
    bands: tuple[str, ...]
    absent_bands: tuple[str, ...] = ()
    precision: Precision = "float32"
    storage: Storage | None = None
    quantisation: Quantisation | None = None

    sensors: ClassVar = COMPOSITE_SENSORS

    @property
    def cell_px(self) -> int:
        """Side of a cell, in pixels of the grid."""
        return self.layout.cell_px

    @property
    def halo_px(self) -> int:
        """How far chips reach beyond a tile, in pixels of the grid."""
        return self.layout.halo_px

    @classmethod
    def of(
        cls,
        encoder: Encoder,
        window: Window,
        harvest_year: int,
        stride_px: int | None = None,
        absent_bands: tuple[str, ...] = (),
        precision: Precision = "float32",
        storage: Storage | None = None,
    ) -> "Encoding":
        """How an encoder sees a window of a season.

        Raises:
            InputError: If the window or the stride does not suit the encoder.
        """
        specification = encoder.specification
        return cls(
            encoder=fingerprint(encoder),
            width=encoder.output.width,
            layout=ChipLayout.of(specification, encoder.output, stride_px),
            periods=window.periods(harvest_year, specification.period, specification.most_periods),
            resampling=specification.resampling,
            bands=specification.band_names,
            absent_bands=absent_bands,
            precision=precision,
            storage=storage,
        )


@dataclass(frozen=True)
class PictureEncoding:
    """How pictures of metre resolution become feature vectors: one per cell and date.

    Attributes:
        encoder: Fingerprint of the encoder.
        width: Length of a vector.
        chip_px: Side of the encoder's chip, around the middle of a cell.
        resolution_m: Of the chip's pixels.
        cell_px: Side of a cell, in pixels of the grid.
        halo_px: How far chips reach beyond a tile, in pixels of the grid.
        periods: The one span of which every date is read.
        bands: What it reads, in its order.
        precision: Of the encoder's matrix products.
    """

    encoder: str
    width: int
    chip_px: int
    resolution_m: float
    cell_px: int
    halo_px: int
    periods: tuple[Period]
    bands: tuple[str, ...]
    precision: Precision = "float32"
    sensors: ClassVar = PICTURE_SENSORS

    @classmethod
    def of(
        cls,
        encoder: Encoder,
        window: Window,
        harvest_year: int,
        cell_m: float,
        precision: Precision = "float32",
    ) -> "PictureEncoding":
        """How an encoder sees the pictures of a window.

        Raises:
            InputError: If cells are not whole numbers of 10 m pixels, or the encoder has several vectors per chip.
        """
        specification = encoder.specification
        cell_px = round(cell_m / PIXEL_M)
        if cell_px < 1 or cell_px * PIXEL_M != cell_m:
            raise InputError(f"cell_m: {cell_m:g}; allowed are multiples of {PIXEL_M}")
        if encoder.output.patch_px != specification.chip_px:
            raise InputError(f"{encoder.family}: has several vectors per chip; pictures need one for the whole chip")
        beyond = (specification.chip_px * specification.resolution_m - cell_m) / 2
        [period] = window.periods(harvest_year, "part", 1)
        return cls(
            encoder=fingerprint(encoder),
            width=encoder.output.width,
            chip_px=specification.chip_px,
            resolution_m=specification.resolution_m,
            cell_px=cell_px,
            halo_px=max(0, math.ceil(beyond / PIXEL_M)),
            periods=(period,),
            bands=specification.band_names,
            precision=precision,
        )


@dataclass(frozen=True)
class Smoothing:
    """How the classes of cropland are smoothed into a layer of their own, ``cropland_smoothed``.

    Attributes:
        threshold: Percent from which a pixel is cropland.
        majority_px: Side of the window (odd) of which the majority decides; 1 for none.
        minimum_px: Connected patches of either class with fewer pixels take the class around them; 1 for none.
    """

    threshold: int
    majority_px: int
    minimum_px: int


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
        product: Name in ``transforms.products.PRODUCTS``, or ``EMBEDDING``.
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
        product: Name in ``transforms.products.PRODUCTS``.
        rule: How.
        inputs: The products it is made from, in the order of ``transforms.derived.derive``.
        cell_px: Side of a cell, in pixels of the grid.
    """

    product: str
    rule: Smoothing | FarmedRule
    inputs: tuple[str, ...]
    cell_px: int = 1
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
        """The same without the rounding that maps take on from vectors that happen to be stored."""
        products = (
            replace(product, encoding=replace(product.encoding, storage=None, quantisation=None))
            if isinstance(product.encoding, Encoding) and product.product != EMBEDDING
            else product
            for product in self.products
        )
        return replace(self, products=tuple(products))

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
        if self.smoothing is not None:
            made.append(DerivedPlan("cropland_smoothed", self.smoothing, ("cropland",)))
        if self.farmed is not None:
            [piles] = [product for product in self.products if product.product == "harvest_piles"]
            cropland = "cropland" if self.smoothing is None else "cropland_smoothed"
            made.append(DerivedPlan("farmed_cells", self.farmed, (cropland, piles.product), piles.cell_px))
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
