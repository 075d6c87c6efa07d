"""What a run of one season computes, settled before it starts and kept with its edition."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import TypeAdapter

from models.encoder import Encoder
from models.families import fingerprint
from models.inference import Precision
from models.source import ModelSource
from transforms.chips import ChipLayout
from transforms.grid import Grid
from transforms.season import Period, Season, Window
from transforms.sources import Source

PROCESSING_VERSION = 3  # raised whenever the same inputs would give other pixels


EMBEDDING = "embedding"  # feature vectors as a product of their own
Storage = Literal["float32", "float16", "int8"]


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
class ProductPlan:
    """How one product is made.

    Attributes:
        product: Name in ``transforms.products.PRODUCTS``, or ``EMBEDDING``.
        model: Where the model is.
        model_hash: The bundle's hash; of a checkpoint, the encoder's fingerprint.
        encoding: How the season is encoded.
        minimum_observations: Cells with fewer clear observations are nodata.
        quantiles: That the model answers with; empty where it answers with a probability.
    """

    product: str
    model: ModelSource
    model_hash: str
    encoding: Encoding
    minimum_observations: int
    quantiles: tuple[float, ...] = ()


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
        """Hash of everything that decides the result, save what archives and stores offer on the day."""
        return digest(self.exact.as_json())

    @property
    def exact(self) -> "Plan":
        """The same without the rounding that maps take on from vectors that happen to be stored."""
        products = (
            product
            if product.product == EMBEDDING
            else replace(product, encoding=replace(product.encoding, storage=None, quantisation=None))
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
    def halo_px(self) -> int:
        """How far beyond a tile some encoder looks."""
        return max(product.encoding.layout.halo_px for product in self.products)

    def quantised(self, quantisation: Quantisation) -> "Plan":
        """The same with the quantisation of every encoding that is stored as ``int8`` known."""
        products = (
            replace(product, encoding=replace(product.encoding, quantisation=quantisation))
            if product.encoding.storage == "int8"
            else product
            for product in self.products
        )
        return replace(self, products=tuple(products))

    def cells(self, product: ProductPlan) -> Grid:
        """The grid of a product's cells: the same tiles, larger pixels."""
        cell_px = product.encoding.layout.cell_px
        return Grid(self.grid.resolution_m * cell_px, self.grid.tile_px // cell_px)


PLAN = TypeAdapter(Plan)


def digest(data: Any) -> str:
    """Hexadecimal sha256 of plain data, whatever the order of its mappings."""
    return hashlib.sha256(json.dumps(data, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
