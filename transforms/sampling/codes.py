"""A raster of the user's whose whole numbers are codes of strata, read on the cells of a map."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import rasterio
from odc.geo.geobox import GeoBox
from rasterio.enums import MaskFlags, Resampling
from rasterio.errors import RasterioError, RasterioIOError
from rasterio.warp import reproject

from stook.models.errors import InputError

OUTSIDE = 1 << 40  # code of cells beyond the raster, and of its nodata; greater than any code


@dataclass(frozen=True)
class CodeRaster:
    """A raster of codes.

    Attributes:
        path: Of a file that GDAL reads, in any CRS.
    """

    path: str

    def codes(self, cells: GeoBox) -> np.ndarray:
        """int64 [row, column]: the code of the raster's pixel in which the middle of each cell lies, or ``OUTSIDE``.

        Only what is under the cells is read.

        Raises:
            InputError: If the raster cannot be read, is not of whole numbers in one band with a CRS, or they are too
                large; if a mask beside its values says what has none.
        """
        # A float64 tells every whole number below 2^53, and NaN stands for what no code can.
        found = np.full(cells.shape, np.nan)
        try:
            with rasterio.open(self.path) as source:
                self._require_codes(source)
                reproject(
                    rasterio.band(source, 1),
                    found,
                    dst_transform=cells.transform,
                    dst_crs=str(cells.crs),
                    dst_nodata=np.nan,
                    resampling=Resampling.nearest,
                    tolerance=0,  # the position of each cell by itself, not interpolated along rows
                )
        except (RasterioIOError, RasterioError) as error:
            raise InputError(f"{self._field} cannot be read ({error})") from error
        if np.nanmax(np.abs(found), initial=0) >= OUTSIDE:
            raise InputError(f"{self._field} has codes of {OUTSIDE} or more; allowed are smaller ones")
        return np.where(np.isnan(found), OUTSIDE, found).astype(np.int64)

    @cached_property
    def _field(self) -> str:
        return f"sample.strata.raster: {self.path}"

    def _require_codes(self, source: rasterio.DatasetReader) -> None:
        if source.count != 1 or not np.issubdtype(np.dtype(source.dtypes[0]), np.integer):
            kinds = ", ".join(dict.fromkeys(source.dtypes))
            raise InputError(f"{self._field} has {source.count} bands of {kinds}; one of whole numbers is needed")
        if source.crs is None:
            raise InputError(f"{self._field} has no coordinate reference system; save it with the one that it is in")
        if MaskFlags.per_dataset in source.mask_flag_enums[0]:
            raise InputError(f"{self._field} has a mask band, which is not read; save it with a nodata value instead")
