"""The configuration files of ``stook``: their schema, and one clear line for whatever is wrong in them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, model_validator

from models.encoder import Encoder
from models.errors import InputError
from models.fine_tuning import FineTuning
from models.inference import Precision
from models.quantiles import DEFAULT_QUANTILES, require_quantiles
from models.source import ModelSource
from models.weights import find, weights_dir
from pipelines.explain import explain
from transforms.grid import Grid
from transforms.plan import Storage
from transforms.season import Window
from transforms.sources import Source


def beside_the_file(value: str, info: ValidationInfo) -> str:
    """An absolute location: URLs stay, relative paths are relative to the configuration file."""
    if "://" in value:
        return value
    return str((Path((info.context or {}).get("folder", ".")) / value).resolve())


Location = Annotated[str, AfterValidator(beside_the_file)]


ProductName = Literal["cropland", "building_coverage"]


class Section(BaseModel):
    """Base of every section: unknown fields are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RegionSection(Section):
    """The area to map, from a vector file of units."""

    file: Location = Field(description="GeoPackage, GeoJSON, Shapefile or GeoParquet of units, in any CRS.")
    id: str = Field(description="Field with the unique id of each unit.")
    parent: str | list[str] | None = Field(
        None, description="Field, or fields from nearest to farthest, with the ids of the parents."
    )
    name: str | None = Field(None, description="Field with the name of each unit; the id where absent.")
    layer: str | None = Field(None, description="Layer of a file that holds several.")


class SourceSection(Section):
    """An imagery archive."""

    catalog: Location = Field(
        description="Address of a STAC API or of a static catalogue's catalog.json; a path or a URL."
    )
    collection: str = Field(description="Collection id in the catalogue.")
    profile: str = Field(
        description="How the archive's numbers become reflectance or backscatter; see docs/imagery.md."
    )


class ImagerySection(Section):
    """The archives to read, by sensor."""

    sentinel2: SourceSection | None = Field(None, description="Sentinel-2 L2A with scene classification.")
    sentinel1: SourceSection | None = Field(None, description="Terrain-corrected Sentinel-1 backscatter.")

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if self.sentinel2 is None and self.sentinel1 is None:
            raise ValueError("name at least one of sentinel2, sentinel1")
        try:
            self.sources()
        except InputError as error:
            raise ValueError(str(error)) from error
        return self

    def sources(self) -> dict[str, Source]:
        """The archives by sensor."""
        sections = {"sentinel2": self.sentinel2, "sentinel1": self.sentinel1}
        return {
            sensor: Source(sensor, section.catalog, section.collection, section.profile)
            for sensor, section in sections.items()
            if section is not None
        }


class SeasonSection(Section):
    """The season; the year comes from the command line."""

    name: str = Field(description="Name of the season, e.g. main or long-rains.", pattern=r"^[a-z0-9][a-z0-9-]*$")


class WindowStart(Section):
    """First month of a window."""

    month: int = Field(description="Calendar month, 1 to 12.", ge=1, le=12)
    year: int = Field(0, description="0 is the harvest year, -1 the year before.", ge=-2, le=1)


class WindowSection(Section):
    """The months that a product reads."""

    start: WindowStart = Field(description="First month.")
    months: int = Field(description="Number of months.", ge=1, le=24)

    def window(self) -> Window:
        """The window as data."""
        return Window(self.start.month, self.start.year, self.months)


class UntrainedSection(Section):
    """A ResNet with random weights, to be trained together with its head."""

    depth: Literal[18, 50] = Field(18, description="Of the ResNet.")
    bands: list[str] = Field(description="Its bands, e.g. vv, vh, blue, … swir22.", min_length=1)
    chip_px: int = Field(32, description="Side of what it sees around a cell, in 10 m pixels.", ge=8, le=512)
    width: int = Field(64, description="Channels of its first stage; 64 is the usual ResNet.", ge=4, le=256)

    def encoder(self) -> Encoder:
        """The encoder; raises InputError for an unknown band."""
        from models.resnet import ResNet, ResNetSize

        return ResNet(ResNetSize(self.depth, tuple(self.bands), "plain", self.chip_px, width=self.width)).eval()


class EncoderSection(Section):
    """An encoder: a published checkpoint, the encoder of a bundle of ours, or one without any training."""

    name: str | None = Field(None, description="Name of a published checkpoint, e.g. presto; see 'stook models list'.")
    weights: Location | None = Field(None, description="The checkpoint's file; found in the weights folder if absent.")
    bundle: Location | None = Field(None, description="A bundle whose encoder is used instead of a checkpoint.")
    untrained: UntrainedSection | None = Field(None, description="For training.fine_tuning: an encoder to start from.")
    options: dict[str, int | str] = Field(
        {}, description="What the checkpoint's family leaves open, e.g. {patch_px: 2, chip_px: 8}."
    )
    allow_unverified: bool = Field(False, description="Open a checkpoint although nobody has recorded its hash.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if [self.name, self.bundle, self.untrained].count(None) != 2:
            raise ValueError("give one of name, bundle and untrained")
        if self.name is None and (self.weights is not None or self.options):
            raise ValueError("weights and options go with name only")
        return self

    def source(self) -> ModelSource:
        """Where it is read from; raises InputError if a checkpoint is unknown or absent, or has no weights."""
        if self.untrained is not None:
            raise InputError("encoder.untrained: has no weights; allowed here are name and bundle")
        if self.name is None:
            return ModelSource(str(self.bundle))
        path = self.weights or str(find(self.name, weights_dir()))
        return ModelSource(path, self.name, self.options, self.allow_unverified)


class ProductSection(Section):
    """One map layer."""

    bundle: Location = Field(description="Folder of the bundle, as 'stook train' writes it.")
    window: WindowSection = Field(description="The months to read, relative to the harvest year.")
    minimum_observations: int = Field(
        3, description="Pixels with fewer clear Sentinel-2 observations are nodata.", ge=0, le=254
    )
    threshold: int = Field(
        50, description="Probability in percent from which a pixel counts as the class.", ge=1, le=100
    )
    precision: Precision = Field(
        "float32",
        description="Of the encoder's matrix products; a lower one must be recorded as checked in the bundle.",
    )


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


class CompositeSection(Section):
    """How imagery is reduced to months."""

    cloud_dilation_px: int = Field(0, description="Pixels by which masked cloud and shadow grow.", ge=0, le=50)


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


class RunSection(Section):
    """How a run uses the machine; never what it computes."""

    mode: Literal["memory", "threads", "processes"] = Field(
        "threads",
        description="memory: one tile at a time; threads: one is read while another is encoded; processes.",
    )
    workers: int = Field(2, description="Tiles in flight; the bound on memory. Ignored by mode memory.", ge=1, le=64)
    readers: int = Field(8, description="Threads that read imagery, per tile in flight.", ge=1, le=64)
    batch: int | None = Field(
        None,
        description="Chips (or pixels) an encoder sees at once; what the device holds if absent.",
        ge=1,
        le=1_000_000,
    )
    accelerator: str | None = Field(
        None, description="Accelerator that workers of a cloud runner get, as Beam writes it: type:nvidia-l4;count:1;…"
    )


class PublishSection(Section):
    """When a finished edition is shown to readers."""

    most_failed_share: float = Field(
        0.0, description="Publish only if at most this share of the area failed.", ge=0, le=1
    )


class MapConfiguration(Section):
    """The configuration of ``stook map``, ``statistics`` and ``export``."""

    name: str = Field(description="Name of the region; a folder of the output.", pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    region: RegionSection = Field(description="The area to map.")
    imagery: ImagerySection = Field(description="The archives to read.")
    season: SeasonSection = Field(description="The season to map.")
    products: dict[ProductName, ProductSection] = Field({}, description="The maps to make.")
    embeddings: EmbeddingsSection | None = Field(None, description="Feature vectors to store, and to use if stored.")
    composite: CompositeSection = Field(CompositeSection(), description="How imagery is reduced to months.")
    grid: GridSection = Field(GridSection(), description="The tiles.")
    run: RunSection = Field(RunSection(), description="How a run uses the machine.")
    publish: PublishSection = Field(PublishSection(), description="When readers see the result.")
    output: Location = Field(description="Folder of all results.")

    @model_validator(mode="after")
    def _clear_observations_can_be_counted(self) -> Self:
        for name, product in self.products.items():
            if self.imagery.sentinel2 is None and product.minimum_observations > 0:
                raise ValueError(
                    f"products.{name}.minimum_observations: {product.minimum_observations} clear observations are "
                    "asked for without imagery.sentinel2; allowed is 0"
                )
        return self

    @model_validator(mode="after")
    def _there_is_something_to_make(self) -> Self:
        if not self.products and self.embeddings is None:
            raise ValueError("products: is empty; name at least one, or embeddings")
        return self

    @model_validator(mode="after")
    def _output_is_a_folder(self) -> Self:
        if "://" in self.output:
            raise ValueError(f"output: {self.output} is not a folder; object stores are not supported yet")
        return self


class LabelsSection(Section):
    """Labelled ground of one place and harvest year."""

    file: Location = Field(
        description="Raster of classes, vector or CSV file of points (CSV: lon, lat), or footprints of buildings."
    )
    area: Location | None = Field(
        None, description="For footprints: vector file of the ground in which every building has one."
    )
    year: int = Field(description="Harvest year the labels describe.", ge=2015, le=2100)
    field: str | None = Field(None, description="Field of the class, for points.")
    positive: list[int | str] = Field([], description="Classes that are the product's.")
    negative: list[int | str] = Field([], description="Classes that are not; every other value is unlabelled.")
    parcels: Location | None = Field(
        None,
        description="Raster on the labels' grid; its connected equal values are resampled whole for intervals.",
    )
    licence: str = Field(description="Licence of the labels; goes into the bundle's card.")
    embeddings: Location | None = Field(
        None,
        description="Folder of stored vectors of that season ('stook embed'), instead of imagery.",
    )


class FineTuningSection(Section):
    """How an encoder and a head of quantiles are trained together."""

    epochs: int = Field(30, description="At most.", ge=1, le=1000)
    patience: int = Field(6, description="Epochs without a better loss on held-out blocks before it stops.", ge=1)
    batch: int = Field(64, description="Chips at once.", ge=2)
    learning_rate: float = Field(0.001, description="Highest; it rises and falls in one cycle.", gt=0)
    freeze_encoder: bool = Field(False, description="Train the head alone.")
    checked_share: float = Field(0.15, description="Share of blocks held out to stop early.", gt=0, lt=0.5)
    calibrated_share: float = Field(0.15, description="Share of blocks held out to calibrate intervals.", gt=0, lt=0.5)

    def settings(self, seed: int) -> FineTuning:
        """As data."""
        return FineTuning(
            epochs=self.epochs,
            patience=self.patience,
            batch=self.batch,
            learning_rate=self.learning_rate,
            seed=seed,
            freeze_encoder=self.freeze_encoder,
        )


class TrainingSection(Section):
    """How a head is trained."""

    product: ProductName = Field(description="The product the head is for.")
    bundle: Location = Field(description="Folder to write the bundle to.")
    encoder: EncoderSection = Field(description="The encoder; frozen, but for head quantiles.")
    window: WindowSection = Field(description="The months to read, relative to each label's harvest year.")
    labels: list[LabelsSection] = Field(description="Labelled places to train on.", min_length=1)
    held_out: list[LabelsSection] = Field(
        [], description="Labelled places that are only evaluated on, never fitted or tuned on."
    )
    stride_px: int | None = Field(
        None, description="From one chip to the next; half a chip, or a whole one, if absent.", ge=1
    )
    precisions: list[Literal["bfloat16"]] = Field(
        [], description="Lower precisions to check on the labelled pixels and record in the bundle."
    )
    minimum_observations: int = Field(
        3, description="Labelled pixels with fewer clear observations are left out; 0 without Sentinel-2.", ge=0, le=254
    )
    head: Literal["linear", "mlp", "quantiles"] = Field(
        "linear",
        description="linear: logistic regression; mlp: one hidden layer; quantiles: of building coverage.",
    )
    quantiles: list[float] = Field(list(DEFAULT_QUANTILES), description="Of head quantiles; symmetric about 0.5.")
    fine_tuning: FineTuningSection = Field(FineTuningSection(), description="Of head quantiles.")
    strengths: list[Annotated[float, Field(gt=0)]] = Field(
        [0.001, 0.01, 0.1, 1.0, 10.0],
        description="Candidates for C, the inverse strength of the L2 penalty; a single one is taken as it is.",
        min_length=1,
    )
    block_m: float = Field(2000, description="Side of the blocks that cross-validation never splits, in metres.", gt=0)
    most_pixels: int = Field(50_000, description="Labelled pixels per place; more are thinned at random.", ge=100)
    calibrate: bool = Field(
        False, description="Fit Platt scaling on held-out blocks; the labels must be a fair sample of the ground."
    )
    seed: int = Field(0, description="Of thinning and start values.")

    @model_validator(mode="after")
    def _head_suits_product_and_labels(self) -> Self:
        covered = self.product == "building_coverage"
        without = ("precisions", "calibrate", "strengths", "minimum_observations")
        for field in without if covered else ("quantiles", "fine_tuning"):
            if field in self.model_fields_set:
                raise ValueError(f"{field}: has no meaning for {self.product}; take it out")
        if covered != (self.head == "quantiles"):
            raise ValueError(
                f"head: {self.head} does not suit {self.product}; quantiles are for building_coverage alone"
            )
        if not covered and self.encoder.untrained is not None:
            raise ValueError("encoder.untrained: only head quantiles trains an encoder")
        for section in (*self.labels, *self.held_out):
            if covered != (section.area is not None):
                raise ValueError(f"labels.area: {section.file}: footprints have an area, other labels have none")
            if not covered and not (section.positive and section.negative):
                raise ValueError(
                    f"labels: {section.file}: name the classes that are positive and those that are negative"
                )
        try:
            require_quantiles(self.quantiles)
        except InputError as error:
            raise ValueError(str(error)) from error
        return self


class TrainConfiguration(Section):
    """The configuration of ``stook train``."""

    name: str = Field(description="Name of the training, for the card.")
    imagery: ImagerySection = Field(description="The archives to read.")
    composite: CompositeSection = Field(CompositeSection(), description="How imagery is reduced to months.")
    run: RunSection = Field(RunSection(), description="How the training uses the machine.")
    training: TrainingSection = Field(description="What is trained, and on what.")


Model = TypeVar("Model", MapConfiguration, TrainConfiguration)


def load(path: Path, schema: type[Model]) -> Model:
    """Read and validate a configuration file.

    Raises:
        InputError: One line: the file, the field, its value, what is allowed.
    """
    try:
        data = yaml.safe_load(path.read_text())
    except FileNotFoundError as error:
        raise InputError(f"{path}: the configuration file does not exist") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: the configuration file cannot be read ({error})") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, Mapping):
        raise InputError(
            f"{path}: a configuration is a mapping of fields; allowed are {', '.join(schema.model_fields)}"
        )
    try:
        return schema.model_validate(data, context={"folder": path.resolve().parent})
    except ValidationError as error:
        raise InputError(f"{path}: {explain(error, schema)}") from error
