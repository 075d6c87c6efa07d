"""The map store: Zarr v3, one group per zone and resolution, one shard per tile and array."""

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
import zarr
from zarr.core.buffer import Buffer, default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import LocalStore, MemoryStore

from stook.models.errors import UnreachableError
from stook.transforms.editions.plan import DerivedPlan, Plan, ProductPlan
from stook.transforms.editions.products import Layer, layers_of
from stook.transforms.encoding.encodings import Encoding
from stook.transforms.ground.cells import strip_rows
from stook.transforms.ground.grid import Grid, Tile, TileRange, Zone
from stook.transforms.store import STORE_FAILURES, Address, link, reason_of, write_bytes, zarr_store

# 250 x 250 pixels compress to some tens of KiB, what a web map or a district's extract reads at once.
INNER_CHUNK_PX = 250

CONVENTIONS = [
    {"name": "proj:", "description": "Coordinate reference system information for geospatial data"},
    {"name": "spatial:", "description": "Spatial coordinate information"},
]


def group_name(zone_name: str, resolution_m: float) -> str:
    """Path of a group in the store, e.g. ``32637/10m``."""
    return f"{zone_name}/{resolution_m:g}m"


def extents(tiles: Iterable[Tile]) -> dict[Zone, TileRange]:
    """Zone -> the rectangle of tiles that its arrays span."""
    by_zone: dict[Zone, list[Tile]] = {}
    for tile in tiles:
        by_zone.setdefault(tile.zone, []).append(tile)
    return {zone: TileRange.of(members) for zone, members in sorted(by_zone.items())}


def create(
    path: Address,
    plan: Plan,
    mapped: Iterable[Tile],
    attributes: Mapping[str, Any] | None = None,
    explained: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Create the arrays of every zone and product, all nodata; no shard is written.

    Args:
        path: Of the store.
        plan: Of the season.
        mapped: The tiles.
        attributes: For the store and each array: what a reader must know, such as licences.
        explained: Product made from other maps -> attributes of its arrays that say how.
    """
    told = {"season": str(plan.season), "provisional": plan.provisional, **(attributes or {})}
    title = {"description": "Stook maps, one group per UTM zone and resolution"}
    root = zarr.create_group(zarr_store(path), attributes=title | told)
    for tiles in extents(mapped).values():
        for product in plan.all_products:
            cells = plan.cells(product)
            group = root.require_group(group_name(tiles.zone.name, cells.resolution_m))
            for layer in layers_of(product):
                made = dict((explained or {}).get(product.product, {}))
                _create_array(group, layer, cells, tiles, told | made | _deciphered(layer, product))
            if "x" not in group:
                _create_coordinates(group, cells, tiles)


def _deciphered(layer: Layer, product: ProductPlan | DerivedPlan) -> dict[str, Any]:
    """What a reader must know to read a layer of codes, or one with a leading dimension."""
    if isinstance(product, DerivedPlan):
        return _flags(layer)
    if layer.dimension == "quantile":
        return {"quantiles": list(product.quantiles)}
    quantisation = product.encoding.quantisation if isinstance(product.encoding, Encoding) else None
    if layer.depth is None or quantisation is None:
        return {}
    return {"offset": list(quantisation.offset), "spread": list(quantisation.spread)}


def _flags(layer: Layer) -> dict[str, Any]:
    """The legend of a layer of codes as the CF conventions write it, a blank between meanings and none in them."""
    meanings = (re.sub(r"\W+", "_", meaning) for meaning in layer.legend.values())
    return {"flag_values": list(layer.legend), "flag_meanings": " ".join(meanings)} if layer.legend else {}


def _create_array(group: zarr.Group, layer: Layer, cells: Grid, tiles: TileRange, told: Mapping[str, Any]) -> None:
    geobox = tiles.geobox(cells)
    side = cells.tile_px
    inner = INNER_CHUNK_PX if side % INNER_CHUNK_PX == 0 else side
    shape: tuple[int, ...] = tuple(geobox.shape)
    shard: tuple[int, ...] = (side, side)
    chunk: tuple[int, ...] = (inner, inner)
    names: tuple[str, ...] = ("y", "x")
    if layer.depth is not None and layer.dimension == "quantile":
        shape, shard, chunk = ((layer.depth, *part) for part in (shape, shard, chunk))
        names = (layer.dimension, *names)
    elif layer.depth is not None:
        # Vectors come and go strip by strip: a shard is a strip, a chunk the vectors of a square of cells.
        rows = strip_rows(side, layer.depth)
        across = max(width for width in range(1, rows + 1) if side % width == 0)
        shape, shard = (layer.depth, *shape), (layer.depth, rows, side)
        chunk, names = (layer.depth, rows, across), (layer.dimension, *names)
    group.create_array(
        layer.name,
        shape=shape,
        chunks=chunk,
        shards=shard,
        dtype=layer.dtype,
        fill_value=layer.nodata,
        dimension_names=names,
        attributes={
            **told,
            "zarr_conventions": CONVENTIONS,
            "proj:code": f"EPSG:{tiles.zone.epsg}",
            "spatial:dimensions": ["y", "x"],
            "spatial:transform": list(geobox.transform)[:6],
            "spatial:shape": list(geobox.shape),
            "spatial:registration": "pixel",
            "long_name": layer.title,
            "units": layer.unit,
            **({} if layer.scale == 1 else {"scale_factor": layer.scale}),
            # NaN needs no naming, is no JSON, and keeps xarray from opening the array.
            **({} if math.isnan(layer.nodata) else {"_FillValue": layer.nodata}),
            "first_tile": [tiles.ix0, tiles.iy0],
            "tile_px": side,
        },
    )


def _create_coordinates(group: zarr.Group, cells: Grid, tiles: TileRange) -> None:
    """Middles of cells as one-dimensional arrays, so that xarray opens the group with its coordinates."""
    geobox = tiles.geobox(cells)
    for name, coordinate in geobox.coordinates.items():
        attributes: dict[str, Any] = {"units": "metre", "standard_name": f"projection_{name}_coordinate"}
        group.create_array(name, data=coordinate.values, dimension_names=(name,), attributes=attributes)


def open_layer(path: Address, zone_name: str, resolution_m: float, layer: str, mode: str = "r") -> zarr.Array:
    """One array of the store."""
    return zarr.open_array(zarr_store(path), path=f"{group_name(zone_name, resolution_m)}/{layer}", mode=mode)


def write_shard(array: zarr.Array, window: tuple[slice, ...], values: np.ndarray) -> None:
    """Write one whole shard in one step, on disk before this returns; what stood in its place is not read.

    A reader sees the old shard or the new one, also where a writer that was taken for dead writes once more.

    Raises:
        ValueError: If ``window`` is not exactly one shard; two writers of one shard would lose data silently.
        UnreachableError: If the store cannot take it (disk full, no permission).
    """
    shards = array.shards or array.chunks
    for span, shard in zip(window, shards, strict=True):
        if span.start % shard or span.stop - span.start != shard:
            raise ValueError(f"{array.path}: {window} is not one whole shard of {shards}")
    position = tuple(span.start // shard for span, shard in zip(window, shards, strict=True))
    place, content = array.store_path / array.metadata.encode_chunk_key(position), _encoded(array, values)
    try:
        if content is None:
            sync(place.delete())
        elif isinstance(array.store, LocalStore):  # Zarr leaves it to the system when a file reaches the disk
            write_bytes(array.store.root / place.path, content.to_bytes())
        else:
            sync(place.set(content))
    except STORE_FAILURES as error:
        raise UnreachableError(f"output: cannot write {array.store_path}: {reason_of(error)}") from error


def _encoded(array: zarr.Array, values: np.ndarray) -> Buffer | None:
    """A whole shard as an array stores it, None for nothing but nodata.

    Zarr itself would merge it with what is there, and a shard that a power cut tore in two cannot be read.
    """
    alone = zarr.create_array(
        MemoryStore(),
        shape=values.shape,
        chunks=array.chunks,
        shards=array.shards,
        dtype=array.dtype,
        fill_value=array.fill_value,
        filters=array.filters,
        compressors=array.compressors,
    )
    alone[...] = values
    key = alone.metadata.encode_chunk_key((0,) * values.ndim)
    return sync(alone.store.get(key, prototype=default_buffer_prototype()))


def open_group(path: Address, zone_name: str, resolution_m: float) -> xr.Dataset:
    """The arrays of a group with their coordinates, as stored; no value of a map is read before it is asked for."""
    group = group_name(zone_name, resolution_m)
    return xr.open_zarr(
        zarr_store(path, read_only=True), group=group, chunks=None, consolidated=False, mask_and_scale=False
    )


@dataclass(frozen=True)
class TileOfLayer:
    """A tile of one array of a map store.

    Attributes:
        store: Address of the map store.
        array: The array.
        window: Where the tile lies in it.
    """

    store: Address
    array: zarr.Array
    window: tuple[slice, slice]

    def shards(self) -> Iterator[Address]:
        """The files of its shards, in order; one that holds nothing but nodata is not there."""
        array = self.array
        shards = array.shards or array.chunks
        depth = [range(-(-size // shard)) for size, shard in zip(array.shape[:-2], shards[:-2], strict=True)]
        sides = zip(self.window, shards[-2:], strict=True)
        plane = [range(span.start // shard, span.stop // shard) for span, shard in sides]
        home = self.store / array.path
        return (home / array.metadata.encode_chunk_key(position) for position in itertools.product(*depth, *plane))

    def link(self, source: "TileOfLayer") -> None:
        """Get the very shards of another array, as hard links or copies; what stood here before is gone.

        Raises:
            UnreachableError: If the store cannot take them.
        """
        for old, new in zip(source.shards(), self.shards(), strict=True):
            try:
                link(old, new)
            except STORE_FAILURES as error:
                raise UnreachableError(f"output: cannot write {new}: {reason_of(error)}") from error


def read_around(array: zarr.Array | xr.DataArray, window: tuple[slice, slice], reach: int, nodata: float) -> np.ndarray:
    """A window of an array [..., y, x] with ``reach`` more on each of the four sides, nodata beyond the array."""
    asked = [(span.start - reach, span.stop + reach) for span in window]
    there = [(max(start, 0), min(stop, size)) for (start, stop), size in zip(asked, array.shape[-2:], strict=True)]
    margins = [(low - start, stop - high) for (start, stop), (low, high) in zip(asked, there, strict=True)]
    rows, columns = (slice(low, high) for low, high in there)
    values = np.asarray(array[..., rows, columns])
    return np.pad(values, [(0, 0)] * (values.ndim - 2) + margins, constant_values=nodata) if reach else values


def write_images(
    path: Address,
    plan: Plan,
    product: ProductPlan | DerivedPlan,
    tile: Tile,
    window: tuple[slice, slice],
    images: tuple[np.ndarray, ...],
) -> None:
    """Write the last layers of a product, one image each; ``window`` is where the tile lies in the arrays."""
    resolution_m = plan.cells(product).resolution_m
    for layer, image in zip(layers_of(product)[-len(images) :], images, strict=True):
        array = open_layer(path, tile.zone.name, resolution_m, layer.name, mode="r+")
        write_shard(array, (*(slice(0, depth) for depth in image.shape[:-2]), *window), image)


def write_blank(
    path: Address, plan: Plan, product: ProductPlan | DerivedPlan, tile: Tile, window: tuple[slice, slice]
) -> None:
    """Make a tile of a product nodata; ``window`` is where it lies in the arrays."""
    cells = plan.cells(product)
    rows, columns = window
    for layer in layers_of(product):
        array = open_layer(path, tile.zone.name, cells.resolution_m, layer.name, mode="r+")
        height = (array.shards or array.chunks)[-2]
        for start in range(rows.start, rows.stop, height):
            place: tuple[slice, ...] = slice(start, start + height), columns
            if layer.depth is not None:
                place = slice(0, layer.depth), *place
            blank = np.full([span.stop - span.start for span in place], layer.nodata, layer.dtype)
            write_shard(array, place, blank)
