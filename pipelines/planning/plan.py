"""``stook plan``: what a run would do, read, encode, write, take and cost; nothing of it is done or written."""

import os
import socket
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from stook.models.errors import InputError
from stook.pipelines.configuration import MapConfiguration
from stook.pipelines.kind import MAPS, Kind
from stook.pipelines.opening import open_edition
from stook.pipelines.planning.grown import Estimate, Grown
from stook.pipelines.planning.machines import MachineSection
from stook.pipelines.planning.measuring import Found, Measurer, bytes_per_tile, machine_of
from stook.pipelines.progress import SilentReporter
from stook.pipelines.season import plan_of, region_of
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.lease import now
from stook.transforms.editions.plan import Plan
from stook.transforms.editions.season_folder import EditionKind, SeasonFolder
from stook.transforms.editions.state import state_of
from stook.transforms.ground.grid import Tile
from stook.transforms.imagery.volume import Volume
from stook.transforms.tiles.carrying import Predecessor
from stook.transforms.tiles.forecast import Forecaster, looked_at
from stook.transforms.tiles.materials import Materials
from stook.transforms.tiles.rates import Duration, Speed, duration


@dataclass(frozen=True)
class SeasonForecast:
    """What a run would come to.

    Attributes:
        name: Of the region.
        season: E.g. ``main-2023``.
        kind: Whether maps are planned or feature vectors, ``maps`` or ``embeddings``.
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
        disk_bytes: Of what is to be written, as it compressed here; None where nothing was made.
        disk_bytes_at_most: If it does not compress at all.
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
    kind: EditionKind
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


@dataclass(frozen=True)
class Outlook:
    """What was found out of a season, before it is told.

    Attributes:
        folder: Of its editions.
        plan: What is to be made.
        opened: The edition of the plan that is there, open or published, or None.
        published: Whether it is published, so that nothing is to be done.
        predecessor: The edition that results would be taken over from, or None.
        tiles: Of the region.
        looked_at: Of these, tiles from which all is grown.
        scenes: That are frozen.
        notes: What the search left out or could not check.
        tally: What there is to do.
        volume: What is read.
        found: What work costs.
    """

    folder: SeasonFolder
    plan: Plan
    opened: Edition | None
    published: bool
    predecessor: Edition | None
    tiles: int
    looked_at: int
    scenes: int
    notes: tuple[str, ...]
    tally: Grown
    volume: Volume
    found: Found


def run_plan(
    config: MapConfiguration,
    year: int,
    provisional: bool,
    refresh: bool,
    most: int,
    machine: str | None,
    no_reuse: bool = False,
    kind: Kind = MAPS,
) -> SeasonForecast:
    """Tell what ``stook map``, or ``stook embed``, with the same words would do.

    Args:
        config: The configuration.
        year: Harvest year.
        provisional: See ``stook map``.
        refresh: See ``stook map``.
        most: Sample at most this many tiles.
        machine: Name of one in the configuration; None for this one.
        no_reuse: See ``stook map``.
        kind: Whether maps are planned or feature vectors.

    Raises:
        InputError: If the configuration or the inputs are wrong, or the machine is not in it.
        UnreachableError: If an archive does not answer.
    """
    start = time.perf_counter()
    named = named_machine(config, machine)
    seen = look(config, year, kind, provisional, refresh, no_reuse, most)
    work, speed = seen.tally.work(), named.speed() if named else here(config)
    took = duration(work, seen.found.rates, speed) if work.tiles else Duration(0.0, 0.0, 0.0, "nothing")
    told = forecast_of(seen, took, seen.notes + others_at_work() + failed_in(seen, kind))
    if named is not None:
        cost = None if took is None else named.cost(took.seconds)
        told = replace(told, machine=str(machine), cost=cost, currency=named.currency)
    return replace(told, planned_in_s=round(time.perf_counter() - start, 3))


def look(
    config: MapConfiguration, year: int, kind: Kind, provisional: bool, refresh: bool, no_reuse: bool, most: int
) -> Outlook:
    """Find out what there is to do, and what work costs; see ``run_plan``."""
    folder, region = kind.folder(config, year), region_of(config)
    plan = plan_of(config, year, region, provisional, kind.planned)
    opened = folder.begun_refresh(plan.key, no_reuse) if refresh or no_reuse else folder.find(plan.key)
    with tempfile.TemporaryDirectory(prefix="stook-plan-") as scratch:
        begun = time.perf_counter()
        home = SeasonFolder(scratch, config.name, folder.season)
        backoff = config.run.backoff()
        rounded_as = None if no_reuse else folder.current_of(plan.key)
        like = opened or open_edition(
            home, plan, region, SilentReporter(), rounded_as=rounded_as, carries=not no_reuse, backoff=backoff
        )
        opening_s = 0.0 if opened else time.perf_counter() - begun
        materials = Materials(like, machine_of(config), folder)
        published = opened is not None and folder.status(opened) == "published"
        predecessor = None if published else predecessor_of(folder, opened, no_reuse)
        manifest = like.manifest
        tiles = [Tile.parse(name) for name in manifest["tiles"]]
        looked = looked_at(tiles, most)
        tally = Grown(len(tiles) / len(looked))
        forecaster = Forecaster(materials, opened, predecessor)
        for tile in () if published else looked:
            tally.add(forecaster.tile(tile), materials)
        volume = tally.pieces.volume(config.run.readers, backoff)
        found = Measurer(config, folder, like, materials, tally, Path(scratch)).rates()
    found = replace(found, rates=replace(found.rates, start_s=found.rates.start_s + opening_s))
    return Outlook(
        folder=folder,
        plan=plan,
        opened=opened,
        published=published,
        predecessor=predecessor,
        tiles=len(tiles),
        looked_at=len(looked),
        scenes=manifest["scenes"],
        notes=tuple(manifest.get("search_notes", ())),
        tally=tally,
        volume=volume,
        found=found,
    )


def forecast_of(seen: Outlook, took: Duration | None, notes: tuple[str, ...]) -> SeasonForecast:
    """What was found out as it is told, of this machine.

    Args:
        seen: What was found out.
        took: How long the run would take; None where a rate is not known.
        notes: What else to know.
    """
    plan, tally, volume = seen.plan, seen.tally, seen.volume
    return SeasonForecast(
        name=plan.name,
        season=str(plan.season),
        kind=seen.folder.kind,
        key=plan.key,
        made=now(),
        continues=seen.opened.id if seen.opened and not seen.published else None,
        predecessor=seen.predecessor.id if seen.predecessor else None,
        tiles=seen.tiles,
        looked_at=seen.looked_at,
        fates=tally.by_product(plan, seen.tiles if seen.published else 0),
        compute=tally.total("compute"),
        scenes=seen.scenes,
        scene_reads=tally.total("scene_reads"),
        assets=tally.total("assets"),
        bytes_read=tally.bytes_read(volume),
        bytes_known={"stated": volume.stated, "opened": volume.opened, "unknown": volume.unknown},
        chips=tally.total("chips"),
        pixels=tally.total("pixels"),
        disk_bytes=seen.found.disk_bytes,
        disk_bytes_at_most=tally.work().tiles * bytes_per_tile(plan),
        seconds=took.seconds if took else None,
        waits_for=took.bound if took else None,
        machine=f"this one ({socket.gethostname()})",
        cost=None,
        currency=None,
        rates=seen.found.rates.source,
        planned_in_s=0.0,
        notes=seen.found.notes + notes + notes_of(plan, volume),
    )


def predecessor_of(folder: SeasonFolder, opened: Edition | None, no_reuse: bool) -> Edition | None:
    """The edition that results would be taken over from: by the open edition, or by one that is opened now."""
    if opened is None:
        return None if no_reuse else folder.current()
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
    load, processors = psutil.getloadavg()[0], os.cpu_count() or 1
    if load <= processors:
        return ()
    return (f"this machine is busy (load {load:.1f}, {processors} processors): time measured now is uncertain",)


def failed_in(seen: Outlook, kind: Kind) -> tuple[str, ...]:
    """That tiles failed in the published edition, which a run leaves alone."""
    failed = len(state_of(seen.folder, seen.opened).failed) if seen.opened and seen.published else 0
    return (f"{failed} tiles failed in it; 'stook retry{kind.option}' does them again",) if failed else ()
