"""How imagery becomes the feature vectors of cells: of composites, or of pictures of metre resolution."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from stook.models.choices import Precision
from stook.models.encoder import Encoder
from stook.models.errors import InputError
from stook.models.families import fingerprint
from stook.transforms.choices import Storage
from stook.transforms.encoding.chips import ChipLayout
from stook.transforms.imagery.season import Period, Window
from stook.transforms.imagery.sources import COMPOSITE_SENSORS, PICTURE_SENSORS

PIXEL_M = 10


@dataclass(frozen=True)
class Quantisation:
    """What vectors are shifted and divided by to become eight bits, see ``stook.transforms.tiles.quantisation``.

    Attributes:
        offset: Of each number.
        spread: Of each number, greater than 0.
    """

    offset: tuple[float, ...]
    spread: tuple[float, ...]


@dataclass(frozen=True)
class Encoding:
    """How a season becomes feature vectors. Products with equal encodings share one pass of the encoder.

    Attributes:
        encoder: Fingerprint of the encoder.
        width: Length of a vector.
        layout: How its chips lie.
        periods: What it reads.
        resampling: How imagery gets onto the grid.
        bands: What it reads, in its order.
        absent_bands: Those of them that are left out because the head never saw them.
        precision: Of its matrix products.
        storage: What vectors are rounded to, stored or not; None for not at all.
        quantisation: How, where that is ``int8``.
    """

    encoder: str
    width: int
    layout: ChipLayout
    periods: tuple[Period, ...]
    resampling: Literal["nearest", "bilinear"]
    bands: tuple[str, ...]
    absent_bands: tuple[str, ...] = ()
    precision: Precision = "float32"
    storage: Storage | None = None
    quantisation: Quantisation | None = None

    sensors: ClassVar = COMPOSITE_SENSORS

    @property
    def exact(self) -> "Encoding":
        """The same without any rounding."""
        return replace(self, storage=None, quantisation=None)

    @property
    def cell_px(self) -> int:
        """Side of a cell, in pixels of the grid."""
        return self.layout.cell_px

    @property
    def halo_px(self) -> int:
        """How far chips reach beyond a tile, in pixels of the grid."""
        return self.layout.halo_px

    @classmethod
    def of(
        cls,
        encoder: Encoder,
        window: Window,
        harvest_year: int,
        stride_px: int | None = None,
        absent_bands: tuple[str, ...] = (),
        precision: Precision = "float32",
        storage: Storage | None = None,
    ) -> "Encoding":
        """How an encoder sees a window of a season.

        Raises:
            InputError: If the window or the stride does not suit the encoder.
        """
        specification = encoder.specification
        return cls(
            encoder=fingerprint(encoder),
            width=encoder.output.width,
            layout=ChipLayout.of(specification, encoder.output, stride_px),
            periods=window.periods(harvest_year, specification.period, specification.most_periods),
            resampling=specification.resampling,
            bands=specification.band_names,
            absent_bands=absent_bands,
            precision=precision,
            storage=storage,
        )


@dataclass(frozen=True)
class PictureEncoding:
    """How pictures of metre resolution become feature vectors: one per cell and date.

    Attributes:
        encoder: Fingerprint of the encoder.
        width: Length of a vector.
        chip_px: Side of the encoder's chip, around the middle of a cell.
        resolution_m: Of the chip's pixels.
        cell_px: Side of a cell, in pixels of the grid.
        halo_px: How far chips reach beyond a tile, in pixels of the grid.
        periods: The one span of which every date is read.
        bands: What it reads, in its order.
        precision: Of the encoder's matrix products.
    """

    encoder: str
    width: int
    chip_px: int
    resolution_m: float
    cell_px: int
    halo_px: int
    periods: tuple[Period]
    bands: tuple[str, ...]
    precision: Precision = "float32"
    sensors: ClassVar = PICTURE_SENSORS

    @classmethod
    def of(
        cls,
        encoder: Encoder,
        window: Window,
        harvest_year: int,
        cell_m: float,
        precision: Precision = "float32",
    ) -> "PictureEncoding":
        """How an encoder sees the pictures of a window.

        Raises:
            InputError: If cells are not whole numbers of 10 m pixels, the encoder has several vectors per chip, or it
                wants several dates.
        """
        specification = encoder.specification
        cell_px = round(cell_m / PIXEL_M)
        if cell_px < 1 or cell_px * PIXEL_M != cell_m:
            raise InputError(f"cell_m: {cell_m:g}; allowed are multiples of {PIXEL_M}")
        if encoder.output.patch_px != specification.chip_px:
            raise InputError(f"{encoder.family}: has several vectors per chip; pictures need one for the whole chip")
        require_one_date(encoder, encoder.family)
        beyond = (specification.chip_px * specification.resolution_m - cell_m) / 2
        [period] = window.periods(harvest_year, "part", 1)
        return cls(
            encoder=fingerprint(encoder),
            width=encoder.output.width,
            chip_px=specification.chip_px,
            resolution_m=specification.resolution_m,
            cell_px=cell_px,
            halo_px=max(0, math.ceil(beyond / PIXEL_M)),
            periods=(period,),
            bands=specification.band_names,
            precision=precision,
        )


def require_one_date(encoder: Encoder, name: str) -> None:
    """Raise InputError if an encoder of pictures wants several dates at once: each is read and answered by itself."""
    dates = encoder.specification.most_periods
    if dates != 1:
        raise InputError(
            f"{name}: wants pictures of {dates} dates at once; allowed are encoders of one, see 'stook models'"
        )
