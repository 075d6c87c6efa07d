"""What an encoder expects of its input. Nothing else scales, orders or resizes what it sees."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Band:
    """One band in the order the encoder reads it; normalised as (x + shift) / divide.

    Attributes:
        name: Common name, as composites label it: ``blue`` … ``swir22``, ``vv``, ``vh``.
        sensor: ``sentinel2`` (surface reflectance, 1 = 100 %) or ``sentinel1`` (backscatter, dB).
        shift: Added first, in the band's unit.
        divide: Divided by second, in the band's unit.
    """

    name: str
    sensor: str
    shift: float
    divide: float


@dataclass(frozen=True)
class InputSpecification:
    """The time series of one pixel, as an encoder wants it.

    Attributes:
        bands: In the encoder's order.
        resolution_m: Ground sampling distance of a pixel.
        most_periods: Longest series the position table holds.
        period: Length of a time step; only ``month`` exists so far.
        resampling: How coarser bands reach ``resolution_m``.
        masks_missing: Whether a band or month without data may be left out (attention mask).
    """

    bands: tuple[Band, ...]
    resolution_m: float
    most_periods: int
    period: str
    resampling: Literal["nearest", "bilinear"]
    masks_missing: bool

    @property
    def band_names(self) -> tuple[str, ...]:
        """Names of the bands in order."""
        return tuple(band.name for band in self.bands)

    @property
    def sensors(self) -> tuple[str, ...]:
        """Sensors in order of first use."""
        return tuple(dict.fromkeys(band.sensor for band in self.bands))

    def as_json(self) -> dict[str, Any]:
        """Plain data for ``bundle.json``."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "InputSpecification":
        """The specification that ``as_json`` wrote."""
        return cls(**{**data, "bands": tuple(Band(**band) for band in data["bands"])})
