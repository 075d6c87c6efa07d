"""What is really there: rasters to compare maps with, and labels to train on."""

from pathlib import Path

import numpy as np
from odc.geo.geobox import GeoBox
from odc.geo.geom import Geometry
from rasterio.features import rasterize
from shapely.geometry import mapping

from transforms.simulation.catalogue import write_cog
from transforms.simulation.districts import districts
from transforms.simulation.landscape import Cover, Landscape
from transforms.simulation.scenes import SUPERSAMPLING, block_mean
from transforms.simulation.zones import scene_grid, zone_parts

OUTSIDE = 255
UNLABELLED = 0


def cover_share(landscape: Landscape, grid: GeoBox, cover: Cover) -> np.ndarray:
    """Share of each pixel of ``grid`` under ``cover``, float32 [y, x], 0…1."""
    fine = landscape.at(grid.zoom_out(1 / SUPERSAMPLING)).cover
    return block_mean((fine == cover).astype(np.float32), SUPERSAMPLING)


def labels(landscape: Landscape, grid: GeoBox) -> np.ndarray:
    """Codes of ``Cover`` where a pixel of ``grid`` holds one cover only, 0 where it is mixed; uint8 [y, x]."""
    fine = landscape.at(grid.zoom_out(1 / SUPERSAMPLING)).cover
    height, width = grid.shape.y, grid.shape.x
    corners = fine.reshape(height, SUPERSAMPLING, width, SUPERSAMPLING)
    low, high = corners.min((1, 3)), corners.max((1, 3))
    return np.where(low == high, low, UNLABELLED).astype(np.uint8)


def write_truth(landscape: Landscape, folder: Path) -> dict[int, dict[str, Path]]:
    """Write the truth of every zone on the 10 m grid of its scenes, as GeoTIFF, uint8.

    ``cropland_<epsg>.tif``: 1 where at least half of the pixel is cropland, else 0. ``building_<epsg>.tif``: percent of
    the pixel under roofs. Both are 255 outside the districts and outside the zone, so no ground is there twice.
    ``labels_<epsg>.tif``: codes of ``Cover`` for training over the whole scene, 0 for mixed pixels.

    Returns:
        EPSG code -> name (``cropland``, ``building``, ``labels``) -> path.
    """
    folder.mkdir(parents=True, exist_ok=True)
    region = Geometry(districts(landscape).union_all(), "EPSG:4326")
    written: dict[int, dict[str, Path]] = {}
    for epsg, part in zone_parts(landscape.place).items():
        grid = scene_grid(landscape.place, epsg)
        inside = _pixels_within((region & part).to_crs(f"EPSG:{epsg}"), grid)
        rasters = {
            "cropland": np.where(inside, cover_share(landscape, grid, Cover.CROPLAND) >= 0.5, OUTSIDE),
            "building": np.where(inside, np.rint(100 * cover_share(landscape, grid, Cover.BUILT)), OUTSIDE),
            "labels": labels(landscape, grid),
        }
        written[epsg] = {name: folder / f"{name}_{epsg}.tif" for name in rasters}
        for name, values in rasters.items():
            nodata = UNLABELLED if name == "labels" else OUTSIDE
            write_cog(written[epsg][name], values.astype(np.uint8), grid.transform, f"EPSG:{epsg}", nodata)
    return written


def _pixels_within(polygon: Geometry, grid: GeoBox) -> np.ndarray:
    """Whether each pixel's centre lies in ``polygon``, of the same projection; bool [y, x]."""
    return rasterize([(mapping(polygon.geom), 1)], (grid.shape.y, grid.shape.x), transform=grid.transform).astype(bool)
