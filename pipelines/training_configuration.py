"""The configuration of ``stook train``."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from models.errors import InputError
from models.fine_tuning import FineTuning
from models.quantiles import DEFAULT_QUANTILES, require_quantiles
from pipelines.sections import (
    CompositeSection,
    EncoderSection,
    ImagerySection,
    Location,
    ProductName,
    RunSection,
    Section,
    WindowSection,
)


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
