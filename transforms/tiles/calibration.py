"""Rates measured by doing a little of the work: real tiles, with few scenes and few pixels, in an edition of their own.

The edition is thrown away. One tile is done at a time, so that what reading costs and what encoding costs can be told
apart; how they get into each other's way in a run, ``stook.transforms.tiles.rates.duration`` says.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow.dataset as ds
import torch
from odc.geo.geobox import GeoBox
from torch import Tensor

from stook.models.encoder import Chips
from stook.models.errors import TileError
from stook.models.inference import Embedder
from stook.transforms.editions.plan import ProductPlan
from stook.transforms.encoding.encodings import PictureEncoding
from stook.transforms.ground.antimeridian import within_one_turn
from stook.transforms.ground.areas import TileCoverage
from stook.transforms.ground.grid import Tile
from stook.transforms.ground.region import Region
from stook.transforms.ground.unit import Unit, polygonal
from stook.transforms.imagery.inputs import Inputs
from stook.transforms.store import bytes_below
from stook.transforms.tiles.forecast import Key, need_of
from stook.transforms.tiles.materials import Materials
from stook.transforms.tiles.rates import IMAGERY_STEPS, Cost
from stook.transforms.tiles.tile_job import TileJob

MOST_BATCHES, LEAST_BATCHES = 24, 4  # of chips that are shown to each encoder
UNDISTURBED = 0.25  # of batches are as fast as this: others may use the machine meanwhile
MOST_ASSETS, LEAST_ASSETS = 160, 40  # that are opened, for a composite
SHARE = 0.05  # of all that is to be done, between them


@dataclass(frozen=True)
class Sample:
    """What is done of a tile.

    Attributes:
        tile: Which.
        region: The ground of the tile that is mapped.
        inputs: The scenes that are read.
    """

    tile: Tile
    region: Region
    inputs: Inputs


class Clock:
    """Time since it was made, by the wall and of this process's processors."""

    def __init__(self) -> None:
        self.start, self.processor = time.perf_counter(), time.process_time()

    @property
    def cost(self) -> Cost:
        """Until now, all of it alone."""
        seconds = time.perf_counter() - self.start
        return Cost(seconds, time.process_time() - self.processor, seconds)


class TimedEmbedder(Embedder):
    """An encoder that tells how long it takes; the first chip, for which much is set up, is left out.

    Args:
        embedder: The encoder.
    """

    def __init__(self, embedder: Embedder):
        super().__init__(embedder.encoder, embedder.device, embedder.batch, embedder.precision)
        self.spent = Cost()
        self.batches: list[tuple[int, Cost]] = []
        self.warm = False

    def __call__(self, cut: Callable[[slice], Chips], count: int) -> Tensor:
        """See ``Embedder``."""
        if count and not self.warm:
            super().__call__(cut, 1)
            self.shown, self.warm, self.batches = 0, True, []
        watch = Clock()
        vectors = super().__call__(cut, count)
        self.spent += watch.cost
        return vectors

    def _embed(self, chips: Chips) -> Tensor:
        watch = Clock()
        vectors = super()._embed(chips)
        self.batches.append((len(chips), watch.cost))
        return vectors

    def per_chip(self) -> Cost:
        """Of one chip: what the batches take that nobody disturbs, and cutting.

        Without an accelerator an encoder does nothing but compute: what it is held up by others who use the machine now
        is left out, as the run may meet them or not.
        """
        batches = sum((cost for _, cost in self.batches), Cost())
        cutting = (self.spent + batches.times(-1)).times(1 / self.shown)
        busy, processor = (
            float(np.quantile([getattr(cost, name) / count for count, cost in self.batches], UNDISTURBED))
            for name in ("busy", "processor")
        )
        if self.device.type == "cpu":
            busy = processor / torch.get_num_threads()
        return cutting + Cost(busy, processor, busy)


@dataclass(frozen=True)
class Measured:
    """What a sample took.

    Attributes:
        opened: Cost of a file that was opened.
        shown: Encoder -> cost of a pixel.
        tile: Cost of the tile besides: shards, areas.
        once_s: What was set up for the first tile, seconds.
        bytes_per_px: Of maps, compressed, by pixel of the region's ground.
    """

    opened: Cost
    shown: dict[tuple[str, str], Cost]
    tile: Cost
    once_s: float
    bytes_per_px: float


def sample_of(
    materials: Materials, tile: Tile, group: list[ProductPlan], chips: Mapping[Key, float], assets: float | None
) -> Sample:
    """A bounded part of the work on a tile: some rows of its ground, and every so many of its scenes.

    Args:
        materials: Of the edition.
        tile: The tile.
        group: The products, which read together.
        chips: How many there are in all that is to be done, by encoder.
        assets: How many files are opened in all for these products; None to leave out no scene.
    """
    plan = materials.plan
    ground = TileCoverage.of(materials.region, plan.grid, tile)
    need = need_of(materials, ground, group)
    owned = np.flatnonzero(ground.owned.any(axis=1))
    wanted = max(need.chips.get(key, 0) / _chips_of(materials, key, chips.get(key, 0)) for key in map(key_of, group))
    rows = len(owned) if wanted <= 1 else max(1, round(len(owned) / wanted))
    cell = max(product.cell_px for product in group)
    first = int(owned[max(0, (len(owned) - rows) // 2)]) // cell * cell
    band = plan.grid.geobox(tile)[first : min(first + max(rows, cell), plan.grid.tile_px), :]
    region = clipped(materials.region, band)
    halo_px = max(product.encoding.halo_px for product in group)
    near = {item.id for items in materials.near(tile, halo_px).values() for item in items}
    table = materials.inputs.rows.to_table(filter=ds.field("item_id").isin(list(near)))
    every = 1
    if assets is not None and not isinstance(group[0].encoding, PictureEncoding):
        every = max(1, round(len(need.pieces) / between(LEAST_ASSETS, SHARE * assets, MOST_ASSETS)))
    return Sample(tile, region, Inputs(ds.dataset(table.take(list(range(0, len(table), every))))))


def clipped(region: Region, box: GeoBox) -> Region:
    """The part of a region that lies in a box."""
    outline = within_one_turn(box.extent.to_crs("EPSG:4326", resolution=box.resolution.x * 50).geom)
    near = [unit for unit in region.units if unit.geometry.intersects(outline)]
    parts = [(unit, polygonal(unit.geometry.intersection(outline))) for unit in near]
    return Region(tuple(Unit(unit.id, unit.name, unit.parents, part) for unit, part in parts if not part.is_empty))


def measure(job: TileJob, sample: Sample) -> Measured:
    """Do a sample in an edition that was opened for it.

    Raises:
        TileError: If it cannot be done; says why.
        UnreachableError: If an archive does not answer.
    """
    timed = {key: TimedEmbedder(embedder) for key, embedder in job.materials.embedders.items()}
    job.materials.embedders.update(timed)
    empty = bytes_below(job.edition.maps)
    watch = Clock()
    job.run(sample.tile)
    spent = watch.cost
    written = bytes_below(job.edition.maps) - empty
    record = job.edition.ledger.read(sample.tile)
    if record is None or record.failed:
        causes = [product.error or "" for product in record.products.values()] if record else []
        raise TileError(f"{sample.tile.name}: {next(iter(causes), 'nothing was made')}")
    rest = sum((each.spent.times(-1) for each in timed.values()), spent)
    read = min(rest.busy, sum(record.seconds.get(step, 0.0) for step in IMAGERY_STEPS))
    steps = sum(seconds for step, seconds in record.seconds.items() if step not in (*IMAGERY_STEPS, "encode"))
    shown = {
        key: each.per_chip().times(1 / each.encoder.specification.chip_px**2)
        for key, each in timed.items()
        if each.shown
    }
    opened = Cost(read, rest.processor * read / rest.busy).times(1 / max(1, record.amounts["assets"]))
    ground = TileCoverage.of(sample.region, job.plan.grid, sample.tile).owned.sum()
    once = max(0.0, rest.busy - read - steps)
    return Measured(opened, shown, Cost(steps, steps), once, written / max(1, int(ground)))


def undemanding(products: list[ProductPlan]) -> tuple[ProductPlan, ...]:
    """The same products, content with fewer observations: a sample has few scenes."""
    return tuple(replace(product, minimum_observations=0) for product in products)


def key_of(product: ProductPlan) -> Key:
    """Which encoder a product is made with, as ``Materials.embedders`` knows it."""
    return product.encoding.encoder, product.encoding.precision


def _chips_of(materials: Materials, key: Key, count: float) -> float:
    """Chips of a sample, where there are so many in all."""
    batch = materials.embedders[key].batch
    return between(LEAST_BATCHES * batch, SHARE * count, MOST_BATCHES * batch)


def between(least: float, value: float, most: float) -> float:
    """The value, or the bound that it is beyond."""
    return min(most, max(least, value))
