"""The products: what each map layer is called, holds and looks like. One place for all of it."""

from dataclasses import dataclass

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
        colours: Value -> red, green, blue; values between are interpolated.
    """

    name: str
    title: str
    unit: str
    colours: dict[int, tuple[int, int, int]]


@dataclass(frozen=True)
class Product:
    """A map and the count of clear observations behind it; both uint8 with nodata 255.

    Attributes:
        name: In configurations, stores and tables.
        resolution_m: Pixel size.
        probability: The map itself, percent.
        observations: Clear Sentinel-2 observations, 255 where no scene has data at all.
    """

    name: str
    resolution_m: int
    probability: Layer
    observations: Layer

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Every array of the product."""
        return (self.probability, self.observations)


PRODUCTS = {
    "cropland": Product(
        name="cropland",
        resolution_m=10,
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
            colours={0: (165, 30, 40), 10: (240, 220, 140), 40: (30, 80, 160), 254: (10, 20, 60)},
        ),
    )
}
