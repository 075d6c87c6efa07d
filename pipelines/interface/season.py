"""A published season for Python: maps as xarray, figures as tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import xarray as xr
from odc.geo.xr import assign_crs

from stook.models.errors import InputError
from stook.pipelines.configuration import MapConfiguration
from stook.pipelines.interface.reading import YEARS, whole
from stook.pipelines.season import published_edition, thresholds_of
from stook.pipelines.sections import checked, load
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.map_store import extents, open_group
from stook.transforms.editions.plan import EMBEDDING
from stook.transforms.editions.products import layers_of
from stook.transforms.editions.season_folder import SeasonFolder
from stook.transforms.ground.grid import Tile
from stook.transforms.ground.region import Region
from stook.transforms.reporting.geometry import CRS
from stook.transforms.sampling.estimates import Estimates
from stook.transforms.statistics.table import statistics
from stook.transforms.store import Address, address_of, fetched, folders_in, is_cloud

CONFIGURATIONS = (".yaml", ".yml")
ABOUT_THE_STORE = ("zarr_conventions", "first_tile", "tile_px")


@dataclass(frozen=True, eq=False)
class Season:
    """A published season of a region, read only; ``stook.open`` gives it."""

    _edition: Edition
    _thresholds: Mapping[str, int]

    @property
    def edition(self) -> str:
        """Name of the published edition."""
        return self._edition.id

    @property
    def folder(self) -> str:
        """Where the edition is: a path, or gs://…."""
        return str(self._edition.folder)

    @property
    def name(self) -> str:
        """Of the season, e.g. ``main-2023``."""
        return str(self._edition.plan.season)

    @property
    def region(self) -> str:
        """Name of the region."""
        return self._edition.plan.name

    @property
    def provisional(self) -> bool:
        """Whether the season was not over when it was mapped."""
        return self._edition.plan.provisional

    @property
    def simulated(self) -> list[str]:
        """The sensors whose imagery is simulated; empty where none says so."""
        return list(self._edition.manifest.get("simulated") or [])

    @cached_property
    def products(self) -> tuple[str, ...]:
        """Names of the maps."""
        return tuple(product.product for product in self._edition.plan.all_products)

    @cached_property
    def zones(self) -> tuple[int, ...]:
        """EPSG codes of the UTM zones that the region lies in, each with maps of its own."""
        tiles = (Tile.parse(name) for name in self._edition.manifest["tiles"])
        return tuple(zone.epsg for zone in extents(tiles))

    def map(self, product: str, zone: int | None = None) -> xr.Dataset:
        """A map with the layers that belong to it, in a UTM zone.

        Args:
            product: One of ``products``.
            zone: EPSG code, one of ``zones``; needed where there are several.

        Returns:
            Dataset with coordinates ``y`` and ``x`` (metres, middles of pixels, north up) and ``spatial_ref`` (the
            CRS, as rioxarray and odc-geo read it); a variable per layer, e.g. ``cropland`` (percent) and
            ``cropland_clear_observations``. Numbers are float32 with NaN where nothing is mapped; codes keep their
            integers, ``flag_values``, ``flag_meanings`` and ``_FillValue``, which stands where nothing is mapped.
            Arrays are dask arrays, a block per tile: nothing is read before it is computed.

        Raises:
            InputError: If there is no such map, or the zone is missing or unknown.
        """
        planned = {one.product: one for one in self._edition.plan.all_products}
        if not isinstance(product, str) or product not in planned:
            raise InputError(f"product: {product!r}; {self.name} has {', '.join(planned)}")
        there = ", ".join(map(str, self.zones))
        if isinstance(zone, float) or zone not in (self.zones if len(self.zones) > 1 else (None, *self.zones)):
            raise InputError(f"zone: {zone}; the region lies in {there}, choose one")
        cells, layers = self._edition.plan.cells(planned[product]), layers_of(planned[product])
        epsg = zone or self.zones[0]
        shards = {"y": cells.tile_px, "x": cells.tile_px}
        stored = open_group(self._edition.maps, str(epsg), cells.resolution_m).chunk(shards)
        facts = {"season": self.name, "edition": self.edition, "provisional": in_plain_words(self.provisional)}
        made = xr.Dataset(
            {layer.name: readable(stored[layer.name].variable, coded=bool(layer.legend)) for layer in layers},
            coords={name: stored[name].variable for name in ("y", "x")},
            attrs=facts | ({"simulated": in_plain_words(self.simulated)} if self.simulated else {}),
        )
        if "quantile" in made.dims:
            made = made.assign_coords(quantile=stored[product].attrs["quantiles"])
        return assign_crs(made, f"EPSG:{epsg}")

    def statistics(self, threshold: int | None = None) -> pd.DataFrame:
        """Hectares per product and unit, then per parent, then of the region; counts of pixels, not estimates.

        Args:
            threshold: Probability in percent, 1 to 100, from which a pixel counts as the class; as configured if None.

        Returns:
            A row per product and place, with the columns of ``statistics.csv``; see docs/statistics.md.
        """
        chosen = threshold if threshold is None else whole("threshold", threshold, 1, 100)
        return statistics(self._edition, {name: chosen or value for name, value in self._thresholds.items()})

    def estimates(self, product: str | None = None) -> pd.DataFrame:
        """The newest estimates with 95 % intervals that ``stook estimate`` made from this edition.

        Args:
            product: Of which map; of any if None.

        Raises:
            InputError: If there are none.
        """
        found = Estimates.newest(self._edition.folder.parent, self.edition, product)
        if found is None:
            raise InputError(f"{self.folder}: nothing has been estimated from this edition; 'stook estimate' does")
        return found.table

    def units(self) -> gpd.GeoDataFrame:
        """The units of the region: ``id``, ``name``, ``parent_1`` …, and geometry in degrees (EPSG:4326)."""
        units = Region.read(self._edition.units).units
        levels = max(len(unit.parents) for unit in units)
        table: dict[str, list[Any]] = {"id": [unit.id for unit in units], "name": [unit.name for unit in units]}
        for level in range(levels):
            table[f"parent_{level + 1}"] = [unit.parents[level] for unit in units]
        return gpd.GeoDataFrame(table, geometry=[unit.geometry for unit in units], crs=CRS)

    def __repr__(self) -> str:
        simulated = ", simulated imagery" if self.simulated else ""
        return f"Season({self.region} {self.name}{simulated}, edition {self.edition}: {', '.join(self.products)})"


def open_season(source: str | Path | Mapping[str, Any], year: int) -> Season:
    """See ``stook.open``."""
    year = whole("year", year, *YEARS)
    if isinstance(source, Mapping):
        return of_configuration(checked(source, MapConfiguration), year)
    if str(source).endswith(CONFIGURATIONS):
        return of_configuration(load(source, MapConfiguration), year)
    return of_folder(address_of(str(source)), year)


def of_configuration(config: MapConfiguration, year: int) -> Season:
    """The published season of a configuration, which it must have been made from."""
    return Season(published_edition(config, year), thresholds_of(config))


def of_folder(folder: Address, year: int) -> Season:
    """The published season in a region's folder of results, at the thresholds it was published with."""
    if not is_cloud(folder) and not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder, and it is no configuration ({', '.join(CONFIGURATIONS)})")
    seasons = [name for name in folders_in(folder) if name.endswith(f"-{year}")]
    if len(seasons) != 1:
        there = f"has {' and '.join(sorted(seasons))}; open their configuration" if seasons else "has no season"
        raise InputError(f"{folder}: {there} of {year}; a region's folder of results is <output>/<name>")
    edition = SeasonFolder.at(folder / seasons[0]).current()
    if edition is None:
        raise InputError(f"{folder / seasons[0]}: no edition of this season is published")
    return Season(edition, published_thresholds(edition))


def published_thresholds(edition: Edition) -> dict[str, int]:
    """Product -> percent, as the statistics that were written on publication say."""
    table = pd.read_parquet(fetched(edition.folder / "statistics.parquet"), columns=["product", "threshold_percent"])
    known = table.dropna().drop_duplicates()
    return {EMBEDDING: 100} | dict(zip(known["product"], known["threshold_percent"].astype(int), strict=True))


def readable(stored: xr.Variable, coded: bool) -> xr.Variable:
    """A stored layer for users: numbers in their unit, float32, NaN where there is none; codes as they are."""
    attributes = {
        name: in_plain_words(value)
        for name, value in stored.attrs.items()
        if name not in ABOUT_THE_STORE and ":" not in name  # as the conventions of Zarr begin their names
    }
    if not coded:
        nodata, scale = attributes.pop("_FillValue", None), attributes.pop("scale_factor", 1.0)
        values = stored.astype("float32")
        if nodata is not None:
            values = values.where(stored != nodata)
        stored = values * scale if scale != 1.0 else values
    return xr.Variable(stored.dims, stored.data, attributes)


def in_plain_words(value: Any) -> Any:
    """An attribute as NetCDF can hold it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {part}" for name, part in value.items())
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return ", ".join(value)
    return value
