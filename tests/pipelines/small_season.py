"""A small simulated season that tests and evidence may map, copy and spoil."""

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import rasterio
import shapely
import torch
import yaml
from rasterio.windows import Window

from stook.models.bundle import Bundle, Conditions, Provenance
from stook.models.encoder import Encoder
from stook.models.heads import Calibration, Head
from stook.models.presto import Presto, PrestoSize
from stook.models.resnet import ResNet, ResNetSize
from stook.models.tasks import ClassTask
from stook.pipelines.configuration import MapConfiguration
from stook.pipelines.demo.place import PILES_WINDOW, WINDOW, YEAR, write_place
from stook.pipelines.season import region_of
from stook.pipelines.sections import load
from stook.transforms.ground.geodesy import transformer
from stook.transforms.ground.grid import Grid, Tile
from stook.transforms.simulation.ground import Place
from stook.transforms.simulation.scenes import Revisit

SMALL_PLACE = Place(width_m=900, height_m=1000, seed=21)
RARELY = Revisit(optical_days=30, radar_days=60)
SMALL_DEMO = {"place": SMALL_PLACE, "revisit": RARELY}  # the size of experiments on the demonstration's place
TILE_PX = 50
YEAR_ROUND = Conditions(start_month=1, months=12)
BLOCK_PX = 16
MARGIN_PX = 3  # readers of neighbouring tiles and zones look this far beyond their edge
ABSENT = object()
PILE_CELL_M = 50
PILE_CHIP_PX = 12  # of 5 m: a little wider than the cell
PILES = {"bundle": "piles", "window": PILES_WINDOW}  # a product of the season, once its bundle is written
NOVEMBER = {"bundle": "piles", "window": {"start": {"month": 11, "year": 0}, "months": 1}}  # of a single date


@dataclass(frozen=True)
class Damage:
    """A file of the archive with one block that cannot be decoded.

    Attributes:
        file: The file.
        whole: Its bytes before.
        tile: Name of the only tile that reads the block.
    """

    file: Path
    whole: bytes
    tile: str

    def mend(self) -> None:
        """Put the file back."""
        self.file.write_bytes(self.whole)


@dataclass(frozen=True)
class SmallSeason:
    """A simulated place of about 0.9 km² over the meridian of 36° E, ready to be mapped.

    Attributes:
        config: For ``stook map``; tiles of 500 m, output beside it.
        year: Harvest year to map.
    """

    config: Path
    year: int

    @property
    def folder(self) -> Path:
        """Holds archive, units, truth, bundle and output."""
        return self.config.parent

    @property
    def output(self) -> Path:
        """The season's folder in the output."""
        return self.folder / "out" / "simulated" / f"main-{self.year}"

    @property
    def configuration(self) -> MapConfiguration:
        """The configuration, read anew."""
        return load(self.config, MapConfiguration)

    def items(self) -> list[Path]:
        """The STAC items of the archive, sorted; the assets of each lie beside it."""
        return sorted(path for path in (self.folder / "archive").glob("*/*/*.json"))

    def copy(self, folder: Path) -> "SmallSeason":
        """A copy in ``folder`` that may be spoiled."""
        shutil.copytree(self.folder, folder)
        return SmallSeason(folder / self.config.name, self.year)

    def configure(self, **fields: Any) -> "SmallSeason":
        """Change the configuration file: ``a__b=1`` sets ``a.b``, ``ABSENT`` takes a field out; returns the season."""
        content = yaml.safe_load(self.config.read_text())
        for name, value in fields.items():
            *sections, last = name.split("__")
            section = reduce(lambda inner, key: inner.setdefault(key, {}), sections, content)
            if value is ABSENT:
                section.pop(last)
            else:
                section[last] = value
        self.config.write_text(yaml.safe_dump(content, sort_keys=False))
        return self

    def hurried(self, months: int = 2, start_month: int = 6) -> "SmallSeason":
        """Shorten the window to a few months, so that a tile takes less than a second; returns the season.

        From June on much is cloudy, in January nothing is.
        """
        window = {"start": {"month": start_month, "year": 0}, "months": months}
        write_random_bundle(self.folder / "bundle", Conditions(start_month, months))
        return self.configure(products__cropland__window=window, products__cropland__minimum_observations=0)

    def repeat_in(self, year: int) -> "SmallSeason":
        """Add the scenes to the archive once more as those of another year, the same pixels; returns the season."""
        for collection in (self.folder / "archive").glob("*/collection.json"):
            content = json.loads(collection.read_text())
            for path in sorted(collection.parent.glob(f"*_{self.year}*/*.json")):
                item = json.loads(path.read_text())
                time = item["properties"]["datetime"]
                item["id"] = item["id"].replace(str(self.year), str(year))
                item["properties"]["datetime"] = f"{year}{time.removeprefix(str(self.year))}"
                for asset in item["assets"].values():
                    asset["href"] = f"../{path.parent.name}/{Path(asset['href']).name}"
                target = collection.parent / item["id"] / f"{item['id']}.json"
                target.parent.mkdir()
                target.write_text(json.dumps(item))
                link = f"./{item['id']}/{target.name}"
                content["links"].append({"rel": "item", "href": link, "type": "application/geo+json"})
            collection.write_text(json.dumps(content))
        return self

    def narrowed(self, east: float = 36.0016) -> "SmallSeason":
        """Shrink the region to a unit on each side of the meridian, one tile of 1 km per zone; returns the season.

        With tiles of 500 m the western one lies in four. ``east`` is the eastern border; scenes end at 36.0051 degrees.
        """
        south, north = 9.0006, 9.0034
        units = {"west": shapely.box(35.9965, south, 36.0, north), "east": shapely.box(36.0, south, east, north)}
        table = gpd.GeoDataFrame(
            {"unit_id": list(units), "name": list(units), "parent_id": "both", "country_id": "all"},
            geometry=list(units.values()),
            crs=4326,
        )
        table.to_file(self.folder / "districts.geojson", driver="GeoJSON")
        return self.configure(grid__tile_px=100)

    def damage_one_tile(self) -> Damage:
        """Spoil one block of a red band of June, in ground that a single tile reads."""
        scene = next(item.parent for item in self.items() if item.name.startswith("S2") and "_202306" in item.name)
        file = scene / "red.tif"
        whole = file.read_bytes()
        config = self.configuration
        grid = config.grid.grid()
        tiles = region_of(config).tiles(grid)
        write_in_blocks(file)
        with rasterio.open(file) as source:
            for (row, column), window in source.block_windows(1):
                readers = tiles_reading(source, window, grid, tiles)
                if len(readers) == 1:
                    start = int(source.get_tag_item(f"BLOCK_OFFSET_{column}_{row}", "TIFF", bidx=1))
                    size = int(source.get_tag_item(f"BLOCK_SIZE_{column}_{row}", "TIFF", bidx=1))
                    break
        content = bytearray(file.read_bytes())
        content[start : start + size] = bytes(size)
        file.write_bytes(content)
        return Damage(file, whole, readers.pop())


def tiles_reading(source: rasterio.DatasetReader, window: Window, grid: Grid, tiles: Iterable[Tile]) -> set[str]:
    """Names of the tiles that may read a window of a file."""
    columns = np.array([window.col_off, window.col_off + window.width])[[0, 0, 1, 1]]
    rows = np.array([window.row_off, window.row_off + window.height])[[0, 1, 0, 1]]
    corners = source.transform * (columns, rows)
    reach = MARGIN_PX * grid.resolution_m
    found = set()
    for tile in tiles:
        x, y = transformer(str(source.crs), f"EPSG:{tile.zone.epsg}").transform(*corners)
        left, bottom, right, top = grid.bounds(tile).bbox
        if min(x) < right + reach and max(x) > left - reach and min(y) < top + reach and max(y) > bottom - reach:
            found.add(tile.name)
    return found


def write_in_blocks(file: Path) -> None:
    """Write a raster anew in small blocks, each of which can be spoiled by itself."""
    with rasterio.open(file) as source:
        values, profile = source.read(1), source.profile
    blocks = {"driver": "GTiff", "tiled": True, "blockxsize": BLOCK_PX, "blockysize": BLOCK_PX, "compress": "DEFLATE"}
    with rasterio.open(file, "w", **{**profile, **blocks}) as target:
        target.write(values, 1)


def write_random_bundle(
    folder: Path, conditions: Conditions = YEAR_ROUND, seed: int = 5, encoder: Encoder | None = None
) -> None:
    """A bundle with random weights from a fixed seed: fast, reproducible, and not worth a map."""
    torch.manual_seed(seed)
    provenance = Provenance(
        "cropland", "random weights", None, "Apache-2.0", "nothing", "# Random weights, for tests\n"
    )
    encoder = encoder or Presto(PrestoSize(16, 1, 2, 2.0)).eval()
    Bundle(encoder, ClassTask(Head([encoder.output.width, 1]).eval()), conditions, provenance).save(folder)


def write_pile_bundle(folder: Path, months: int = 2) -> None:
    """Random weights, standardised on pictures like the archive's so that cells differ; chips of 60 m at 5 m."""
    torch.manual_seed(4)
    encoder = ResNet(ResNetSize(18, ("red", "green", "blue"), "imagenet", PILE_CHIP_PX, resolution_m=5, width=8)).eval()
    with torch.no_grad():
        features = encoder(0.1 * torch.randn(200, 3, PILE_CHIP_PX, PILE_CHIP_PX) + 0.2 * torch.randn(200, 3, 1, 1))
    head = Head([64, 1]).eval()
    head.mean.copy_(features.mean(dim=0))
    head.scale.copy_(features.std(dim=0).clamp(min=1e-3))
    provenance = Provenance("harvest_piles", "random weights", None, "Apache-2.0", "nothing", "# for tests\n")
    conditions = Conditions(start_month=11, months=months, cell_m=PILE_CELL_M)
    Bundle(encoder, ClassTask(head, Calibration()), conditions, provenance).save(folder)


def write_small_season(folder: Path) -> SmallSeason:
    """Simulate the small season in ``folder``."""
    write_random_bundle(folder / "bundle")
    place = write_place(
        folder, SMALL_PLACE, TILE_PX, {"cropland": {"bundle": folder / "bundle", "window": WINDOW}}, RARELY
    )
    return SmallSeason(place.config, YEAR)
