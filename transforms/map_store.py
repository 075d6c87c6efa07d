"""The map store: Zarr v3, one group per zone and resolution, one shard per tile and array."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.core.sync import sync

from models.errors import UnreachableError
from transforms.grid import Grid, Tile, TileRange, Zone
from transforms.plan import Plan
from transforms.products import NODATA, PRODUCTS, Layer

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


def create(path: Path, plan: Plan, mapped: Iterable[Tile]) -> None:
    """Create the arrays of every zone and product, all nodata; no shard is written."""
    season = {"season": str(plan.season), "provisional": plan.provisional}
    title = {"description": "Stook maps, one group per UTM zone and resolution"}
    root = zarr.create_group(path, attributes=title | season)
    for tiles in extents(mapped).values():
        for product in plan.products:
            group = root.require_group(group_name(tiles.zone.name, plan.grid.resolution_m))
            for layer in PRODUCTS[product.product].layers:
                _create_array(group, layer, plan.grid, tiles, season)
            if "x" not in group:
                _create_coordinates(group, plan.grid, tiles)


def _create_array(group: zarr.Group, layer: Layer, grid: Grid, tiles: TileRange, season: Mapping[str, Any]) -> None:
    geobox = tiles.geobox(grid)
    inner = INNER_CHUNK_PX if grid.tile_px % INNER_CHUNK_PX == 0 else grid.tile_px
    group.create_array(
        layer.name,
        shape=tuple(geobox.shape),
        chunks=(inner, inner),
        shards=(grid.tile_px, grid.tile_px),
        dtype="uint8",
        fill_value=NODATA,
        dimension_names=("y", "x"),
        attributes={
            **season,
            "zarr_conventions": CONVENTIONS,
            "proj:code": f"EPSG:{tiles.zone.epsg}",
            "spatial:dimensions": ["y", "x"],
            "spatial:transform": list(geobox.transform)[:6],
            "spatial:shape": list(geobox.shape),
            "spatial:registration": "pixel",
            "long_name": layer.title,
            "units": layer.unit,
            "_FillValue": NODATA,
            "first_tile": [tiles.ix0, tiles.iy0],
            "tile_px": grid.tile_px,
        },
    )


def _create_coordinates(group: zarr.Group, grid: Grid, tiles: TileRange) -> None:
    """Pixel centres as one-dimensional arrays, so that xarray opens the group with its coordinates."""
    geobox = tiles.geobox(grid)
    for name, coordinate in geobox.coordinates.items():
        attributes: dict[str, Any] = {"units": "metre", "standard_name": f"projection_{name}_coordinate"}
        group.create_array(name, data=coordinate.values, dimension_names=(name,), attributes=attributes)


def open_layer(path: Path, zone_name: str, resolution_m: float, layer: str, mode: str = "r") -> zarr.Array:
    """One array of the store."""
    return zarr.open_array(path, path=f"{group_name(zone_name, resolution_m)}/{layer}", mode=mode)


def write_tile(array: zarr.Array, window: tuple[slice, slice], values: np.ndarray) -> None:
    """Write one whole shard; whatever stood in its place is removed unread.

    Raises:
        ValueError: If ``window`` is not exactly one shard; two writers of one shard would lose data silently.
        UnreachableError: If the store cannot take it (disk full, no permission).
    """
    shards = array.shards or array.chunks
    for span, shard in zip(window, shards, strict=True):
        if span.start % shard or span.stop - span.start != shard:
            raise ValueError(f"{array.path}: {window} is not one whole shard of {shards}")
    position = tuple(span.start // shard for span, shard in zip(window, shards, strict=True))
    try:
        # Zarr would merge with what is there, and a shard that a power cut tore in two cannot be read.
        sync((array.store_path / array.metadata.encode_chunk_key(position)).delete())
        array[window] = values
    except OSError as error:
        raise UnreachableError(f"output: cannot write {array.store_path}: {error.strerror or error}") from error
