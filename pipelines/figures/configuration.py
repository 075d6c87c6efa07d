"""The section ``sample`` of a configuration: how reference points are drawn, and how their answers are read."""

from typing import Literal, Self

from pydantic import Field, model_validator

from stook.pipelines.sections import Location, Section
from stook.transforms.choices import Allocation, Rule

SampledProduct = Literal["cropland", "cropland_smoothed", "harvest_piles", "farmed_cells", "building_coverage"]
StrataBy = Literal["classes", "bands", "raster"]
Estimator = Literal["difference", "regression"]
WITHOUT_PERCENT = frozenset({"cropland_smoothed", "farmed_cells"})


class StrataSection(Section):
    """What ground is drawn from together. Ground that is not mapped is a stratum of its own whatever is chosen."""

    by: StrataBy = Field(
        "classes", description="classes of the map, bands of its percent, or codes of a raster of your own."
    )
    bands_percent: list[int] = Field(
        [], description="Percents at which one band ends and the next begins, rising, e.g. [20, 50, 80]; for by: bands."
    )
    raster: Location | None = Field(None, description="Raster of whole numbers in any CRS; for by: raster.")
    within: Literal["region", "parent 1", "parent 2", "parent 3", "unit"] = Field(
        "region", description="Level within whose areas strata are apart, so that each has points of its own."
    )

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Self:
        rising = all(low < high for low, high in zip((0, *self.bands_percent), (*self.bands_percent, 100), strict=True))
        if (self.by == "bands") != bool(self.bands_percent) or not rising:
            raise ValueError("bands_percent: are for by: bands, rising between 0 and 100, e.g. [20, 50, 80]")
        if (self.by == "raster") != (self.raster is not None):
            raise ValueError("raster: goes with by: raster")
        return self


class AnswersSection(Section):
    """How interpreters' files are read: names of their columns, and their words for the classes."""

    id: str = Field("PLOTID", description="Column with the point's number.")
    answer: list[str] = Field(
        ["class"], description="Column with the answer; several columns are several interpreters.", min_length=1
    )
    answer_before: list[str] | None = Field(
        None,
        description="For 'stook change', the same of the earlier season; the same columns where absent.",
        min_length=1,
    )
    interpreter: str | None = Field(
        None, description="Column that names the interpreter; absent, each file (or column) is one interpreter."
    )
    longitude: str = Field("LON", description="Column with the longitude, checked where it is there.")
    latitude: str = Field("LAT", description="Column with the latitude, checked where it is there.")
    words: dict[str, list[str]] = Field(
        {}, description="Class -> the interpreters' words for it, e.g. {cropland: [Crop], other: [Non-crop]}."
    )
    unanswered: list[str] = Field(
        ["", "unknown", "cannot tell"], description="Answers that are none, beside an empty field."
    )
    rule: Rule = Field(
        "leave_out", description="What holds where interpreters disagree: leave_out, majority, first, second, third."
    )


class SampleSection(Section):
    """A stratified random sample of reference points, and what becomes of the answers."""

    product: SampledProduct = Field("cropland", description="The map that the sample is drawn for.")
    strata: StrataSection = Field(StrataSection(), description="What ground is drawn from together.")
    points: int | None = Field(None, description="How many in all, the budget.", ge=2, le=1_000_000)
    standard_error_percent: float | None = Field(
        None, description="Or: the standard error of the class's share of all ground that is aimed at.", gt=0, lt=50
    )
    expected_accuracy_percent: float = Field(
        85.0,
        description="Of a stratum's points, those where the map is right, expected before any is seen; sets size and "
        "Neyman allocation.",
        gt=50,
        lt=100,
    )
    allocation: Allocation = Field("neyman", description="proportional to area, equal, or neyman.")
    fewest_points: int = Field(50, description="In each stratum, however small.", ge=2, le=10_000)
    seed: int = Field(0, description="Of the draw; the same seed gives the same points.", ge=0)
    estimator: Estimator = Field(
        "difference",
        description="Of building coverage: difference has no bias; regression suits a map that is off throughout.",
    )
    fewest_points_per_unit: int = Field(
        30, description="Points in a unit below which no estimate of it alone is given.", ge=2, le=10_000
    )
    answers: AnswersSection = Field(AnswersSection(), description="How interpreters' files are read.")

    @model_validator(mode="after")
    def _bands_are_of_percent(self) -> Self:
        if self.strata.by == "bands" and self.product in WITHOUT_PERCENT:
            raise ValueError(f"strata.by: bands are of a map's percent, which {self.product} has not; by: classes does")
        return self

    @model_validator(mode="after")
    def _size_is_given_once(self) -> Self:
        if (self.points is None) == (self.standard_error_percent is None):
            raise ValueError("points: give either points or standard_error_percent")
        return self
