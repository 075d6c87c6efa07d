"""The products: what each map layer is called, holds and looks like. One place for all of it."""

from dataclasses import dataclass

from transforms.plan import Encoding, ProductPlan

EMBEDDING = "embedding"  # feature vectors as a product of their own; everything else is in PRODUCTS
NODATA = 255
# Values of the class image that areas are counted over, beside the probabilities 0…100; never written to a map.
NO_IMAGERY = 251
TOO_FEW_OBSERVATIONS = 252
FAILED = 253


@dataclass(frozen=True)
class Layer:
    """One array of the map store.

    Attributes:
        name: Of the array.
        title: For people.
        unit: Of the values.
        colours: Value -> red, green, blue; values between are interpolated. Empty for what is not a picture.
        dtype: Of the values.
        nodata: What stands where there is no value.
        features: Length of a leading dimension ``feature``; None for a plain image.
    """

    name: str
    title: str
    unit: str
    colours: dict[int, tuple[int, int, int]]
    dtype: str = "uint8"
    nodata: float = NODATA
    features: int | None = None


@dataclass(frozen=True)
class Product:
    """A map and the count of clear observations behind it; both uint8 with nodata 255.

    Attributes:
        name: In configurations, stores and tables.
        probability: The map itself, percent.
        observations: Clear Sentinel-2 observations, 255 where no scene has data at all.
    """

    name: str
    probability: Layer
    observations: Layer

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Every array of the product."""
        return (self.probability, self.observations)


OBSERVATION_COLOURS = {0: (165, 30, 40), 10: (240, 220, 140), 40: (30, 80, 160), 254: (10, 20, 60)}


PRODUCTS = {
    "cropland": Product(
        name="cropland",
        probability=Layer(
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
    )
}


def layers_of(product: ProductPlan) -> tuple[Layer, ...]:
    """Every array that a planned product writes, the map itself first."""
    if product.product == EMBEDDING:
        return embedding_layers(product.encoding)
    return PRODUCTS[product.product].layers


def embedding_layers(encoding: Encoding) -> tuple[Layer, ...]:
    """Vectors, their scale where they are stored as int8, and clear observations."""
    dtype = encoding.storage or "float32"
    whole = dtype == "int8"
    vectors = Layer(
        name=EMBEDDING,
        title="Feature vectors" + (", to be multiplied with embedding_scale" if whole else ""),
        unit="1",
        colours={},
        dtype=dtype,
        nodata=-128 if whole else float("nan"),
        features=encoding.width,
    )
    scale = Layer("embedding_scale", "Factor of each cell's vector", "1", {}, "float32", float("nan"))
    observations = Layer("embedding_clear_observations", "Clear Sentinel-2 observations", "count", OBSERVATION_COLOURS)
    return (vectors, *([scale] if whole else []), observations)
