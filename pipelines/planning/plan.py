"""``stook plan``: what a run would do, read, encode, write, take and cost; nothing of it is done or written."""

import os
import socket
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from models.errors import InputError
from pipelines.configuration import MapConfiguration
from pipelines.opening import open_edition
from pipelines.planning.grown import Estimate, Grown
from pipelines.planning.machines import MachineSection
from pipelines.planning.measuring import Measurer, bytes_per_tile, machine_of
from pipelines.progress import SilentReporter
from pipelines.season import plan_of, region_of, season_folder
from transforms.editions.edition import Edition
from transforms.editions.lease import now
from transforms.editions.plan import Plan
from transforms.editions.season_folder import SeasonFolder
from transforms.editions.state import state_of
from transforms.encoding.encodings import Encoding
from transforms.ground.grid import Tile
from transforms.imagery.volume import Volume
from transforms.tiles.carrying import Predecessor
from transforms.tiles.embeddings import EmbeddingStore
from transforms.tiles.forecast import Forecaster, looked_at
from transforms.tiles.materials import Materials
from transforms.tiles.rates import Duration, Speed, duration


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
        tally = Grown(len(tiles) / len(looked))
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


def here(config: MapConfiguration) -> Speed:
    """How a run on this machine works."""
    return Speed(1 if config.run.mode == "memory" else config.run.workers, os.cpu_count())


def materials_of(edition: Edition, folder: SeasonFolder, config: MapConfiguration) -> Materials:
    """What tiles have in common, with the feature vectors that are stored in the real season's folder."""
    materials = Materials(edition, machine_of(config))
    encodings = (product.encoding for product in materials.plan.products)
    rounded = any(isinstance(encoding, Encoding) and encoding.storage for encoding in encodings)
    stored = folder.embeddings.current() if rounded else None
    materials.stored = EmbeddingStore(stored, stored.plan) if stored else None
    return materials


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
