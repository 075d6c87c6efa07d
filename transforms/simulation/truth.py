"""What is really there: rasters to compare maps with, and labels to train on."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely
from odc.geo.geobox import GeoBox
from odc.geo.geom import Geometry
from pyproj import Transformer
from rasterio.features import rasterize
from shapely.geometry import mapping

from stook.transforms.simulation.campaign import Campaign, Strip
from stook.transforms.simulation.catalogue import write_cog
from stook.transforms.simulation.country import Roof
from stook.transforms.simulation.coverage import Overlaps, reproject, squares
from stook.transforms.simulation.districts import districts
from stook.transforms.simulation.heaps import Heaps
from stook.transforms.simulation.landscape import Cover, Landscape, Place
from stook.transforms.simulation.phenology import Weather
from stook.transforms.simulation.scenes import SUPERSAMPLING, block_mean
from stook.transforms.simulation.zones import scene_grid, zone_parts

BUILDING_CELL_M, PILE_CELL_M = 100, 250
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


def write_truth(
    landscape: Landscape, folder: Path, year: int = 2023, campaign: Campaign | None = None
) -> dict[int, dict[str, Path]]:
    """Write the truth of every zone as GeoTIFF.

    On the 10 m grid of its scenes, uint8: ``cropland_<epsg>.tif``, 1 where at least half of the pixel is cropland, else
    0; ``labels_<epsg>.tif``, codes of ``Cover`` for training over the whole scene, 0 for mixed pixels.

    On cells counted from the zone's origin: ``buildings_<epsg>.tif``, 100 m, float32, the exact share 0…1 of the cell
    under the polygons of ``write_footprints``, NaN outside. ``piles_<epsg>.tif``, 250 m, uint8, 1 where a heap of
    sheaves has its middle in the cell on the day of a pass that pictures all of it, 0 where none has, 255 where no pass
    pictures all of it; ``piles-<yyyymmdd>_<epsg>.tif`` for each pass by itself.

    All but the labels are nodata outside the districts and outside the zone (judged by the middle of the pixel or
    cell), so no ground is there twice.

    Args:
        landscape: The ground.
        folder: Where the files are written; created if absent.
        year: Of the harvest, for ``piles``.
        campaign: The passes; without them there are no ``piles``.

    Returns:
        EPSG code -> name (``cropland``, ``labels``, ``buildings``; ``piles``, ``piles-<yyyymmdd>``) -> path.
    """
    folder.mkdir(parents=True, exist_ok=True)
    place = landscape.place
    region = Geometry(districts(landscape).union_all(), "EPSG:4326")
    written: dict[int, dict[str, Path]] = {}
    for epsg, part in zone_parts(place).items():
        ground = (region & part).to_crs(f"EPSG:{epsg}")
        written[epsg] = {}

        def write(name: str, values: np.ndarray, grid: GeoBox, nodata: float, dtype: str = "uint8") -> None:
            path = written[epsg][name] = folder / f"{name}_{epsg}.tif"  # noqa: B023
            write_cog(path, values.astype(dtype), grid.transform, str(grid.crs), nodata)

        grid = scene_grid(place, epsg)
        cropland = cover_share(landscape, grid, Cover.CROPLAND) >= 0.5
        write("cropland", np.where(_pixels_within(ground, grid), cropland, OUTSIDE), grid, OUTSIDE)
        write("labels", labels(landscape, grid), grid, UNLABELLED)
        grid = cell_grid(place, epsg, BUILDING_CELL_M)
        share = np.where(_pixels_within(ground, grid), building_share(landscape, grid), np.nan)
        write("buildings", share, grid, np.nan, "float32")
        if campaign is not None:
            grid = cell_grid(place, epsg, PILE_CELL_M)
            inside = _pixels_within(ground, grid)
            whole = np.full(inside.shape, OUTSIDE, np.uint8)
            for strip in campaign.strips:
                here = np.where(inside, piles(landscape, epsg, grid, campaign, strip, year), OUTSIDE)
                write(f"piles-{campaign.date(strip, place, year):%Y%m%d}", here, grid, OUTSIDE)
                whole = np.where(whole == OUTSIDE, here, np.where(here == OUTSIDE, whole, np.maximum(whole, here)))
            write("piles", whole, grid, OUTSIDE)
    return written


def write_footprints(landscape: Landscape, path: Path) -> Path:
    """Write the houses' footprints, EPSG:4326, with the name of the roof; GeoPackage or GeoJSON by the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    houses = landscape.houses
    roofs = [Roof(code).name.lower() for code in houses.roof]
    table = gpd.GeoDataFrame({"roof": roofs}, geometry=houses.polygons, crs=landscape.place.frame).to_crs("EPSG:4326")
    if path.suffix == ".gpkg":
        table.to_file(path, driver="GPKG")
    else:
        table.to_file(path, driver="GeoJSON", COORDINATE_PRECISION=9)  # 0.1 mm
    return path


def cell_grid(place: Place, epsg: int, cell_m: int) -> GeoBox:
    """The cells of the zone, counted from its origin, that meet its scenes."""
    box = scene_grid(place, epsg).boundingbox
    west, south = (cell_m * int(edge // cell_m) for edge in (box.left, box.bottom))
    east, north = (cell_m * int(-(-edge // cell_m)) for edge in (box.right, box.top))
    return GeoBox.from_bbox((west, south, east, north), crs=f"EPSG:{epsg}", resolution=cell_m)


def building_share(landscape: Landscape, grid: GeoBox) -> np.ndarray:
    """Exact share of each pixel of ``grid`` under roofs, float32 [y, x], 0…1."""
    return Overlaps.of(reproject(landscape.houses.polygons, landscape.place.frame, str(grid.crs)), grid).total()


def piles(landscape: Landscape, epsg: int, grid: GeoBox, campaign: Campaign, strip: Strip, year: int) -> np.ndarray:
    """What one pass shows in each cell: 1 a heap of sheaves, 0 none, 255 not all of the cell; uint8 [y, x]."""
    place, crs = landscape.place, str(grid.crs)
    heaps = Heaps.of(landscape, Weather.of(place, year)).standing(strip.season_day).sheaves
    x, y = Transformer.from_crs(place.frame, crs, always_xy=True).transform(heaps.x, heaps.y)
    columns, rows = (np.floor(axis).astype(int) for axis in ~grid.transform @ (x, y))
    there = (columns >= 0) & (columns < grid.shape.x) & (rows >= 0) & (rows < grid.shape.y)
    present = np.full((grid.shape.y, grid.shape.x), OUTSIDE, np.uint8)
    outline = campaign.part(strip, place, epsg)
    if outline is None:
        return present
    cells = squares(grid, *np.meshgrid(np.arange(grid.shape.x), np.arange(grid.shape.y)))
    present[shapely.covers(outline.geom, cells)] = 0
    rows, columns = rows[there], columns[there]
    pictured = present[rows, columns] != OUTSIDE
    present[rows[pictured], columns[pictured]] = 1
    return present


def _pixels_within(polygon: Geometry, grid: GeoBox) -> np.ndarray:
    """Whether each pixel's centre lies in ``polygon``, of the same projection; bool [y, x]."""
    return rasterize([(mapping(polygon.geom), 1)], (grid.shape.y, grid.shape.x), transform=grid.transform).astype(bool)
