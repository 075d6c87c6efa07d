"""What the encoder sees of a season: monthly reductions of cloud-free imagery."""

from dataclasses import dataclass

import numpy as np

from transforms.season import Period

MOST_OBSERVATIONS = 254  # 255 is the nodata value of the published count


@dataclass(frozen=True)
class Composite:
    """The composite of one tile.

    Attributes:
        values: float32 [period, band, y, x]: surface reflectance (1 = 100 %) for Sentinel-2, dB for Sentinel-1, NaN where missing.
        bands: Names of the band axis, e.g. ``("vv", "vh", "blue", …)``.
        periods: The months of the period axis.
        clear_observations: uint8 [y, x]: clear Sentinel-2 observations over the window, at most 254.
        observed: bool [y, x]: whether any scene, clear or not, has data at the pixel.
    """

    values: np.ndarray
    bands: tuple[str, ...]
    periods: tuple[Period, ...]
    clear_observations: np.ndarray
    observed: np.ndarray
