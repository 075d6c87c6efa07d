"""Label files: rasters, vector files of points or polygons, or tables become labelled pixels or cells of the grid."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import cast

import geopandas as gpd
import numpy as np
import pandas as pd
import rasterio
from rasterio.errors import RasterioError
from rasterio.transform import xy
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from models.errors import InputError
from transforms.geodesy import to_lonlat
from transforms.grid import Zone
from transforms.labels import DAY, PIXEL_M, Classes, LabelledPixels
from transforms.polygons import polygons_of, read_vector, whole_pixels, zones_of

RASTER_SUFFIXES = (".tif", ".tiff", ".vrt")
PLACE = ["zone", "column", "row"]


def read_labels(
    file: Path, classes: Classes, field: str | None = None, parcels: Path | None = None
) -> LabelledPixels:
    """Labelled pixels of a raster (GeoTIFF, VRT), a vector file of points or polygons, or a CSV with ``lon``, ``lat``.

    A pixel of the grid takes the class of the label pixel centres or points that fall in it, or of the polygon that
    holds it whole: pixels on an edge are mixed. Where several disagree, it is unlabelled.

    Args:
        file: In any CRS.
        classes: What the values mean.
        field: Of the class, for points and polygons.
        parcels: Raster on the grid of ``file`` whose connected equal values are parcels. Without it, connected equal
            labels of a raster are; every polygon is one, and every point is by itself.

    Raises:
        InputError: If the file cannot be read, lacks the field, or labels no pixel positive or none negative.
    """

    def require_both(label: pd.Series, lacking: str = "holds none of") -> None:
        for kind, wanted, values in (("positive", True, classes.positive), ("negative", False, classes.negative)):
            if not (label == wanted).any():
                raise InputError(f"{file}: {lacking} the {kind} classes {', '.join(map(str, values))}")

    label_file = _LabelFile(file, classes, field, PIXEL_M, require_both)
    if label_file.is_raster:
        raster = label_file.raster()
        patches = raster.values if parcels is None else _parcels(parcels, file, raster)
        number = connected_equal(np.ma.getdata(patches), raster.known)[raster.known]
        found = label_file.on_grid(raster.centres().assign(parcel=number))
    else:
        found = label_file.features()
    require_both(found["label"], f"no whole pixel of {PIXEL_M} m lies in a polygon of")
    return LabelledPixels(_agreeing(found, PLACE))
