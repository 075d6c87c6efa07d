"""The products: what each map layer is called, holds and looks like. One place for all of it."""

from dataclasses import dataclass, field, replace

from stook.transforms.editions import farmed
from stook.transforms.editions.plan import EMBEDDING, DerivedPlan, ProductPlan
from stook.transforms.encoding.encodings import Encoding
from stook.transforms.values import NODATA, WIDE_NODATA


@dataclass(frozen=True)
class Layer:
    """One array of the map store.

    Attributes:
        name: Of the array.
        title: For people.
        unit: Of the values.
        colours: Value -> red, green, blue; values between are interpolated, but for codes. Empty for what is not a
            picture.
        dtype: Of the values.
        nodata: What stands where there is no value.
        scale: What a stored value is multiplied by to be in ``unit``.
        depth: Length of a leading dimension; None for a plain image.
        dimension: Name of the leading dimension.
        legend: Code -> meaning, of a layer of codes; empty for one of numbers.
    """

    name: str
    title: str
    unit: str
    colours: dict[int, tuple[int, int, int]]
    dtype: str = "uint8"
    nodata: float = NODATA
    scale: float = 1.0
    depth: int | None = None
    dimension: str = "feature"
    legend: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Product:
    """A map and the count of observations behind it, both uint8 with nodata 255, and what areas are summed from.

    Attributes:
        name: In configurations, stores and tables.
        map: The map itself: percent, the probability of a class or quantiles of a covered share; or codes.
        observations: What each cell was seen by, 255 where there is no imagery at all; None for a product that is made
            from other maps, which have their own.
        summed: Mean share of each cell and width of its outermost interval, which the map itself does not hold; none of
            what is summed from the map.
        counted: Whether statistics tell the number of cells beside their area.
    """

    name: str
    map: Layer
    observations: Layer | None = None
    summed: tuple[Layer, ...] = ()
    counted: bool = False

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Every array of the product, the map itself first, observations last."""
        return (self.map, *self.summed, *(() if self.observations is None else (self.observations,)))


def hundredths(name: str, title: str) -> Layer:
    """A layer of shares in hundredths of a percent: most shares under roofs are below one percent."""
    return Layer(name, title, "percent", {}, "uint16", WIDE_NODATA, 0.01)


OBSERVATION_COLOURS = {0: (165, 30, 40), 10: (240, 220, 140), 40: (30, 80, 160), 254: (10, 20, 60)}


PRODUCTS = {
    "cropland": Product(
        name="cropland",
        map=Layer(
            name="cropland",
            title="Probability of cropland",
            unit="percent",
            colours={0: (247, 244, 235), 50: (214, 190, 110), 100: (40, 110, 45)},
        ),
        observations=Layer(
            name="cropland_clear_observations",
            title="Clear Sentinel-2 observations",
            unit="count",
            colours=OBSERVATION_COLOURS,
        ),
    ),
    "harvest_piles": Product(
        name="harvest_piles",
        map=Layer(
            name="harvest_piles",
            title="Probability that harvest piles stand in the cell",
            unit="percent",
            colours={0: (246, 243, 236), 50: (240, 190, 90), 100: (150, 60, 10)},
        ),
        observations=Layer(
            name="harvest_piles_dates",
            title="Dates on which all of the cell is pictured",
            unit="count",
            colours={0: (165, 30, 40), 3: (240, 220, 140), 10: (30, 80, 160), 254: (10, 20, 60)},
        ),
        counted=True,
    ),
    "building_coverage": Product(
        name="building_coverage",
        map=Layer(
            name="building_coverage",
            title="Quantiles of the share of a cell under roofs",
            unit="percent",
            colours={0: (250, 248, 240), 10: (245, 200, 150), 30: (215, 90, 60), 60: (120, 15, 45), 100: (60, 0, 30)},
            dimension="quantile",
        ),
        observations=Layer(
            name="building_coverage_clear_observations",
            title="Clear Sentinel-2 observations",
            unit="count",
            colours=OBSERVATION_COLOURS,
        ),
        summed=(
            hundredths("building_coverage_mean", "Expected share of a cell under roofs"),
            hundredths("building_coverage_interval", "Width of the outermost interval of the share under roofs"),
        ),
    ),
    "cropland_smoothed": Product(
        name="cropland_smoothed",
        map=Layer(
            name="cropland_smoothed",
            title="Cropland at a threshold, without specks",
            unit="percent",
            colours={0: (247, 244, 235), 100: (40, 110, 45)},
            legend={0: "no cropland", 100: "cropland"},
        ),
    ),
    "farmed_cells": Product(
        name="farmed_cells",
        map=Layer(
            name="farmed_cells",
            title="Which cells are farmed, and how that is known",
            unit="1",
            colours=farmed.COLOURS,
            legend=farmed.LEGEND,
        ),
        counted=True,
    ),
}


def counted(product: str) -> bool:
    """Whether statistics tell the number of a product's cells."""
    return product in PRODUCTS and PRODUCTS[product].counted


def layers_of(product: ProductPlan | DerivedPlan) -> tuple[Layer, ...]:
    """Every array that a planned product writes, the map itself first, observations last."""
    if isinstance(product, ProductPlan) and isinstance(product.encoding, Encoding) and product.product == EMBEDDING:
        return embedding_layers(product.encoding)
    image, *others = PRODUCTS[product.product].layers
    return replace(image, depth=len(product.quantiles) or None), *others


def embedding_layers(encoding: Encoding) -> tuple[Layer, ...]:
    """Vectors, their scale where they are stored as int8, and clear observations."""
    dtype = encoding.storage or "float32"
    whole = dtype == "int8"
    vectors = Layer(
        name=EMBEDDING,
        title="Feature vectors" + (": value * embedding_scale * spread + offset" if whole else ""),
        unit="1",
        colours={},
        dtype=dtype,
        nodata=-128 if whole else float("nan"),
        depth=encoding.width,
    )
    scale = Layer("embedding_scale", "Factor of each cell's vector", "1", {}, "float32", float("nan"))
    observations = Layer("embedding_clear_observations", "Clear Sentinel-2 observations", "count", OBSERVATION_COLOURS)
    return (vectors, *([scale] if whole else []), observations)
