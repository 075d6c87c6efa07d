"""Tables of places with their ground, as layers of a GeoPackage or as GeoParquet."""

import shutil
import tempfile
from collections import defaultdict
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from pyogrio import write_dataframe
from pyogrio.errors import DataSourceError, FeatureError
from shapely.geometry.base import BaseGeometry

from stook.transforms.ground.region import Region
from stook.transforms.ground.unit import polygonal
from stook.transforms.statistics.sums import Place, places
from stook.transforms.store import Address, replacing

GEOPACKAGE, GEOPARQUET = ".gpkg", ".geoparquet"
GEOMETRY_SUFFIXES = (GEOPACKAGE, GEOPARQUET)
GEOPARQUET_VERSION = "1.1.0"
CRS = "EPSG:4326"


def grounds(region: Region, name: str) -> dict[Place, BaseGeometry]:
    """Level and id -> multipolygon in degrees: of each unit, and of parents and the region all their units in one.

    Args:
        region: The frozen units.
        name: Of the region, the id of its own row.
    """
    members: dict[Place, list[BaseGeometry]] = defaultdict(list)
    for unit in region.units:
        for place in (*places(unit), ("region", name)):
            members[place].append(unit.geometry)
    return {place: _multipolygon(parts) for place, parts in members.items()}


def with_ground(table: pd.DataFrame, found: dict[Place, BaseGeometry]) -> gpd.GeoDataFrame:
    """A table that has columns ``level`` and ``id``, with the ground of each row's place."""
    keys = zip(table["level"], table["id"], strict=True)
    return gpd.GeoDataFrame(table, geometry=[found[place] for place in keys], crs=CRS)


def write_with_ground(table: gpd.GeoDataFrame, path: Address) -> None:
    """Write a table by suffix: ``.gpkg`` with a layer per product, ``.geoparquet`` 1.1 with all rows.

    The file appears whole.

    Raises:
        OSError: If it cannot be written.
    """
    # GDAL wants the suffix of a GeoPackage, and puts its journal beside it.
    beside = path.parent if isinstance(path, Path) else None
    with tempfile.TemporaryDirectory(dir=beside, prefix=f".{path.name}-") as folder:
        scratch = Path(folder) / path.name
        if path.suffix == GEOPARQUET:
            table.to_parquet(scratch, index=False, schema_version=GEOPARQUET_VERSION)
            _without_arrow_extension(scratch)
        else:
            try:
                for product, part in table.groupby("product", sort=False):
                    write_dataframe(part, scratch, layer=str(product), driver="GPKG", append=scratch.exists())
            except (DataSourceError, FeatureError) as error:
                raise OSError(f"GDAL: {error}") from error
        with replacing(path) as target:
            shutil.move(scratch, target)


def _without_arrow_extension(path: Path) -> None:
    """Leave the description of a GeoParquet's geometry to its ``geo`` metadata alone.

    GDAL 3.12 with Arrow 21 or later, where it meets Arrow's own mark of a geometry on a column that is not of Parquet's
    type for geometries, does not look into ``geo`` and opens the file without a CRS.
    """
    found = pq.read_table(path)
    fields = [field.remove_metadata() for field in found.schema]
    pq.write_table(found.cast(pa.schema(fields, metadata=found.schema.metadata)), path)


def _multipolygon(parts: list[BaseGeometry]) -> BaseGeometry:
    """All of the polygons of some geometries in one."""
    whole = polygonal(parts[0] if len(parts) == 1 else shapely.union_all(parts))
    return shapely.MultiPolygon(list(shapely.get_parts(whole)))
