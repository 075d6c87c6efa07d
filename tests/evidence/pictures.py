"""Memory and bytes of a 10 km tile whose archive of 0.5 m covers a few percent of it."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely
import torch
import yaml
from affine import Affine
from odc.geo.geobox import GeoBox
from scipy.ndimage import gaussian_filter

from stook.models.bundle import Bundle, Conditions, Provenance
from stook.models.heads import Head
from stook.models.resnet import ResNet, ResNetSize
from stook.models.tasks import ClassTask
from stook.transforms.editions.map_store import open_layer
from stook.transforms.ground.grid import Grid, Tile
from stook.transforms.simulation.catalogue import CatalogueWriter
from stook.transforms.values import NODATA
from tests.evidence.figure import Experiment, Figure
from tests.evidence.measured_run import MIB, MeasuredRun, measured_map

YEAR = 2023
TILE = Tile.parse("32637_50_150")
PIXEL_M, CHIP_PX, CELL_M = 0.5, 512, 250  # as HarvestNet's pictures
SHARES = {"0_3": 0.003, "3": 0.03}  # by percent: of the tile that is pictured
INSET_M = 15  # the tile's edges are straight in the projection, the unit's are geodesics


def run(scratch: Path, shares: Mapping[str, float] = SHARES) -> Iterator[Figure]:
    """What a tile costs where 0.3 % and where 3 % of it are pictured, with random numbers for pixels and weights."""
    for percent, share in shares.items():
        folder = scratch / percent
        stored = write_archive(folder, share)
        cost = measured_map(write_config(folder), YEAR)
        cells = np.asarray(open_layer(Path(cost.edition) / "maps.zarr", TILE.zone.name, CELL_M, "harvest_piles")[:])
        note = f"{(cells != NODATA).sum()} of {cells.size} cells of {CELL_M} m wholly pictured"
        yield from figures(percent, cost, stored, note)


def figures(percent: str, cost: MeasuredRun, stored_mib: float, note: str) -> Iterator[Figure]:
    """The figures of one run."""
    yield Figure(f"pictures.peak_mib.{percent}_percent", cost.peak_mib, f"MiB of the process; {note}")
    yield Figure(
        f"pictures.mib_read.{percent}_percent",
        cost.mib_read,
        f"of a picture of {stored_mib:.0f} MiB; catalogue, bundle and output's own reading included",
    )
    yield Figure(f"pictures.seconds.{percent}_percent", cost.seconds, "ResNet-18 of width 8, random weights; CPU")


def write_archive(folder: Path, share: float) -> float:
    """One picture of random texture in the middle of the tile; returns the MiB that it takes on disk."""
    bounds = Grid().bounds(TILE)
    side_m = np.sqrt(share) * (bounds.right - bounds.left)
    pixels = int(side_m / PIXEL_M)
    left, top = (bounds.left + bounds.right - side_m) / 2, (bounds.bottom + bounds.top + side_m) / 2
    random = np.random.default_rng(0)
    values = np.stack([gaussian_filter(random.standard_normal((pixels, pixels), np.float32), 1.5) for _ in range(3)])
    picture = np.clip(128 + 160 * values, 1, 255).astype(np.uint8)
    grid = GeoBox((pixels, pixels), Affine(PIXEL_M, 0, left, 0, -PIXEL_M, top), bounds.crs)
    writer = CatalogueWriter(folder / "archive", "random numbers, not real imagery")
    writer.add_scene("pictures", "HR", datetime(YEAR, 11, 20, 8, tzinfo=UTC), {"visual": picture}, grid, 0)
    writer.save()
    return (folder / "archive" / "pictures" / "HR" / "visual.tif").stat().st_size / MIB


def write_config(folder: Path) -> Path:
    """The configuration of one tile, with its unit and a bundle of random weights beside it."""
    torch.manual_seed(0)
    size = ResNetSize(18, ("red", "green", "blue"), "imagenet", CHIP_PX, PIXEL_M, width=8)
    provenance = Provenance("harvest_piles", "random weights", None, "Apache-2.0", "nothing", "# Random weights\n")
    conditions = Conditions(start_month=11, months=2, cell_m=CELL_M)
    Bundle(ResNet(size).eval(), ClassTask(Head([64, 1]).eval()), conditions, provenance).save(folder / "bundle")
    bounds = Grid().bounds(TILE)
    ground = shapely.box(*bounds.bbox).buffer(-INSET_M, join_style="mitre")
    units = gpd.GeoDataFrame({"id": ["tile"]}, geometry=[ground], crs=str(bounds.crs)).to_crs(4326)
    units.to_file(folder / "units.geojson", driver="GeoJSON")
    config = folder / "config.yaml"
    configuration = {
        "name": "pictures",
        "region": {"file": "units.geojson", "id": "id"},
        "imagery": {
            "rgb": {"catalog": "archive/catalog.json", "collection": "pictures", "profile": "visual-8bit"},
        },
        "season": {"name": "main"},
        "products": {
            "harvest_piles": {"bundle": "bundle", "window": {"start": {"month": 11, "year": 0}, "months": 2}},
        },
        "run": {"mode": "memory"},
        "output": "out",
    }
    config.write_text(yaml.safe_dump(configuration, sort_keys=False))
    return config


EXPERIMENT = Experiment("pictures", run, small={"shares": {"0_3": 0.001, "3": 0.003}})
