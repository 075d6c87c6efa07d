"""A picture of the simulated place: what it looks like, what is there, what the map says."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
from affine import Affine
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from rasterio.coords import BoundingBox
from rasterio.transform import from_bounds
from rasterio.vrt import WarpedVRT

from stook.transforms.editions.products import PRODUCTS
from stook.transforms.reporting.export import palette
from stook.transforms.values import NODATA

LONLAT = "EPSG:4326"
MARGIN_DEG = 0.002
PIXEL_DEG = 0.00005  # about 5 m
BRIGHTEST = 0.22  # reflectance shown as white


def draw(
    folder: Path,
    scenes: list[Path],
    pictures: list[Path],
    truth: dict[int, dict[str, Path]],
    exported: dict[str, list[Path]],
    units: Path,
    title: str,
) -> Path:
    """Draw what satellites see, the truths and, below them, the maps, with the districts' borders; returns the PNG.

    Args:
        folder: Where ``map.png`` is written.
        scenes: Folders of one clear scene per zone, with ``red``, ``green`` and ``blue``.
        pictures: Pictures of metre resolution.
        truth: EPSG code -> layer -> raster.
        exported: Product -> exported map, one GeoTIFF per zone.
        units: The districts.
        title: Says that all of it is simulated.
    """
    borders = gpd.read_file(units)
    west, south, east, north = borders.total_bounds + MARGIN_DEG * np.array([-1, -1, 1, 1])
    bounds = BoundingBox(west, south, east, north)
    columns, rows = (round((high - low) / PIXEL_DEG) for low, high in ((west, east), (south, north)))
    mosaic = partial(mosaic_of, shape=(rows, columns), transform=from_bounds(*bounds, columns, rows))

    def true(layer: str, nodata: float) -> np.ndarray:
        return mosaic((files[layer] for files in truth.values()), nodata)

    colour = np.stack([mosaic([scene / f"{band}.tif" for scene in scenes], 0) for band in ("red", "green", "blue")], -1)
    close = np.stack([mosaic(pictures, 0, band=band) for band in (1, 2, 3)], -1)
    share = true("buildings", np.nan)
    roofs = np.where(np.isnan(share), NODATA, np.rint(100 * np.nan_to_num(share)))
    palettes = {name: palette(PRODUCTS[name].map) for name in exported}
    products = (
        ("cropland", "probability of cropland", true("cropland", NODATA), 100),
        ("building_coverage", "share under roofs", roofs, 60),
        ("harvest_piles", "probability of harvest piles", true("piles", NODATA), 100),
    )
    figure = Figure(figsize=(20, 10.5), layout="constrained")
    axes = figure.subplots(2, 1 + len(products))
    clear = np.where(colour > 0, np.clip(colour * 1e-4 / BRIGHTEST, 0, 1), 1)
    panel(axes[0, 0], "clearest scene of the growing season", clear, bounds, borders)
    panel(axes[1, 0], "pictures after the harvest", np.where(close > 0, close / 255, 1), bounds, borders)
    for (product, label, there, most), places in zip(products, axes[:, 1:].T, strict=True):
        colours = palettes[product]
        known = np.where(there == NODATA, NODATA, there if product == "building_coverage" else 100 * there)
        with rasterio.open(exported[product][0]) as file:
            median = file.count // 2 + 1  # the only band, or the median of quantiles
        panel(places[0], f"truth: {label.removeprefix('probability of ')}", painted(known, colours), bounds, borders)
        image = painted(mosaic(exported[product], NODATA, band=median), colours)
        panel(places[1], f"map: {label}", image, bounds, borders)
        scale = ListedColormap(np.array([colours[value] for value in range(most + 1)]) / 255)
        bar = ScalarMappable(Normalize(0, most), scale)
        figure.colorbar(bar, ax=list(places), label=f"{label}, percent", location="bottom", shrink=0.6, aspect=30)
    figure.suptitle(title)
    figure.savefig(folder / "map.png", dpi=100)
    return folder / "map.png"


def mosaic_of(
    paths: Iterable[Path], nodata: float, shape: tuple[int, int], transform: Affine, band: int = 1
) -> np.ndarray:
    """One band of rasters, float32 [y, x], on a grid in degrees; the first that has data wins."""
    whole = np.full(shape, nodata, np.float32)
    for path in paths:
        with (
            rasterio.open(path) as source,
            WarpedVRT(source, crs=LONLAT, transform=transform, height=shape[0], width=shape[1], nodata=nodata) as view,
        ):
            whole = np.where(np.isnan(whole) | (whole == nodata), view.read(band), whole)
    return whole


def panel(axes: Axes, name: str, image: np.ndarray, bounds: BoundingBox, borders: gpd.GeoDataFrame) -> None:
    """One picture with borders."""
    axes.imshow(image, extent=(bounds.left, bounds.right, bounds.bottom, bounds.top), interpolation="nearest")
    borders.boundary.plot(ax=axes, color="black", linewidth=0.8)
    axes.axvline(36.0, color="black", linewidth=0.6, linestyle=":")
    axes.set_title(name)
    axes.ticklabel_format(useOffset=False)
    axes.tick_params(labelsize=7)


def painted(values: np.ndarray, colours: dict[int, tuple[int, int, int, int]]) -> np.ndarray:
    """RGBA uint8 [y, x, 4] of values 0…255."""
    table = np.zeros((256, 4), np.uint8)
    for value, colour in colours.items():
        table[value] = colour
    return table[values.astype(np.uint8)]
