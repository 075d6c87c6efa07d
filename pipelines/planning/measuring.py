"""What work costs on this machine: as an earlier run found, or as a sample of the work shows."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

from stook.models.errors import TileError
from stook.pipelines.configuration import MapConfiguration
from stook.pipelines.opening import open_edition
from stook.pipelines.planning.grown import KINDS, Grown
from stook.pipelines.progress import SilentReporter
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.plan import Plan, ProductPlan
from stook.transforms.editions.products import layers_of
from stook.transforms.editions.season_folder import SeasonFolder
from stook.transforms.ground.grid import Tile
from stook.transforms.tiles.calibration import Measured, key_of, measure, sample_of, undemanding
from stook.transforms.tiles.materials import Machine, Materials
from stook.transforms.tiles.past import past_run
from stook.transforms.tiles.rates import Cost, Rates
from stook.transforms.tiles.tile_job import TileJob
from stook.transforms.tiles.together import read_together


@dataclass(frozen=True)
class Found:
    """Rates, and what else was measured with them.

    Attributes:
        rates: The rates.
        disk_bytes: Of the maps to write; None where nothing tells.
        notes: What went wrong.
    """

    rates: Rates
    disk_bytes: float | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measurer:
    """Finds out what work costs on this machine.

    Attributes:
        config: The configuration.
        folder: Of the season.
        like: An edition that was opened like the run's.
        materials: Of it.
        tally: What there is to do.
        scratch: Where calibrating may write.
    """

    config: MapConfiguration
    folder: SeasonFolder
    like: Edition
    materials: Materials
    tally: Grown
    scratch: Path

    def rates(self) -> Found:
        """From an earlier run that did the same kind of work on this machine, or from a sample of the work."""
        work = self.tally.work()
        if not work.tiles:
            return Found(Rates("nothing to measure", {}, {}, Cost()))
        plan = self.materials.plan
        past = past_run(self.folder, self.config.season.name, plan) if self.tally.everything_due(plan) else None
        if past is None:
            return self._calibrated()
        rates = past.rates(work.assets, work.pixels)
        return Found(rates, past.bytes_per_tile * work.tiles if past.bytes_per_tile is not None else None)

    def _calibrated(self) -> Found:
        start = time.perf_counter()
        opened: dict[str, Cost] = {}
        shown: dict[str, Cost] = {}
        tile, once_s, bytes_per_px, done, notes = Cost(), 0.0, 0.0, 0, []
        due = [product for product in self.materials.plan.products if product.product in self.tally.largest]
        for number, group in enumerate(read_together(due)):
            name = max(self.tally.largest[product.product] for product in group)[1]
            try:
                measured = self._measured(number, Tile.parse(name), group)
            except TileError as error:
                notes.append(f"not measured: {error}")
                continue
            done += 1
            opened[KINDS["rgb" in group[0].encoding.sensors]] = measured.opened
            shown |= {"/".join(key): cost for key, cost in measured.shown.items()}
            tile += measured.tile
            once_s += measured.once_s
            bytes_per_px += measured.bytes_per_px
        seconds = time.perf_counter() - start
        source = f"a sample of {done} tile{'' if done == 1 else 's'} on this machine, in {seconds:.0f} s"
        # Of maps that are made from maps nothing is written here; they are taken to compress like the others.
        plan, ground_px = self.materials.plan, self.tally.total("ground_px").value
        derived = bytes_per_tile(plan) / bytes_per_tile(replace(plan, smoothing=None, farmed=None))
        disk = bytes_per_px * ground_px * derived if done and not notes else None
        return Found(Rates(source, opened, shown, tile, once_s), disk, tuple(notes))

    def _measured(self, number: int, tile: Tile, group: list[ProductPlan]) -> Measured:
        plan = replace(self.materials.plan, products=undemanding(group), smoothing=None, farmed=None)
        home = SeasonFolder(str(self.scratch / f"sample-{number}"), plan.name, str(plan.season))

        def measured(thinned: bool) -> Measured:
            assets = self.tally.total("assets/composite").value if thinned else None
            sample = sample_of(self.materials, tile, group, self.tally.chips(self.materials), assets)
            edition = open_edition(home, plan, sample.region, SilentReporter(), self.like, self.like)
            sample.inputs.write(edition.inputs)
            return measure(TileJob(edition, machine_of(self.config)), sample)

        found = measured(thinned=True)
        asked = {"/".join(key) for key in map(key_of, group)} & self.tally.work().pixels.keys()
        # An encoder that cannot do without a period saw nothing whole in a few scenes.
        return found if asked <= {"/".join(key) for key in found.shown} else measured(thinned=False)


def machine_of(config: MapConfiguration) -> Machine:
    """How a run uses this machine."""
    return Machine(config.run.readers, config.run.batch, config.run.backoff())


def bytes_per_tile(plan: Plan) -> int:
    """Of all layers of a tile, uncompressed."""
    sizes = {"uint8": 1, "int8": 1, "uint16": 2, "float16": 2, "float32": 4}
    return sum(
        plan.cells(product).tile_px ** 2 * (layer.depth or 1) * sizes[layer.dtype]
        for product in plan.all_products
        for layer in layers_of(product)
    )
