"""The configuration of ``stook train``."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from stook.models.choices import DEFAULT_QUANTILES, Balance, require_quantiles
from stook.models.errors import InputError
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
from stook.transforms.choices import MOST_OBSERVATIONS, Grouping
from stook.transforms.ground.grid import picture_grid

if TYPE_CHECKING:
    from stook.models.fine_tuning import FineTuning

ONLY_ON_CHIPS = ("fine_tuning", "split", "split_file")
ONLY_ON_PIXELS = ("precisions", "calibrate", "strengths", "minimum_observations")
ONLY_OF_CLASSES = ("embeddings", "parcels", "positive", "negative", "field")  # of labels, not of footprints
MEANINGLESS: dict[str, tuple[str, ...]] = {
    "cropland": (*ONLY_ON_CHIPS, "quantiles", "cell_m"),
    "building_coverage": ("precisions", "calibrate", "strengths", "cell_m", "balance"),
    "harvest_piles": (*ONLY_ON_PIXELS, "quantiles", "stride_px"),
}


def class_word(value: object) -> object:
    """A class of a label file; YAML reads ``true`` and ``yes`` as truth values, files hold ``true``."""
    return str(value).lower() if isinstance(value, bool) else value


ClassWord = Annotated[int | str, BeforeValidator(class_word)]


class LabelsSection(Section):
    """Labelled ground of one place and harvest year."""

    file: Location = Field(
        description="Raster of classes, vector file of points or polygons, CSV file of points (lon, lat), or "
        "footprints of buildings."
    )
    area: Location | None = Field(
        None, description="For footprints: vector file of the ground in which every building has one."
    )
    year: int = Field(description="Harvest year the labels describe.", ge=2015, le=2100)
    field: str | None = Field(None, description="Field of the class, for points and polygons.")
    date: datetime.date | str | None = Field(
        None,
        description="For harvest_piles: day of the picture that the labels were read from, UTC (2023-11-14), or the "
        "field that holds it; a raster has one day.",
    )
    positive: list[ClassWord] = Field([], description="Classes that are the product's.")
    negative: list[ClassWord] = Field([], description="Classes that are not; every other value is unlabelled.")
    parcels: Location | None = Field(
        None,
        description="Raster on the labels' grid; its connected equal values are resampled whole for intervals.",
    )
    licence: str = Field(description="Licence of the labels; goes into the bundle's card.")
    embeddings: Location | None = Field(
        None,
        description="Folder of stored vectors of that season ('stook embed'), instead of imagery.",
    )

    @field_validator("date")
    @classmethod
    def _day_if_it_is_one(cls, value: datetime.date | str | None) -> datetime.date | str | None:
        """A day in quotes is a day, not a field."""
        try:
            return datetime.date.fromisoformat(value) if isinstance(value, str) else value
        except ValueError:
            return value


class FineTuningSection(Section):
    """How an encoder and a head are trained together."""

    epochs: int = Field(30, description="At most.", ge=1, le=1000)
    patience: int = Field(6, description="Epochs without a better loss on held-out blocks before it stops.", ge=1)
    batch: int = Field(64, description="Chips at once.", ge=2)
    learning_rate: float = Field(0.001, description="Highest; it rises and falls in one cycle.", gt=0)
    freeze_encoder: bool = Field(False, description="Train the head alone.")
    checked_share: float = Field(
        0.15, description="Share of cells, in whole blocks, held out to stop early.", gt=0, lt=0.5
    )
    calibrated_share: float = Field(
        0.15,
        description="Share of cells, in whole blocks, held out to calibrate intervals or probabilities.",
        gt=0,
        lt=0.5,
    )

    def settings(self, seed: int, light: float) -> FineTuning:
        """As data; ``light`` is how much brightness and contrast vary, see ``stook.models.augmentation.relit``."""
        from stook.models.fine_tuning import FineTuning

        return FineTuning(
            epochs=self.epochs,
            patience=self.patience,
            batch=self.batch,
            learning_rate=self.learning_rate,
            seed=seed,
            freeze_encoder=self.freeze_encoder,
            light=light,
        )


class TrainingSection(Section):
    """How a head is trained."""

    product: ProductName = Field(description="The product the head is for.")
    bundle: Location = Field(description="Folder to write the bundle to.")
    encoder: EncoderSection = Field(description="The encoder; frozen for cropland.")
    window: WindowSection = Field(description="The months to read, relative to each label's harvest year.")
    labels: list[LabelsSection] = Field(description="Labelled places to train on.", min_length=1)
    held_out: list[LabelsSection] = Field(
        [], description="Labelled places that are only evaluated on, never fitted or tuned on."
    )
    cell_m: float = Field(
        250, description="For harvest_piles: side of a cell in metres, whose middle is the middle of a chip.", gt=0
    )
    stride_px: int | None = Field(
        None, description="From one chip to the next; half a chip, or a whole one, if absent.", ge=1
    )
    precisions: list[Literal["bfloat16"]] = Field(
        [], description="Lower precisions to check on the labelled pixels and record in the bundle."
    )
    minimum_observations: int = Field(
        3,
        description="Labelled pixels with fewer clear observations are left out, as the map leaves them, and cells for "
        "encoders that take gaps (others need all); 0 without Sentinel-2.",
        ge=0,
        le=MOST_OBSERVATIONS,
    )
    head: Literal["linear", "mlp", "quantiles"] = Field(
        "linear",
        description="linear: logistic regression; mlp: one hidden layer; quantiles: of building coverage.",
    )
    balance: Balance | None = Field(
        None,
        description="weights: a rare class counts as much as the other while training; none: every label counts the "
        "same. weights if absent for harvest_piles, which are always calibrated afterwards, else none.",
    )
    quantiles: list[float] = Field(list(DEFAULT_QUANTILES), description="Of head quantiles; symmetric about 0.5.")
    fine_tuning: FineTuningSection = Field(
        FineTuningSection(),
        description="For building_coverage and harvest_piles: encoder and head are trained together.",
    )
    strengths: list[Annotated[float, Field(gt=0)]] = Field(
        [0.001, 0.01, 0.1, 1.0, 10.0],
        description="Candidates for C, the inverse strength of the L2 penalty; a single one is taken as it is.",
        min_length=1,
    )
    block_m: float = Field(
        2000, description="Side of the blocks that cross-validation or a split never cuts, in metres.", gt=0
    )
    split: Grouping = Field(
        "blocks",
        description="For building_coverage and harvest_piles, what stays on one side of the split: square blocks, or "
        "components, the pieces of ground that chips which overlap make up (for scattered labels).",
    )
    split_file: Location | None = Field(
        None,
        description="For building_coverage and harvest_piles: polygons with a field split (train, check, calibrate, "
        "held_out), your own division; what it does not name is taken from train.",
    )
    most_pixels: int = Field(50_000, description="Labelled pixels per place; more are thinned at random.", ge=100)
    calibrate: bool = Field(
        False, description="Fit Platt scaling on held-out blocks; the labels must be a fair sample of the ground."
    )
    seed: int = Field(0, description="Of thinning and start values.")

    @property
    def on_chips(self) -> bool:
        """Whether encoder and head are trained together on chips, or a head alone on the features of pixels."""
        return self.product != "cropland"

    @property
    def balancing(self) -> Balance:
        """What is done about a rare class."""
        return self.balance or ("weights" if self.product == "harvest_piles" else "none")

    @model_validator(mode="after")
    def _fields_suit_the_product(self) -> Self:
        for field in MEANINGLESS[self.product]:
            if field in self.model_fields_set:
                raise ValueError(f"{field}: has no meaning for {self.product}; take it out")
        if (self.product == "building_coverage") != (self.head == "quantiles"):
            raise ValueError(
                f"head: {self.head} does not suit {self.product}; quantiles are for building_coverage alone"
            )
        try:
            require_quantiles(self.quantiles)
            picture_grid(self.cell_m)
        except InputError as error:
            raise ValueError(str(error)) from error
        return self

    @model_validator(mode="after")
    def _encoder_suits_the_product(self) -> Self:
        untrained = self.encoder.untrained
        if untrained is None:
            return self
        if not self.on_chips:
            raise ValueError("encoder.untrained: only building_coverage and harvest_piles train an encoder")
        if (self.product == "harvest_piles") != (untrained.resolution_m is not None):
            raise ValueError(
                f"encoder.untrained.resolution_m: {untrained.resolution_m}; harvest_piles are seen in pictures, which "
                "have one, and nothing else is"
            )
        return self

    @model_validator(mode="after")
    def _labels_suit_the_product(self) -> Self:
        covered, dated = self.product == "building_coverage", self.product == "harvest_piles"
        for section in (*self.labels, *self.held_out):
            if covered != (section.area is not None):
                raise ValueError(f"labels.area: {section.file}: footprints have an area, other labels have none")
            for field in ONLY_OF_CLASSES if covered else ():
                if field in section.model_fields_set:
                    raise ValueError(
                        f"labels.{field}: {section.file}: has no meaning for building_coverage; take it out"
                    )
            if not covered and not (section.positive and section.negative):
                raise ValueError(
                    f"labels: {section.file}: name the classes that are positive and those that are negative"
                )
            if dated != (section.date is not None):
                raise ValueError(
                    f"labels.date: {section.file}: harvest piles stand for some weeks, so their labels have the day of "
                    "the picture they were read from; other labels have none"
                )
            if dated and (section.embeddings or section.parcels):
                raise ValueError(f"labels: {section.file}: embeddings and parcels have no meaning for harvest_piles")
        return self


class TrainConfiguration(Section):
    """The configuration of ``stook train``."""

    name: str = Field(description="Name of the training, for the card.")
    imagery: ImagerySection = Field(description="The archives to read.")
    composite: CompositeSection = Field(CompositeSection(), description="How imagery is reduced to months.")
    run: RunSection = Field(RunSection(), description="How the training uses the machine.")
    training: TrainingSection = Field(description="What is trained, and on what.")

    @model_validator(mode="after")
    def _pictures_are_there(self) -> Self:
        if self.training.product == "harvest_piles" and self.imagery.rgb is None:
            raise ValueError("imagery.rgb: is missing; harvest piles are seen in pictures of metre resolution")
        return self
