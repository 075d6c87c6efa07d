"""Published maps as cloud-optimised GeoTIFFs, one per zone and layer, and a VRT over the zones.

GDAL before 3.13 cannot read sharded Zarr, and most desktop GIS have an older one.
"""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import cast
from xml.sax.saxutils import escape

import numpy as np
import rasterio
import rasterio.shutil
import zarr
from rasterio.enums import Resampling
from rasterio.transform import Affine
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from stook.transforms.editions import map_store
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.plan import DerivedPlan, Plan, ProductPlan
from stook.transforms.editions.products import Layer, layers_of
from stook.transforms.statistics.readings import explained
from stook.transforms.store import Address, replacing
from stook.transforms.values import NODATA

LONLAT = "EPSG:4326"
METRES_PER_DEGREE = 111_320.0
GDAL_TYPES = {"uint8": "Byte", "uint16": "UInt16"}


def export(edition: Edition, folder: Address) -> list[Address]:
    """Write the layers of an edition to ``folder``; returns the files, VRTs last.

    Each file appears whole, a VRT after all that it refers to.

    Memory: one row of tiles. Scratch on this machine: the files of one layer, and one of them uncompressed.
    """
    if isinstance(folder, Path):
        folder.mkdir(parents=True, exist_ok=True)
    manifest, plan = edition.manifest, edition.plan
    zones = sorted({tile.split("_")[0] for tile in manifest["tiles"]})
    told = {"season": str(plan.season), "edition": edition.id, "provisional": str(plan.provisional).lower()}
    cogs: list[Address] = []
    mosaics: list[Address] = []
    for product in plan.all_products:
        tags = told | origin(product, plan) | {"licence": manifest["licences"][product.product]}
        for layer in layers_of(product):
            name = f"{plan.name}_{plan.season}_{layer.name}"
            with tempfile.TemporaryDirectory(dir=folder if isinstance(folder, Path) else None, prefix=".export-") as at:
                parts = [Path(at) / f"{name}_{zone}.tif" for zone in zones]
                for zone, path in zip(zones, parts, strict=True):
                    array = map_store.open_layer(edition.maps, zone, plan.cells(product).resolution_m, layer.name)
                    write_cog(array, layer, path, tags)
                views = write_mosaic(parts, Path(at) / f"{name}.vrt", layer)
                cogs += [_moved(path, folder) for path in parts]
                mosaics.append([_moved(path, folder) for path in views][-1])
    return cogs + mosaics


def _moved(path: Path, folder: Address) -> Address:
    """Move a file into a folder, where it appears whole; returns where it is."""
    with replacing(folder / path.name) as scratch:
        shutil.move(path, scratch)
    return folder / path.name


def origin(product: ProductPlan | DerivedPlan, plan: Plan) -> dict[str, str]:
    """Tags that say what a map was made by: a model, or from which maps and how."""
    if isinstance(product, ProductPlan):
        return {"bundle": product.model_hash}
    made = explained(product, plan)
    return {name: ", ".join(value) if isinstance(value, list) else f"{value}" for name, value in made.items()}


def write_cog(array: zarr.Array, layer: Layer, path: Path, tags: dict[str, str]) -> None:
    """Write one array as a COG with nodata, a palette or named bands, and descriptive tags.

    The legend of a layer of codes is in the tags, ``legend_4`` for code 4. Values that are not in the unit as stored
    have their scale beside them, which GDAL's readers apply or show.
    """
    *depth, height, width = array.shape
    names = [f"{layer.title}: {value:g}" for value in cast(list[float], array.attrs.get("quantiles", []))] or [
        layer.title
    ]
    transform = cast(list[float], array.attrs["spatial:transform"])
    profile = {
        "driver": "GTiff",
        "height": height,
        "width": width,
        "count": len(names),
        "dtype": layer.dtype,
        "nodata": layer.nodata,
        "crs": array.attrs["proj:code"],
        "transform": Affine(*transform),
        "tiled": True,
        "compress": "DEFLATE",
        "BIGTIFF": "IF_SAFER",
    }
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as scratch:
        plain = Path(scratch) / "plain.tif"
        with rasterio.open(plain, "w", **profile) as file:
            for window, values in rows_of_shards(array):
                file.write(values if depth else values[np.newaxis], window=window)
            if has_palette(layer, len(names)):
                file.write_colormap(1, palette(layer))
            file.scales = [layer.scale] * len(names)
            file.units = [layer.unit] * len(names)
            legend = {f"legend_{code}": meaning for code, meaning in layer.legend.items()}
            file.update_tags(**tags, **legend, unit=layer.unit)
            file.descriptions = names
        rasterio.shutil.copy(plain, path, driver="COG", compress="DEFLATE", overview_resampling="nearest")


def rows_of_shards(array: zarr.Array) -> Iterator[tuple[Window, np.ndarray]]:
    """The array [y, x] or [layer, y, x], one row of shards at a time."""
    height, width = array.shape[-2:]
    step = (array.shards or array.chunks)[-2]
    for start in range(0, height, step):
        stop = min(start + step, height)
        yield Window(0, start, width, stop - start), np.asarray(array[..., start:stop, :])


def has_palette(layer: Layer, bands: int) -> bool:
    """Whether a layer's values are told apart by colour: palettes are for single bands of one byte."""
    return bands == 1 and bool(layer.colours)


def palette(layer: Layer) -> dict[int, tuple[int, int, int, int]]:
    """Value -> red, green, blue, alpha; nodata is transparent, and so is what is none of a layer's codes.

    Between a layer's colours they are interpolated, but for codes.
    """
    if layer.legend:
        unused: dict[int, tuple[int, int, int, int]] = dict.fromkeys(range(256), (0, 0, 0, 0))
        return unused | {code: (*layer.colours[code], 255) for code in layer.legend}
    stops = sorted(layer.colours)
    channels = [np.interp(np.arange(256), stops, [layer.colours[stop][c] for stop in stops]) for c in range(3)]
    red, green, blue = (np.rint(channel).astype(int).tolist() for channel in channels)
    return {value: (red[value], green[value], blue[value], 255) for value in range(256)} | {NODATA: (0, 0, 0, 0)}


def write_mosaic(parts: list[Path], path: Path, layer: Layer) -> list[Path]:
    """Write a VRT in degrees over the COGs of a layer's zones, named relative to it.

    Returns:
        The VRT of each COG that it is made of, beside it, then itself.
    """
    warped, pixel = [], 0.0
    for part in parts:
        with rasterio.open(part) as source:
            pixel = source.res[0] / METRES_PER_DEGREE
            with WarpedVRT(source, crs=LONLAT, resampling=Resampling.nearest, nodata=layer.nodata) as view:
                warped.append((part, view.bounds))
    west = min(bounds.left for _, bounds in warped)
    south = min(bounds.bottom for _, bounds in warped)
    east = max(bounds.right for _, bounds in warped)
    north = max(bounds.top for _, bounds in warped)
    width, height = (max(1, round(span / pixel)) for span in (east - west, north - south))
    views = []
    for part, _ in warped:
        view_path = part.with_suffix(".lonlat.vrt")
        with (
            rasterio.open(part) as source,
            WarpedVRT(
                source,
                crs=LONLAT,
                transform=Affine(pixel, 0, west, 0, -pixel, north),
                width=width,
                height=height,
                resampling=Resampling.nearest,
                nodata=layer.nodata,
            ) as view,
        ):
            rasterio.shutil.copy(view, view_path, driver="VRT")
        views.append(view_path)
    with rasterio.open(parts[0]) as source:
        bands = source.count
    path.write_bytes(mosaic_xml(views, (west, pixel, north), width, height, layer, bands).encode())
    return [*views, path]


def mosaic_xml(
    views: list[Path],
    north_west: tuple[float, float, float],
    width: int,
    height: int,
    layer: Layer,
    bands: int = 1,
) -> str:
    """A VRT that lays rasters of one grid over each other, later ones on top, nodata open.

    Args:
        views: The rasters.
        north_west: Longitude of the western edge, side of a pixel and latitude of the northern edge, degrees.
        width: In pixels.
        height: In pixels.
        layer: What they hold.
        bands: Of each raster.
    """
    west, pixel, north = north_west
    looks = _looks(layer) if has_palette(layer, bands) else ""
    layers = "".join(_mosaic_band(views, band, layer, looks) for band in range(1, bands + 1))
    return f"""<VRTDataset rasterXSize="{width}" rasterYSize="{height}">
  <SRS dataAxisToSRSAxisMapping="2,1">{LONLAT}</SRS>
  <GeoTransform>{west!r}, {pixel!r}, 0.0, {north!r}, 0.0, {-pixel!r}</GeoTransform>
{layers}</VRTDataset>
"""


def _looks(layer: Layer) -> str:
    """Palette and, for a layer of codes, names of the values as elements of a VRT band; QGIS shows both."""
    entries = "".join(
        f'      <Entry c1="{red}" c2="{green}" c3="{blue}" c4="{alpha}"/>\n'
        for _, (red, green, blue, alpha) in sorted(palette(layer).items())
    )
    colours = f"    <ColorInterp>Palette</ColorInterp>\n    <ColorTable>\n{entries}    </ColorTable>\n"
    if not layer.legend:
        return colours
    names = "".join(
        f"      <Category>{escape(layer.legend.get(value, ''))}</Category>\n" for value in range(max(layer.legend) + 1)
    )
    return f"    <CategoryNames>\n{names}    </CategoryNames>\n{colours}"


def _mosaic_band(views: list[Path], band: int, layer: Layer, looks: str) -> str:
    sources = "".join(
        f"""    <ComplexSource>
      <SourceFilename relativeToVRT="1">{escape(view.name)}</SourceFilename>
      <SourceBand>{band}</SourceBand>
      <NODATA>{layer.nodata:g}</NODATA>
    </ComplexSource>
"""
        for view in views
    )
    scale = "" if layer.scale == 1 else f"    <Scale>{layer.scale:g}</Scale>\n"
    return f"""  <VRTRasterBand dataType="{GDAL_TYPES[layer.dtype]}" band="{band}">
    <NoDataValue>{layer.nodata:g}</NoDataValue>
    <UnitType>{escape(layer.unit)}</UnitType>
{scale}{looks}{sources}  </VRTRasterBand>
"""
