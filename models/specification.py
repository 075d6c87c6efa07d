"""What an encoder expects of its input and what it gives. Nothing else scales, orders or resizes what it sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import Tensor

# How time is cut: calendar months; days 1 to 10, 11 to 20 and 21 to the end of each; the window in equal parts; or
# calendar months of which only the mean is seen, each band's over the months that have it.
PeriodKind = Literal["month", "ten-days", "part", "month-mean"]


@dataclass(frozen=True)
class Band:
    """One band in the order the encoder reads it; scaled as (x + shift) / divide.

    Attributes:
        name: Common name, as composites label it: ``blue`` … ``swir22``, ``vv``, ``vh``.
        sensor: ``sentinel2`` (surface reflectance, 1 = 100 %), ``sentinel1`` (backscatter, dB) or ``rgb`` (a picture
            of metre resolution or better, 1 = the brightest value).
        shift: Added first, in the band's unit.
        divide: Divided by second, in the band's unit.
    """

    name: str
    sensor: str
    shift: float
    divide: float


@dataclass(frozen=True)
class InputSpecification:
    """The series of images of one place, as an encoder wants it.

    Attributes:
        bands: In the encoder's order.
        resolution_m: Ground sampling distance of a pixel.
        chip_px: Side of the square the encoder sees at once; 1 for the series of a single pixel.
        period: Length of a time step.
        most_periods: Longest series the encoder takes; for ``part``, the number of parts; for ``month-mean``, the most
            months that the mean may be of.
        resampling: How coarser bands reach ``resolution_m``.
        masks_missing: Whether a band or period without data may be left out (attention mask). If not, a chip in which
            anything is missing has no answer.
        levels: Scaled values are clipped to 0…1 and cut down to this many steps, as 8-bit images are; None for neither.
    """

    bands: tuple[Band, ...]
    resolution_m: float
    chip_px: int
    period: PeriodKind
    most_periods: int
    resampling: Literal["nearest", "bilinear"]
    masks_missing: bool
    levels: int | None = None

    @property
    def band_names(self) -> tuple[str, ...]:
        """Names of the bands in order."""
        return tuple(band.name for band in self.bands)

    @property
    def sensors(self) -> tuple[str, ...]:
        """Sensors in order of first use."""
        return tuple(dict.fromkeys(band.sensor for band in self.bands))

    @property
    def of_pictures(self) -> bool:
        """Whether it sees single pictures of metre resolution, not composites."""
        return self.sensors == ("rgb",)

    def scaled(self, values: Tensor) -> Tensor:
        """Scale composites [chip, period, band, y, x] in the bands' units; NaN, which is missing, stays NaN."""
        shift = values.new_tensor([band.shift for band in self.bands])[:, None, None]
        divide = values.new_tensor([band.divide for band in self.bands])[:, None, None]
        x = (values + shift) / divide
        if self.levels is None:
            return x
        return (x.clamp(0, 1) * (self.levels - 1)).floor() / (self.levels - 1)

    def as_json(self) -> dict[str, Any]:
        """Plain data for ``bundle.json``."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> InputSpecification:
        """The specification that ``as_json`` wrote."""
        return cls(**{**data, "bands": tuple(Band(**band) for band in data["bands"])})


@dataclass(frozen=True)
class OutputSpecification:
    """The feature vectors that an encoder gives for one chip.

    Attributes:
        width: Length of a vector.
        patch_px: Side of the square of input pixels that one vector describes: ``chip_px`` for one vector per chip (or
            per pixel, where a chip is one), a divisor of it for a grid of vectors.
    """

    width: int
    patch_px: int
