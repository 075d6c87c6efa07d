"""A picture of the simulated place: what it looks like, what is there, what the map says."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from rasterio.vrt import WarpedVRT

from transforms.export import palette
from transforms.products import NODATA, PRODUCTS

LONLAT = "EPSG:4326"
TRUTH_COLOURS = {0: (247, 244, 235, 255), 1: (40, 110, 45, 255), NODATA: (255, 255, 255, 0)}
MARGIN_DEG = 0.002
BRIGHTEST = 0.22  # reflectance shown as white


def draw(folder: Path, scenes: list[Path], truth: list[Path], exported: Path, units: Path, title: str) -> Path:
    """Draw true colour, truth and map side by side with the districts' borders; returns the PNG's path.

    Args:
        folder: Where ``map.png`` is written.
        scenes: Folders of one clear scene per zone, with ``red``, ``green`` and ``blue``.
        truth: Truth raster per zone.
        exported: VRT of the exported map, in degrees.
        units: The districts.
        title: Says that all of it is simulated.
    """
    borders = gpd.read_file(units)
    with rasterio.open(exported) as file:
        bounds, shape, transform = file.bounds, file.shape, file.transform
        percent = file.read(1)
    extent = (bounds.left, bounds.right, bounds.bottom, bounds.top)

    def mosaic(paths: list[Path], nodata: int) -> np.ndarray:
        whole = np.full(shape, nodata, np.float32)
        for path in paths:
            with (
                rasterio.open(path) as source,
                WarpedVRT(
                    source, crs=LONLAT, transform=transform, height=shape[0], width=shape[1], nodata=nodata
                ) as view,
            ):
                values = view.read(1)
                whole = np.where(whole == nodata, values, whole)
        return whole

    colour = np.stack([mosaic([scene / f"{band}.tif" for scene in scenes], 0) for band in ("red", "green", "blue")], -1)
    colours = palette(PRODUCTS["cropland"].map)
    panels = {
        "clearest scene of the growing season (true colour)": np.where(
            colour > 0, np.clip(colour * 1e-4 / BRIGHTEST, 0, 1), 1
        ),
        "truth: cropland": painted(mosaic(truth, NODATA), TRUTH_COLOURS),
        "map: probability of cropland": painted(percent, colours),
    }
    figure = Figure(figsize=(15, 7), layout="constrained")
    for axes, (name, image) in zip(np.atleast_1d(figure.subplots(1, 3)), panels.items(), strict=True):
        panel(axes, name, image, extent, borders)
    shown = ScalarMappable(Normalize(0, 100), ListedColormap(np.array([colours[v] for v in range(101)]) / 255))
    figure.colorbar(shown, ax=figure.axes, label="probability of cropland, percent", shrink=0.6, aspect=30)
    figure.suptitle(title)
    figure.savefig(folder / "map.png", dpi=110)
    return folder / "map.png"


def panel(
    axes: Axes, name: str, image: np.ndarray, extent: tuple[float, float, float, float], borders: gpd.GeoDataFrame
) -> None:
    """One picture with borders."""
    axes.imshow(image, extent=extent, interpolation="nearest")
    borders.boundary.plot(ax=axes, color="black", linewidth=0.8)
    west, south, east, north = borders.total_bounds
    axes.set_xlim(west - MARGIN_DEG, east + MARGIN_DEG)
    axes.set_ylim(south - MARGIN_DEG, north + MARGIN_DEG)
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
