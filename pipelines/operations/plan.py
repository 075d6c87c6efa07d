"""``stook plan``: what a run would do, read, encode, write, take and cost; nothing of it is done or written."""

import os
import socket
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from models.errors import InputError, TileError
from pipelines.configuration import MapConfiguration
from pipelines.opening import open_edition
from pipelines.operations.machines import MachineSection
from pipelines.progress import SilentReporter
from pipelines.season import plan_of, region_of, season_folder
from transforms.editions.edition import EMBEDDINGS, Edition, SeasonFolder, now
from transforms.editions.plan import Plan, ProductPlan
from transforms.editions.products import layers_of
from transforms.editions.state import state_of
from transforms.encoding.encodings import Encoding
from transforms.ground.grid import Tile
from transforms.imagery.volume import PieceSample, Volume
from transforms.tiles.calibration import Measured, key_of, measure, sample_of, undemanding
from transforms.tiles.carrying import Predecessor
from transforms.tiles.embeddings import EmbeddingStore
from transforms.tiles.forecast import FATES, Forecaster, Key, TileForecast, looked_at
from transforms.tiles.materials import Machine, Materials
from transforms.tiles.past import past_run
from transforms.tiles.rates import Cost, Duration, Rates, Speed, Work, duration
from transforms.tiles.tile_job import TileJob
from transforms.tiles.together import read_together

KINDS = {True: "picture", False: "composite"}


@dataclass(frozen=True)
class Estimate:
    """A number that was grown from a sample.

    Attributes:
        value: The number.
        error: Its standard error; 0 where all was looked at.
    """

    value: float
    error: float = 0.0


@dataclass(frozen=True)
class SeasonForecast:
    """What a run would come to.

    Attributes:
        name: Of the region.
        season: E.g. ``main-2023``.
        key: Of the plan; an edition of the same key is the one that was planned.
        made: When, UTC.
        continues: The open edition that the run would go on with, or None.
        predecessor: The edition that it would take results over from, or None.
        tiles: Of the region.
        looked_at: Of these, tiles from which all figures are grown.
        fates: Product -> new, again, carried, unchanged -> tiles.
        compute: Tiles of which something is computed.
        scenes: That are frozen.
        scene_reads: The same counted once for each tile that reads it.
        assets: Files opened.
        bytes_read: Compressed bytes of their blocks.
        bytes_known: How the sizes of files were found out.
        chips: Shown to encoders, at most.
        pixels: In these chips.
        disk_bytes: Of maps to write, as they compressed here; None where none were made.
        disk_bytes_at_most: If they do not compress at all.
        seconds: Of the run; None where a rate is not known.
        waits_for: What the run is held up by.
        machine: Whose time this is.
        cost: Of the machine, or None.
        currency: Of the cost.
        rates: Where the rates were measured.
        planned_in_s: What this plan took.
        notes: What else to know.
    """

    name: str
    season: str
    key: str
    made: str
    continues: str | None
    predecessor: str | None
    tiles: int
    looked_at: int
    fates: dict[str, dict[str, float]]
    compute: Estimate
    scenes: int
    scene_reads: Estimate
    assets: Estimate
    bytes_read: Estimate
    bytes_known: dict[str, int]
    chips: Estimate
    pixels: Estimate
    disk_bytes: float | None
    disk_bytes_at_most: float
    seconds: float | None
    waits_for: str | None
    machine: str
    cost: float | None
    currency: str | None
    rates: str
    planned_in_s: float
    notes: tuple[str, ...]


def run_plan(
    config: MapConfiguration, year: int, provisional: bool, refresh: bool, most: int, machine: str | None
) -> SeasonForecast:
    """Tell what ``stook map`` with the same words would do.

    Args:
        config: The configuration.
        year: Harvest year.
        provisional: See ``stook map``.
        refresh: See ``stook map``.
        most: Tiles to look at; of more, so many are chosen by lot.
        machine: Name of one in the configuration; None for this one.

    Raises:
        InputError: If the configuration or the inputs are wrong, or the machine is not in it.
        UnreachableError: If an archive does not answer.
    """
    start = time.perf_counter()
    named = named_machine(config, machine)
    folder, region = season_folder(config, year), region_of(config)
    plan = plan_of(config, year, region, provisional)
    opened = None if refresh else folder.find(plan.key)
    with tempfile.TemporaryDirectory(prefix="stook-plan-") as scratch:
        begun = time.perf_counter()
        home = SeasonFolder(scratch, config.name, folder.folder.name)
        like = opened or open_edition(home, plan, region, SilentReporter(), backoff=config.run.backoff())
        opening_s = 0.0 if opened else time.perf_counter() - begun
        materials = materials_of(like, folder, config)
        published = opened is not None and folder.status(opened) == "published"
        predecessor = predecessor_of(folder, opened)
        manifest = like.manifest
        tiles, scenes = [Tile.parse(name) for name in manifest["tiles"]], manifest["scenes"]
        looked = looked_at(tiles, most)
        tally = Tally(len(tiles) / len(looked))
        forecaster = Forecaster(materials, opened, predecessor)
        for tile in () if published else looked:
            tally.add(forecaster.tile(tile), materials)
        volume = tally.pieces.volume(config.run.readers, config.run.backoff())
        found = Measurer(config, folder, like, materials, tally, Path(scratch)).rates()
    found = replace(found, rates=replace(found.rates, start_s=found.rates.start_s + opening_s))
    work = tally.work()
    speed = named.speed() if named else here(config)
    took = duration(work, found.rates, speed) if work.tiles else Duration(0.0, 0.0, 0.0, "nothing")
    seconds = took.seconds if took else None
    return SeasonForecast(
        name=plan.name,
        season=str(plan.season),
        key=plan.key,
        made=now(),
        continues=opened.id if opened and not published else None,
        predecessor=predecessor.id if predecessor else None,
        tiles=len(tiles),
        looked_at=len(looked),
        fates=tally.by_product(plan, len(tiles) if published else 0),
        compute=tally.total("compute"),
        scenes=scenes,
        scene_reads=tally.total("scene_reads"),
        assets=tally.total("assets"),
        bytes_read=tally.bytes_read(volume),
        bytes_known={"stated": volume.stated, "opened": volume.opened, "unknown": volume.unknown},
        chips=tally.total("chips"),
        pixels=tally.total("pixels"),
        disk_bytes=found.disk_bytes,
        disk_bytes_at_most=work.tiles * bytes_per_tile(plan),
        seconds=seconds,
        waits_for=took.bound if took else None,
        machine=machine or f"this one ({socket.gethostname()})",
        cost=named.cost(seconds) if named and seconds is not None else None,
        currency=named.currency if named else None,
        rates=found.rates.source,
        planned_in_s=round(time.perf_counter() - start, 3),
        notes=found.notes
        + others_at_work()
        + notes_of(plan, volume)
        + failed_in(folder, opened if published else None),
    )


def predecessor_of(folder: SeasonFolder, opened: Edition | None) -> Edition | None:
    """The edition that results would be taken over from: by the open edition, or by one that is opened now."""
    if opened is None:
        return folder.current()
    found = Predecessor.of(opened)
    return found.edition if found else None


def named_machine(config: MapConfiguration, name: str | None) -> MachineSection | None:
    """A machine of the configuration; raises InputError if it is not there."""
    if name is None:
        return None
    if name not in config.machines:
        there = ", ".join(sorted(config.machines)) or "none"
        raise InputError(f"--machine {name}: is not in machines of the configuration; there are: {there}")
    return config.machines[name]


def machine_of(config: MapConfiguration) -> Machine:
    """How a run uses this machine."""
    return Machine(config.run.readers, config.run.batch, config.run.backoff())


def here(config: MapConfiguration) -> Speed:
    """How a run on this machine works."""
    return Speed(1 if config.run.mode == "memory" else config.run.workers, os.cpu_count())


def materials_of(edition: Edition, folder: SeasonFolder, config: MapConfiguration) -> Materials:
    """What tiles have in common, with the feature vectors that are stored in the real season's folder."""
    materials = Materials(edition, machine_of(config))
    encodings = (product.encoding for product in materials.plan.products)
    rounded = any(isinstance(encoding, Encoding) and encoding.storage for encoding in encodings)
    stored = SeasonFolder.at(folder.folder / EMBEDDINGS).current() if rounded else None
    materials.stored = EmbeddingStore(stored, stored.plan) if stored else None
    return materials


def bytes_per_tile(plan: Plan) -> int:
    """Of all layers of a tile, uncompressed."""
    sizes = {"uint8": 1, "int8": 1, "uint16": 2, "float16": 2, "float32": 4}
    return sum(
        plan.cells(product).tile_px ** 2 * (layer.depth or 1) * sizes[layer.dtype]
        for product in plan.all_products
        for layer in layers_of(product)
    )


def notes_of(plan: Plan, volume: Volume) -> tuple[str, ...]:
    """What a reader of the figures must know."""
    notes = ["chips and pixels are at most: what clouds hide is not encoded, and only the pixels tell"]
    if plan.derived:
        names = " and ".join(product.product for product in plan.derived)
        notes.append(f"{names}: neighbours of tiles that change are made again too, which is not counted")
    if volume.unknown:
        notes.append(
            f"{volume.unknown} sampled files are missing, damaged, or do not say their size; taken for the mean"
        )
    return tuple(notes)


def others_at_work() -> tuple[str, ...]:
    """That the machine is busy, so that rates measured now are uncertain."""
    load, processors = os.getloadavg()[0], os.cpu_count() or 1
    if load <= processors:
        return ()
    return (f"this machine is busy (load {load:.1f}, {processors} processors): time measured now is uncertain",)


def failed_in(folder: SeasonFolder, published: Edition | None) -> tuple[str, ...]:
    """That tiles failed in the published edition, which 'stook map' leaves alone."""
    failed = len(state_of(folder, published).failed) if published else 0
    return (f"{failed} tiles failed in it; 'stook retry' does them again",) if failed else ()


@dataclass
class Tally:
    """Sums over the tiles that were looked at; holds no tile.

    Attributes:
        grow: Tiles of the region for each that is looked at.
        pieces: What is read.
    """

    grow: float
    pieces: PieceSample = field(default_factory=PieceSample)
    counts: dict[str, int] = field(default_factory=dict)
    sums: dict[str, float] = field(default_factory=dict)
    squares: dict[str, float] = field(default_factory=dict)
    looked: int = 0
    largest: dict[str, tuple[int, str, tuple[str, ...]]] = field(default_factory=dict)

    def add(self, forecast: TileForecast, materials: Materials) -> None:
        """Take in a tile."""
        self.looked += 1
        for product, fate in forecast.fates.items():
            self._count(f"{product}/{fate}")
        pixels = {key: chips * pixels_of(materials, key) for key, chips in forecast.need.chips.items()}
        by_kind = dict.fromkeys(KINDS.values(), 0)
        for piece in forecast.need.pieces:
            by_kind[KINDS[piece.source.sensor == "rgb"]] += 1
        values: dict[str, float] = {
            "compute": float(forecast.due),
            "scene_reads": len(forecast.need.scenes),
            "assets": len(forecast.need.pieces),
            "chips": sum(forecast.need.chips.values()),
            "pixels": sum(pixels.values()),
            "ground_px": forecast.ground_px if forecast.due else 0,
        }
        values |= {f"assets/{kind}": count for kind, count in by_kind.items()}
        values |= {f"pixels/{'/'.join(key)}": count for key, count in pixels.items()}
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.squares[name] = self.squares.get(name, 0.0) + value**2
        due = tuple(sorted(name for name, fate in forecast.fates.items() if fate in ("new", "again")))
        size = int(values["pixels"] + values["assets"])
        self._count(f"due/{' '.join(due)}")
        for product in due:
            if size > self.largest.get(product, (0, "", ()))[0]:
                self.largest[product] = size, forecast.tile.name, due
        self.pieces.add(forecast.need.pieces)

    def _count(self, name: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1

    def total(self, name: str) -> Estimate:
        """A sum over all tiles of the region."""
        value = self.sums.get(name, 0.0)
        if self.grow == 1 or self.looked < 2:
            return Estimate(value * self.grow)
        variance = (self.squares.get(name, 0.0) - value**2 / self.looked) / (self.looked - 1)
        tiles = self.looked * self.grow
        return Estimate(value * self.grow, tiles * (max(0.0, variance) / self.looked * (1 - 1 / self.grow)) ** 0.5)

    def bytes_read(self, volume: Volume) -> Estimate:
        """Bytes of all tiles: the errors of the files' sizes and of the choice of tiles together."""
        assets = self.total("assets")
        of_tiles = volume.size * self.grow * assets.error / assets.value if assets.value else 0.0
        return Estimate(volume.size * self.grow, ((volume.error * self.grow) ** 2 + of_tiles**2) ** 0.5)

    def by_product(self, plan: Plan, unchanged: int) -> dict[str, dict[str, float]]:
        """Product -> fate -> tiles of the region."""
        return {
            product.product: {
                fate: self.counts.get(f"{product.product}/{fate}", 0) * self.grow
                + (unchanged if fate == "unchanged" else 0)
                for fate in FATES
            }
            for product in plan.all_products
        }

    def work(self) -> Work:
        """What there is to do."""
        return Work(
            self.total("compute").value,
            {kind: self.total(f"assets/{kind}").value for kind in KINDS.values()},
            {name.removeprefix("pixels/"): self.total(name).value for name in self.sums if name.startswith("pixels/")},
        )

    def chips(self, materials: Materials) -> dict[Key, float]:
        """Encoder -> chips that it is shown."""
        pixels = {key: self.total(f"pixels/{'/'.join(key)}").value for key in materials.embedders}
        return {key: count / pixels_of(materials, key) for key, count in pixels.items()}

    def everything_due(self, plan: Plan) -> bool:
        """Whether, where anything is computed, everything is, but for one tile in ten."""
        every = " ".join(sorted(product.product for product in plan.all_products))
        due = {name: count for name, count in self.counts.items() if name.startswith("due/") and name != "due/"}
        return due.get(f"due/{every}", 0) >= 0.9 * sum(due.values())


def pixels_of(materials: Materials, key: Key) -> int:
    """In one chip of an encoder."""
    return int(materials.embedders[key].encoder.specification.chip_px ** 2)


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
    tally: "Tally"
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
            edition = open_edition(home, plan, sample.region, SilentReporter(), frozen=self.like)
            sample.inputs.write(edition.inputs)
            return measure(TileJob(edition, machine_of(self.config)), sample)

        found = measured(thinned=True)
        asked = {"/".join(key) for key in map(key_of, group)} & self.tally.work().pixels.keys()
        # An encoder that cannot do without a period saw nothing whole in a few scenes.
        return found if asked <= {"/".join(key) for key in found.shown} else measured(thinned=False)
