"""The configuration of ``stook map``, ``embed``, ``export`` and the figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import Field, field_validator, model_validator

from stook.models.choices import Precision
from stook.models.errors import InputError
from stook.pipelines.engine_options import workers_see_this_machine
from stook.pipelines.figures.configuration import SampleSection
from stook.pipelines.planning.machines import MachineSection
from stook.pipelines.sections import (
    CompositeSection,
    EncoderSection,
    ImagerySection,
    Location,
    ProductName,
    RunSection,
    Section,
    WindowSection,
)
from stook.transforms.choices import MOST_OBSERVATIONS, Combination, Storage
from stook.transforms.ground.grid import Grid

if TYPE_CHECKING:
    from stook.transforms.editions.plan import FarmedRule, Smoothing


class RegionSection(Section):
    """The area to map, from a vector file of units."""

    file: Location = Field(description="GeoPackage, GeoJSON, Shapefile or GeoParquet of units, in any CRS.")
    id: str = Field(description="Field with the unique id of each unit.")
    parent: str | list[str] | None = Field(
        None, description="Field, or fields from nearest to farthest, with the ids of the parents."
    )
    name: str | None = Field(None, description="Field with the name of each unit; the id where absent.")
    layer: str | None = Field(None, description="Layer of a file that holds several.")
    vintage: str | None = Field(
        None,
        description="Of the boundaries, e.g. their year; told with published figures.",
        coerce_numbers_to_str=True,
    )


class SeasonSection(Section):
    """The season; the year comes from the command line."""

    name: str = Field(description="Name of the season, e.g. main or long-rains.", pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")


class ProductSection(Section):
    """One map layer."""

    bundle: Location = Field(description="Folder of the bundle, as 'stook train' writes it.")
    window: WindowSection = Field(description="The months to read, relative to the harvest year.")
    minimum_observations: int = Field(
        3, description="Pixels with fewer clear Sentinel-2 observations are nodata.", ge=0, le=MOST_OBSERVATIONS
    )
    precision: Precision = Field(
        "float32",
        description="Of the encoder's matrix products; a lower one must be recorded as checked in the bundle.",
    )


class SmoothingSection(Section):
    """Classes of cropland without specks, as a layer of its own beside the probabilities."""

    majority_px: int = Field(
        3,
        description="Side of the window of which the majority decides, in cells of cropland, odd; 1 for none.",
        ge=1,
        le=21,
    )
    minimum_mapping_unit_ha: float = Field(
        0.1,
        description="Connected patches that are smaller take the class around them; a cell's area or less for none.",
        gt=0,
        le=4,
    )

    @field_validator("majority_px")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError("a window has a middle pixel, so its side is odd")
        return value

    def smoothing(self, threshold: int) -> Smoothing:
        """As data."""
        from stook.transforms.editions.plan import Smoothing

        return Smoothing(threshold, self.majority_px, self.minimum_mapping_unit_ha)


class ClassSection(ProductSection):
    """A map of the probability of a class."""

    threshold: int = Field(
        50, description="Probability in percent from which a pixel or cell counts as the class.", ge=1, le=100
    )


class CroplandSection(ClassSection):
    """The map of cropland."""

    smoothing: SmoothingSection | None = Field(None, description="Smooth the classes. Omit for no smoothing.")


class PilesSection(ClassSection):
    """The map of harvest piles, from pictures of metre resolution (``imagery.rgb``)."""

    minimum_observations: int = Field(
        1, description="Cells with fewer whole pictures are nodata.", ge=0, le=MOST_OBSERVATIONS
    )
    combination: Combination = Field("maximum", description="What of the dates of a cell counts: maximum or mean.")


class FarmedSection(Section):
    """Cells of harvest piles that are farmed: piles were seen, or cropland is mapped, each at its own threshold."""

    least_cropland_percent: int = Field(
        10, description="Share of a cell's mapped pixels that must be cropland, in percent.", ge=1, le=100
    )


class ProductsSection(Section):
    """The maps to make."""

    cropland: CroplandSection | None = Field(None, description="Probability of cropland.")
    harvest_piles: PilesSection | None = Field(None, description="Probability that piles stand in a cell.")
    building_coverage: ProductSection | None = Field(None, description="Share of a cell under roofs.")
    farmed_cells: FarmedSection | None = Field(
        None, description="Derived from cropland and harvest piles: which cells are farmed, and how that is known."
    )

    @model_validator(mode="after")
    def _farmed_cells_have_both(self) -> Self:
        if self.farmed_cells is not None and (self.cropland is None or self.harvest_piles is None):
            raise ValueError("farmed_cells: is derived from cropland and harvest_piles; name both")
        return self

    @property
    def maps(self) -> dict[ProductName, ProductSection]:
        """Those that a model makes, in order of name."""
        given: dict[ProductName, ProductSection | None] = {
            "building_coverage": self.building_coverage,
            "cropland": self.cropland,
            "harvest_piles": self.harvest_piles,
        }
        return {name: section for name, section in given.items() if section is not None}

    @property
    def smoothing(self) -> Smoothing | None:
        """How cropland is smoothed, if it is."""
        if self.cropland is None or self.cropland.smoothing is None:
            return None
        return self.cropland.smoothing.smoothing(self.cropland.threshold)

    @property
    def farmed(self) -> FarmedRule | None:
        """When a cell is farmed, if that is asked."""
        if self.farmed_cells is None or self.cropland is None or self.harvest_piles is None:
            return None
        from stook.transforms.editions.plan import FarmedRule

        least = self.farmed_cells.least_cropland_percent
        return FarmedRule(self.cropland.threshold, least, self.harvest_piles.threshold)


class EmbeddingsSection(Section):
    """Feature vectors that 'stook embed' stores, and that 'stook map' uses for products of the same encoder."""

    encoder: EncoderSection = Field(description="The encoder.")
    window: WindowSection = Field(description="The months to read, relative to the harvest year.")
    storage: Storage = Field(
        "int8", description="float32: exact; float16: 3 digits; int8: a quarter of the disk, see docs/embeddings.md."
    )
    stride_px: int | None = Field(
        None, description="From one chip to the next; half a chip, or a whole one, if absent.", ge=1
    )


class GridSection(Section):
    """The tiles."""

    tile_px: int = Field(
        1000, description="Side of a tile in 10 m pixels; a shard, a ledger record, the unit of retry.", ge=10, le=4000
    )

    @model_validator(mode="after")
    def _fits_the_zone(self) -> Self:
        try:
            self.grid()
        except InputError as error:
            raise ValueError(f"grid.tile_px: {error}") from error
        return self

    def grid(self) -> Grid:
        """The grid as data."""
        return Grid(resolution_m=10.0, tile_px=self.tile_px)


class PublishSection(Section):
    """When a finished edition is shown to readers."""

    most_failed_share: float = Field(
        0.0, description="Publish only if at most this share of the area failed.", ge=0, le=1
    )


class MapConfiguration(Section):
    """The configuration of ``stook map`` and of all that is made from its editions."""

    name: str = Field(
        description="Name of the region; a folder of the output.", pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$"
    )
    region: RegionSection = Field(description="The area to map.")
    imagery: ImagerySection = Field(description="The archives to read.")
    season: SeasonSection = Field(description="The season to map.")
    products: ProductsSection = Field(ProductsSection(), description="The maps to make.")
    embeddings: EmbeddingsSection | None = Field(None, description="Feature vectors to store, and to use if stored.")
    composite: CompositeSection = Field(CompositeSection(), description="How imagery is reduced to months.")
    grid: GridSection = Field(GridSection(), description="The tiles.")
    run: RunSection = Field(RunSection(), description="How a run uses the machine.")
    sample: SampleSection | None = Field(None, description="Reference points, for figures to publish.")
    publish: PublishSection = Field(PublishSection(), description="When readers see the result.")
    machines: dict[str, MachineSection] = Field(
        {}, description="Machine types by name, for the time and cost that 'stook plan' tells."
    )
    output: Location = Field(description="Folder of all results, or gs://bucket/prefix; see docs/cloud-storage.md.")

    @model_validator(mode="after")
    def _there_is_something_to_make(self) -> Self:
        if not self.products.maps and self.embeddings is None:
            raise ValueError("products: is empty; name at least one, or embeddings")
        return self

    @model_validator(mode="after")
    def _workers_reach_what_they_need(self) -> Self:
        if workers_see_this_machine(self.run.engine):
            return self
        needed = {"output": self.output}
        needed |= {f"imagery.{sensor}.catalog": section.catalog for sensor, section in self.imagery.sections.items()}
        for field, place in needed.items():
            if "://" not in place:
                raise ValueError(
                    f"{field}: {place} is a path of this machine, which workers of run.engine do not see; allowed are "
                    "addresses such as gs://… or https://…"
                )
        return self
