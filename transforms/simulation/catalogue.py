"""Write rasters as COGs into a static STAC catalogue, laid out as real archives are."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox
from pystac.stac_io import DefaultStacIO
from shapely.geometry import mapping
from shapely.geometry.base import BaseGeometry

ALL_TIMES = pystac.TemporalExtent([None, None])
HOME = "https://archive.invalid"  # for pystac, to which # and ? in a folder's name would be parts of an address
GLOBAL_EXTENT = pystac.Extent(pystac.SpatialExtent([-180.0, -90.0, 180.0, 90.0]), ALL_TIMES)


class CatalogueWriter:
    """A static STAC catalogue under construction: scenes are written at once, the JSON on ``save``.

    Args:
        folder: Where ``catalog.json`` will stand; created if absent.
        description: Shown to whoever opens the catalogue; must say *simulated* where the pixels are.
    """

    def __init__(self, folder: Path, description: str):
        self.folder = folder
        self.catalog = pystac.Catalog(id=folder.name, description=description)

    def add_scene(
        self,
        collection: str,
        item_id: str,
        time: datetime,
        bands: Mapping[str, np.ndarray],
        geobox: GeoBox,
        nodata: float,
        properties: Mapping[str, Any] | None = None,
        footprint: BaseGeometry | None = None,
    ) -> None:
        """Write one acquisition: a COG per band and its STAC item.

        Args:
            collection: Collection id, e.g. ``sentinel-2-l2a``; created on first use.
            item_id: Unique within the collection.
            time: Acquisition time, UTC, with a time zone.
            bands: Asset key -> array [y, x] or, for assets of several bands, [band, y, x]; one of half the shape of
                ``geobox`` has twice the pixel size.
            geobox: Grid of the full-resolution bands.
            nodata: Value of pixels without data, in every band.
            properties: Further item properties, e.g. ``s2:processing_baseline``.
            footprint: Where there is data, in longitude and latitude; the whole of ``geobox`` if None.
        """
        parent = self.catalog.get_child(collection)
        if parent is None:
            parent = pystac.Collection(id=collection, description=self.catalog.description, extent=GLOBAL_EXTENT)
            self.catalog.add_child(parent)
        crs = str(geobox.crs)
        footprint = footprint or geobox.extent.to_crs("EPSG:4326").geom
        item = pystac.Item(
            id=item_id,
            geometry=mapping(footprint),
            bbox=list(footprint.bounds),
            datetime=time,
            properties={"proj:code": crs, **(properties or {})},
        )
        home = self.folder / collection / item_id
        home.mkdir(parents=True, exist_ok=True)
        for key, array in bands.items():
            band_box = geobox.zoom_to(array.shape[-2:])
            write_cog(home / f"{key}.tif", array, band_box.transform, crs, nodata)
            grid = {"proj:shape": list(array.shape[-2:]), "proj:transform": list(band_box.transform)[:6]}
            item.add_asset(key, pystac.Asset(href=f"./{key}.tif", media_type=pystac.MediaType.COG, extra_fields=grid))
        parent.add_item(item)

    def save(self) -> Path:
        """Write all JSON with relative links; returns the path of ``catalog.json``."""
        self.catalog.normalize_hrefs(HOME)
        self.catalog.save(pystac.CatalogType.SELF_CONTAINED, stac_io=_FolderIO(self.folder))
        return self.folder / "catalog.json"


class _FolderIO(DefaultStacIO):
    """Writes what has an address below ``HOME`` into a folder."""

    def __init__(self, folder: Path):
        super().__init__()
        self.folder = folder

    def write_text(self, dest: Any, txt: str, *_: Any, **__: Any) -> None:
        """As pystac calls it."""
        path = self.folder / str(dest).removeprefix(f"{HOME}/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(txt, encoding="utf-8")


def write_cog(path: Path, array: np.ndarray, transform: Affine, crs: str, nodata: float) -> None:
    """Write ``array`` [y, x] or [band, y, x] as a cloud-optimised GeoTIFF."""
    count, height, width = array.shape if array.ndim == 3 else (1, *array.shape)
    profile = {"driver": "COG", "crs": crs, "transform": transform, "nodata": nodata, "dtype": array.dtype}
    with rasterio.open(path, "w", count=count, height=height, width=width, compress="DEFLATE", **profile) as file:
        file.write(array.reshape(count, height, width))
